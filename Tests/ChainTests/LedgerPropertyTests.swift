import Runtime
import Testing

@testable import Chain

@Suite struct LedgerPropertyTests {
  /// Whatever is asked, in whatever order: money is conserved, nothing is paid twice, and strangers can always end it.
  @Test(arguments: 0..<40) func `random histories conserve money and end with nothing locked`(_ seed: Int) {
    var stream = Seed(UInt64(seed)).child("history").stream
    var court = Court()
    court.fund()
    let keys = [
      court.owner, court.coordinator, court.auditorA, court.auditorB, court.trainer, court.other, court.stranger,
    ]
    var paid: Set<[Int]> = []
    var nonce: UInt64 = 0
    func note(_ events: [LedgerEvent]) {
      for event in events {
        guard case .paid(let claim) = event.kind else { continue }
        for round in claim.rounds { #expect(paid.insert([claim.slot, round]).inserted) }
      }
    }
    for _ in 0..<120 {
      let key = keys[stream.below(keys.count)]
      let worker = stream.chance(0.5) ? court.trainer : court.other
      let slot = stream.below(4)
      let rounds = [[0], [2], [5], [0, 2], [2, 5], [0, 2, 5], [1]][stream.below(7)]
      let operation: Operation
      var sender = key
      switch stream.below(16) {
      case 0, 1, 2:
        nonce += 1
        operation = .acceptLease(court.lease(slot, nonce: nonce, price: 1 + stream.below(11), for: worker))
        sender = worker
      case 3: operation = .release(job: court.job, slot: slot)
      case 4: operation = .summon(job: court.job, slot: slot)
      case 5: operation = .answer(job: court.job, slot: slot)
      case 6: operation = .revoke(job: court.job, slot: slot)
      case 7: operation = .expire(job: court.job, slot: slot)
      case 8, 9:
        operation = .submit(job: court.job, claims: [court.receipt(slot, rounds: rounds, nonce: nonce, for: worker)])
      case 10:
        operation = .submit(job: court.job, claims: [SlotClaim(slot: slot, rounds: rounds, commitmentsRoot: .zero)])
      case 11: operation = .settle(job: court.job, claims: [stream.below(8)])
      case 12: operation = court.dispute(slot, of: worker)
      case 13:
        operation = .rule(job: court.job, dispute: stream.below(4), isUpheld: stream.chance(0.5), evidence: .zero)
      case 14: operation = .lapse(job: court.job, dispute: stream.below(4))
      default: operation = stream.chance(0.1) ? .close(job: court.job) : .withdraw(Court.hbar(1 + stream.below(3)))
      }
      note(court.act(sender, operation, after: .seconds(Int64(stream.below(40)))))
    }
    // Long after every deadline a stranger alone brings it to an end.
    court.now = court.now + .seconds(10_000)
    let end = court.stranger
    court.act(end, .close(job: court.job))
    court.now = court.now + .seconds(10_000)
    for dispute in 0..<40 { court.act(end, .lapse(job: court.job, dispute: dispute)) }
    for slot in 0..<3 { court.act(end, .expire(job: court.job, slot: slot)) }
    for claim in 0..<60 { note(court.act(end, .settle(job: court.job, claims: [claim]))) }
    court.act(end, .refund(job: court.job))
    #expect(court.ledger.jobs[court.job]?.isSettled == true)
    #expect(court.ledger.holdings.locked == 0)
  }

  @Test func `operations and events come back from their bytes, and mutations never trap`() throws {
    var court = Court()
    court.fund()
    let operations: [Operation] = [
      .deposit(Court.hbar(1)), .openJob(court.terms), .acceptLease(court.lease(1)), .release(job: court.job, slot: 2),
      .summon(job: court.job, slot: 1), .answer(job: court.job, slot: 1), .revoke(job: court.job, slot: 0),
      .expire(job: court.job, slot: 3), .submit(job: court.job, claims: [court.receipt(0, rounds: [0, 2])]),
      .settle(job: court.job, claims: [1, 2]), court.dispute(1),
      .rule(job: court.job, dispute: 3, isUpheld: true, evidence: court.job), .lapse(job: court.job, dispute: 1),
      .payAudits(AuditReceipt().signed(by: court.coordinator)), .close(job: court.job), .refund(job: court.job),
      .withdraw(Court.hbar(2)), .post(topic: court.job, message: [1, 2]), .drawBeacon(topic: court.job, label: 9),
    ]
    var stream = Seed(1).stream
    for operation in operations {
      let bytes = operation.wireBytes
      #expect(try Operation(wireBytes: bytes) == operation)
      for _ in 0..<600 {
        var mutated = bytes
        mutated[stream.below(mutated.count)] = UInt8(stream.below(256))
        if let read = try? Operation(wireBytes: mutated) { #expect(read.wireBytes == mutated) }
      }
    }
    for event in court.act(court.trainer, .acceptLease(court.lease(0))) + court.act(court.auditorA, court.dispute(0)) {
      #expect(try LedgerEvent(wireBytes: event.wireBytes) == event)
    }
  }
}

import Runtime
import Testing

@testable import Chain

/// A ledger with an owner, a coordinator, two auditors, two trainers and a stranger.
struct Court {
  static func hbar(_ count: Int) -> Amount { Amount(tinybars: Int64(count) * Amount.tinybarsPerHbar)! }
  let owner, coordinator, auditorA, auditorB, trainer, other, stranger: SigningKey
  var ledger: EmbeddedLedger
  var now = Timestamp(nanoseconds: 1_000_000_000_000)
  var sequences: [PublicKey: UInt64] = [:]
  let job = Digest(of: [1])
  var terms = JobTerms()

  init() {
    var stream = Seed(1).stream
    let keys = (0..<7).map { _ in SigningKey(drawnFrom: &stream) }
    owner = keys[0]
    coordinator = keys[1]
    auditorA = keys[2]
    auditorB = keys[3]
    trainer = keys[4]
    other = keys[5]
    stranger = keys[6]
    ledger = EmbeddedLedger(genesis: keys.map { ($0.publicKey, Self.hbar(1_000)) }, seed: Seed(2))
    terms.job = job
    terms.owner = owner.publicKey
    terms.coordinator = coordinator.publicKey
    terms.arbiters = [auditorA.publicKey, auditorB.publicKey]
    for number in 0..<3 {
      var slot = SlotTerms()
      slot.chunk = Digest(of: [UInt8(number)])
      slot.rounds = [0, 2, 5]
      slot.ceiling = Self.hbar(10)
      terms.slots.append(slot)
    }
    terms.stakePerSlot = Self.hbar(20)
    terms.auditFund = Self.hbar(6)
    terms.auditFee = Self.hbar(2)
    terms.feeBound = Self.hbar(3)
    terms.bond = Self.hbar(5)
    terms.forfeitBasisPoints = 2_000
    terms.slashRewardBasisPoints = 3_000
    terms.challengeWindow = .seconds(60)
    terms.unreceiptedWindow = .seconds(600)
    terms.rulingWindow = .seconds(300)
    terms.answerWindow = .seconds(20)
    terms.leaseLimit = .seconds(3_600)
    terms.finalDeadline = now + .seconds(4_000)
  }

  @discardableResult
  mutating func act(_ key: SigningKey, _ operation: Operation, after delay: Duration = .seconds(1)) -> [LedgerEvent] {
    now = now + delay
    sequences[key.publicKey, default: 0] += 1
    let signed = Transaction(sender: key.publicKey, sequence: sequences[key.publicKey]!, operation: operation).signed(
      by: key)
    let events = ledger.apply(signed, authentic: signed.isAuthentic, at: now)
    #expect(ledger.holdings.isConserved && ledger.recount() == ledger.holdings)
    return events
  }
  mutating func refuses(_ key: SigningKey, _ operation: Operation, after delay: Duration = .seconds(1)) -> Rejection? {
    guard case .rejected(let rejection) = act(key, operation, after: delay).first?.kind else { return nil }
    return rejection.code
  }
  mutating func fund() {
    act(owner, .deposit(Self.hbar(200)))
    act(owner, .openJob(terms))
    for key in [trainer, other, auditorA, auditorB, stranger] { act(key, .deposit(Self.hbar(100))) }
  }
  func lease(_ slot: Int, nonce: UInt64 = 1, price: Int = 4, for key: SigningKey? = nil, by signer: SigningKey? = nil)
    -> SignedLease
  {
    var lease = Lease()
    lease.job = job
    lease.slot = slot
    lease.trainer = (key ?? trainer).publicKey
    lease.price = Self.hbar(price)
    lease.deadline = now + .seconds(1_000)
    lease.nonce = nonce
    return lease.signed(by: signer ?? coordinator)
  }
  func receipt(_ slot: Int, rounds: [Int], nonce: UInt64 = 1, for key: SigningKey? = nil, by signer: SigningKey? = nil)
    -> SlotClaim
  {
    var receipt = Receipt()
    receipt.job = job
    receipt.slot = slot
    receipt.trainer = (key ?? trainer).publicKey
    receipt.price = Self.hbar(4)
    receipt.nonce = nonce
    receipt.rounds = rounds
    return SlotClaim(proof: ReceiptProof.batch([receipt, Receipt()], signedBy: signer ?? coordinator)[0])
  }
  func dispute(_ slot: Int, of key: SigningKey? = nil) -> Operation {
    var dispute = Dispute()
    dispute.job = job
    dispute.slot = slot
    dispute.trainer = (key ?? trainer).publicKey
    return .dispute(dispute)
  }
  func credits(_ key: SigningKey) -> Amount { ledger.accounts[key.publicKey]?.credits ?? .zero }
  var escrow: Amount { ledger.jobs[job]?.escrow ?? .zero }
}

@Suite struct AmountTests {
  @Test(
    arguments: [
      ("12.5 hbar", 1_250_000_000), ("0.00000001 hbar", 1), ("250 tinybar", 250), ("0 hbar", 0),
      ("1 hbar", 100_000_000),
    ] as [(String, Int64)])
  func `money in words`(_ text: String, _ tinybars: Int64) {
    #expect(Amount(parsing: text)?.tinybars == tinybars)
    if let amount = Amount(parsing: text) { #expect(Amount(parsing: "\(amount)") == amount) }
  }
  @Test(arguments: [
    "", "5", "-1 hbar", "1.000000001 hbar", "1.5 tinybar", "1e3 hbar", "99999999999999999999 hbar", "1 dollar",
    "1..2 hbar", ". hbar",
  ])
  func `what is not money is refused`(_ text: String) { #expect(Amount(parsing: text) == nil) }

  @Test func `arithmetic is checked and shares round down`() {
    let one = Amount(tinybars: 1)!
    #expect(Amount.zero.subtracting(one) == nil)
    #expect(Amount(tinybars: Amount.limit)!.adding(one) == nil)
    #expect(Amount(tinybars: Amount.limit)!.times(2) == nil)
    #expect(Amount(tinybars: 19_999)!.share(basisPoints: 1) == one)
    #expect(Amount(tinybars: Amount.limit)!.share(basisPoints: 10_000).tinybars == Amount.limit)
  }
}

@Suite struct LedgerTests {
  @Test func `a lease is taken, claimed with a receipt, and paid after its window`() {
    var court = Court()
    court.fund()
    #expect(court.escrow == Court.hbar(99))
    #expect(court.act(court.trainer, .acceptLease(court.lease(0))).count == 1)
    #expect(court.credits(court.trainer) == Court.hbar(80))
    court.act(court.trainer, .submit(job: court.job, claims: [court.receipt(0, rounds: [0, 5])]))
    #expect(court.refuses(court.trainer, .settle(job: court.job, claims: [0])) == .windowOpen)
    court.act(court.stranger, .settle(job: court.job, claims: [0]), after: .seconds(61))
    #expect(court.credits(court.trainer) == Court.hbar(108))
    #expect(
      court.refuses(court.trainer, .submit(job: court.job, claims: [court.receipt(0, rounds: [5])]))
        == .roundAlreadyClaimed)
    court.act(court.trainer, .withdraw(Court.hbar(108)))
    #expect(court.credits(court.trainer) == .zero)
  }

  @Test func `every way to rob an escrow is refused by name`() {
    var court = Court()
    court.fund()
    let thief = court.stranger
    #expect(court.refuses(thief, .withdraw(Court.hbar(101))) == .insufficientCredits)
    #expect(court.refuses(thief, .deposit(.zero)) == .zeroAmount)
    #expect(court.refuses(thief, .deposit(Court.hbar(5_000))) == .insufficientWallet)
    #expect(court.refuses(thief, .openJob(court.terms)) == .notOwner)
    #expect(court.refuses(court.owner, .openJob(court.terms)) == .jobExists)
    #expect(court.refuses(thief, .acceptLease(court.lease(0))) == .notTrainer)
    #expect(court.refuses(thief, .acceptLease(court.lease(0, for: thief, by: thief))) == .badSignature)
    #expect(court.refuses(court.trainer, .acceptLease(court.lease(9))) == .unknownSlot)
    #expect(court.refuses(court.trainer, .acceptLease(court.lease(0, price: 11))) == .priceAboveCeiling)
    court.act(court.trainer, .acceptLease(court.lease(0)))
    #expect(court.refuses(court.other, .acceptLease(court.lease(0, nonce: 2, for: court.other))) == .slotTaken)
    #expect(court.refuses(thief, .release(job: court.job, slot: 0)) == .notTrainer)
    #expect(court.refuses(thief, .revoke(job: court.job, slot: 0)) == .notCoordinator)
    #expect(court.refuses(thief, .summon(job: court.job, slot: 0)) == .notCoordinator)
    #expect(court.refuses(court.trainer, .answer(job: court.job, slot: 0)) == .notSummoned)
    #expect(court.refuses(thief, .expire(job: court.job, slot: 0)) == .notOverdue)
    #expect(court.refuses(thief, .expire(job: court.job, slot: 1)) == .slotNotLeased)
    #expect(court.refuses(thief, .submit(job: court.job, claims: [])) == .noClaims)
    #expect(
      court.refuses(thief, .submit(job: court.job, claims: [court.receipt(0, rounds: [0], by: thief)])) == .badSignature
    )
    #expect(court.refuses(thief, .submit(job: court.job, claims: [court.receipt(0, rounds: [1])])) == .badRounds)
    #expect(court.refuses(thief, .submit(job: court.job, claims: [court.receipt(0, rounds: [5, 0])])) == .badRounds)
    let twice = court.receipt(1, rounds: [0])
    #expect(court.refuses(thief, .submit(job: court.job, claims: [twice, twice])) == .roundAlreadyClaimed)
    #expect(
      court.refuses(thief, .submit(job: court.job, claims: [SlotClaim(slot: 0, rounds: [0], commitmentsRoot: .zero)]))
        == .notTrainer)
    #expect(court.refuses(thief, .settle(job: court.job, claims: [0])) == .unknownClaim)
    #expect(court.refuses(thief, court.dispute(2)) == .nothingToDispute)
    #expect(court.refuses(thief, .rule(job: court.job, dispute: 0, isUpheld: true, evidence: .zero)) == .unknownDispute)
    #expect(court.refuses(thief, .close(job: court.job)) == .notOwner)
    #expect(court.refuses(thief, .refund(job: court.job)) == .notFinal)
    var audits = AuditReceipt()
    audits.job = court.job
    audits.auditor = court.auditorA.publicKey
    audits.audits = 2
    #expect(court.refuses(thief, .payAudits(audits.signed(by: thief))) == .badSignature)
    audits.auditor = thief.publicKey
    #expect(court.refuses(thief, .payAudits(audits.signed(by: court.coordinator))) == .notAuditor)
    #expect(
      court.refuses(thief, .post(topic: court.job, message: Array(repeating: 0, count: 1_025))) == .messageTooLong)
    #expect(court.refuses(thief, .release(job: Digest(of: [9]), slot: 0)) == .unknownJob)
    #expect(court.escrow == Court.hbar(99))
  }

  @Test func `absurd terms are refused`() {
    func fault(_ change: (inout JobTerms) -> Void) -> Rejection? {
      var court = Court()
      court.act(court.owner, .deposit(Court.hbar(500)))
      change(&court.terms)
      return court.refuses(court.owner, .openJob(court.terms))
    }
    #expect(fault { $0.challengeWindow = .seconds(1) } == .absurdWindow)
    #expect(fault { $0.rulingWindow = .seconds(40 * 86_400) } == .absurdWindow)
    #expect(fault { $0.forfeitBasisPoints = 5_001 } == .absurdShare)
    #expect(fault { $0.slots[0].rounds = [] } == .emptySlot)
    #expect(fault { $0.slots[0].rounds = [2, 2] } == .roundsNotAscending)
    #expect(fault { $0.arbiters = [$0.coordinator] } == .badArbiter)
    #expect(fault { $0.finalDeadline = .zero } == .tooLate)
    #expect(fault { $0.slots[0].ceiling = Amount(tinybars: Amount.limit)! } == .tooMuch)
    #expect(fault { $0.slots[0].ceiling = Court.hbar(10_000) } == .insufficientCredits)
  }

  @Test func `a replayed, forged or unknown transaction is refused`() {
    var court = Court()
    let signed = Transaction(sender: court.owner.publicKey, sequence: 5, operation: .deposit(Court.hbar(1))).signed(
      by: court.owner)
    func code(_ authentic: Bool) -> Rejection? {
      guard case .rejected(let rejection) = court.ledger.apply(signed, authentic: authentic, at: court.now).first?.kind
      else {
        return nil
      }
      return rejection.code
    }
    #expect(code(false) == .notAuthentic)
    #expect(code(true) == nil)
    #expect(code(true) == .staleSequence)
    let forged = SignedTransaction(transaction: signed.transaction, signature: court.stranger.sign([1]))
    #expect(!forged.isAuthentic && signed.isAuthentic)
    var stream = Seed(99).stream
    let nobody = SigningKey(drawnFrom: &stream)
    #expect(court.refuses(nobody, .deposit(Court.hbar(1))) == .unknownAccount)
  }

  @Test func `whoever does not answer a summons loses a share of the stake, whoever does keeps it`() {
    var court = Court()
    court.fund()
    court.act(court.trainer, .acceptLease(court.lease(0)))
    court.act(court.other, .acceptLease(court.lease(1, for: court.other)))
    court.act(court.coordinator, .summon(job: court.job, slot: 0))
    court.act(court.coordinator, .summon(job: court.job, slot: 1))
    court.act(court.other, .answer(job: court.job, slot: 1))
    let owned = court.credits(court.owner)
    court.act(court.stranger, .expire(job: court.job, slot: 0), after: .seconds(21))
    #expect(court.refuses(court.stranger, .expire(job: court.job, slot: 1)) == .notOverdue)
    #expect(court.credits(court.trainer) == Court.hbar(96))
    #expect(court.credits(court.owner).subtracting(owned) == Court.hbar(4))
    #expect(court.refuses(court.trainer, .acceptLease(court.lease(0))) == .staleLease)
    court.act(court.other, .acceptLease(court.lease(0, nonce: 2, for: court.other)))
    court.act(court.stranger, .submit(job: court.job, claims: [court.receipt(0, rounds: [0])]))
    court.act(court.stranger, .settle(job: court.job, claims: [0]), after: .seconds(61))
    #expect(court.credits(court.trainer) == Court.hbar(100))
  }

  @Test func `a lie that an arbiter confirms costs the stake, and the slot is free again`() throws {
    var court = Court()
    court.fund()
    court.act(court.trainer, .acceptLease(court.lease(0)))
    let events = court.act(court.auditorA, court.dispute(0))
    guard case .disputeOpened(let opened) = events[0].kind else {
      Issue.record("no dispute")
      return
    }
    #expect(opened.arbiter == court.auditorB.publicKey)
    #expect(court.refuses(court.trainer, .release(job: court.job, slot: 0)) == .leaseDisputed)
    #expect(
      court.refuses(court.auditorA, .rule(job: court.job, dispute: 0, isUpheld: true, evidence: .zero)) == .notArbiter)
    #expect(court.refuses(court.stranger, .lapse(job: court.job, dispute: 0)) == .rulingOpen)
    court.act(court.auditorB, .rule(job: court.job, dispute: 0, isUpheld: true, evidence: .zero))
    #expect(court.credits(court.trainer) == Court.hbar(80))
    #expect(court.credits(court.auditorA) == Court.hbar(106))
    court.act(court.other, .acceptLease(court.lease(0, nonce: 2, for: court.other)))
    #expect(court.ledger.jobs[court.job]?.slots[0].lease?.lease.trainer == court.other.publicKey)
  }

  @Test func `a report that is not upheld costs the bond; a silent arbiter costs nobody`() {
    var court = Court()
    court.fund()
    court.act(court.trainer, .acceptLease(court.lease(0)))
    court.act(court.auditorA, court.dispute(0))
    court.act(court.auditorB, .rule(job: court.job, dispute: 0, isUpheld: false, evidence: .zero))
    #expect(court.credits(court.trainer) == Court.hbar(85) && court.credits(court.auditorA) == Court.hbar(95))
    court.act(court.auditorA, court.dispute(0))
    #expect(
      court.refuses(
        court.auditorB, .rule(job: court.job, dispute: 1, isUpheld: true, evidence: .zero), after: .seconds(301))
        == .rulingOver)
    court.act(court.stranger, .lapse(job: court.job, dispute: 1))
    #expect(court.credits(court.auditorA) == Court.hbar(95))
    court.act(court.trainer, .release(job: court.job, slot: 0))
    #expect(court.credits(court.trainer) == Court.hbar(105))
  }

  @Test func `a silent coordinator cannot keep a trainer from its pay`() {
    var court = Court()
    court.fund()
    court.act(court.trainer, .acceptLease(court.lease(0)))
    court.act(
      court.trainer, .submit(job: court.job, claims: [SlotClaim(slot: 0, rounds: [0, 2], commitmentsRoot: .zero)]))
    #expect(court.refuses(court.trainer, .settle(job: court.job, claims: [0]), after: .seconds(300)) == .windowOpen)
    court.act(court.trainer, .settle(job: court.job, claims: [0]), after: .seconds(301))
    #expect(court.credits(court.trainer) == Court.hbar(108))
  }

  @Test func `an owner cannot close on work that was done, and gets back the rest to the tinybar`() {
    var court = Court()
    court.fund()
    court.act(court.trainer, .acceptLease(court.lease(0)))
    court.act(court.owner, .close(job: court.job))
    #expect(court.refuses(court.owner, .close(job: court.job)) == .jobClosed)
    #expect(court.refuses(court.other, .acceptLease(court.lease(1, for: court.other))) == .jobClosed)
    #expect(court.refuses(court.owner, .refund(job: court.job)) == .notFinal)
    court.act(court.trainer, .submit(job: court.job, claims: [court.receipt(0, rounds: [0])]))
    court.act(court.owner, .refund(job: court.job), after: .seconds(121))
    #expect(court.refuses(court.owner, .refund(job: court.job)) == .alreadyRefunded)
    #expect(court.escrow == Court.hbar(4))
    court.act(court.trainer, .settle(job: court.job, claims: [0]))
    #expect(court.escrow == .zero && court.ledger.jobs[court.job]?.isSettled == true)
    #expect(court.credits(court.owner).tinybars == Court.hbar(196).tinybars)
  }

  @Test func `audits are paid once, as far as the fund goes`() {
    var court = Court()
    court.fund()
    var receipt = AuditReceipt()
    receipt.job = court.job
    receipt.auditor = court.auditorA.publicKey
    receipt.audits = 2
    court.act(court.auditorA, .payAudits(receipt.signed(by: court.coordinator)))
    #expect(court.credits(court.auditorA) == Court.hbar(104))
    #expect(court.refuses(court.auditorA, .payAudits(receipt.signed(by: court.coordinator))) == .nothingToPay)
    receipt.audits = 10
    court.act(court.auditorA, .payAudits(receipt.signed(by: court.coordinator)))
    #expect(court.credits(court.auditorA) == Court.hbar(106))
  }

  @Test func `a coordinator's fees come out of the job's fee bound until it is empty`() {
    var court = Court()
    court.fund()
    let before = court.ledger.accounts[court.coordinator.publicKey]!.wallet
    court.act(court.coordinator, .post(topic: court.job, message: [1]))
    #expect(court.ledger.accounts[court.coordinator.publicKey]!.wallet == before)
    for _ in 0..<20 { court.act(court.coordinator, .drawBeacon(topic: court.job, label: 1)) }
    #expect(court.ledger.accounts[court.coordinator.publicKey]!.wallet < before)
  }

  @Test func `a topic's running hash chains all its messages`() {
    var court = Court()
    var hashes: Set<Digest> = []
    for number in 1...5 {
      guard case .posted(let post) = court.act(court.stranger, .post(topic: Digest(of: [3]), message: [7])).first?.kind
      else {
        Issue.record("not posted")
        return
      }
      #expect(post.number == UInt64(number))
      hashes.insert(post.runningHash)
    }
    #expect(hashes.count == 5)
  }
}

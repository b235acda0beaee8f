import Chain
import Learn
import ObjectStore
import Runtime
import Testing
import Transport

@testable import Actors

@Suite struct MarketTests {
  private func key(_ number: Int) -> PublicKey { PublicKey(bytes: Array(repeating: UInt8(number), count: 32))! }
  private func amount(_ tinybars: Int64) -> Amount { Amount(tinybars: tinybars)! }
  private func entry(_ number: Int, _ price: Int64, slots: Int = 1, quality: Int = 1_000) -> Auction.Entry {
    var bid = Bid()
    bid.bidder = key(number)
    bid.price = amount(price)
    bid.slots = slots
    return Auction.Entry(bid: bid, quality: quality)
  }
  private func auction(_ slots: Int, posted: Bool = false) -> Auction {
    Auction(slots: slots, ceiling: amount(1_000), beacon: Digest(of: [1]), isPosted: posted)
  }

  @Test func `the cheapest win and are paid the first loser's price`() {
    let outcome = auction(2).run([entry(1, 300), entry(2, 100), entry(3, 200), entry(4, 2_000)])
    #expect(outcome.awards.map(\.bidder) == [key(2), key(3)])
    #expect(outcome.awards.map(\.price) == [amount(300), amount(300)])
    #expect(outcome.losers == [key(1)] && outcome.tooDear == [key(4)])
  }

  @Test func `better quality wins at a higher price, and is paid more`() {
    let outcome = auction(1).run([entry(1, 110, quality: 1_200), entry(2, 100, quality: 1_000)])
    #expect(outcome.awards == [.init(bidder: key(1), slots: 1, price: amount(120))])
  }

  @Test func `with no loser everybody is paid the ceiling, and never less than asked`() {
    let outcome = auction(5).run([entry(1, 300, slots: 3), entry(2, 900)])
    #expect(outcome.awards.map(\.price) == [amount(1_000), amount(1_000)])
    #expect(outcome.awards.map(\.slots) == [3, 1])
  }

  @Test func `a bidder for one slot gains nothing by asking another price than its cost`() {
    var stream = Seed(5).stream
    for round in 0..<300 {
      let others = (2..<8).map { entry($0, Int64(100 + stream.below(800)), quality: 700 + stream.below(600)) }
      let cost = Int64(100 + stream.below(800))
      let quality = 700 + stream.below(600)
      func gain(_ ask: Int64) -> Int64 {
        let outcome = auction(3).run(others + [entry(1, ask, quality: quality)])
        return outcome.awards.first { $0.bidder == key(1) }.map { $0.price.tinybars - cost } ?? 0
      }
      let truth = gain(cost)
      // Whole tinybars: a tie rounds by at most one.
      for _ in 0..<10 { #expect(gain(Int64(100 + stream.below(900))) <= truth + 1, "round \(round)") }
    }
  }

  @Test func `ties are broken by the beacon, not by the order of bids`() {
    let entries = (1...6).map { entry($0, 100) }
    let first = auction(3).run(entries)
    #expect(auction(3).run(entries.reversed()) == first)
    let other = Auction(slots: 3, ceiling: amount(1_000), beacon: Digest(of: [9])).run(entries)
    #expect(other.ranking != first.ranking)
  }

  @Test func `reputation begins in the middle, moves with evidence and forgets`() {
    var standing = Standing()
    #expect(standing.reliability == 500)
    for _ in 0..<50 { standing.note(good: true) }
    let high = standing.reliability
    #expect(high > 850)
    for _ in 0..<50 { standing.note(good: false) }
    #expect(standing.reliability < 200)
    #expect((500...1_500).contains(standing.quality(megaflops: .max / 2_000, typical: 1)))
  }

  @Test func `newcomers are always audited, others at the rate`() {
    var rules = AuditRules()
    rules.rateMillionths = 100_000
    rules.newcomerAudits = 2
    let beacons = (0..<2_000).map { Digest(of: [UInt8($0 & 255), UInt8($0 >> 8)]) }
    #expect(beacons.allSatisfy { rules.draws(Standing(cleanAudits: 1), slot: 1, round: 1, beacon: $0) })
    let drawn = beacons.filter { rules.draws(Standing(cleanAudits: 2), slot: 1, round: 1, beacon: $0) }.count
    #expect(drawn > 140 && drawn < 260)
    rules.rateMillionths = 0
    #expect(!rules.draws(Standing(), slot: 1, round: 1, beacon: beacons[0]))
  }

  @Test func `draws depend on the job's seed alone, and slots list just the rounds that draw them`() {
    var job = Job()
    job.seed = 3
    job.chunkCount = 20
    job.chunksPerRound = 6
    job.rounds = 10
    job.roundsPerLease = 4
    for round in 0..<10 {
      let chunks = job.chunks(inRound: round)
      #expect(chunks.count == 6 && Set(chunks).count == 6 && chunks == chunks.sorted())
    }
    let slots = job.slots()
    #expect(slots.allSatisfy { !$0.rounds.isEmpty && $0.rounds == $0.rounds.sorted() })
    #expect(slots.reduce(0) { $0 + $1.rounds.count } == 60)
    for slot in slots { for round in slot.rounds { #expect(job.chunks(inRound: round).contains(slot.chunk)) } }
    var other = job
    other.seed = 4
    #expect(other.chunks(inRound: 0) != job.chunks(inRound: 0) || other.chunks(inRound: 1) != job.chunks(inRound: 1))
  }

  @Test func `a commitment is bound to everything it is about`() {
    let base = Commitment.digest(
      job: Digest(of: [1]), chunk: 1, round: 2, by: key(3), salt: Digest(of: [4]), update: Digest(of: [5]))
    let others = [
      Commitment.digest(
        job: Digest(of: [2]), chunk: 1, round: 2, by: key(3), salt: Digest(of: [4]), update: Digest(of: [5])),
      Commitment.digest(
        job: Digest(of: [1]), chunk: 2, round: 2, by: key(3), salt: Digest(of: [4]), update: Digest(of: [5])),
      Commitment.digest(
        job: Digest(of: [1]), chunk: 1, round: 3, by: key(3), salt: Digest(of: [4]), update: Digest(of: [5])),
      Commitment.digest(
        job: Digest(of: [1]), chunk: 1, round: 2, by: key(4), salt: Digest(of: [4]), update: Digest(of: [5])),
      Commitment.digest(
        job: Digest(of: [1]), chunk: 1, round: 2, by: key(3), salt: Digest(of: [5]), update: Digest(of: [5])),
      Commitment.digest(
        job: Digest(of: [1]), chunk: 1, round: 2, by: key(3), salt: Digest(of: [4]), update: Digest(of: [6])),
    ]
    #expect(!others.contains(base) && Set(others).count == others.count)
  }

  @Test func `messages come back from their bytes, and mutations never trap`() throws {
    var reveal = Reveal()
    reveal.round = 3
    reveal.update = Digest(of: [1])
    var task = RoundTask()
    task.slots = [1, 2]
    task.nonces = [1, 1]
    let messages: [Message] = [
      .hello(Hello(role: .trainer)), .neighbours(Neighbours(peers: [key(1)])), .link(Empty()),
      .jobRequest(JobRequest(declaration: [1])), .sealedBid(SealedBid(job: .zero, seal: Digest(of: [2]))),
      .bidReveal(BidReveal(bid: entry(1, 5).bid, salt: Digest(of: [1]))), .task(task), .reveal(reveal),
      .answer(Answer(job: Digest(of: [1]), round: 1, slot: 2, reason: .wrongDigest)), .receipts(Receipts()),
      .auditTask(AuditTask()), .auditReport(AuditReport()), .delivered(Delivered()),
      .cancel(JobReference(job: Digest(of: [1]))),
    ]
    var stream = Seed(1).stream
    for message in messages {
      let bytes = message.wireBytes
      #expect(try Message(wireBytes: bytes) == message)
      for _ in 0..<500 {
        var mutated = bytes
        if stream.chance(0.5) { mutated[stream.below(mutated.count)] = UInt8(stream.below(256)) }
        if stream.chance(0.5) { mutated.removeLast(stream.below(mutated.count)) }
        if let read = try? Message(wireBytes: mutated) { #expect(read.wireBytes == mutated) }
      }
    }
  }

  /// What is left out on the wire is read as `init()`: so nothing may stand in it.
  @Test func `an empty value of every type is no bytes`() {
    let empty: [any Wire] = [
      Job(), StopRules(), AuditRules(), MarketRules(), TrainingRecipe(), ModelDeclaration(), ListedDraw(), Bid(),
      Offer(),
      SealedBid(), BidsClosed(), BidReveal(), BidResult(), BidBook(), Grants(), Grant(), RoundTask(), Reveal(),
      Answer(),
      Receipts(), Delivered(), AuditTask(), AuditReport(), AuditOutcome(), AuditPay(), JobRequest(), JobPrepared(),
      Hello(),
      Neighbours(), JobReference(), CommitmentPost(), Outcome(), Standing(), JobTerms(), SlotTerms(), Lease(),
      SignedLease(),
      Receipt(), ReceiptProof(), SlotClaim(), AuditReceipt(), Dispute(), Movement(), LeaseEnd(), Summons(),
      ClaimOpened(),
      ClaimPaid(), DisputeOpened(), DisputeEnded(), AuditsPaid(), JobClosed(), Refund(), Post(), BeaconDrawn(),
      MerklePath(),
      Manifest(), ManifestEntry(), WrappedKey(), Envelope(), TopicMessage(), Rejected(),
    ]
    for value in empty { #expect(value.wireBytes.isEmpty, "\(type(of: value))") }
  }

  @Test func `every reason has words of its own`() {
    #expect(Set(Reason.allCases.map(\.words)).count == Reason.allCases.count)
    #expect(Set(Rejection.allCases.map(\.words)).count == Rejection.allCases.count)
  }
}

import Runtime

/// What an account may ask of the ledger, in the order of the flow.
public enum Operation: Wire, Equatable {
  /// Wallet to credits, from which escrows, stakes and bonds are taken.
  case deposit(Amount)
  case openJob(JobTerms)
  case acceptLease(SignedLease)
  /// A trainer hands a lease back.
  case release(job: Digest, slot: Int)
  /// A coordinator calls a trainer: answer here, or the lease may be ended as expired.
  case summon(job: Digest, slot: Int)
  case answer(job: Digest, slot: Int)
  /// A coordinator ends a lease; the stake goes back whole.
  case revoke(job: Digest, slot: Int)
  /// Anybody ends a lease whose deadline, or answer, is overdue; part of the stake is lost.
  case expire(job: Digest, slot: Int)
  case submit(job: Digest, claims: [SlotClaim])
  case settle(job: Digest, claims: [Int])
  case dispute(Dispute)
  case rule(job: Digest, dispute: Int, isUpheld: Bool, evidence: Digest)
  /// Anybody ends a dispute whose arbiter was silent.
  case lapse(job: Digest, dispute: Int)
  case payAudits(SignedAuditReceipt)
  case close(job: Digest)
  /// After a closed job's last claims: what is left goes back to the owner.
  case refund(job: Digest)
  /// Credits to wallet.
  case withdraw(Amount)
  case post(topic: Digest, message: [UInt8])
  case drawBeacon(topic: Digest, label: UInt64)

  /// The most claims in one transaction, so that none is a loop without bounds.
  public static let listLimit = 64
  public static let messageLimit = 1_024

  public init() { self = .deposit(.zero) }

  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    let number = try codec.choice(current: number)
    var body = Body()
    if !codec.isReading { body = self.body }
    switch number {
    case 2:
      var terms: JobTerms?
      if case .openJob(let value) = self { terms = value }
      self = .openJob(try codec.payload(2, codec.isReading ? nil : terms))
    case 3:
      var lease: SignedLease?
      if case .acceptLease(let value) = self { lease = value }
      self = .acceptLease(try codec.payload(3, codec.isReading ? nil : lease))
    case 11:
      var dispute: Dispute?
      if case .dispute(let value) = self { dispute = value }
      self = .dispute(try codec.payload(11, codec.isReading ? nil : dispute))
    case 14:
      var receipt: SignedAuditReceipt?
      if case .payAudits(let value) = self { receipt = value }
      self = .payAudits(try codec.payload(14, codec.isReading ? nil : receipt))
    default:
      body = try codec.payload(number, body)
      if codec.isReading { self = try Self(number, body) }
    }
  }
}

extension Operation {
  /// Its field on the wire.
  var number: Int {
    switch self {
    case .deposit: 1
    case .openJob: 2
    case .acceptLease: 3
    case .release: 4
    case .summon: 5
    case .answer: 6
    case .revoke: 7
    case .expire: 8
    case .submit: 9
    case .settle: 10
    case .dispute: 11
    case .rule: 12
    case .lapse: 13
    case .payAudits: 14
    case .close: 15
    case .refund: 16
    case .withdraw: 17
    case .post: 18
    case .drawBeacon: 19
    }
  }

  /// The small operations share one shape.
  private struct Body: Wire {
    var digest = Digest.zero
    var number = 0
    var amount = Amount.zero
    var flag = false
    var evidence = Digest.zero
    var label: UInt64 = 0
    var numbers: [Int] = []
    var claims: [SlotClaim] = []
    var message: [UInt8] = []
    mutating func fields(_ codec: inout Codec) throws(WireError) {
      try codec(1, &digest)
      try codec(2, &number)
      try codec(3, &amount)
      try codec(4, &flag)
      try codec(5, &evidence)
      try codec(6, &label)
      try codec(7, repeated: &numbers, limit: Operation.listLimit)
      try codec(8, &claims, limit: Operation.listLimit)
      try codec(9, &message, limit: Operation.messageLimit)
    }
  }

  private var body: Body {
    var body = Body()
    switch self {
    case .deposit(let amount), .withdraw(let amount): body.amount = amount
    case .release(let job, let slot), .summon(let job, let slot), .answer(let job, let slot),
      .revoke(let job, let slot),
      .expire(let job, let slot):
      body.digest = job
      body.number = slot
    case .submit(let job, let claims):
      body.digest = job
      body.claims = claims
    case .settle(let job, let claims):
      body.digest = job
      body.numbers = claims
    case .rule(let job, let dispute, let isUpheld, let evidence):
      body.digest = job
      body.number = dispute
      body.flag = isUpheld
      body.evidence = evidence
    case .lapse(let job, let dispute):
      body.digest = job
      body.number = dispute
    case .close(let job), .refund(let job): body.digest = job
    case .post(let topic, let message):
      body.digest = topic
      body.message = message
    case .drawBeacon(let topic, let label):
      body.digest = topic
      body.label = label
    case .openJob, .acceptLease, .dispute, .payAudits: break
    }
    return body
  }

  private init(_ number: Int, _ body: Body) throws(WireError) {
    switch number {
    case 1: self = .deposit(body.amount)
    case 4: self = .release(job: body.digest, slot: body.number)
    case 5: self = .summon(job: body.digest, slot: body.number)
    case 6: self = .answer(job: body.digest, slot: body.number)
    case 7: self = .revoke(job: body.digest, slot: body.number)
    case 8: self = .expire(job: body.digest, slot: body.number)
    case 9: self = .submit(job: body.digest, claims: body.claims)
    case 10: self = .settle(job: body.digest, claims: body.numbers)
    case 12: self = .rule(job: body.digest, dispute: body.number, isUpheld: body.flag, evidence: body.evidence)
    case 13: self = .lapse(job: body.digest, dispute: body.number)
    case 15: self = .close(job: body.digest)
    case 16: self = .refund(job: body.digest)
    case 17: self = .withdraw(body.amount)
    case 18: self = .post(topic: body.digest, message: body.message)
    case 19: self = .drawBeacon(topic: body.digest, label: body.label)
    default: throw .unknownField(number)
    }
    // What does not belong to an operation may not ride along: one operation has one form.
    if self.body.wireBytes != body.wireBytes { throw .notCanonical }
  }

  /// The job that it is about, if any.
  public var job: Digest? {
    switch self {
    case .openJob(let terms): terms.job
    case .acceptLease(let lease): lease.lease.job
    case .release(let job, _), .summon(let job, _), .answer(let job, _), .revoke(let job, _), .expire(let job, _),
      .submit(let job, _), .settle(let job, _), .rule(let job, _, _, _), .lapse(let job, _), .close(let job),
      .refund(let job):
      job
    case .dispute(let dispute): dispute.job
    case .payAudits(let receipt): receipt.receipt.job
    case .post(let topic, _), .drawBeacon(let topic, _): topic
    case .deposit, .withdraw: nil
    }
  }
}

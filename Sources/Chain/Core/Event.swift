import Runtime

/// Something the ledger did, in consensus order. Whoever follows all events of a job can rebuild its whole state.
public struct LedgerEvent: Wire, Equatable {
  /// Over all events, without gaps, from 1.
  public var sequence: UInt64 = 0
  /// Consensus time.
  public var at = Timestamp.zero
  /// The transaction that caused it.
  public var transaction = Digest.zero
  public var kind = Kind.rejected(Rejected())

  public enum Kind: Equatable, Sendable {
    case rejected(Rejected)
    case deposited(Movement)
    case withdrawn(Movement)
    case jobOpened(JobTerms)
    case leaseAccepted(Lease)
    case leaseEnded(LeaseEnd)
    case summoned(Summons)
    case answered(Summons)
    case claimed(ClaimOpened)
    case paid(ClaimPaid)
    case disputeOpened(DisputeOpened)
    case disputeEnded(DisputeEnded)
    case auditsPaid(AuditsPaid)
    case jobClosed(JobClosed)
    case refunded(Refund)
    case posted(Post)
    case beacon(BeaconDrawn)
  }

  public init() {}
  init(sequence: UInt64, at: Timestamp, transaction: Digest, kind: Kind) {
    self.sequence = sequence
    self.at = at
    self.transaction = transaction
    self.kind = kind
  }

  /// The job that it is about, if any.
  public var job: Digest? {
    switch kind {
    case .rejected(let e): e.job == .zero ? nil : e.job
    case .deposited, .withdrawn: nil
    case .jobOpened(let e): e.job
    case .leaseAccepted(let e): e.job
    case .leaseEnded(let e): e.job
    case .summoned(let e), .answered(let e): e.job
    case .claimed(let e): e.job
    case .paid(let e): e.job
    case .disputeOpened(let e): e.job
    case .disputeEnded(let e): e.job
    case .auditsPaid(let e): e.job
    case .jobClosed(let e): e.job
    case .refunded(let e): e.job
    case .posted(let e): e.topic
    case .beacon(let e): e.topic
    }
  }

  /// The accounts that hear of it whatever they follow.
  public var accounts: [AccountID] {
    switch kind {
    case .rejected(let e): [e.sender]
    case .deposited(let e), .withdrawn(let e): [e.account]
    case .jobOpened(let e): [e.owner, e.coordinator] + e.arbiters
    case .leaseAccepted(let e): [e.trainer]
    case .leaseEnded(let e): [e.trainer]
    case .summoned(let e), .answered(let e): [e.trainer]
    case .claimed(let e): [e.trainer]
    case .paid(let e): [e.trainer]
    case .disputeOpened(let e): [e.reporter, e.arbiter, e.trainer]
    case .disputeEnded(let e): [e.reporter, e.arbiter, e.trainer]
    case .auditsPaid(let e): [e.auditor]
    case .jobClosed(let e): [e.owner]
    case .refunded(let e): [e.owner]
    case .posted(let e): [e.sender]
    case .beacon(let e): [e.sender]
    }
  }
}

public struct Rejected: Wire, Equatable {
  public var sender = AccountID.none
  public var job = Digest.zero
  public var code = Rejection.notAuthentic
  public init() {}
  init(sender: AccountID, job: Digest, code: Rejection) {
    self.sender = sender
    self.job = job
    self.code = code
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &sender)
    try codec(2, &job)
    var number = code.number
    try codec(3, &number)
    guard let read = Rejection(number: number) else { throw .badValue(field: 3, "an unknown reason") }
    code = read
  }
}

public struct Movement: Wire, Equatable {
  public var account = AccountID.none
  public var amount = Amount.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &account)
    try codec(2, &amount)
  }
}

public struct LeaseEnd: Wire, Equatable {
  public enum Cause: Int, Sendable, CaseIterable { case released, revoked, expired, claimed, slashed }
  public var job = Digest.zero
  public var slot = 0
  public var trainer = AccountID.none
  public var nonce: UInt64 = 0
  public var cause = Cause.released
  /// Of the stake.
  public var returned = Amount.zero
  public var forfeited = Amount.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &slot)
    try codec(3, &trainer)
    try codec(4, &nonce)
    var number = cause.rawValue
    try codec(5, &number)
    guard let read = Cause(rawValue: number) else { throw .badValue(field: 5, "an unknown cause") }
    cause = read
    try codec(6, &returned)
    try codec(7, &forfeited)
  }
}

public struct Summons: Wire, Equatable {
  public var job = Digest.zero
  public var slot = 0
  public var trainer = AccountID.none
  public var answerBy = Timestamp.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &slot)
    try codec(3, &trainer)
    try codec(4, &answerBy)
  }
}

public struct ClaimOpened: Wire, Equatable {
  public var job = Digest.zero
  public var slot = 0
  public var trainer = AccountID.none
  public var nonce: UInt64 = 0
  public var claim = 0
  public var rounds: [Int] = []
  public var amount = Amount.zero
  public var payableFrom = Timestamp.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &slot)
    try codec(3, &trainer)
    try codec(4, &nonce)
    try codec(5, &claim)
    try codec(6, repeated: &rounds, limit: SlotTerms.roundLimit)
    try codec(7, &amount)
    try codec(8, &payableFrom)
  }
}

public struct ClaimPaid: Wire, Equatable {
  public var job = Digest.zero
  public var slot = 0
  public var trainer = AccountID.none
  public var claim = 0
  public var rounds: [Int] = []
  /// For the work.
  public var amount = Amount.zero
  public var stakeReturned = Amount.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &slot)
    try codec(3, &trainer)
    try codec(4, &claim)
    try codec(5, repeated: &rounds, limit: SlotTerms.roundLimit)
    try codec(6, &amount)
    try codec(7, &stakeReturned)
  }
}

public struct DisputeOpened: Wire, Equatable {
  public var job = Digest.zero
  public var dispute = 0
  public var slot = 0
  public var round = 0
  public var trainer = AccountID.none
  public var reporter = AccountID.none
  public var arbiter = AccountID.none
  public var rulingBy = Timestamp.zero
  public var found = Digest.zero
  public var promised = Digest.zero
  public var salt = Digest.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &dispute)
    try codec(3, &slot)
    try codec(4, &round)
    try codec(5, &trainer)
    try codec(6, &reporter)
    try codec(7, &arbiter)
    try codec(8, &rulingBy)
    try codec(9, &found)
    try codec(10, &promised)
    try codec(11, &salt)
  }
}

public struct DisputeEnded: Wire, Equatable {
  public var job = Digest.zero
  public var dispute = 0
  public var slot = 0
  public var trainer = AccountID.none
  public var reporter = AccountID.none
  public var arbiter = AccountID.none
  public var isUpheld = false
  /// False where the arbiter was silent.
  public var isRuled = false
  public var slashed = Amount.zero
  public var reward = Amount.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &dispute)
    try codec(3, &slot)
    try codec(4, &trainer)
    try codec(5, &reporter)
    try codec(6, &arbiter)
    try codec(7, &isUpheld)
    try codec(8, &isRuled)
    try codec(9, &slashed)
    try codec(10, &reward)
  }
}

public struct AuditsPaid: Wire, Equatable {
  public var job = Digest.zero
  public var auditor = AccountID.none
  public var audits = 0
  public var amount = Amount.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &auditor)
    try codec(3, &audits)
    try codec(4, &amount)
  }
}

public struct JobClosed: Wire, Equatable {
  public var job = Digest.zero
  public var owner = AccountID.none
  /// Until then claims are taken; then the rest may be refunded.
  public var refundableFrom = Timestamp.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &owner)
    try codec(3, &refundableFrom)
  }
}

public struct Refund: Wire, Equatable {
  public var job = Digest.zero
  public var owner = AccountID.none
  public var amount = Amount.zero
  /// Nothing of this job is locked any more.
  public var isLast = false
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &owner)
    try codec(3, &amount)
    try codec(4, &isLast)
  }
}

public struct Post: Wire, Equatable {
  public var topic = Digest.zero
  public var sender = AccountID.none
  public var message: [UInt8] = []
  /// Within the topic, from 1.
  public var number: UInt64 = 0
  public var runningHash = Digest.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &topic)
    try codec(2, &sender)
    try codec(3, &message, limit: Operation.messageLimit)
    try codec(4, &number)
    try codec(5, &runningHash)
  }
}

public struct BeaconDrawn: Wire, Equatable {
  public var topic = Digest.zero
  public var sender = AccountID.none
  public var label: UInt64 = 0
  public var value = Digest.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &topic)
    try codec(2, &sender)
    try codec(3, &label)
    try codec(4, &value)
  }
}

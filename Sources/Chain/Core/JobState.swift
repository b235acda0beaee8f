import Runtime

/// A job on the ledger.
public struct JobState: Equatable, Sendable {
  public let terms: JobTerms
  public internal(set) var slots: [SlotState]
  public internal(set) var claims: [Int: ClaimState] = [:]
  public internal(set) var disputes: [Int: DisputeState] = [:]
  var nextClaim = 0
  var nextDispute = 0
  /// The owner's money that is still here: unclaimed rounds, open claims, funds.
  public internal(set) var escrow: Amount
  /// Of it: what leases and open claims may still take.
  var reserved = Amount.zero
  public internal(set) var auditFund: Amount
  var feeBound: Amount
  public internal(set) var refundableFrom: Timestamp?
  public internal(set) var isRefunded = false
  public internal(set) var auditsPaid: [AccountID: Int] = [:]
  public internal(set) var paidOut = Amount.zero
  /// Roots of receipts whose signature was found good.
  var knownRoots: Set<Digest> = []

  init(terms: JobTerms, deposit: Amount) {
    self.terms = terms
    slots = terms.slots.map { SlotState(taken: Array(repeating: false, count: $0.rounds.count)) }
    escrow = deposit
    auditFund = terms.auditFund
    feeBound = terms.feeBound
  }

  public var isClosed: Bool { refundableFrom != nil }
  /// Nothing of anybody's is locked in this job.
  public var isSettled: Bool {
    isRefunded && escrow == .zero && claims.isEmpty && disputes.isEmpty && reserved == .zero
  }

  /// What the rounds of a slot that nobody has claimed are worth.
  func unclaimedWorth(_ slot: Int) -> Amount {
    terms.slots[slot].ceiling.times(slots[slot].taken.reduce(0) { $0 + ($1 ? 0 : 1) }) ?? .zero
  }
}

public struct SlotState: Equatable, Sendable {
  public internal(set) var lease: LeaseState?
  /// For each of the slot's rounds, whether it was claimed or paid.
  public internal(set) var taken: [Bool]
  var lastNonce: UInt64 = 0
}

public struct LeaseState: Equatable, Sendable {
  public var lease: Lease
  public var stake: Amount
  public var answerBy: Timestamp?
  public var dispute: Int?
  /// What of the escrow is set aside for this lease.
  var reserve: Amount
}

public struct ClaimState: Equatable, Sendable {
  public var slot: Int
  public var trainer: AccountID
  public var nonce: UInt64
  public var rounds: [Int]
  public var pay: Amount
  public var stake: Amount
  public var payableFrom: Timestamp
  public var dispute: Int?
}

public struct DisputeState: Equatable, Sendable {
  public var about: Dispute
  public var claim: Int?
  public var reporter: AccountID
  public var arbiter: AccountID
  public var bond: Amount
  public var rulingBy: Timestamp
}

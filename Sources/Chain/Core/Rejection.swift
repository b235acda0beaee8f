import Runtime

/// Why the ledger refused a transaction.
public enum Rejection: String, Sendable, CaseIterable, Error {
  case notAuthentic, unknownAccount, staleSequence, insufficientWallet, insufficientCredits, tooMuch
  case jobExists, unknownJob, jobClosed, notOwner, notCoordinator
  case emptySlot, roundsNotAscending, absurdWindow, absurdShare, badArbiter, tooLate
  case unknownSlot, slotTaken, slotNotLeased, notTrainer, priceAboveCeiling, badDeadline, badSignature, staleLease
  case leaseDisputed, notOverdue, notSummoned
  case noClaims, unknownClaim, badReceipt, badRounds, roundAlreadyClaimed, windowOpen, claimDisputed
  case noArbiter, nothingToDispute, unknownDispute, notArbiter, rulingOver, rulingOpen
  case notAuditor, nothingToPay, notFinal, alreadyRefunded, messageTooLong, zeroAmount

  /// Its place in the list, which is what travels.
  public var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
  public init?(number: Int) {
    guard Self.allCases.indices.contains(number) else { return nil }
    self = Self.allCases[number]
  }

  public var words: String {
    switch self {
    case .notAuthentic: "the signature is not the sender's"
    case .unknownAccount: "the account does not exist"
    case .staleSequence: "the account has used this sequence number, or a later one, before"
    case .insufficientWallet: "the wallet holds less than that"
    case .insufficientCredits: "the account has fewer credits than that; deposit first"
    case .tooMuch: "the sum is beyond all the money there is"
    case .jobExists: "a job of this digest is on the ledger already"
    case .unknownJob: "there is no such job"
    case .jobClosed: "the job is closed"
    case .notOwner: "only the owner may do this"
    case .notCoordinator: "only the job's coordinator may do this"
    case .emptySlot: "a slot has no rounds or pays nothing"
    case .roundsNotAscending: "a slot's rounds are not in ascending order"
    case .absurdWindow: "a window is shorter than 5 seconds or longer than 30 days"
    case .absurdShare: "a share is above its ceiling"
    case .badArbiter: "an arbiter is named twice or is the coordinator"
    case .tooLate: "the final deadline has passed"
    case .unknownSlot: "the job has no such slot"
    case .slotTaken: "another lease holds the slot"
    case .slotNotLeased: "nobody holds the slot"
    case .notTrainer: "only the trainer that holds the lease may do this"
    case .priceAboveCeiling: "the price is zero or above the slot's ceiling"
    case .badDeadline: "the lease's deadline is past, or later than the job allows"
    case .badSignature: "the coordinator did not sign this"
    case .staleLease: "a later lease of this slot has been taken before"
    case .leaseDisputed: "the lease is disputed"
    case .notOverdue: "neither the lease's deadline nor an answer is overdue"
    case .notSummoned: "the trainer was not summoned"
    case .noClaims: "nothing is claimed"
    case .unknownClaim: "there is no such claim"
    case .badReceipt: "the receipt does not lead to the root it names, or is another job's"
    case .badRounds: "the rounds are not rounds of this slot, or not ascending"
    case .roundAlreadyClaimed: "one of these rounds was claimed before"
    case .windowOpen: "the claim may still be challenged"
    case .claimDisputed: "the claim is disputed"
    case .noArbiter: "the job has no arbiter but the reporter"
    case .nothingToDispute:
      "this trainer holds neither the lease nor an open claim of the slot, or it is disputed already"
    case .unknownDispute: "there is no such dispute"
    case .notArbiter: "another arbiter was drawn"
    case .rulingOver: "the time for a ruling is over"
    case .rulingOpen: "the arbiter may still rule"
    case .notAuditor: "this account is no auditor of the job"
    case .nothingToPay: "these audits are paid already, or the audit fund is empty"
    case .notFinal: "the job is not closed, or claims may still come in"
    case .alreadyRefunded: "the rest was refunded before"
    case .messageTooLong: "a message has at most 1,024 bytes"
    case .zeroAmount: "nothing is to be moved"
    }
  }
}

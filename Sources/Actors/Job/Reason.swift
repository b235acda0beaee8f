/// Why somebody was not paid, was refused, or lost something. Every non-payment has exactly one; a reason once given a
/// number keeps it.
public enum Reason: Int, Sendable, CaseIterable {
  case none = 0
  case noBid = 1
  case bidTooHigh = 2
  case outbid = 3
  case bidNotRevealed = 4
  case bidMismatch = 5
  case leaseNotAccepted = 6
  case vanished = 7
  case tooSlow = 8
  case wrongDigest = 9
  case wrongShape = 10
  case notFinite = 11
  case clipExceeded = 12
  case blobMissing = 13
  case sealBroken = 14
  case auditMismatch = 15
  case notDrawn = 16
  case jobCancelled = 17
  case jobDeadline = 18
  case notCommitted = 19
  case superseded = 20
  case reported = 21

  /// The reason in words, as `explain` and the report say it.
  public var words: String {
    switch self {
    case .none: "nothing was wrong"
    case .noBid: "made no bid"
    case .bidTooHigh: "asked for more than the ceiling"
    case .outbid: "others offered better terms"
    case .bidNotRevealed: "did not reveal the bid it had sealed"
    case .bidMismatch: "revealed another bid than it had sealed"
    case .leaseNotAccepted: "did not take up the lease in time"
    case .vanished: "vanished with a lease and did not answer when called on the ledger"
    case .tooSlow: "answered but did not deliver in time"
    case .wrongDigest: "delivered other bytes than it had committed to"
    case .wrongShape: "delivered something that is not this model's weights"
    case .notFinite: "delivered weights that are not finite"
    case .clipExceeded: "delivered weights further from the global ones than the job's clip"
    case .blobMissing: "its upload could not be fetched"
    case .sealBroken: "its upload did not open with the lease's key"
    case .auditMismatch: "an audit, confirmed by a second auditor, computed other weights"
    case .notDrawn: "none of its slots was drawn before the job ended"
    case .jobCancelled: "the owner cancelled the job"
    case .jobDeadline: "the job's deadline passed"
    case .notCommitted: "revealed an update without a commitment on the ledger"
    case .superseded: "another trainer holds the slot by now"
    case .reported: "an auditor's report was not upheld"
    }
  }
}

import Chain
import ObjectStore
import Runtime
import Transport

/// All that a peer sees of the world. A rehearsal's host and a live host are the only two that fulfil it, and a peer cannot
/// tell which it has.
///
/// Every `then` and `body` is run as the peer, one at a time, and never inside the call that asked for it.
public protocol Host: Transport {
  /// UTC by the peer's own clock.
  var now: Timestamp { get }
  func wake(after delay: Duration, _ body: @escaping @Sendable () -> Void)

  /// Does work on the training pool. `cost` is what it takes by the model; a live host disregards it.
  func offload<T: Sendable>(
    cost: Duration, _ work: @escaping @Sendable () -> T, then: @escaping @Sendable (T) -> Void)

  /// Hands a transaction to the ledger. Its outcome comes as an event; whoever hears nothing submits it again.
  func submit(_ transaction: SignedTransaction)
  /// From now on also hears every event of that job, beginning after the given sequence number.
  func follow(job: Digest, after sequence: UInt64)

  /// Uses a capability.
  func get(_ url: PresignedURL, then: @escaping @Sendable (Result<[UInt8], ObjectStoreError>) -> Void)
  func put(_ url: PresignedURL, _ bytes: [UInt8], then: @escaping @Sendable (Result<Void, ObjectStoreError>) -> Void)

  /// Milestones, for whoever watches. Has no influence on anything.
  func note(_ milestone: Milestone)
}

/// What a host gives to a peer that holds the store's credentials.
public protocol StoreHost: AnyObject, Sendable {
  func presign(_ method: HTTPMethod, _ key: ObjectKey, for life: Duration, limit: Int) -> PresignedURL
  func get(_ key: ObjectKey, then: @escaping @Sendable (Result<[UInt8], ObjectStoreError>) -> Void)
  func put(_ key: ObjectKey, _ bytes: [UInt8], then: @escaping @Sendable (Result<Void, ObjectStoreError>) -> Void)
  func delete(_ key: ObjectKey)
}

/// Something worth telling, in plain data: words are made of it when somebody reads.
public struct Milestone: Sendable, Equatable {
  public enum Kind: String, Sendable {
    case jobPrepared, escrowOpened, offered, bidSealed, bidRevealed, auctioned, bidLost
    case leaseGranted, leaseTaken, leaseLost, taskSent, trainingBegan, trainingEnded, committed, uploaded,
      updateAccepted,
      updateRefused
    case auditDrawn, auditBegan, auditEnded, auditClean, auditMismatch, slashed, disputeFailed
    case roundClosed, evaluated, receiptGiven, claimed, paid, jobStopped, delivered, deliveryOpened, jobClosed,
      summoned,
      restarted, transactionRefused
  }
  public var kind: Kind
  public var peer: PublicKey = .none
  public var round: Int = -1
  public var slot: Int = -1
  public var amount: Amount = .zero
  public var reason: Reason = .none
  public var digest: Digest = .zero
  /// A count whose meaning goes with the kind: correct answers, slots, rejections' numbers.
  public var count: Int = 0
  public var value: Double = 0

  public init(
    _ kind: Kind, peer: PublicKey = .none, round: Int = -1, slot: Int = -1, amount: Amount = .zero,
    reason: Reason = .none,
    digest: Digest = .zero, count: Int = 0, value: Double = 0
  ) {
    self.kind = kind
    self.peer = peer
    self.round = round
    self.slot = slot
    self.amount = amount
    self.reason = reason
    self.digest = digest
    self.count = count
    self.value = value
  }
}

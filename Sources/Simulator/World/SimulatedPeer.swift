import Actors
import Chain
import ObjectStore
import Runtime
import Transport

/// A peer's place in the world: what outlives its crashes.
final class SimulatedPeer: @unchecked Sendable {
  let index: Int
  let name: String
  let role: Role
  let className: String
  let key: SigningKey
  let link: LinkPart
  let skew: Duration
  let executor: ActorExecutor
  let journal = MemoryJournal()
  /// Makes the actor for a new life.
  var make: ((SimulatedHost) -> any LivingPeer)?
  var life: SimulatedHost?
  var living: (any LivingPeer)?
  /// Faults that hold it down, standing still, or cut off: as many as have begun and not ended.
  var crashes = 0
  var pauses = 0
  var cuts = 0
  var isPaused: Bool { pauses > 0 }
  var isCutOff: Bool { cuts > 0 }
  /// Of the streams that it sends on.
  var chance: RandomStream
  /// When the last frame to each peer arrives: a stream keeps its order.
  var lastArrival: [Int: Instant] = [:]
  /// Ledger events that concern it and that it has not been given yet.
  var ledgerInbox: [LedgerEvent] = []
  /// What happened to it while it was paused.
  var held: [@Sendable () -> Void] = []
  var downSpans: [(from: Instant, to: Instant?)] = []
  var isUp: Bool { life != nil }

  init(
    index: Int, name: String, role: Role, className: String, key: SigningKey, link: LinkPart, skew: Duration,
    executor: ActorExecutor, chance: RandomStream
  ) {
    self.index = index
    self.name = name
    self.role = role
    self.className = className
    self.key = key
    self.link = link
    self.skew = skew
    self.executor = executor
    self.chance = chance
  }

  /// As seen by whoever it sends to, and by whoever sends to it.
  var upLink: Link { Link(latency: link.latency, jitter: link.jitter, bandwidth: link.up, loss: link.loss) }
  var downLink: Link { Link(latency: .zero, jitter: .zero, bandwidth: link.down, loss: 0) }
}

/// A peer of any role.
protocol LivingPeer: AnyObject, Sendable {
  func start() throws(JournalError)
  func receive(_ arrival: Arrival)
}
extension Peer: LivingPeer {}

import Actors
import Chain
import Runtime

/// The embedded ledger on the wire: a transaction takes seconds to consensus, and what happened is told to those whom it
/// concerns a little later, in order. Who was away is told when it comes back.
final class SimulatedLedger: @unchecked Sendable {
  /// From consensus to an observer, besides its link.
  static let mirrorDelay = Duration.milliseconds(400)

  private unowned let world: World
  private let executor: ActorExecutor
  private var chance: RandomStream
  private(set) var state: EmbeddedLedger
  private(set) var log: [LedgerEvent] = []
  private(set) var transactions = 0
  private var followers: [Digest: [Int]] = [:]
  private var lastConsensus: [PublicKey: Instant] = [:]
  /// Nothing reaches consensus before.
  var stalledUntil = Instant.start
  /// Asked after every transaction.
  var check: ((EmbeddedLedger, [LedgerEvent]) -> Void)?

  init(world: World, state: EmbeddedLedger) {
    self.world = world
    self.state = state
    executor = world.loop.executor("ledger")
    chance = world.seed.stream("ledger delays")
  }

  func submit(_ transaction: SignedTransaction, from peer: SimulatedPeer) {
    guard !peer.isCutOff else { return }
    transactions += 1
    let bounds = world.scenario.ledger.delay
    let delay = bounds.lowerBound + chance.duration(below: bounds.upperBound - bounds.lowerBound + .nanoseconds(1))
    var consensus = max(world.loop.now.advanced(by: peer.link.latency + delay), stalledUntil.advanced(by: delay))
    // One account's transactions reach consensus in the order in which it handed them in.
    if let last = lastConsensus[peer.key.publicKey], last >= consensus {
      consensus = last.advanced(by: .nanoseconds(1))
    }
    lastConsensus[peer.key.publicKey] = consensus
    world.loop.offload(cost: world.loop.now.duration(to: consensus), on: executor) {
      transaction.isAuthentic
    } then: { [self] authentic in
      settle(transaction, authentic)
    }
  }

  private func settle(_ transaction: SignedTransaction, _ authentic: Bool) {
    if world.loop.now < stalledUntil {
      world.loop.schedule(at: stalledUntil.advanced(by: .seconds(1)), on: executor) { [self] in
        settle(transaction, authentic)
      }
      return
    }
    let events = state.apply(transaction, authentic: authentic, at: world.timestamp)
    log += events
    check?(state, events)
    var told: [Int] = []
    for event in events {
      var concerned = event.accounts.compactMap { world.places[$0] }
      if let job = event.job { concerned += followers[job] ?? [] }
      var seen: [Int] = []
      for index in concerned where !seen.contains(index) {
        seen.append(index)
        world.peers[index].ledgerInbox.append(event)
        if !told.contains(index) { told.append(index) }
      }
    }
    for index in told { announce(to: world.peers[index]) }
  }

  private func announce(to peer: SimulatedPeer) {
    world.loop.schedule(after: Self.mirrorDelay + peer.link.latency, on: peer.executor) { [self] in flush(to: peer) }
  }

  /// Gives a peer what it has not been given, if it can be reached.
  func flush(to peer: SimulatedPeer) {
    guard let living = peer.living, !peer.isCutOff else { return }
    if peer.isPaused {
      peer.held.append { [self] in flush(to: peer) }
      return
    }
    let events = peer.ledgerInbox
    peer.ledgerInbox = []
    for event in events { living.receive(.ledger(event)) }
  }

  func follow(_ job: Digest, by peer: SimulatedPeer, after sequence: UInt64) {
    if followers[job]?.contains(peer.index) != true { followers[job, default: []].append(peer.index) }
    let known = Set(peer.ledgerInbox.map(\.sequence))
    let missed = log.filter { $0.job == job && $0.sequence > sequence && !known.contains($0.sequence) }
    guard !missed.isEmpty else { return }
    peer.ledgerInbox = (peer.ledgerInbox + missed).sorted { $0.sequence < $1.sequence }
    announce(to: peer)
  }
}

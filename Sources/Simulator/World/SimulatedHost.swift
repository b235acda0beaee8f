import Actors
import Chain
import ObjectStore
import Runtime
import Transport

/// The world as one peer sees it, for one life: what was asked for before a crash is not answered after it.
final class SimulatedHost: Host, StoreHost, @unchecked Sendable {
  private unowned let world: World
  private unowned let peer: SimulatedPeer

  init(world: World, peer: SimulatedPeer) {
    self.world = world
    self.peer = peer
  }

  /// Runs `body` as the peer, unless it has died since; later, if it is paused.
  private func enter(_ body: @escaping @Sendable () -> Void) {
    guard peer.life === self else { return }
    if peer.isPaused {
      peer.held.append { [self] in enter(body) }
    } else {
      body()
    }
  }

  var now: Timestamp { world.timestamp + peer.skew }

  func wake(after delay: Duration, _ body: @escaping @Sendable () -> Void) {
    world.loop.schedule(after: delay, on: peer.executor) { [self] in enter(body) }
  }

  func offload<T: Sendable>(
    cost: Duration, _ work: @escaping @Sendable () -> T, then: @escaping @Sendable (T) -> Void
  ) {
    world.loop.offload(cost: cost, on: peer.executor, work) { [self] result in enter { then(result) } }
  }

  func send(_ frame: Frame, to target: PublicKey) { world.network.send(frame, from: peer, to: target) }
  func submit(_ transaction: SignedTransaction) { world.ledger.submit(transaction, from: peer) }
  func follow(job: Digest, after sequence: UInt64) { world.ledger.follow(job, by: peer, after: sequence) }
  func note(_ milestone: Milestone) { world.chronicle.note(milestone, by: peer.index, at: world.loop.now) }

  // MARK: the store

  func get(_ url: PresignedURL, then: @escaping @Sendable (Result<[UInt8], ObjectStoreError>) -> Void) {
    world.store.get(from: peer, { store, now throws(ObjectStoreError) in try store.get(url, at: now) }) {
      [self] result in
      enter { then(result) }
    }
  }
  func put(_ url: PresignedURL, _ bytes: [UInt8], then: @escaping @Sendable (Result<Void, ObjectStoreError>) -> Void) {
    world.store.put(from: peer, bytes, { store, now throws(ObjectStoreError) in try store.put(url, bytes, at: now) }) {
      [self] result in enter { then(result) }
    }
  }
  func presign(_ method: HTTPMethod, _ key: ObjectKey, for life: Duration, limit: Int) -> PresignedURL {
    world.store.objects.presign(method, key, expires: world.timestamp + life, limit: limit)
  }
  func get(_ key: ObjectKey, then: @escaping @Sendable (Result<[UInt8], ObjectStoreError>) -> Void) {
    world.store.get(from: peer, { store, _ throws(ObjectStoreError) in try store.get(key) }) { [self] result in
      enter { then(result) }
    }
  }
  func put(_ key: ObjectKey, _ bytes: [UInt8], then: @escaping @Sendable (Result<Void, ObjectStoreError>) -> Void) {
    world.store.put(from: peer, bytes, { store, _ throws(ObjectStoreError) in store.put(key, bytes) }) {
      [self] result in
      enter { then(result) }
    }
  }
  func delete(_ key: ObjectKey) { world.store.objects.delete(key) }
}

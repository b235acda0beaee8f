import Actors
import ObjectStore
import Runtime
import Transport

/// The object store on the wire: a transfer takes the time of the narrower of the peer's link and the store's.
final class SimulatedStore: @unchecked Sendable {
  /// How long a request to a store that does not answer is waited for.
  static let timeout = Duration.seconds(10)

  private unowned let world: World
  var objects: MemoryObjectStore
  var slowness = 1.0
  var stops = 0
  private var isStopped: Bool { stops > 0 }
  private(set) var bytesUp = 0
  private(set) var bytesDown = 0

  init(world: World, secret: [UInt8]) {
    self.world = world
    objects = MemoryObjectStore(bucket: "rehearsal", secret: secret)
  }

  func get(
    from peer: SimulatedPeer,
    _ read: @escaping @Sendable (inout MemoryObjectStore, Timestamp) throws(ObjectStoreError) -> [UInt8],
    then: @escaping @Sendable (Result<[UInt8], ObjectStoreError>) -> Void
  ) {
    reach(peer, then: then) { [self] in
      do throws(ObjectStoreError) {
        let bytes = try read(&objects, world.timestamp)
        bytesDown += bytes.count
        let wait = peer.link.latency + transfer(bytes.count, rate: peer.link.down)
        world.loop.schedule(after: wait, on: peer.executor) { then(.success(bytes)) }
      } catch {
        world.loop.schedule(after: peer.link.latency, on: peer.executor) { then(.failure(error)) }
      }
    }
  }

  func put(
    from peer: SimulatedPeer, _ bytes: [UInt8],
    _ write: @escaping @Sendable (inout MemoryObjectStore, Timestamp) throws(ObjectStoreError) -> Void,
    then: @escaping @Sendable (Result<Void, ObjectStoreError>) -> Void
  ) {
    reach(peer, then: then, uploading: bytes.count) { [self] in
      do throws(ObjectStoreError) {
        try write(&objects, world.timestamp)
        bytesUp += bytes.count
        world.loop.schedule(after: peer.link.latency, on: peer.executor) { then(.success(())) }
      } catch {
        world.loop.schedule(after: peer.link.latency, on: peer.executor) { then(.failure(error)) }
      }
    }
  }

  /// Runs `serve` when the request, with its body, has arrived; fails it if the store cannot be reached.
  private func reach<T>(
    _ peer: SimulatedPeer, then: @escaping @Sendable (Result<T, ObjectStoreError>) -> Void, uploading: Int = 0,
    serve: @escaping @Sendable () -> Void
  ) {
    let wait = peer.link.latency + world.scenario.store.latency + transfer(uploading, rate: peer.link.up)
    world.loop.schedule(after: wait, on: peer.executor) { [self] in
      if isStopped || peer.isCutOff {
        world.loop.schedule(after: Self.timeout, on: peer.executor) { then(.failure(.unavailable)) }
      } else {
        serve()
      }
    }
  }

  private func transfer(_ bytes: Int, rate: Int) -> Duration {
    if bytes == 0 { return .zero }
    let store = Double(world.scenario.store.rate) / slowness
    let narrow = rate == 0 ? store : min(Double(rate), store)
    return Duration(modelSeconds: Double(bytes) / narrow)
  }
}

import Runtime
import Transport

/// A peer's place in the mesh: whom it knows, and how topic messages pass through it. Forgotten in a crash and found again.
struct Mesh {
  static let retry = Duration.seconds(10)

  let me: PublicKey
  let role: Role
  let bootstraps: [PublicKey]
  private var fanout = Fanout()
  private var attempt = 0

  enum Step {
    case send(Message, to: PublicKey)
    case heard(TopicMessage)
  }

  init(me: PublicKey, role: Role, bootstraps: [PublicKey]) {
    self.me = me
    self.role = role
    self.bootstraps = bootstraps
  }

  var isConnected: Bool { !fanout.neighbours.isEmpty || bootstraps.isEmpty || role == .bootstrap }

  /// Whoever has a bootstrap asks it again and again, ever more rarely: a bootstrap may forget whom it knew, and then tells those
  /// who come of each other alone.
  var seeks: Bool { !bootstraps.isEmpty && role != .bootstrap }
  private var hasEnough: Bool { fanout.neighbours.count >= Fanout.soughtNeighbours }
  /// Until it asks again.
  var pause: Duration {
    if !isConnected { return Self.retry }
    return Self.retry * (1 << min(attempt, hasEnough ? 9 : 4))
  }

  /// Asks the bootstraps, in turn, for neighbours. Called again after `pause`.
  mutating func seek() -> [Step] {
    guard seeks else { return [] }
    let bootstrap = bootstraps[attempt % bootstraps.count]
    attempt += 1
    return [.send(.hello(Hello(role: role)), to: bootstrap)]
  }

  mutating func publish(_ message: TopicMessage) -> [Step] {
    fanout.accept(message, id: message.id, from: nil).map { .send(.topic(TopicCarrier(message)), to: $0) }
  }

  /// Takes a message of the mesh's own; nil for any other.
  mutating func handle(_ message: Message, from sender: PublicKey) -> [Step]? {
    switch message {
    case .neighbours(let told):
      guard bootstraps.contains(sender) else { return [] }
      // One more is enough for whoever has enough: a bridge, should the two know different parts of the mesh.
      var most = hasEnough ? 1 : told.peers.count
      var steps: [Step] = []
      for peer in told.peers where most > 0 && peer != me && fanout.add(neighbour: peer) {
        most -= 1
        steps.append(.send(.link(Empty()), to: peer))
      }
      return steps
    case .link:
      _ = fanout.add(neighbour: sender)
      return fanout.recent.map { .send(.topic(TopicCarrier($0)), to: sender) }
    case .topic(let carrier):
      let id = carrier.message.id
      guard fanout.isNew(id), carrier.message.isAuthentic else { return [] }
      let onward = fanout.accept(carrier.message, id: id, from: sender)
      return [.heard(carrier.message)] + onward.map { .send(.topic(carrier), to: $0) }
    default: return nil
    }
  }
}

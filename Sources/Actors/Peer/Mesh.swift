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

  /// Asks the bootstraps, in turn, for neighbours. Called again every `retry` until there are some.
  mutating func seek() -> [Step] {
    guard !isConnected else { return [] }
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
      return told.peers.filter { $0 != me && fanout.add(neighbour: $0) }.map { .send(.link(Empty()), to: $0) }
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

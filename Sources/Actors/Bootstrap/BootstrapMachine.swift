import Runtime
import Transport

/// Introduces peers to each other and steps aside: it remembers who asked, and answers with some of them.
public struct BootstrapMachine: Machine {
  /// The most recent peers that are remembered.
  public static let memory = 100_000
  public enum NoWork: Equatable, Sendable {}

  private var known: [PublicKey] = []
  private var places: [PublicKey: Int] = [:]
  private var oldest = 0
  private var answers: UInt64 = 0
  private let seed: Seed

  public init(seed: Seed) { self.seed = seed }

  public mutating func handle(_ input: Input, at now: Timestamp) -> [Effect<NoWork>] {
    guard case .message(.hello, let sender) = input else { return [] }
    var chance = seed.child("answer", Int(answers)).stream
    answers += 1
    var chosen: [PublicKey] = []
    var tries = 0
    while chosen.count < Fanout.soughtNeighbours, tries < Fanout.soughtNeighbours * 4, !known.isEmpty {
      let peer = known[chance.below(known.count)]
      if peer != sender && !chosen.contains(peer) { chosen.append(peer) }
      tries += 1
    }
    remember(sender)
    return chosen.isEmpty ? [] : [.send(.neighbours(Neighbours(peers: chosen)), to: sender)]
  }

  private mutating func remember(_ peer: PublicKey) {
    if places[peer] != nil { return }
    if known.count < Self.memory {
      places[peer] = known.count
      known.append(peer)
    } else {
      places[known[oldest]] = nil
      known[oldest] = peer
      places[peer] = oldest
      oldest = (oldest + 1) % Self.memory
    }
  }
}

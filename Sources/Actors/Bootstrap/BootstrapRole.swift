import Runtime

public typealias Bootstrap = Peer<BootstrapRole>

/// A bootstrap has nothing to do with its hands.
public final class BootstrapRole: PeerRole, Sendable {
  public static let role = Role.bootstrap
  private let seed: Seed
  public init(seed: Seed) { self.seed = seed }
  public func makeMachine() -> BootstrapMachine { BootstrapMachine(seed: seed) }
  public func perform(_ work: BootstrapMachine.NoWork, done: @escaping @Sendable (Outcome) -> Void) {}
}

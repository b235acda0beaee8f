import Learn
import Runtime
import Synchronization

/// Models that were checked, by their declaration, so that peers of one process share their engines.
public final class ModelShelf: Sendable {
  private let models = Mutex<[Digest: Model]>([:])
  public init() {}

  public func model(_ declaration: ModelDeclaration) throws(LearnError) -> Model {
    let name = Digest(of: declaration.wireBytes)
    if let known = models.withLock({ $0[name] }) { return known }
    let made = try Model(declaration)
    return models.withLock { shelf in
      if let known = shelf[name] { return known }
      shelf[name] = made
      return made
    }
  }
}

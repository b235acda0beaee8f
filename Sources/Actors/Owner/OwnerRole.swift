import Learn
import ObjectStore
import Runtime
import Transport

public typealias Owner = Peer<OwnerRole>

/// An owner's hands: it fetches the envelope, opens it and looks whether the weights are those that were promised.
public final class OwnerRole: PeerRole, @unchecked Sendable {
  public static let role = Role.owner

  private let settings: OwnerMachine.Settings
  private let sealingKey: SealingKey
  private let host: any Host
  private var url: PresignedURL?
  /// What was delivered, once it was found good.
  public private(set) var weights: [UInt8]?

  public init(settings: OwnerMachine.Settings, sealingKey: SealingKey, host: any Host) {
    self.settings = settings
    self.sealingKey = sealingKey
    self.host = host
  }

  public func makeMachine() -> OwnerMachine { OwnerMachine(settings) }

  public func take(hints: [String], of message: Message, from peer: PublicKey) {
    if case .delivered = message, let hint = hints.first, peer == settings.coordinator {
      url = PresignedURL(text: hint)
    }
  }

  public func perform(_ work: OwnerWork, done: @escaping @Sendable (Outcome) -> Void) {
    guard case .open(let delivered) = work else { return }
    guard let url else {
      host.wake(after: .zero) { done(Outcome(kind: 1, code: ObjectStoreError.notFound.rawValue)) }
      return
    }
    host.get(url) { [self] result in
      guard case .success(let bytes) = result else {
        done(Outcome(kind: 1, code: ObjectStoreError.unavailable.rawValue))
        return
      }
      let key = sealingKey
      host.offload(cost: .milliseconds(1)) { () -> [UInt8]? in
        guard Digest(of: bytes) == delivered.envelope, let envelope = try? Envelope(wireBytes: bytes),
          let plain = try? envelope.open(with: key, info: SealContext.result(job: delivered.job)),
          Digest(of: plain) == delivered.weights
        else { return nil }
        return plain
      } then: { [self] plain in
        weights = plain ?? weights
        done(Outcome(kind: 1, code: plain == nil ? Reason.wrongDigest.rawValue : 0, digest: delivered.weights))
      }
    }
  }
}

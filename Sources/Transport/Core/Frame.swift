import Runtime

/// What one peer says to another: a body that is journalled, and hints that are not.
///
/// Hints are presigned URLs. Whoever holds one may use it, so they travel on the authenticated stream only, beside the body,
/// and a journal keeps their digests.
public struct Frame: Sendable, Equatable {
  /// The longest body that is read: larger things travel through the object store.
  public static let bodyLimit = 1 << 20
  public static let hintLimit = 64

  public var body: [UInt8]
  public var hints: [String]

  public init(body: [UInt8], hints: [String] = []) {
    self.body = body
    self.hints = hints
  }

  /// What the frame weighs on a link, with a stream's framing and its encryption.
  public var bytesOnTheWire: Int { body.count + hints.reduce(0) { $0 + $1.utf8.count + 4 } + 64 }
}

/// A topic of the mesh.
public enum Topic: String, Sendable, CaseIterable {
  case market = "/peermill/1/market"
  case presence = "/peermill/1/presence"
}

/// The port to the mesh: one peer's mouth. What comes in is handed to the peer by its host.
public protocol Transport: AnyObject, Sendable {
  /// Sends on the authenticated stream to a peer. Best effort: a peer that is down or cut off gets nothing, and the sender is
  /// not told; whoever needs an answer asks again.
  func send(_ frame: Frame, to peer: PublicKey)
}

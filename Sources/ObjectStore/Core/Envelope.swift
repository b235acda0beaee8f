import Runtime

/// A result of any size, sealed to its owner: a fresh key wrapped for the owner, and the body under that key.
public struct Envelope: Wire, Equatable {
  public static let bodyLimit = 1 << 32
  public var key = WrappedKey()
  public var body: [UInt8] = []

  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &key)
    try codec(2, &body, limit: Self.bodyLimit)
  }

  public static func seal(
    _ plaintext: [UInt8], for owner: [UInt8], freshKey: SecretKey, info: [UInt8], sealer: any Sealer
  ) throws(ObjectStoreError) -> Envelope {
    var envelope = Envelope()
    envelope.key = try sealer.wrap(freshKey.bytes, for: owner, info: info)
    envelope.body = Seal.seal(plaintext, key: freshKey, counter: 0, context: info)
    return envelope
  }

  public func open(with key: SealingKey, info: [UInt8]) throws(ObjectStoreError) -> [UInt8] {
    guard let fresh = SecretKey(bytes: try key.unwrap(self.key, info: info)) else { throw .sealBroken }
    return try Seal.open(body, key: fresh, context: info)
  }
}

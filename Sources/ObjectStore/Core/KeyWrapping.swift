import Crypto
import Foundation
import Runtime

/// An X25519 private key (RFC 7748), for whom keys are wrapped.
public struct SealingKey: Sendable {
  private let key: Curve25519.KeyAgreement.PrivateKey
  public let publicKey: [UInt8]

  public init?(secret: [UInt8]) {
    guard let key = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: secret) else { return nil }
    self.key = key
    publicKey = [UInt8](key.publicKey.rawRepresentation)
  }
  /// A rehearsal's key.
  public init(drawnFrom stream: inout RandomStream) {
    let secret = stream.bytes(32)
    guard let made = SealingKey(secret: secret) else { preconditionFailure("any 32 bytes are an X25519 key") }
    self = made
  }

  fileprivate func shared(with publicKey: [UInt8]) throws(ObjectStoreError) -> [UInt8] {
    do {
      let other = try Curve25519.KeyAgreement.PublicKey(rawRepresentation: publicKey)
      return try key.sharedSecretFromKeyAgreement(with: other).withUnsafeBytes { [UInt8]($0) }
    } catch { throw .sealBroken }
  }

  /// Opens what was wrapped for this key.
  public func unwrap(_ wrapped: WrappedKey, info: [UInt8]) throws(ObjectStoreError) -> [UInt8] {
    guard wrapped.encapsulated.count == 32, wrapped.ciphertext.count >= 16 else { throw .sealBroken }
    let shared = try shared(with: wrapped.encapsulated)
    let context = HPKEContext(shared: shared, encapsulated: wrapped.encapsulated, recipient: publicKey, info: info)
    return try context.open(wrapped.ciphertext)
  }
}

/// Key bytes that one holder of an X25519 key alone can read: HPKE's single shot.
public struct WrappedKey: Wire, Equatable {
  public var encapsulated: [UInt8] = []
  public var ciphertext: [UInt8] = []
  public init() {}
  init(encapsulated: [UInt8], ciphertext: [UInt8]) {
    self.encapsulated = encapsulated
    self.ciphertext = ciphertext
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &encapsulated, limit: 32)
    try codec(2, &ciphertext, limit: 512)
  }
}

/// The port to whoever wraps keys.
public protocol Sealer: AnyObject, Sendable {
  /// - Parameter info: what the bytes are for; the same is needed to unwrap.
  func wrap(_ bytes: [UInt8], for recipient: [UInt8], info: [UInt8]) throws(ObjectStoreError) -> WrappedKey
}

/// A rehearsal's sealer: HPKE's construction, its ephemeral key drawn from the run's stream. Used by one thread.
public final class RehearsalSealer: Sealer, @unchecked Sendable {
  private var stream: RandomStream
  public init(stream: RandomStream) { self.stream = stream }

  public func wrap(_ bytes: [UInt8], for recipient: [UInt8], info: [UInt8]) throws(ObjectStoreError) -> WrappedKey {
    try HPKEContext.seal(bytes, for: recipient, info: info, ephemeral: SealingKey(drawnFrom: &stream))
  }
}

/// A live host's sealer: swift-crypto's HPKE, which draws its ephemeral key inside.
public final class LiveSealer: Sealer {
  public init() {}

  public func wrap(_ bytes: [UInt8], for recipient: [UInt8], info: [UInt8]) throws(ObjectStoreError) -> WrappedKey {
    do {
      let key = try Curve25519.KeyAgreement.PublicKey(rawRepresentation: recipient)
      var sender = try HPKE.Sender(
        recipientKey: key, ciphersuite: .Curve25519_SHA256_ChachaPoly, info: Data(info))
      let ciphertext = try sender.seal(Data(bytes))
      return WrappedKey(encapsulated: [UInt8](sender.encapsulatedKey), ciphertext: [UInt8](ciphertext))
    } catch { throw .sealBroken }
  }
}

/// RFC 9180 in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305 (0x0020, 0x0001, 0x0003): the key
/// schedule of sections 4 and 5, for one message.
struct HPKEContext {
  let key: [UInt8]
  let nonce: [UInt8]

  /// - Parameters:
  ///   - shared: the Diffie–Hellman result.
  ///   - encapsulated: the ephemeral public key.
  init(shared: [UInt8], encapsulated: [UInt8], recipient: [UInt8], info: [UInt8]) {
    let kem = Array("KEM".utf8) + [0x00, 0x20]
    let suite = Array("HPKE".utf8) + [0x00, 0x20, 0x00, 0x01, 0x00, 0x03]
    let extracted = Self.extract(salt: [], suite: kem, label: "eae_prk", shared)
    let secret = Self.expand(extracted, suite: kem, label: "shared_secret", encapsulated + recipient, length: 32)
    let idHash = Self.extract(salt: [], suite: suite, label: "psk_id_hash", [])
    let infoHash = Self.extract(salt: [], suite: suite, label: "info_hash", info)
    let context = [0x00] + idHash + infoHash
    let scheduled = Self.extract(salt: secret, suite: suite, label: "secret", [])
    key = Self.expand(scheduled, suite: suite, label: "key", context, length: 32)
    nonce = Self.expand(scheduled, suite: suite, label: "base_nonce", context, length: 12)
  }

  static func seal(
    _ bytes: [UInt8], for recipient: [UInt8], info: [UInt8], ephemeral: SealingKey
  ) throws(ObjectStoreError) -> WrappedKey {
    let shared = try ephemeral.shared(with: recipient)
    let context = HPKEContext(shared: shared, encapsulated: ephemeral.publicKey, recipient: recipient, info: info)
    do {
      let box = try ChaChaPoly.seal(
        bytes, using: SymmetricKey(data: context.key), nonce: ChaChaPoly.Nonce(data: context.nonce))
      return WrappedKey(encapsulated: ephemeral.publicKey, ciphertext: [UInt8](box.ciphertext) + [UInt8](box.tag))
    } catch { throw .sealBroken }
  }

  func open(_ ciphertext: [UInt8]) throws(ObjectStoreError) -> [UInt8] {
    do {
      let box = try ChaChaPoly.SealedBox(
        nonce: ChaChaPoly.Nonce(data: nonce), ciphertext: ciphertext.dropLast(16), tag: ciphertext.suffix(16))
      return [UInt8](try ChaChaPoly.open(box, using: SymmetricKey(data: key)))
    } catch { throw .sealBroken }
  }

  private static func extract(salt: [UInt8], suite: [UInt8], label: String, _ material: [UInt8]) -> [UInt8] {
    let labelled = Array("HPKE-v1".utf8) + suite + Array(label.utf8) + material
    let code = HKDF<SHA256>.extract(inputKeyMaterial: SymmetricKey(data: labelled), salt: salt)
    return [UInt8](code)
  }
  private static func expand(
    _ key: [UInt8], suite: [UInt8], label: String, _ info: [UInt8], length: Int
  ) -> [UInt8] {
    let labelled =
      [UInt8(length >> 8), UInt8(length & 0xFF)] + Array("HPKE-v1".utf8) + suite + Array(label.utf8) + info
    let output = HKDF<SHA256>.expand(
      pseudoRandomKey: SymmetricKey(data: key), info: labelled, outputByteCount: length)
    return output.withUnsafeBytes { [UInt8]($0) }
  }
}

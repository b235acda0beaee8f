import Crypto
import Foundation
import Runtime

/// A secret of 32 bytes. It is no `Wire` and describes itself as nothing, so that it does not get into a message or a log.
public struct SecretKey: Sendable, Equatable, CustomStringConvertible {
  public static let byteCount = 32
  public let bytes: [UInt8]
  public init?(bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }
  /// A key that follows from a secret and a label: HKDF-SHA256 (RFC 5869) with the label as its info.
  public init(derivedFrom secret: Runtime.Digest, label: String) {
    let derived = HKDF<SHA256>.deriveKey(
      inputKeyMaterial: SymmetricKey(data: secret.bytes), info: Array(label.utf8), outputByteCount: Self.byteCount)
    bytes = derived.withUnsafeBytes { [UInt8]($0) }
  }
  public var description: String { "a secret key" }
}

/// ChaCha20-Poly1305 (RFC 8439): nonce, ciphertext, tag, one after the other.
///
/// A key must not meet a nonce twice. Chunks have a key each; a lease's key meets each round once; a job's checkpoint key
/// meets each round once.
public enum Seal {
  public static let overhead = 28

  /// - Parameters:
  ///   - counter: what makes the nonce: the round, or 0 where the key is used once.
  ///   - context: authenticated, not stored: what the bytes are.
  public static func seal(_ plaintext: [UInt8], key: SecretKey, counter: UInt64, context: [UInt8]) -> [UInt8] {
    var nonceBytes = [UInt8](repeating: 0, count: 12)
    for index in 0..<8 { nonceBytes[4 + index] = UInt8(truncatingIfNeeded: counter >> UInt64(8 * (7 - index))) }
    guard let nonce = try? ChaChaPoly.Nonce(data: nonceBytes),
      let box = try? ChaChaPoly.seal(
        plaintext, using: SymmetricKey(data: key.bytes), nonce: nonce, authenticating: context)
    else { preconditionFailure("sealing with a 32-byte key and a 12-byte nonce cannot fail") }
    var sealed: [UInt8] = []
    sealed.reserveCapacity(plaintext.count + overhead)
    sealed += nonceBytes
    sealed += box.ciphertext
    sealed += box.tag
    return sealed
  }

  public static func open(_ sealed: [UInt8], key: SecretKey, context: [UInt8]) throws(ObjectStoreError) -> [UInt8] {
    guard sealed.count >= overhead else { throw .sealBroken }
    do {
      let box = try ChaChaPoly.SealedBox(
        nonce: ChaChaPoly.Nonce(data: sealed[..<12]), ciphertext: sealed[12..<(sealed.count - 16)],
        tag: sealed[(sealed.count - 16)...])
      return [UInt8](try ChaChaPoly.open(box, using: SymmetricKey(data: key.bytes), authenticating: context))
    } catch { throw .sealBroken }
  }
}

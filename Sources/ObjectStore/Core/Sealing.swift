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

/// AES-256-GCM (NIST SP 800-38D): nonce of 12 bytes, ciphertext, tag of 16 bytes, one after the other.
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
    guard let nonce = try? AES.GCM.Nonce(data: nonceBytes),
      let box = try? AES.GCM.seal(
        plaintext, using: SymmetricKey(data: key.bytes), nonce: nonce, authenticating: context),
      let whole = box.combined
    else { preconditionFailure("sealing with a 32-byte key and a 12-byte nonce cannot fail") }
    return [UInt8](whole)
  }

  public static func open(_ sealed: [UInt8], key: SecretKey, context: [UInt8]) throws(ObjectStoreError) -> [UInt8] {
    guard sealed.count >= overhead else { throw .sealBroken }
    do {
      // The sealed bytes are only looked at while they are held here, so they need no copy.
      return try sealed.withUnsafeBytes { raw in
        guard let base = raw.baseAddress else { throw ObjectStoreError.sealBroken }
        let whole = Data(
          bytesNoCopy: UnsafeMutableRawPointer(mutating: base), count: raw.count, deallocator: .none)
        let box = try AES.GCM.SealedBox(combined: whole)
        return [UInt8](try AES.GCM.open(box, using: SymmetricKey(data: key.bytes), authenticating: context))
      }
    } catch { throw .sealBroken }
  }
}

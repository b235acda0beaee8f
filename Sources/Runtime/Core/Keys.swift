import Crypto
import Foundation

/// An Ed25519 public key (RFC 8032): who somebody is, on the mesh and on the embedded ledger.
public struct PublicKey: Hashable, Comparable, Sendable, BitwiseCopyable, CustomStringConvertible {
  private let words: Digest

  /// Nobody.
  public static let none = PublicKey(words: .zero)
  private init(words: Digest) { self.words = words }

  /// Exactly 32 bytes, or nil. Whether they are a point on the curve shows when a signature is checked.
  public init?(bytes: some Collection<UInt8>) {
    guard let words = Digest(bytes: bytes) else { return nil }
    self.words = words
  }
  public var bytes: [UInt8] { words.bytes }
  public var leadingBits: UInt64 { words.leadingBits }
  public static func < (a: PublicKey, b: PublicKey) -> Bool { a.words < b.words }

  /// Whether this key signed these bytes. False for any malformed key or signature.
  public func verifies(_ signature: Signature, of bytes: [UInt8]) -> Bool {
    guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: self.bytes) else { return false }
    return key.isValidSignature(signature.bytes, for: bytes)
  }

  /// The libp2p PeerId in its text form: base58 of the identity multihash of the key's protobuf (libp2p peer-ids spec).
  public var description: String { base58([0x00, 0x24, 0x08, 0x01, 0x12, 0x20] + bytes) }
}

/// An Ed25519 signature, 64 bytes.
public struct Signature: Hashable, Sendable {
  public var bytes: [UInt8]
  public init(bytes: [UInt8]) { self.bytes = bytes }
  public static let none = Signature(bytes: [])
}

/// An Ed25519 private key. Never written to a journal, a log or the wire.
public struct SigningKey: Sendable {
  private let key: Curve25519.Signing.PrivateKey
  public let publicKey: PublicKey

  /// The key of 32 secret bytes, or nil for another count.
  public init?(secret: [UInt8]) {
    guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: secret),
      let publicKey = PublicKey(bytes: [UInt8](key.publicKey.rawRepresentation))
    else { return nil }
    self.key = key
    self.publicKey = publicKey
  }
  /// A rehearsal's key, drawn from the run's stream.
  public init(drawnFrom stream: inout RandomStream) {
    self.init(secret: stream.bytes(32))!
  }

  /// A signature that is the same every time, as RFC 8032 has it.
  public func sign(_ bytes: [UInt8]) -> Signature {
    // BoringSSL signs deterministically; swift-crypto's call can throw only for a key it did not make.
    guard let signature = try? key.signature(for: bytes) else { preconditionFailure("Ed25519 signing failed") }
    return Signature(bytes: [UInt8](signature))
  }
}

extension PublicKey: WireScalar {
  public static var wireDefault: PublicKey { .none }
  public static var wireType: UInt64 { 2 }
  public func write(to codec: inout Codec) { codec.writeRun(bytes) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> PublicKey {
    guard let key = PublicKey(bytes: try codec.readRun(field: field, limit: limit)) else {
      throw .badValue(field: field, "a public key has 32 bytes")
    }
    return key
  }
}

extension Signature: WireScalar {
  public static var wireDefault: Signature { .none }
  public static var wireType: UInt64 { 2 }
  public func write(to codec: inout Codec) { codec.writeRun(bytes) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> Signature {
    let run = try codec.readRun(field: field, limit: limit)
    guard run.count == 64 else { throw .badValue(field: field, "a signature has 64 bytes") }
    return Signature(bytes: [UInt8](run))
  }
}

/// Bitcoin's base58, as libp2p writes peer ids.
func base58(_ bytes: [UInt8]) -> String {
  let alphabet = Array("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)
  var digits: [UInt8] = []
  for byte in bytes {
    var carry = Int(byte)
    for index in digits.indices {
      carry += Int(digits[index]) << 8
      digits[index] = UInt8(carry % 58)
      carry /= 58
    }
    while carry > 0 {
      digits.append(UInt8(carry % 58))
      carry /= 58
    }
  }
  let zeros = bytes.prefix { $0 == 0 }.count
  let text = Array(repeating: alphabet[0], count: zeros) + digits.reversed().map { alphabet[Int($0)] }
  return String(decoding: text, as: UTF8.self)
}

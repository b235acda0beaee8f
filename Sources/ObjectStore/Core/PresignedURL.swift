import Crypto
import Runtime

/// A capability: one method on one object until one moment, for whoever holds it. Never broadcast, never written down; what
/// describes it hides its signature.
public struct PresignedURL: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
  public let text: String
  public init(text: String) { self.text = text }

  /// What a journal keeps.
  public var digest: Runtime.Digest { Runtime.Digest(of: Array(text.utf8)) }
  public var description: String { "presigned URL \(digest.short)" }
  public var debugDescription: String { description }
}

/// Signs and checks the memory store's URLs: HMAC-SHA256 (RFC 2104) with a secret of the store, over method, bucket, key,
/// expiry and size limit. A scheme of its own; SigV4 is the live store's.
struct URLSigner {
  static let textLimit = 2_048
  private static let scheme = Array("https://store.peermill.invalid/".utf8)

  struct Claims: Equatable {
    var method: HTTPMethod
    var key: ObjectKey
    /// Whole seconds since 1970; the URL is good up to and including this second.
    var expires: UInt64
    /// For uploads, in bytes.
    var limit: Int
  }

  let bucket: String
  private let secret: SymmetricKey

  init(bucket: String, secret: [UInt8]) {
    self.bucket = bucket
    self.secret = SymmetricKey(data: secret)
  }

  func sign(_ claims: Claims) -> PresignedURL {
    let unsigned = unsignedBytes(claims)
    return PresignedURL(
      text: String(decoding: unsigned + Array("&X-Signature=".utf8) + Array(code(unsigned).hex.utf8), as: UTF8.self))
  }

  /// The claims of a URL that this signer made and nobody changed.
  func check(_ url: PresignedURL) throws(ObjectStoreError) -> Claims {
    let bytes = Array(url.text.utf8)
    guard bytes.count <= Self.textLimit else { throw .malformedURL }
    let tail = Array("&X-Signature=".utf8)
    guard bytes.count > tail.count + 64, bytes.starts(with: Self.scheme) else { throw .malformedURL }
    let split = bytes.count - 64
    guard bytes[(split - tail.count)..<split].elementsEqual(tail) else { throw .malformedURL }
    let unsigned = Array(bytes[..<(split - tail.count)])
    // Lower-case digits alone: one capability has one form.
    guard bytes[split...].allSatisfy({ $0 >= 48 && $0 <= 57 || $0 >= 97 && $0 <= 102 }),
      let signature = [UInt8](hex: String(decoding: bytes[split...], as: UTF8.self))
    else { throw .malformedURL }
    guard HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: unsigned, using: secret) else {
      throw .badSignature
    }
    return try parse(unsigned)
  }

  private func unsignedBytes(_ claims: Claims) -> [UInt8] {
    var bytes = Self.scheme
    bytes += Array(bucket.utf8)
    bytes.append(UInt8(ascii: "/"))
    bytes += Array(claims.key.text.utf8)
    bytes += Array("?X-Method=".utf8)
    bytes += Array(claims.method.rawValue.utf8)
    bytes += Array("&X-Expires=".utf8)
    bytes += Array(String(claims.expires).utf8)
    bytes += Array("&X-Limit=".utf8)
    bytes += Array(String(claims.limit).utf8)
    return bytes
  }

  private func code(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8](HMAC<SHA256>.authenticationCode(for: bytes, using: secret))
  }

  /// What was signed here reads back to what was meant; the check that it writes to the same bytes leaves no second reading.
  private func parse(_ unsigned: [UInt8]) throws(ObjectStoreError) -> Claims {
    let path = unsigned.dropFirst(Self.scheme.count + bucket.utf8.count + 1)
    let parts = path.split(separator: UInt8(ascii: "?"), maxSplits: 1)
    guard parts.count == 2 else { throw .malformedURL }
    let fields = parts[1].split(separator: UInt8(ascii: "&")).map { field in
      String(decoding: field.drop { $0 != UInt8(ascii: "=") }.dropFirst(), as: UTF8.self)
    }
    guard fields.count == 3, let method = HTTPMethod(rawValue: fields[0]), let expires = UInt64(fields[1]),
      let limit = Int(fields[2])
    else { throw .malformedURL }
    let claims = Claims(
      method: method, key: try ObjectKey(String(decoding: parts[0], as: UTF8.self)), expires: expires, limit: limit)
    guard unsignedBytes(claims) == unsigned else { throw .malformedURL }
    return claims
  }
}

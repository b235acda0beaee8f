import Crypto

/// A SHA-256 digest (FIPS 180-4): the name of a blob, a job, a chunk, a commitment.
///
/// Held as four big-endian words, so that it is plain data, compares as its bytes do and costs no reference.
public struct Digest: Hashable, Sendable, BitwiseCopyable {
  var a: UInt64, b: UInt64, c: UInt64, d: UInt64

  /// All zero bytes; the name of nothing.
  public static let zero = Digest(a: 0, b: 0, c: 0, d: 0)
  public static let byteCount = 32

  init(a: UInt64, b: UInt64, c: UInt64, d: UInt64) {
    self.a = a
    self.b = b
    self.c = c
    self.d = d
  }

  /// The digest held in exactly 32 bytes, or nil for any other count.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    var index = 0
    for byte in bytes {
      switch index >> 3 {
      case 0: words.0 = words.0 << 8 | UInt64(byte)
      case 1: words.1 = words.1 << 8 | UInt64(byte)
      case 2: words.2 = words.2 << 8 | UInt64(byte)
      default: words.3 = words.3 << 8 | UInt64(byte)
      }
      index += 1
    }
    self.init(a: words.0, b: words.1, c: words.2, d: words.3)
  }

  /// 64 hexadecimal digits, or nil.
  public init?(hex: some StringProtocol) {
    guard let bytes = [UInt8](hex: hex) else { return nil }
    self.init(bytes: bytes)
  }

  init(_ digest: SHA256.Digest) {
    self = digest.withUnsafeBytes { raw in
      func word(_ at: Int) -> UInt64 { UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
      return Digest(a: word(0), b: word(8), c: word(16), d: word(24))
    }
  }

  /// The digest of these bytes.
  public init(of bytes: some ContiguousBytesLike) {
    self = bytes.withContiguousBytes { raw in
      var hash = SHA256()
      hash.update(bufferPointer: raw)
      return Digest(hash.finalize())
    }
  }

  /// The digest of several parts as one run of bytes.
  public init(of parts: [[UInt8]]) {
    var hash = Hash()
    for part in parts { hash.update(part) }
    self = hash.finish()
  }

  /// The digest of two digests, one after the other: an inner node of a Merkle tree has its own prefix, see `MerkleTree`.
  public static func pair(_ left: Digest, _ right: Digest) -> Digest { Digest(of: left.bytes + right.bytes) }

  public var bytes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
      let raw = UnsafeMutableRawBufferPointer(buffer)
      raw.storeBytes(of: a.bigEndian, toByteOffset: 0, as: UInt64.self)
      raw.storeBytes(of: b.bigEndian, toByteOffset: 8, as: UInt64.self)
      raw.storeBytes(of: c.bigEndian, toByteOffset: 16, as: UInt64.self)
      raw.storeBytes(of: d.bigEndian, toByteOffset: 24, as: UInt64.self)
      count = Self.byteCount
    }
  }

  /// The first 64 bits, for seeding a stream or for a fold; never for identity.
  public var leadingBits: UInt64 { a }
  public var hex: String { bytes.hex }
  /// The first eight hexadecimal digits, as shown to people.
  public var short: String { String(hex.prefix(8)) }
}

extension Digest: Comparable {
  public static func < (x: Digest, y: Digest) -> Bool {
    if x.a != y.a { return x.a < y.a }
    if x.b != y.b { return x.b < y.b }
    if x.c != y.c { return x.c < y.c }
    return x.d < y.d
  }
}

extension Digest: CustomStringConvertible {
  public var description: String { hex }
}

/// SHA-256 over bytes that come in pieces.
public struct Hash {
  private var state = SHA256()
  public init() {}
  public mutating func update(_ bytes: some ContiguousBytesLike) {
    bytes.withContiguousBytes { state.update(bufferPointer: $0) }
  }
  public mutating func update(_ digest: Digest) { update(digest.bytes) }
  public consuming func finish() -> Digest { Digest(state.finalize()) }
}

/// Whatever can show its bytes as one run: arrays, slices and raw buffers.
public protocol ContiguousBytesLike {
  func withContiguousBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R
}
extension [UInt8]: ContiguousBytesLike {
  @inlinable public func withContiguousBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { withUnsafeBytes(body) }
}
extension ArraySlice<UInt8>: ContiguousBytesLike {
  @inlinable public func withContiguousBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { withUnsafeBytes(body) }
}
extension UnsafeRawBufferPointer: ContiguousBytesLike {
  @inlinable public func withContiguousBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { body(self) }
}

extension [UInt8] {
  /// An even number of hexadecimal digits, or nil.
  public init?(hex: some StringProtocol) {
    let digits = hex.utf8
    guard digits.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    var high: UInt8?
    for digit in digits {
      let value: UInt8
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): value = digit - UInt8(ascii: "A") + 10
      default: return nil
      }
      if let upper = high {
        bytes.append(upper << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    self = bytes
  }

  public var hex: String {
    let digits: [UInt8] = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(count * 2)
    for byte in self {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}

import CKernels
import Runtime

/// A chunk's plaintext: samples with their labels, checked once.
///
/// Form, little-endian: `PMCK`, version (u8), storage (u8: 1 bytes, 2 floats), classes (u16), samples (u32), features (u32),
/// scale (f32); then the features, row by row, then the labels (u16 each). Bytes are multiplied by `scale` in float32.
public struct Samples: Sendable {
  public enum Storage: UInt8, Sendable { case bytes = 1, floats = 2 }
  static let headerLength = 20
  public static let limit = 1 << 24

  public let bytes: [UInt8]
  public let count: Int
  public let features: Int
  public let classes: Int
  public let scale: Float
  public let storage: Storage
  private let labelStart: Int

  public init(bytes: [UInt8]) throws(LearnError) {
    func number(_ at: Int, _ count: Int) -> Int {
      var value = 0
      for index in 0..<count { value |= Int(bytes[at + index]) << (8 * index) }
      return value
    }
    guard bytes.count >= Self.headerLength, bytes.starts(with: Array("PMCK".utf8)), bytes[4] == 1 else {
      throw .data("this is not a chunk of samples")
    }
    guard let storage = Storage(rawValue: bytes[5]) else { throw .data("a chunk of unknown storage \(bytes[5])") }
    self.storage = storage
    classes = number(6, 2)
    count = number(8, 4)
    features = number(12, 4)
    scale = Float(bitPattern: UInt32(number(16, 4)))
    guard count >= 1, count <= Self.limit, features >= 1, features <= Self.limit, classes >= 2, scale.isFinite else {
      throw .data("a chunk of \(count) samples, \(features) features and \(classes) classes")
    }
    let width = storage == .bytes ? 1 : 4
    labelStart = Self.headerLength + count * features * width
    guard bytes.count == labelStart + count * 2 else {
      throw .data("a chunk of \(bytes.count) bytes where its header says \(labelStart + count * 2)")
    }
    self.bytes = bytes
    for row in 0..<count {
      guard number(labelStart + row * 2, 2) < classes else {
        throw .data("sample \(row) of a chunk has the label \(number(labelStart + row * 2, 2)) of \(classes) classes")
      }
    }
    if storage == .floats {
      let bad = bytes.withUnsafeBytes { raw in
        pm_kernels_best().pointee.not_finite(
          count * features, raw.baseAddress!.advanced(by: Self.headerLength).assumingMemoryBound(to: Float.self))
      }
      guard bad == 0 else { throw .data("\(bad) features of a chunk are not finite") }
    }
  }

  public func label(_ row: Int) -> Int {
    Int(bytes[labelStart + row * 2]) | Int(bytes[labelStart + row * 2 + 1]) << 8
  }

  /// Writes one sample's features as floats.
  func load(_ row: Int, into out: UnsafeMutablePointer<Float>, _ kernels: pm_kernels) {
    bytes.withUnsafeBytes { raw in
      let start = raw.baseAddress!.advanced(by: Self.headerLength)
      switch storage {
      case .bytes:
        kernels.scale_bytes(
          features, start.advanced(by: row * features).assumingMemoryBound(to: UInt8.self), scale, out)
      case .floats:
        UnsafeMutableRawPointer(out).copyMemory(from: start.advanced(by: row * features * 4), byteCount: features * 4)
      }
    }
  }
}

extension Samples {
  /// Makes a chunk out of rows; the caller has checked them.
  static func encode(
    storage: Storage, classes: Int, count: Int, features: Int, scale: Float, labels: [Int],
    _ appendRow: (Int, inout [UInt8]) -> Void
  ) -> [UInt8] {
    var bytes = Array("PMCK".utf8) + [1, storage.rawValue]
    func put(_ value: Int, _ count: Int) {
      for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
    }
    bytes.reserveCapacity(headerLength + count * (features * (storage == .bytes ? 1 : 4) + 2))
    put(classes, 2)
    put(count, 4)
    put(features, 4)
    put(Int(scale.bitPattern), 4)
    for row in 0..<count { appendRow(row, &bytes) }
    for label in labels { put(label, 2) }
    return bytes
  }
}

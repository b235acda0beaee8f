import CKernels
import Runtime

/// A chunk's plaintext: samples with their targets, checked once.
///
/// Form 2, little-endian: `PMCK`, version (u8), storage (u8: 1 bytes, 2 floats), kind of target (u8: 1 classes, 2 values),
/// 0 (u8), classes (u32; 0 for values), samples (u32), features (u32), targets of a sample (u32), divisor (f32); then the
/// features, row by row, then the targets, row by row: u16 for classes, f32 for values. Bytes are divided by the divisor in
/// float32.
public struct Samples: Sendable {
  public typealias Storage = SampleForm.Storage
  public typealias TargetKind = SampleForm.TargetKind
  public static let limit = SampleForm.limit

  public let bytes: [UInt8]
  public let form: SampleForm
  public let count: Int
  private let targetStart: Int

  public var features: Int { form.features }
  public var storage: Storage { form.storage }
  public var targetKind: TargetKind { form.targetKind }
  /// Targets of a sample.
  public var targetCount: Int { form.targets }
  /// 0 for values.
  public var classes: Int { form.classes }

  /// - Throws: `LearnError.data` where the form is another, lengths do not agree, a class does not exist or a number is not
  ///   finite.
  public init(bytes: [UInt8]) throws(LearnError) {
    let (form, count) = try SampleForm.read(bytes)
    guard bytes.count == form.length(count: count) else {
      throw .data("a chunk of \(bytes.count) bytes where its header says \(form.length(count: count))")
    }
    self.bytes = bytes
    self.form = form
    self.count = count
    targetStart = SampleForm.headerLength + count * form.rowBytes
    if form.storage == .floats {
      let bad = bytes.withUnsafeBytes { raw in
        // The header's length is a multiple of 4 and an array's storage begins on 16, so floats lie where they must.
        pm_kernels_best().pointee.not_finite(
          count * form.features,
          raw.baseAddress!.advanced(by: SampleForm.headerLength).assumingMemoryBound(to: Float.self))
      }
      guard bad == 0 else { throw .data("\(bad) features of a chunk are not finite") }
    }
    try checkTargets()
  }

  private func checkTargets() throws(LearnError) {
    let start = targetStart
    let total = count * form.targets
    let bad: Int?
    switch form.targetKind {
    case .classes where form.classes == SampleForm.classLimit: bad = nil
    case .classes:
      let classes = UInt16(form.classes)
      bad = bytes.withUnsafeBytes { raw in
        (0..<total).first {
          UInt16(littleEndian: raw.loadUnaligned(fromByteOffset: start + $0 * 2, as: UInt16.self)) >= classes
        }
      }
    case .values:
      bad = bytes.withUnsafeBytes { raw in
        (0..<total).first {
          let bits = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: start + $0 * 4, as: UInt32.self))
          return !Float(bitPattern: bits).isFinite
        }
      }
    }
    guard let bad else { return }
    let row = bad / form.targets
    switch form.targetKind {
    case .classes: throw .data("sample \(row) of a chunk has the label \(label(at: bad)) of \(form.classes) classes")
    case .values: throw .data("target \(bad % form.targets) of sample \(row) of a chunk is not finite")
    }
  }

  private func label(at index: Int) -> Int {
    Int(bytes[targetStart + index * 2]) | Int(bytes[targetStart + index * 2 + 1]) << 8
  }

  /// The first class of a sample; where there is one target, the sample's class.
  public func label(_ row: Int) -> Int {
    precondition(targetKind == .classes, "samples with numbers as targets have no labels")
    return label(at: row * targetCount)
  }

  /// Writes the classes of one sample, `targetCount` of them.
  public func labels(_ row: Int, into out: UnsafeMutablePointer<Int32>) {
    precondition(targetKind == .classes && row >= 0 && row < count, "there is a sample with classes as targets")
    let start = targetStart + row * form.targetBytes
    bytes.withUnsafeBytes { raw in
      for index in 0..<targetCount {
        out[index] = Int32(UInt16(littleEndian: raw.loadUnaligned(fromByteOffset: start + index * 2, as: UInt16.self)))
      }
    }
  }

  /// Writes the numbers that are one sample's targets, `targetCount` of them.
  public func values(_ row: Int, into out: UnsafeMutablePointer<Float>) {
    precondition(targetKind == .values && row >= 0 && row < count, "there is a sample with numbers as targets")
    let start = targetStart + row * form.targetBytes
    bytes.withUnsafeBytes { raw in
      UnsafeMutableRawPointer(out).copyMemory(
        from: raw.baseAddress!.advanced(by: start), byteCount: form.targetBytes)
    }
  }

  /// The numbers that are one sample's targets.
  func targetValues(_ row: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: targetCount) { buffer, count in
      values(row, into: buffer.baseAddress!)
      count = targetCount
    }
  }

  /// Writes one sample's features as floats.
  func load(_ row: Int, into out: UnsafeMutablePointer<Float>, _ kernels: pm_kernels) {
    bytes.withUnsafeBytes { raw in
      let start = raw.baseAddress!.advanced(by: SampleForm.headerLength + row * form.rowBytes)
      switch storage {
      case .bytes: kernels.divide_bytes(features, start.assumingMemoryBound(to: UInt8.self), form.divisor, out)
      case .floats: UnsafeMutableRawPointer(out).copyMemory(from: start, byteCount: form.rowBytes)
      }
    }
  }
}

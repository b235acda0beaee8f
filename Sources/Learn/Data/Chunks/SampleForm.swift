import Runtime

/// What every sample of a chunk looks like: how its features are stored and what its targets are.
public struct SampleForm: Equatable, Sendable {
  /// Form 2 of a chunk's plaintext.
  public static let version: UInt8 = 2
  public static let headerLength = 28
  /// Of samples in a chunk, of features and of targets of a sample.
  public static let limit = 1 << 24
  public static let classLimit = 1 << 16

  public enum Storage: UInt8, Sendable {
    case bytes = 1
    case floats = 2
    /// Bytes that a feature takes.
    public var width: Int { self == .bytes ? 1 : 4 }
  }
  public enum TargetKind: UInt8, Sendable {
    /// Numbers of classes, two bytes each.
    case classes = 1
    /// Numbers to be hit, as float32.
    case values = 2
    /// Bytes that a target takes.
    public var width: Int { self == .classes ? 2 : 4 }
  }

  public var storage: Storage
  public var targetKind: TargetKind
  /// 0 for values.
  public var classes: Int
  /// Features of a sample.
  public var features: Int
  /// Targets of a sample.
  public var targets: Int
  /// Bytes are divided by it in float32, rounded once; 1 for floats.
  public var divisor: Float

  /// What the targets are, for a person to read; nil for one class for each sample.
  public var words: String? {
    switch targetKind {
    case .classes: targets == 1 ? nil : "\(targets) classes for each sample"
    case .values: targets == 1 ? "a number for each sample" : "\(targets) numbers for each sample"
    }
  }

  /// Bytes of one sample's features.
  public var rowBytes: Int { features * storage.width }
  /// Bytes of one sample's targets.
  public var targetBytes: Int { targets * targetKind.width }
  /// Bytes of a whole chunk; no overflow is possible within the limits.
  public func length(count: Int) -> Int { Self.headerLength + count * (rowBytes + targetBytes) }

  /// - Throws: `LearnError.data` for counts and divisors that no chunk has.
  public func check(count: Int) throws(LearnError) {
    guard count >= 1, count <= Self.limit, features >= 1, features <= Self.limit, targets >= 1, targets <= Self.limit
    else {
      throw .data(
        "a chunk of \(count) samples with \(features) features and \(targets) targets each; of each at least 1 and at "
          + "most \(Self.limit)")
    }
    switch targetKind {
    case .classes:
      guard classes >= 2, classes <= Self.classLimit else {
        throw .data("it has \(classes) classes; 2 to \(Self.classLimit) can be told apart")
      }
    case .values:
      guard classes == 0 else { throw .data("its targets are numbers, and yet it has \(classes) classes") }
    }
    switch storage {
    case .bytes:
      // The largest byte must stay finite.
      guard divisor.isFinite, divisor > 0, (255 / divisor).isFinite else {
        throw .data("its bytes are to be divided by \(divisor), which is not a number above 0 that keeps them finite")
      }
    case .floats:
      guard divisor == 1 else { throw .data("its features are floats, and yet are to be divided by \(divisor)") }
    }
  }

  /// The first bytes of a chunk of so many samples.
  public func header(count: Int) -> [UInt8] {
    var bytes = Array("PMCK".utf8) + [Self.version, storage.rawValue, targetKind.rawValue, 0]
    for value in [UInt32(classes), UInt32(count), UInt32(features), UInt32(targets), divisor.bitPattern] {
      for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    return bytes
  }

  /// The form and the number of samples that a header tells.
  static func read(_ bytes: [UInt8]) throws(LearnError) -> (form: SampleForm, count: Int) {
    guard bytes.count >= headerLength, bytes.starts(with: Array("PMCK".utf8)) else {
      throw .data("this is not a chunk of samples")
    }
    guard bytes[4] == version else {
      throw .data("a chunk of form \(bytes[4]); this program reads form \(version): split the data anew")
    }
    guard let storage = Storage(rawValue: bytes[5]) else { throw .data("a chunk of unknown storage \(bytes[5])") }
    guard let kind = TargetKind(rawValue: bytes[6]) else { throw .data("a chunk of unknown targets \(bytes[6])") }
    guard bytes[7] == 0 else { throw .data("a chunk whose eighth byte is \(bytes[7]) instead of 0") }
    func number(_ at: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
    }
    let form = SampleForm(
      storage: storage, targetKind: kind, classes: Int(number(8)), features: Int(number(16)), targets: Int(number(20)),
      divisor: Float(bitPattern: number(24)))
    let count = Int(number(12))
    try form.check(count: count)
    return (form, count)
  }
}

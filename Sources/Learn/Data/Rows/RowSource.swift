/// Samples that are read one after the other, wherever they lie, in the form that they have in a chunk.
public protocol RowSource: Sendable {
  /// For messages.
  var name: String { get }
  var form: SampleForm { get }
  /// How many samples there are.
  var count: Int { get }

  /// Hands over every sample from the first to the last: `form.rowBytes` of features and `form.targetBytes` of targets, good
  /// only until the body returns.
  func forEach(
    _ body: (_ features: UnsafeRawBufferPointer, _ targets: UnsafeRawBufferPointer) throws(LearnError) -> Void
  ) throws(LearnError)
}

/// Lends the bytes of two arrays at once; closures of the standard library do not keep the type of an error.
func withBytes<A: BitwiseCopyable, B: BitwiseCopyable>(
  of features: [A], and targets: [B],
  _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(LearnError) -> Void
) throws(LearnError) {
  let result = features.withUnsafeBytes { first in
    targets.withUnsafeBytes { second in
      Result { () throws(LearnError) -> Void in try body(first, second) }
    }
  }
  try result.get()
}

extension RowSource {
  /// Features of one sample as float32.
  func floats(_ features: UnsafeRawBufferPointer, into out: inout [Float]) {
    switch form.storage {
    case .bytes: for index in 0..<form.features { out[index] = Float(features[index]) / form.divisor }
    case .floats:
      for index in 0..<form.features {
        out[index] = Float(
          bitPattern: UInt32(littleEndian: features.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)))
      }
    }
  }
}

extension Dataset: RowSource {
  public var name: String { "the data" }

  public func forEach(
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(LearnError) -> Void
  ) throws(LearnError) {
    var row: [UInt8] = []
    var target: [UInt8] = []
    for index in 0..<count {
      row.removeAll(keepingCapacity: true)
      target.removeAll(keepingCapacity: true)
      appendFeatures(of: index, to: &row)
      appendTargets(of: index, to: &target)
      try withBytes(of: row, and: target, body)
    }
  }

  /// Everything that a source has, in memory.
  ///
  /// - Parameter shape: of one sample.
  public init(_ source: some RowSource, shape: [Int]) throws(LearnError) {
    let form = source.form
    var bytes: [UInt8] = []
    var floats: [Float] = []
    var labels: [Int] = []
    var values: [Float] = []
    switch form.storage {
    case .bytes: bytes.reserveCapacity(source.count * form.features)
    case .floats: floats.reserveCapacity(source.count * form.features)
    }
    func word(_ raw: UnsafeRawBufferPointer, _ index: Int) -> Float {
      Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)))
    }
    try source.forEach { row, target throws(LearnError) in
      switch form.storage {
      case .bytes: bytes.append(contentsOf: row)
      case .floats: for index in 0..<form.features { floats.append(word(row, index)) }
      }
      for index in 0..<form.targets {
        switch form.targetKind {
        case .classes:
          labels.append(Int(UInt16(littleEndian: target.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))))
        case .values: values.append(word(target, index))
        }
      }
    }
    try self.init(
      features: form.storage == .bytes ? .bytes(bytes, divisor: form.divisor) : .floats(floats),
      targets: form.targetKind == .classes
        ? .classes(labels, per: form.targets, of: form.classes) : .values(values, per: form.targets), shape: shape)
  }
}

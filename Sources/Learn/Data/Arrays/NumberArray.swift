/// What an array in a file is: its name, its type, its shape.
struct ArrayLayout: Equatable, Sendable {
  /// For messages: the file, and the array in it.
  var name: String
  var type: ElementType
  /// Of rank 0 to 8, the last axis running fastest.
  var shape: [Int]

  static let rankLimit = 8

  /// Elements, and the bytes that they take.
  ///
  /// - Throws: `LearnError.data` where the shape has too many axes or more elements than `limit` bytes hold.
  func size(limit: Int) throws(LearnError) -> (elements: Int, bytes: Int) {
    guard shape.count <= Self.rankLimit else {
      throw .data("\(name) has \(shape.count) axes; at most \(Self.rankLimit) are read")
    }
    var bytes = type.width
    for side in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: side)
      guard side >= 0, !overflow, product <= limit else {
        throw .data("\(name) claims the shape \(shape), which is more than \(limit) bytes")
      }
      bytes = product
    }
    return (bytes / type.width, bytes)
  }
}

/// An array out of a file, in memory.
struct NumberArray: Sendable {
  let layout: ArrayLayout
  /// Its elements are `bytes[start...]`, as many as its shape says: the reader has checked it.
  let bytes: [UInt8]
  let start: Int

  /// All elements as float32.
  ///
  /// - Throws: `LearnError.data` with the first that has no such value.
  func floats() throws(LearnError) -> [Float] {
    let (count, _) = try layout.size(limit: Int.max)
    var bad: Int?
    let values = bytes.withUnsafeBytes { raw in
      [Float](unsafeUninitializedCapacity: count) { buffer, done in
        guard count > 0 else { return }
        bad = layout.type.floats(raw.baseAddress!.advanced(by: start), count: count, into: buffer.baseAddress!)
        done = bad ?? count
      }
    }
    if let bad { throw layout.notANumber(at: bad) }
    return values
  }

  /// All elements as numbers of classes.
  func classes() throws(LearnError) -> [UInt16] {
    let (count, _) = try layout.size(limit: Int.max)
    var bad: Int?
    let values = bytes.withUnsafeBytes { raw in
      [UInt16](unsafeUninitializedCapacity: count) { buffer, done in
        guard count > 0 else { return }
        bad = layout.type.classes(raw.baseAddress!.advanced(by: start), count: count, into: buffer.baseAddress!)
        done = bad ?? count
      }
    }
    if let bad { throw layout.notAClass(at: bad) }
    return values
  }

  /// All elements of an array of bytes.
  func rawBytes() -> [UInt8] { Array(bytes[start...]) }
}

extension ArrayLayout {
  /// Where an element is, as a person would look for it.
  private func place(_ index: Int) -> String {
    var rest = index
    var indices: [Int] = []
    for side in shape.reversed() {
      indices.append(rest % max(1, side))
      rest /= max(1, side)
    }
    return "\(name)[\(indices.reversed().map(String.init).joined(separator: ", "))]"
  }
  func notANumber(at index: Int) -> LearnError {
    .data(
      type.isFloating
        ? "\(place(index)) is not finite, or is too large for float32; remove such samples or fill the gap"
        : "\(place(index)) is a number that float32 does not hold exactly; scale it down, or save it as float64")
  }
  func notAClass(at index: Int) -> LearnError {
    .data(
      "\(place(index)) is not the number of a class, a whole number from 0 to \(SampleForm.classLimit - 1); for targets "
        + "that are measured, ask for numbers")
  }
}

/// NumPy's file of one array: a magic word, a version, a header that is a Python dictionary, the elements.
public enum NPY {
  static let sizeLimit = 1 << 31
  static let headerLimit = 1 << 16
  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  struct Header: Equatable {
    var type: ElementType
    var isFortran: Bool
    var shape: [Int]
    /// Where the elements begin in the file.
    var dataStart: Int
  }

  /// Features and targets from two files.
  ///
  /// - Throws: `LearnError.data` for a file that is not one of an array of numbers, or arrays that do not belong together.
  public static func dataset(
    features: [UInt8], targets: [UInt8], options: ArrayOptions = ArrayOptions(), named name: String,
    targetsNamed other: String
  ) throws(LearnError) -> Dataset {
    try ArrayPair.dataset(read(features, named: name), read(targets, named: other), options)
  }

  /// The array in a file; one whose first axis runs fastest is put into the usual order.
  static func read(_ bytes: [UInt8], named name: String, limit: Int = sizeLimit) throws(LearnError) -> NumberArray {
    let header = try header(bytes, named: name)
    let layout = ArrayLayout(name: name, type: header.type, shape: header.shape)
    let (_, needed) = try layout.size(limit: limit)
    guard bytes.count - header.dataStart == needed else {
      throw .data(
        "\(name) has \(bytes.count - header.dataStart) bytes of elements where its shape \(header.shape) needs \(needed)"
      )
    }
    guard header.isFortran, header.shape.count > 1, needed > 0 else {
      return NumberArray(layout: layout, bytes: bytes, start: header.dataStart)
    }
    return NumberArray(layout: layout, bytes: turned(bytes, header), start: 0)
  }

  /// Elements in the order in which the last axis runs fastest.
  private static func turned(_ bytes: [UInt8], _ header: Header) -> [UInt8] {
    let width = header.type.width
    // The step in elements from one index of an axis to the next, the first axis running fastest.
    var steps: [Int] = []
    var step = 1
    for side in header.shape {
      steps.append(step)
      step *= side
    }
    var out: [UInt8] = []
    out.reserveCapacity(step * width)
    var indices = [Int](repeating: 0, count: header.shape.count)
    var place = 0
    for _ in 0..<step {
      let from = header.dataStart + place * width
      out += bytes[from..<(from + width)]
      var axis = header.shape.count - 1
      while axis >= 0 {
        indices[axis] += 1
        place += steps[axis]
        if indices[axis] < header.shape[axis] { break }
        place -= header.shape[axis] * steps[axis]
        indices[axis] = 0
        axis -= 1
      }
    }
    return out
  }

  /// The header of a file of which at least the first `headerLimit` + 12 bytes are given, or all.
  static func header(_ bytes: [UInt8], named name: String) throws(LearnError) -> Header {
    guard bytes.count >= 10, bytes.starts(with: magic) else { throw .data("\(name) is not an NPY file") }
    let version = bytes[6]
    guard version >= 1, version <= 3, bytes[7] == 0 else {
      throw .data("\(name) is an NPY file of version \(version).\(bytes[7]); 1.0, 2.0 and 3.0 are read")
    }
    let wide = version > 1
    let start = wide ? 12 : 10
    guard bytes.count >= start else { throw .data("\(name) is cut short in its header") }
    var length = 0
    for index in 0..<(wide ? 4 : 2) { length |= Int(bytes[8 + index]) << (8 * index) }
    guard length <= headerLimit else {
      throw .data("\(name) has a header of \(length) bytes; at most \(headerLimit) are read")
    }
    guard bytes.count - start >= length else { throw .data("\(name) is cut short in its header") }
    var parser = NPYHeaderParser(bytes[start..<(start + length)], name)
    let (descr, isFortran, shape) = try parser.parse()
    guard let type = types[descr] else {
      throw .data(
        "\(name) holds elements of the type '\(descr)'; \(types.keys.sorted().joined(separator: " ")) are read: save it "
          + "anew with array.astype('<f4')")
    }
    return Header(type: type, isFortran: isFortran, shape: shape, dataStart: start + length)
  }

  private static let types: [String: ElementType] = [
    "<f8": .f64, "<f4": .f32, "<f2": .f16, "<i8": .i64, "<i4": .i32, "<i2": .i16, "<u8": .u64, "<u4": .u32, "<u2": .u16,
    "|i1": .i8, "|u1": .u8, "|b1": .bool,
  ]
}

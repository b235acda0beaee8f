/// Reads the fields of one protobuf message, one after the other, from a file that anybody may have written.
struct ProtobufReader {
  enum Kind: UInt64 {
    case varint = 0
    case fixed64 = 1
    case delimited = 2
    case fixed32 = 5

    var word: String {
      switch self {
      case .varint: "a varint"
      case .fixed64: "eight bytes"
      case .delimited: "a length and bytes"
      case .fixed32: "four bytes"
      }
    }
  }

  struct Field {
    let number: Int
    let kind: Kind
    /// Of a varint.
    let value: UInt64
    /// Where its key begins, and where its content lies.
    let start: Int
    let range: Range<Int>
    let place: String

    func expect(_ expected: Kind) throws(LearnError) {
      guard kind == expected else {
        throw .onnx("\(place): field \(number) at byte \(start) is \(kind.word) where \(expected.word) belongs")
      }
    }

    func int() throws(LearnError) -> Int64 {
      try expect(.varint)
      return Int64(bitPattern: value)
    }

    func content() throws(LearnError) -> Range<Int> {
      try expect(.delimited)
      return range
    }
  }

  let bytes: [UInt8]
  /// How errors speak of this message.
  let place: String
  private(set) var at: Int
  private let end: Int

  init(_ bytes: [UInt8], _ range: Range<Int>, _ place: String) {
    self.bytes = bytes
    self.place = place
    at = range.lowerBound
    end = range.upperBound
  }

  mutating func next() throws(LearnError) -> Field? {
    guard at < end else { return nil }
    let start = at
    let key = try varint()
    guard key >= 8, key <= UInt64(UInt32.max) else {
      throw .onnx("\(place): the key at byte \(start) has no field number that can be")
    }
    let number = Int(key >> 3)
    guard let kind = Kind(rawValue: key & 7) else {
      throw .onnx("\(place): field \(number) at byte \(start) has wire type \(key & 7), which ONNX does not use")
    }
    var value: UInt64 = 0
    var length = 0
    var begin = at
    switch kind {
    case .varint:
      value = try varint()
      length = at - begin
      at = begin
    case .fixed32: length = 4
    case .fixed64: length = 8
    case .delimited:
      let declared = try varint()
      guard declared <= UInt64(end - at) else {
        throw .onnx("\(place): field \(number) at byte \(start) says \(declared) bytes where \(end - at) are left")
      }
      length = Int(declared)
      begin = at
    }
    guard length <= end - at else {
      throw .onnx("\(place): field \(number) at byte \(start) goes on past the end")
    }
    at = begin + length
    return Field(number: number, kind: kind, value: value, start: start, range: begin..<at, place: place)
  }

  /// A number of at most ten bytes and at most 64 bits.
  mutating func varint() throws(LearnError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    let start = at
    while at < end {
      let byte = bytes[at]
      at += 1
      guard shift < 63 || byte <= 1 else { throw .onnx("\(place): the varint at byte \(start) is too long") }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw .onnx("\(place): the varint at byte \(start) does not end")
  }

  /// Four little-endian bytes as a float.
  static func float(_ bytes: [UInt8], at place: Int) -> Float {
    bytes.withUnsafeBytes {
      Float(bitPattern: UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
    }
  }
}

/// Writes fields of protobuf messages in the one shortest form.
struct ProtobufWriter {
  private(set) var bytes: [UInt8] = []

  static func varint(_ value: UInt64, to bytes: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  static func key(_ field: Int, _ kind: ProtobufReader.Kind, to bytes: inout [UInt8]) {
    varint(UInt64(field) << 3 | kind.rawValue, to: &bytes)
  }

  mutating func int(_ field: Int, _ value: Int64) {
    Self.key(field, .varint, to: &bytes)
    Self.varint(UInt64(bitPattern: value), to: &bytes)
  }

  mutating func float(_ field: Int, _ value: Float) {
    Self.key(field, .fixed32, to: &bytes)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func content(_ field: Int, _ content: [UInt8]) {
    Self.key(field, .delimited, to: &bytes)
    Self.varint(UInt64(content.count), to: &bytes)
    bytes.append(contentsOf: content)
  }

  mutating func string(_ field: Int, _ text: String) { content(field, Array(text.utf8)) }

  /// Nothing for an empty text, which is what a missing one reads as.
  mutating func text(_ field: Int, _ text: String) { if !text.isEmpty { string(field, text) } }

  mutating func message(_ field: Int, _ fill: (inout ProtobufWriter) -> Void) {
    var inner = ProtobufWriter()
    fill(&inner)
    content(field, inner.bytes)
  }

  mutating func packed(_ field: Int, _ values: [Int64]) {
    if values.isEmpty { return }
    var inner: [UInt8] = []
    for value in values { Self.varint(UInt64(bitPattern: value), to: &inner) }
    content(field, inner)
  }
}

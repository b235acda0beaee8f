import Foundation

/// The safetensors form: a little-endian length, a JSON header, then all tensors' bytes without holes.
enum Safetensors {
  static let headerLimit = 1 << 20

  /// The header of a model's float32 tensors, always written the same way and padded so that data begin on 8 bytes.
  static func header(_ parameters: [ParameterInfo]) -> [UInt8] {
    var json = "{"
    for (index, parameter) in parameters.enumerated() {
      if index > 0 { json += "," }
      let shape = parameter.shape.map(String.init).joined(separator: ",")
      json += "\"\(parameter.name)\":{\"dtype\":\"F32\",\"shape\":[\(shape)],\"data_offsets\":["
      json += "\(parameter.offset * 4),\((parameter.offset + parameter.count) * 4)]}"
    }
    json += "}"
    var text = Array(json.utf8)
    while text.count % 8 != 0 { text.append(UInt8(ascii: " ")) }
    var bytes: [UInt8] = []
    for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: text.count >> shift)) }
    return bytes + text
  }

  struct Tensor: Equatable {
    var name: String
    var type = ElementType.f32
    var shape: [Int]
    var begin: Int
    var end: Int
  }

  /// The types that are read, by the words of the form.
  static let types: [String: ElementType] = [
    "F64": .f64, "F32": .f32, "F16": .f16, "BF16": .bf16, "I64": .i64, "I32": .i32, "I16": .i16, "I8": .i8, "U64": .u64,
    "U32": .u32, "U16": .u16, "U8": .u8, "BOOL": .bool,
  ]

  /// The float32 tensors of a file that anybody may have written, in the order of their bytes; another type is refused.
  static func read(_ bytes: [UInt8]) throws(LearnError) -> (tensors: [Tensor], dataStart: Int) {
    let read = try readAny(bytes)
    if let other = read.tensors.first(where: { $0.type != .f32 }) { throw .weights("'\(other.name)' is not F32") }
    return read
  }

  /// The tensors of any type of a file that anybody may have written, in the order of their bytes, which begin at `dataStart`.
  ///
  /// - Throws: `LearnError.weights` where the header is damaged, or the tensors do not lie in the file without holes.
  static func readAny(_ bytes: [UInt8]) throws(LearnError) -> (tensors: [Tensor], dataStart: Int) {
    guard bytes.count >= 8 else {
      throw .weights("a safetensors file has at least 8 bytes, and this has \(bytes.count)")
    }
    var length: UInt64 = 0
    for index in 0..<8 { length |= UInt64(bytes[index]) << UInt64(8 * index) }
    guard length <= UInt64(headerLimit), length <= UInt64(bytes.count - 8) else {
      throw .weights(
        "its header says \(length) bytes; the file has \(bytes.count), and a header at most \(headerLimit)")
    }
    let start = 8 + Int(length)
    guard length > 0, bytes[8] == UInt8(ascii: "{") else { throw .weights("its header does not begin with '{'") }
    var reader = HeaderReader(bytes[8..<start])
    var tensors = try reader.read()
    tensors.sort { $0.begin != $1.begin ? $0.begin < $1.begin : $0.name < $1.name }
    var place = 0
    for tensor in tensors {
      guard tensor.begin == place else { throw .weights("'\(tensor.name)' leaves a hole or overlaps at byte \(place)") }
      var count = tensor.type.width
      for size in tensor.shape {
        let (next, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow, next <= 1 << 40 else { throw .weights("'\(tensor.name)' has a shape too large") }
        count = next
      }
      guard tensor.end - tensor.begin == count else {
        throw .weights("'\(tensor.name)' has \(tensor.end - tensor.begin) bytes where its shape needs \(count)")
      }
      place = tensor.end
    }
    guard place == bytes.count - start else {
      throw .weights("its tensors end at byte \(place) of \(bytes.count - start)")
    }
    return (tensors, start)
  }
}

/// Reads the one shape of JSON that a safetensors header has; everything else is refused.
private struct HeaderReader {
  private let bytes: ArraySlice<UInt8>
  private var at: Int
  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    at = bytes.startIndex
  }

  mutating func read() throws(LearnError) -> [Safetensors.Tensor] {
    var tensors: [Safetensors.Tensor] = []
    var names: Set<String> = []
    try expect("{")
    if try !take("}") {
      repeat {
        let name = try string()
        guard names.insert(name).inserted else { throw .weights("'\(name)' stands twice in its header") }
        try expect(":")
        if name == "__metadata__" { try skipMetadata() } else { tensors.append(try tensor(name)) }
        guard tensors.count <= 10_000 else { throw .weights("it has more than 10,000 tensors") }
      } while try take(",")
      try expect("}")
    }
    skipSpace()
    guard at == bytes.endIndex else { throw .weights("its header goes on after its end") }
    return tensors
  }

  private mutating func tensor(_ name: String) throws(LearnError) -> Safetensors.Tensor {
    var shape: [Int]?
    var offsets: [Int]?
    var type: ElementType?
    try expect("{")
    repeat {
      let key = try string()
      try expect(":")
      switch key {
      case "dtype" where type == nil:
        let word = try string()
        guard let known = Safetensors.types[word] else {
          throw .weights("'\(name)' has the type '\(word)', which is not read")
        }
        type = known
      case "shape" where shape == nil: shape = try numbers(limit: 8)
      case "data_offsets" where offsets == nil: offsets = try numbers(limit: 2)
      default: throw .weights("'\(name)' has an unknown or repeated field '\(key)'")
      }
    } while try take(",")
    try expect("}")
    guard let type else { throw .weights("'\(name)' has no type") }
    guard let shape, let offsets, offsets.count == 2, offsets[0] <= offsets[1] else {
      throw .weights("'\(name)' has no shape or no offsets")
    }
    return Safetensors.Tensor(name: name, type: type, shape: shape, begin: offsets[0], end: offsets[1])
  }

  private mutating func skipMetadata() throws(LearnError) {
    try expect("{")
    if try take("}") { return }
    repeat {
      _ = try string()
      try expect(":")
      _ = try string()
    } while try take(",")
    try expect("}")
  }

  private mutating func numbers(limit: Int) throws(LearnError) -> [Int] {
    var numbers: [Int] = []
    try expect("[")
    if try take("]") { return [] }
    repeat {
      skipSpace()
      var value = 0
      var digits = 0
      while at < bytes.endIndex, bytes[at] >= 48, bytes[at] <= 57 {
        value = value * 10 + Int(bytes[at] - 48)
        digits += 1
        at += 1
        guard digits <= 15 else { throw .weights("a number in its header is too long") }
      }
      guard digits > 0, numbers.count < limit else {
        throw .weights("its header has a list that is not one of numbers")
      }
      numbers.append(value)
    } while try take(",")
    try expect("]")
    return numbers
  }

  private mutating func string() throws(LearnError) -> String {
    try expect("\"")
    let start = at
    while at < bytes.endIndex, bytes[at] != UInt8(ascii: "\"") {
      // Escapes are not needed for any name that is used here.
      guard bytes[at] >= 0x20, bytes[at] != UInt8(ascii: "\\") else {
        throw .weights("a name in its header has an escape")
      }
      at += 1
    }
    guard at < bytes.endIndex, at - start <= 1_024, let text = String(validating: bytes[start..<at], as: UTF8.self)
    else {
      throw .weights("a name in its header does not end, is too long or is not UTF-8")
    }
    at += 1
    return text
  }

  private mutating func skipSpace() {
    while at < bytes.endIndex, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 {
      at += 1
    }
  }
  private mutating func take(_ character: Unicode.Scalar) throws(LearnError) -> Bool {
    skipSpace()
    guard at < bytes.endIndex else { throw .weights("its header ends too early") }
    guard bytes[at] == UInt8(ascii: character) else { return false }
    at += 1
    return true
  }
  private mutating func expect(_ character: Unicode.Scalar) throws(LearnError) {
    guard try take(character) else { throw .weights("its header lacks a '\(character)' at byte \(at)") }
  }
}

/// Reads the one shape of Python dictionary that an NPY header has; nothing is evaluated, everything else is refused.
struct NPYHeaderParser {
  private let bytes: ArraySlice<UInt8>
  private let name: String
  private var at: Int

  init(_ bytes: ArraySlice<UInt8>, _ name: String) {
    self.bytes = bytes
    self.name = name
    at = bytes.startIndex
  }

  /// - Throws: `LearnError.data` where a key is missing, unknown or there twice, or a value is not of its kind.
  mutating func parse() throws(LearnError) -> (descr: String, isFortran: Bool, shape: [Int]) {
    var descr: String?
    var isFortran: Bool?
    var shape: [Int]?
    try expect("{")
    while !take("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr" where descr == nil: descr = try string()
      case "fortran_order" where isFortran == nil: isFortran = try boolean()
      case "shape" where shape == nil: shape = try tuple()
      default: throw .data("\(name) has a header with an unknown or repeated key '\(key)'")
      }
      if !take(",") {
        try expect("}")
        break
      }
    }
    skipSpace()
    guard at == bytes.endIndex else { throw .data("\(name) has a header that goes on after its end") }
    guard let descr, let isFortran, let shape else {
      throw .data("\(name) has a header without descr, fortran_order or shape")
    }
    return (descr, isFortran, shape)
  }

  private mutating func tuple() throws(LearnError) -> [Int] {
    var numbers: [Int] = []
    try expect("(")
    while !take(")") {
      numbers.append(try number())
      guard numbers.count <= ArrayLayout.rankLimit else {
        throw .data("\(name) has more than \(ArrayLayout.rankLimit) axes, which is the most that is read")
      }
      if !take(",") {
        // One number in brackets is a number, not a tuple.
        guard numbers.count > 1 else { throw .data("\(name) has a shape that is not a tuple") }
        try expect(")")
        break
      }
    }
    return numbers
  }

  private mutating func number() throws(LearnError) -> Int {
    skipSpace()
    let start = at
    var value = 0
    while at < bytes.endIndex, bytes[at] >= 48, bytes[at] <= 57, at - start < 16 {
      value = value * 10 + Int(bytes[at] - 48)
      at += 1
    }
    guard at > start, at - start < 16 else {
      throw .data("\(name) has a shape with a number that is missing or too long")
    }
    return value
  }

  private mutating func boolean() throws(LearnError) -> Bool {
    skipSpace()
    for (word, value) in [("True", true), ("False", false)] where bytes[at...].starts(with: Array(word.utf8)) {
      at += word.utf8.count
      return value
    }
    throw .data("\(name) has a fortran_order that is neither True nor False")
  }

  private mutating func string() throws(LearnError) -> String {
    skipSpace()
    guard at < bytes.endIndex, bytes[at] == UInt8(ascii: "'") || bytes[at] == UInt8(ascii: "\"") else {
      throw .data("\(name) has a header where a word in quotes is missing; arrays of records and objects are not read")
    }
    let quote = bytes[at]
    at += 1
    let start = at
    while at < bytes.endIndex, bytes[at] != quote {
      guard bytes[at] >= 0x20, bytes[at] < 0x7F, bytes[at] != UInt8(ascii: "\\"), at - start < 64 else {
        throw .data("\(name) has a header with a word that is too long or not plain")
      }
      at += 1
    }
    guard at < bytes.endIndex else { throw .data("\(name) has a header with a word that does not end") }
    defer { at += 1 }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  private mutating func skipSpace() {
    while at < bytes.endIndex, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x09 || bytes[at] == 0x0D {
      at += 1
    }
  }
  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard at < bytes.endIndex, bytes[at] == UInt8(ascii: character) else { return false }
    at += 1
    return true
  }
  private mutating func expect(_ character: Unicode.Scalar) throws(LearnError) {
    guard take(character) else { throw .data("\(name) has a header that lacks a '\(character)'") }
  }
}

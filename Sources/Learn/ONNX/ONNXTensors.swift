/// The fields of a tensor before its values are looked at.
private struct TensorParts {
  var name = ""
  var type: Int64 = 0
  var shape: [Int] = []
  var raw: Range<Int>?
  /// The field of typed data, and all content of it in order.
  var typed: Int?
  var entries: [Range<Int>] = []
  var isExternal = false
}

extension ONNXParser {
  /// A tensor of an attribute is bound to a number of bytes, and must have its values.
  mutating func readTensor(
    _ range: Range<Int>, _ unnamed: String, of attributeBytes: Int?
  ) throws(LearnError) -> ONNXTensor {
    let parts = try readParts(range, unnamed)
    let place = parts.name.isEmpty || attributeBytes != nil ? unnamed : "initializer '\(parts.name)'"
    let element = try element(parts.type, place)
    guard element != .string else { throw .onnx("\(place) is of strings, which cannot be computed with") }
    var count = 1
    for size in parts.shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow, product <= limits.elements else {
        throw .onnx("\(place) of shape \(parts.shape) has more than \(limits.elements) elements")
      }
      count = product
    }
    var tensor = ONNXTensor(name: parts.name, element: element, shape: parts.shape, values: .absent)
    if let attributeBytes {
      guard count <= attributeBytes / element.bytesEach else {
        throw .onnx("\(place) of shape \(parts.shape) has more than \(attributeBytes) bytes")
      }
    }
    guard !(parts.raw != nil && parts.typed != nil) else { throw .onnx("\(place) has raw and typed data at once") }
    // What is absent counts as well: whoever fills it in takes as much.
    try spend(count, whole: !element.holdsFloats, place)
    let hasData = parts.raw != nil || parts.typed != nil || parts.isExternal
    guard hasData || count == 0 else {
      guard attributeBytes == nil else { throw .onnx("\(place) has no data") }
      return tensor
    }
    if parts.isExternal {
      guard parts.raw == nil, parts.typed == nil else { throw .onnx("\(place) has data inside and outside the file") }
      let (file, section) = try locate(parts.entries, place)
      try expect(section.count, count, element, place)
      tensor.values = ONNXElements.read(file, section, as: element)
    } else if let raw = parts.raw {
      try expect(raw.count, count, element, place)
      tensor.values = ONNXElements.read(bytes, raw, as: element)
    } else {
      guard parts.typed == nil || parts.typed == element.typedField else {
        throw .onnx("\(place) of type \(element.rawValue) has its data in field \(parts.typed ?? 0)")
      }
      tensor.values = try typed(range, element, count, place)
    }
    try check(tensor, place)
    return tensor
  }

  private func readParts(_ range: Range<Int>, _ place: String) throws(LearnError) -> TensorParts {
    var wire = ProtobufReader(bytes, range, place)
    var parts = TensorParts()
    while let field = try wire.next() {
      switch field.number {
      case 1:
        if field.kind != .delimited { try field.expect(.varint) }
        var list = ProtobufReader(bytes, field.range, place)
        while list.at < field.range.upperBound {
          guard parts.shape.count < limits.rank else { throw .onnx("\(place) has more than \(limits.rank) dimensions") }
          parts.shape.append(try size(Int64(bitPattern: list.varint()), place))
        }
      case 2: parts.type = try field.int()
      case 3: throw .onnx("\(place) is a segment of a tensor; only whole ones are read")
      case 8: parts.name = try name(field, "its name")
      case 9:
        guard parts.raw == nil else { throw .onnx("\(place) has raw data twice") }
        parts.raw = try field.content()
      case 4...7, 10, 11:
        // A packed list of nothing is no data.
        guard !field.range.isEmpty || field.number == 6 else { break }
        guard parts.typed == nil || parts.typed == field.number else {
          throw .onnx("\(place) has typed data of two kinds")
        }
        parts.typed = field.number
      case 13:
        guard parts.entries.count < 16 else { throw .onnx("\(place) says too much of where its data are") }
        parts.entries.append(try field.content())
      case 14:
        let location = try field.int()
        guard location == 0 || location == 1 else { throw .onnx("\(place) has its data at location \(location)") }
        parts.isExternal = location == 1
      default: break
      }
    }
    guard parts.isExternal || parts.entries.isEmpty else {
      throw .onnx("\(place) names a file for its data and says that they are inside")
    }
    return parts
  }

  private func expect(_ bytes: Int, _ count: Int, _ element: ONNXElement, _ place: String) throws(LearnError) {
    guard bytes == count * element.bytesEach else {
      throw .onnx("\(place) has \(bytes) bytes of data where its shape needs \(count * element.bytesEach)")
    }
  }

  /// The values that stand in a list of their type. Each takes a byte of the file at least, so memory is bound by it.
  private func typed(
    _ range: Range<Int>, _ element: ONNXElement, _ count: Int, _ place: String
  ) throws(LearnError) -> ONNXTensor.Values {
    let isFixed = element == .float || element == .double
    var fixed: [UInt8] = []
    var ints: [Int64] = []
    var wire = ProtobufReader(bytes, range, place)
    while let field = try wire.next() {
      guard field.number == element.typedField else { continue }
      if isFixed {
        if field.kind != .delimited { try field.expect(element == .float ? .fixed32 : .fixed64) }
        guard field.range.count <= count * element.bytesEach - fixed.count else {
          throw .onnx("\(place) has more data than its shape needs")
        }
        fixed.append(contentsOf: bytes[field.range])
        continue
      }
      if field.kind != .delimited { try field.expect(.varint) }
      var list = ProtobufReader(bytes, field.range, place)
      while list.at < field.range.upperBound {
        guard ints.count < count else { throw .onnx("\(place) has more data than its shape needs") }
        let bits = try list.varint()
        // Field 5 is of int32, whose sign not every writer extends.
        let value = element.typedField == 5 ? Int64(Int32(truncatingIfNeeded: bits)) : Int64(bitPattern: bits)
        guard element.wholeRange.contains(value) else {
          throw .onnx("\(place): element \(ints.count) is \(value), which its type does not hold")
        }
        ints.append(value)
      }
    }
    if isFixed {
      try expect(fixed.count, count, element, place)
      return ONNXElements.read(fixed, 0..<fixed.count, as: element)
    }
    guard ints.count == count else {
      throw .onnx("\(place) has \(ints.count) elements where its shape needs \(count)")
    }
    switch element {
    case .half: return .floats(ints.map { ONNXElements.fromHalf(UInt16(truncatingIfNeeded: $0)) })
    case .bfloat16: return .floats(ints.map { ONNXElements.fromBFloat(UInt16(truncatingIfNeeded: $0)) })
    default: return .ints(ints)
    }
  }

  private func check(_ tensor: ONNXTensor, _ place: String) throws(LearnError) {
    switch tensor.values {
    case .floats(let floats):
      if let index = ONNXElements.firstNaN(floats) { throw .onnx("\(place): element \(index) is not a number") }
    case .ints(let ints) where tensor.element == .bool || tensor.element == .uint64:
      if let index = ints.firstIndex(where: { !tensor.element.wholeRange.contains($0) }) {
        throw .onnx("\(place): element \(index) is not one its type can hold")
      }
    default: break
    }
  }

  // MARK: Data beside the file

  /// The section of a file that came along. Files are looked up by name among those given; no path is ever opened.
  private mutating func locate(
    _ entries: [Range<Int>], _ place: String
  ) throws(LearnError) -> (file: [UInt8], section: Range<Int>) {
    var said: [String: String] = [:]
    for entry in entries {
      var wire = ProtobufReader(bytes, entry, place)
      var key = ""
      var value = ""
      while let field = try wire.next() {
        switch field.number {
        case 1: key = try name(field, "a key of its data's place")
        case 2: value = try name(field, "its data's place")
        default: break
        }
      }
      guard said.updateValue(value, forKey: key) == nil else { throw .onnx("\(place) has '\(key)' of its data twice") }
    }
    guard let location = said["location"], !location.isEmpty else {
      throw .onnx("\(place) has its data outside the file, and does not say where")
    }
    let isPlain = location.utf8.allSatisfy {
      $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: ":")
    }
    guard isPlain, location.utf8.count <= 255, location != ".", location != ".." else {
      throw .onnx("\(place) has its data at '\(location)', which is not a plain file name")
    }
    guard let file = external[location] else {
      throw .onnx("\(place) has its data in '\(location)', which did not come with it")
    }
    let offset = try decimal(said["offset"], "offset", place) ?? 0
    guard offset <= file.count else {
      throw .onnx("\(place) begins at byte \(offset) of '\(location)', which has \(file.count)")
    }
    let length = try decimal(said["length"], "length", place) ?? file.count - offset
    guard length <= file.count - offset else {
      throw .onnx("\(place) has \(length) bytes from \(offset) of '\(location)', which has \(file.count)")
    }
    // Otherwise a small file could be read into memory thousands of times.
    let total = claimed[location, default: 0] + length
    guard total <= file.count else { throw .onnx("with \(place), tensors share bytes of '\(location)'") }
    claimed[location] = total
    return (file, offset..<offset + length)
  }

  private func decimal(_ text: String?, _ what: String, _ place: String) throws(LearnError) -> Int? {
    guard let text else { return nil }
    guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }), let value = Int(text)
    else { throw .onnx("\(place) has the \(what) '\(text)' of its data, which is not a number of bytes") }
    return value
  }
}

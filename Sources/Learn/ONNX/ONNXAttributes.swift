extension ONNXParser {
  /// The type numbers of attributes that are read, each with the field that holds its value.
  private static let kinds: [Int64: Int] = [1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8, 8: 9]

  mutating func readAttribute(_ range: Range<Int>, of node: ONNXNode) throws(LearnError) -> (String, ONNXAttribute) {
    var wire = ProtobufReader(bytes, range, node.place)
    var title = ""
    var type: Int64 = 0
    var found = 0
    var float: Float = 0
    var int: Int64 = 0
    var string = ""
    var tensor: Range<Int>?
    var floats: [Float] = []
    var ints: [Int64] = []
    var strings: [String] = []
    var size = 0
    while let field = try wire.next() {
      switch field.number {
      case 1: title = try name(field, "an attribute's name")
      case 20: type = try field.int()
      case 6, 11: throw subgraph(node)
      case 21: throw .onnx("\(node.place) refers to an attribute of a function, and there are none")
      case 10, 14, 15, 22, 23:
        throw .onnx("\(node.place): attribute '\(title)' is of a kind that is not read (field \(field.number))")
      case 2...5, 7...9:
        guard found == 0 || found == field.number else {
          throw .onnx("\(node.place): attribute '\(title)' has values of two kinds")
        }
        found = field.number
      default: break
      }
      switch field.number {
      case 2:
        try field.expect(.fixed32)
        float = ProtobufReader.float(bytes, at: field.range.lowerBound)
      case 3: int = try field.int()
      case 4: string = try text(field, "attribute '\(title)'", limit: limits.attributeBytes)
      case 5:
        guard tensor == nil else { throw .onnx("\(node.place): attribute '\(title)' has two tensors") }
        tensor = try field.content()
      case 7: try appendFloats(field, to: &floats, size: &size, title)
      case 8: try appendInts(field, to: &ints, size: &size, title)
      case 9:
        try grow(&size, by: 8 + field.content().count, node.place, title)
        strings.append(try text(field, "attribute '\(title)'", limit: limits.attributeBytes))
      default: break
      }
    }
    guard !title.isEmpty else { throw .onnx("\(node.place) has an attribute without a name") }
    let place = "\(node.place): attribute '\(title)'"
    if type == 0 {
      guard let known = Self.kinds.first(where: { $0.value == found }) else { throw .onnx("\(place) has no value") }
      type = known.key
    }
    guard let expected = Self.kinds[type] else { throw .onnx("\(place) has type \(type), which is not read") }
    // A scalar of nothing but zeros may be left out of the file, and so may a list without elements.
    guard found == 0 || found == expected else { throw .onnx("\(place) has type \(type) and a value of another kind") }
    switch type {
    case 1: floats = [float]
    case 3: size = 8 + string.utf8.count
    default: break
    }
    if ONNXElements.firstNaN(floats) != nil { throw .onnx("\(place) is not a number") }
    try spend(1 + size / 4, whole: type != 6 && type != 4, place)
    switch type {
    case 1: return (title, .float(float))
    case 2: return (title, .int(int))
    case 3: return (title, .string(string))
    case 6: return (title, .floats(floats))
    case 7: return (title, .ints(ints))
    case 8: return (title, .strings(strings))
    default:
      guard let tensor else { throw .onnx("\(place) has no tensor") }
      return (title, .tensor(try readTensor(tensor, place, of: limits.attributeTensorBytes)))
    }
  }

  private func grow(_ size: inout Int, by more: Int, _ place: String, _ title: String) throws(LearnError) {
    size += more
    guard size <= limits.attributeBytes else {
      throw .onnx("\(place): attribute '\(title)' has more than \(limits.attributeBytes) bytes")
    }
  }

  private func appendFloats(
    _ field: ProtobufReader.Field, to floats: inout [Float], size: inout Int, _ title: String
  ) throws(LearnError) {
    if field.kind != .delimited { try field.expect(.fixed32) }
    guard field.range.count % 4 == 0 else {
      throw .onnx("\(field.place): attribute '\(title)' has floats in \(field.range.count) bytes")
    }
    try grow(&size, by: field.range.count, field.place, title)
    for place in stride(from: field.range.lowerBound, to: field.range.upperBound, by: 4) {
      floats.append(ProtobufReader.float(bytes, at: place))
    }
  }

  private func appendInts(
    _ field: ProtobufReader.Field, to ints: inout [Int64], size: inout Int, _ title: String
  ) throws(LearnError) {
    if field.kind != .delimited { try field.expect(.varint) }
    var wire = ProtobufReader(bytes, field.range, field.place)
    while wire.at < field.range.upperBound {
      try grow(&size, by: 8, field.place, title)
      ints.append(Int64(bitPattern: try wire.varint()))
    }
  }
}

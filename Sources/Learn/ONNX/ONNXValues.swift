extension ONNXParser {
  /// An input or an output of the graph, which is a tensor of a type that is read.
  func readValue(_ range: Range<Int>, _ unnamed: String) throws(LearnError) -> ONNXValue {
    var wire = ProtobufReader(bytes, range, unnamed)
    var text = ""
    var type: Range<Int>?
    while let field = try wire.next() {
      switch field.number {
      case 1: text = try name(field, "its name")
      case 2:
        guard type == nil else { throw .onnx("\(unnamed) has two types") }
        type = try field.content()
      default: break
      }
    }
    guard !text.isEmpty else { throw .onnx("\(unnamed) has no name") }
    let place = "\(unnamed) '\(text)'"
    var tensor: Range<Int>?
    if let type {
      var wire = ProtobufReader(bytes, type, place)
      while let field = try wire.next() {
        switch field.number {
        case 1:
          guard tensor == nil else { throw .onnx("\(place) has two types") }
          tensor = try field.content()
        case 4: throw .onnx("\(place) is a sequence, not a tensor; from scikit-learn, export with zipmap off")
        case 5: throw .onnx("\(place) is a map, not a tensor; from scikit-learn, export with zipmap off")
        case 8: throw .onnx("\(place) is a sparse tensor; only dense ones are read")
        case 9: throw .onnx("\(place) is optional; only tensors are read")
        default: break
        }
      }
    }
    guard let tensor else { throw .onnx("\(place) has no type") }
    return try readTensorType(tensor, name: text, place)
  }

  private func readTensorType(_ range: Range<Int>, name: String, _ place: String) throws(LearnError) -> ONNXValue {
    var wire = ProtobufReader(bytes, range, place)
    var type: Int64 = 0
    var dims: Range<Int>?
    while let field = try wire.next() {
      switch field.number {
      case 1: type = try field.int()
      case 2:
        guard dims == nil else { throw .onnx("\(place) has two shapes") }
        dims = try field.content()
      default: break
      }
    }
    var value = ONNXValue(name: name, element: try element(type, place), shape: nil)
    guard let dims else { return value }
    var shape: [ONNXDimension] = []
    var list = ProtobufReader(bytes, dims, place)
    while let field = try list.next() {
      guard field.number == 1 else { continue }
      guard shape.count < limits.rank else { throw .onnx("\(place) has more than \(limits.rank) dimensions") }
      shape.append(try readDimension(field.content(), place))
    }
    value.shape = shape
    return value
  }

  private func readDimension(_ range: Range<Int>, _ place: String) throws(LearnError) -> ONNXDimension {
    var wire = ProtobufReader(bytes, range, place)
    var dimension = ONNXDimension.unknown
    while let field = try wire.next() {
      switch field.number {
      case 1: dimension = .fixed(try size(field.int(), place))
      case 2:
        let text = try name(field, "a dimension's name")
        dimension = text.isEmpty ? .unknown : .named(text)
      default: break
      }
    }
    return dimension
  }
}

/// A model as an ONNX file declares it: checked values, and the file they came from.
public struct ONNXModel: Sendable {
  public let irVersion: Int
  public let producer: String
  public let producerVersion: String
  /// The version of the operators of ONNX itself.
  public let opset: Int
  /// The version of those of `ai.onnx.ml`, where they are imported.
  public let mlOpset: Int?
  /// Each after those it reads from: in the file's order where that is so, and moved as little as it takes otherwise.
  public let nodes: [ONNXNode]
  public let initializers: [ONNXTensor]
  /// What is given at every run, which initializers are not.
  public let inputs: [ONNXValue]
  public let outputs: [ONNXValue]

  let file: [UInt8]
  let places: ONNXPlaces
  private let title: String

  /// Reads a file that anybody may have written, and the files of external data that came with it, by their plain names.
  public init(
    bytes: [UInt8], external: [String: [UInt8]] = [:], limits: ONNXLimits = .usual, named: String
  ) throws(LearnError) {
    var parser = ONNXParser(bytes: bytes, external: external, limits: limits)
    do throws(LearnError) { try parser.read() } catch { throw error.inONNX(named) }
    irVersion = parser.irVersion
    producer = parser.producer
    producerVersion = parser.producerVersion
    opset = parser.opset
    mlOpset = parser.mlOpset
    nodes = parser.nodes
    initializers = parser.initializers
    inputs = parser.inputs
    outputs = parser.outputs
    file = bytes
    places = parser.places
    title = named
  }

  /// The same file with only the values of these initializers changed and everything else byte for byte. Values from outside
  /// the file, and those that were stripped, become raw data inside. Unchanged weights give an unchanged file.
  public func replacing(_ values: [String: [Float]]) throws(LearnError) -> [UInt8] {
    do throws(LearnError) { return try replaced(values) } catch { throw error.inONNX(title) }
  }

  /// The file as it is used: with other values, and where it was exported for training, batch normalisation by running statistics
  /// and no dropout. A file without either is `replacing`'s.
  public func forUse(_ values: [String: [Float]]) throws(LearnError) -> [UInt8] {
    func trains(_ node: ONNXNode) -> Bool {
      // Before opset 14 the outputs alone told of training.
      if node.op == "BatchNormalization" {
        return node.attributes["training_mode"] == .int(1) || node.outputs.count > 1
      }
      return node.op == "Dropout" && node.inputs.count > 2 && !node.inputs[2].isEmpty
    }
    let filled = try replacing(values)
    guard nodes.contains(where: trains) else { return filled }
    let whole = try ONNXModel(bytes: filled, named: title)
    var used: [ONNXNode] = []
    for var node in whole.nodes {
      if trains(node) {
        if node.op == "BatchNormalization" {
          node.attributes["training_mode"] = nil
          // The statistics after this batch are there in training alone.
          node.outputs = Array(node.outputs.prefix(1))
        } else {
          node.inputs = Array(node.inputs.prefix(2))
        }
      }
      used.append(node)
    }
    return whole.written(used, stripping: [])
  }

  /// A file of the same nodes, inputs, outputs and initializers in one canonical form: equal models give equal bytes. The
  /// named initializers keep type and shape and have no values. What only people read, or machines of old, is left out.
  public func stripped(of names: Set<String>) -> [UInt8] { written(nodes, stripping: names) }

  private func written(_ nodes: [ONNXNode], stripping names: Set<String>) -> [UInt8] {
    var model = ProtobufWriter()
    model.int(1, Int64(irVersion))
    model.text(2, producer)
    model.text(3, producerVersion)
    model.message(7) { graph in
      for node in nodes { graph.message(1) { Self.write(node, to: &$0) } }
      graph.string(2, "graph")
      for tensor in initializers {
        var kept = tensor
        if names.contains(tensor.name) { kept.values = .absent }
        graph.content(5, Self.bytes(kept))
      }
      for input in inputs { graph.message(11) { Self.write(input, to: &$0) } }
      // Of old, initializers were inputs as well.
      for tensor in initializers where irVersion < 4 {
        let value = ONNXValue(name: tensor.name, element: tensor.element, shape: tensor.shape.map { .fixed($0) })
        graph.message(11) { Self.write(value, to: &$0) }
      }
      for output in outputs { graph.message(12) { Self.write(output, to: &$0) } }
    }
    model.message(8) {
      $0.string(1, "")
      $0.int(2, Int64(opset))
    }
    if let mlOpset {
      model.message(8) {
        $0.string(1, "ai.onnx.ml")
        $0.int(2, Int64(mlOpset))
      }
    }
    return model.bytes
  }

  private static func write(_ node: ONNXNode, to writer: inout ProtobufWriter) {
    for input in node.inputs { writer.string(1, input) }
    for output in node.outputs { writer.string(2, output) }
    writer.text(3, node.name)
    writer.string(4, node.op)
    let attributes = node.attributes.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    for (name, attribute) in attributes {
      writer.message(5) {
        $0.string(1, name)
        write(attribute, to: &$0)
      }
    }
    writer.text(7, node.domain)
  }

  private static func write(_ attribute: ONNXAttribute, to writer: inout ProtobufWriter) {
    let type: Int64
    switch attribute {
    case .float(let value):
      type = 1
      writer.float(2, value)
    case .int(let value):
      type = 2
      writer.int(3, value)
    case .string(let value):
      type = 3
      writer.string(4, value)
    case .tensor(let tensor):
      type = 4
      writer.content(5, bytes(tensor))
    case .floats(let values):
      type = 6
      if !values.isEmpty { writer.content(7, ONNXElements.write(.floats(values), as: .float)) }
    case .ints(let values):
      type = 7
      writer.packed(8, values)
    case .strings(let values):
      type = 8
      for value in values { writer.string(9, value) }
    }
    writer.int(20, type)
  }

  private static func bytes(_ tensor: ONNXTensor) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.packed(1, tensor.shape.map(Int64.init))
    writer.int(2, Int64(tensor.element.rawValue))
    writer.text(8, tensor.name)
    if tensor.values != .absent { writer.content(9, ONNXElements.write(tensor.values, as: tensor.element)) }
    return writer.bytes
  }

  private static func write(_ value: ONNXValue, to writer: inout ProtobufWriter) {
    writer.string(1, value.name)
    writer.message(2) { type in
      type.message(1) { tensor in
        tensor.int(1, Int64(value.element.rawValue))
        guard let shape = value.shape else { return }
        tensor.message(2) { list in
          for dimension in shape {
            list.message(1) {
              switch dimension {
              case .fixed(let size): $0.int(1, Int64(size))
              case .named(let name): $0.string(2, name)
              case .unknown: break
              }
            }
          }
        }
      }
    }
  }
}

extension LearnError {
  /// Says which file an error of ONNX speaks of.
  fileprivate func inONNX(_ file: String) -> LearnError {
    if case .onnx(let words) = self { .onnx("\(file): \(words)") } else { self }
  }
}

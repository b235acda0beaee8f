/// Turns a file into checked values. Messages lie in each other at fixed depths, so nothing here calls itself.
struct ONNXParser {
  let bytes: [UInt8]
  let external: [String: [UInt8]]
  let limits: ONNXLimits

  /// What is still to be spent, over the whole file.
  private var elementsLeft: Int
  private var wholeElementsLeft: Int
  var namesLeft: Int
  /// How many bytes of each file beside this one tensors have claimed.
  var claimed: [String: Int] = [:]

  private(set) var irVersion = 0
  private(set) var producer = ""
  private(set) var producerVersion = ""
  private(set) var opset = 0
  private(set) var mlOpset: Int?
  private(set) var nodes: [ONNXNode] = []
  private(set) var initializers: [ONNXTensor] = []
  private(set) var inputs: [ONNXValue] = []
  private(set) var outputs: [ONNXValue] = []
  private(set) var places = ONNXPlaces()

  init(bytes: [UInt8], external: [String: [UInt8]], limits: ONNXLimits) {
    self.bytes = bytes
    self.external = external
    self.limits = limits
    elementsLeft = limits.totalElements
    wholeElementsLeft = limits.totalWholeElements
    namesLeft = limits.totalNames
  }

  mutating func read() throws(LearnError) {
    guard bytes.count <= limits.fileBytes else {
      throw .onnx("it has \(bytes.count) bytes, and at most \(limits.fileBytes) are read")
    }
    for file in external.keys.sorted() {
      guard let count = external[file]?.count, count <= limits.fileBytes else {
        throw .onnx("a file beside it is larger than \(limits.fileBytes) bytes")
      }
    }
    try readModel()
    guard places.graphKey < places.graph.lowerBound else { throw .onnx("it has no graph") }
    try readGraph()
    nodes = try ONNXGraph.check(nodes: nodes, inputs: inputs, initializers: initializers, outputs: outputs)
    let held = Set(initializers.map(\.name))
    inputs.removeAll { held.contains($0.name) }
  }

  // MARK: The model

  private mutating func readModel() throws(LearnError) {
    var wire = ProtobufReader(bytes, 0..<bytes.count, "the model")
    var version: Int64?
    var imports: [String: Int] = [:]
    while let field = try wire.next() {
      switch field.number {
      case 1: version = try field.int()
      case 2: producer = try name(field, "the producer's name")
      case 3: producerVersion = try name(field, "the producer's version")
      case 7:
        guard places.graphKey == places.graph.lowerBound else { throw .onnx("it has two graphs") }
        places.graphKey = field.start
        places.graph = try field.content()
      case 8: try readImport(field.content(), into: &imports)
      case 20: throw .onnx("it brings steps of training of its own (training_info); the job says how to train")
      case 25: throw .onnx("it defines functions; export it with functions inlined")
      default: break
      }
    }
    guard let version, (3...14).contains(version) else {
      let found = version.map { "is \($0)" } ?? "is missing"
      throw .onnx("its ir_version \(found); 3 to 14 are read")
    }
    irVersion = Int(version)
    guard let opset = imports[""] else { throw .onnx("it imports no version of the operators of ai.onnx") }
    guard (13...23).contains(opset) else {
      throw .onnx("it uses opset \(opset); 13 to 23 are read, so export it with another opset_version")
    }
    self.opset = opset
    mlOpset = imports["ai.onnx.ml"]
    if let mlOpset, !(1...5).contains(mlOpset) {
      throw .onnx("it uses opset \(mlOpset) of ai.onnx.ml; 1 to 5 are read")
    }
  }

  /// An import of a domain that no node uses does no harm, and exporters write some.
  private func readImport(_ range: Range<Int>, into imports: inout [String: Int]) throws(LearnError) {
    var wire = ProtobufReader(bytes, range, "an import of operators")
    var domain = ""
    var version: Int64 = 0
    while let field = try wire.next() {
      switch field.number {
      case 1: domain = Self.domain(try name(field, "its domain"))
      case 2: version = try field.int()
      default: break
      }
    }
    guard let small = Int32(exactly: version), small >= 0 else {
      throw .onnx("it imports '\(domain)' in version \(version)")
    }
    guard imports.count < 64 else { throw .onnx("it imports more than 64 domains") }
    guard imports.updateValue(Int(small), forKey: domain) ?? Int(small) == Int(small) else {
      throw .onnx("it imports '\(domain)' in two versions")
    }
  }

  static func domain(_ written: String) -> String { written == "ai.onnx" ? "" : written }

  // MARK: The graph

  private mutating func readGraph() throws(LearnError) {
    var wire = ProtobufReader(bytes, places.graph, "the graph")
    while let field = try wire.next() {
      switch field.number {
      case 1:
        guard nodes.count < limits.nodes else { throw .onnx("it has more than \(limits.nodes) nodes") }
        nodes.append(try readNode(field.content(), index: nodes.count))
      case 5:
        guard initializers.count < limits.initializers else {
          throw .onnx("it has more than \(limits.initializers) initializers")
        }
        let range = try field.content()
        let tensor = try readTensor(range, "initializer \(initializers.count)", of: nil)
        guard !tensor.name.isEmpty else { throw .onnx("initializer \(initializers.count) has no name") }
        initializers.append(tensor)
        places.initializers.append((field.start, range))
      case 11: inputs.append(try readValue(field.content(), "input \(inputs.count)"))
      case 12: outputs.append(try readValue(field.content(), "output \(outputs.count)"))
      case 14: try refuseQuantization(field.content())
      case 15: throw .onnx("it has sparse initializers, which are not read; store them dense")
      default: break
      }
      guard inputs.count + outputs.count <= limits.values else {
        throw .onnx("its graph has more than \(limits.values) inputs and outputs")
      }
    }
  }

  private func refuseQuantization(_ range: Range<Int>) throws(LearnError) {
    var wire = ProtobufReader(bytes, range, "a quantization annotation")
    var tensor = ""
    var matters = false
    while let field = try wire.next() {
      switch field.number {
      case 1: tensor = try name(field, "the tensor")
      case 2: matters = true
      default: break
      }
    }
    if matters { throw .onnx("it says that '\(tensor)' is quantized; export the model before it is quantized") }
  }

  // MARK: What all messages share

  /// Takes from what all tensors and attributes together may have.
  mutating func spend(_ count: Int, whole: Bool, _ place: String) throws(LearnError) {
    guard count <= elementsLeft else {
      throw .onnx("with \(place) it has more than \(limits.totalElements) elements in all")
    }
    elementsLeft -= count
    guard whole else { return }
    guard count <= wholeElementsLeft else {
      throw .onnx("with \(place) it has more than \(limits.totalWholeElements) whole numbers in all")
    }
    wholeElementsLeft -= count
  }

  func name(_ field: ProtobufReader.Field, _ what: String) throws(LearnError) -> String {
    try text(field, what, limit: limits.nameBytes)
  }

  func text(_ field: ProtobufReader.Field, _ what: String, limit: Int) throws(LearnError) -> String {
    let range = try field.content()
    guard range.count <= limit else {
      throw .onnx(
        "\(field.place): \(what) at byte \(range.lowerBound) has \(range.count) bytes; at most \(limit) are read")
    }
    var previous: UInt8 = 0
    for byte in bytes[range] {
      // The control characters of ASCII, and those of Latin 1, which are C2 80 to C2 9F.
      guard byte >= 0x20, byte != 0x7F, previous != 0xC2 || byte >= 0xA0 else {
        throw .onnx("\(field.place): \(what) at byte \(range.lowerBound) has a control character")
      }
      previous = byte
    }
    guard let text = String(validating: bytes[range], as: UTF8.self) else {
      throw .onnx("\(field.place): \(what) at byte \(range.lowerBound) is not UTF-8")
    }
    return text
  }

  func size(_ value: Int64, _ place: String) throws(LearnError) -> Int {
    guard value >= 0, value <= Int64(limits.dimension) else {
      throw .onnx("\(place) has a dimension of \(value); 0 to \(limits.dimension) can be")
    }
    return Int(value)
  }

  func element(_ number: Int64, _ place: String) throws(LearnError) -> ONNXElement {
    guard let small = Int(exactly: number), let element = ONNXElement(rawValue: small) else {
      throw .onnx("\(place) has elements of type \(number), which is not read")
    }
    return element
  }
}

/// Where the parts lie that are written anew when weights change.
struct ONNXPlaces: Sendable {
  var graphKey = 0
  var graph = 0..<0
  /// In the order of the file: where the key begins, and where the tensor lies.
  var initializers: [(key: Int, tensor: Range<Int>)] = []
}

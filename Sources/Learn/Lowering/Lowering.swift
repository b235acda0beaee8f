/// Turns the nodes of an ONNX file into a graph for one size of batch. Whatever is known beforehand (shapes, masks, constants)
/// is computed here; what is left is arithmetic on samples and weights.
struct Lowering {
  /// What the file cannot say.
  struct Options: Equatable, Sendable {
    var loss = Loss.crossEntropy
    /// The prediction's name; empty for the first output of floats.
    var output = ""
    /// Batch normalisation by the batch's own moments, and dropout.
    var isTraining = true
    var hasDropout = true
    var normsAreFixed = false
    /// Sizes of the input behind the batch, for a file that leaves them open; empty where it does not.
    var sizes: [Int] = []
    var frozen: Set<String> = []
  }

  /// What a name stands for.
  indirect enum Term {
    case value(Graph.ID)
    case constant(Constant)
    /// A float tensor of the file, which is a parameter where it is computed with.
    case initializer(Int)
    case list([Term])
    case nothing
  }

  static let opsets = 13...21
  let model: ONNXModel
  let batch: Int
  let options: Options
  var builder = GraphBuilder()
  var budget = FoldingBudget()
  private(set) var terms: [String: Term] = [:]
  private var parameters: [Int: Graph.ID] = [:]
  var dropouts = 0
  /// Values of samples that are whole numbers, or the truth of something.
  var wholes: Set<Graph.ID> = []
  /// What a fixed first dimension of the input was, which constants of shapes may repeat.
  private(set) var bakedBatch: Int?
  /// Nodes that made a value, so that patterns can be seen.
  private(set) var makers: [Graph.ID: Int] = [:]

  init(_ model: ONNXModel, batch: Int, options: Options) {
    self.model = model
    self.batch = batch
    self.options = options
  }

  // MARK: the whole

  mutating func run() throws(LearnError) -> Graph {
    guard Self.opsets.contains(model.opset) else {
      throw .onnx(
        "it is of opset \(model.opset); \(Self.opsets.lowerBound) to \(Self.opsets.upperBound) are understood, so export it "
          + "with one of them")
    }
    let output = try chooseOutput()
    let needed = neededNodes(for: output)
    for (index, tensor) in model.initializers.enumerated() {
      terms[tensor.name] = tensor.shape.isEmpty || !tensor.element.holdsFloats ? nil : .initializer(index)
      if terms[tensor.name] == nil { terms[tensor.name] = .constant(try constant(tensor)) }
    }
    try readInput(needed)
    for (index, node) in model.nodes.enumerated() where needed[index] { try lower(node) }
    guard let term = terms[output] else { throw .onnx("nothing computes its output '\(output)'") }
    var id = try value(term, "its output '\(output)'")
    let hasShares: Bool
    (id, hasShares) = stripped(id)
    if options.loss == .binaryShares && !hasShares { sharesAreGiven = true }
    try checkOutput(id)
    // One number for each sample is a column of them.
    if builder.shape(id).count == 1 {
      id = try builder.add(.reshape, [id], shape: [batch, 1], at: "its output '\(output)'")
    }
    var graph = builder.finish(output: id)
    markTrained(&graph)
    Fusion.fuse(&graph)
    return graph
  }
  /// Whether the last sigmoid could not be taken into the loss.
  private(set) var sharesAreGiven = false

  private func chooseOutput() throws(LearnError) -> String {
    if !options.output.isEmpty {
      let isKnown =
        model.nodes.contains { $0.outputs.contains(options.output) }
        || model.outputs.contains { $0.name == options.output }
      guard isKnown else { throw .onnx("it has no tensor '\(options.output)' to be the prediction") }
      return options.output
    }
    guard let output = model.outputs.first(where: { $0.element.holdsFloats }) else {
      throw .onnx("none of its outputs \(model.outputs.map(\.name)) is of floats; name the prediction's tensor")
    }
    return output.name
  }

  private func neededNodes(for output: String) -> [Bool] {
    var isNeeded = Array(repeating: false, count: model.nodes.count)
    var names: Set<String> = [output]
    for index in model.nodes.indices.reversed() where model.nodes[index].outputs.contains(where: names.contains) {
      isNeeded[index] = true
      for input in model.nodes[index].inputs { names.insert(input) }
    }
    return isNeeded
  }

  private mutating func readInput(_ needed: [Bool]) throws(LearnError) {
    var used: Set<String> = []
    for (index, node) in model.nodes.enumerated() where needed[index] { used.formUnion(node.inputs) }
    let inputs = model.inputs.filter { used.contains($0.name) }
    guard let input = inputs.first, inputs.count == 1 else {
      throw .onnx(
        "its prediction hangs on \(inputs.count) inputs \(inputs.map(\.name)); one input of samples can be trained on")
    }
    guard let dimensions = input.shape, !dimensions.isEmpty else {
      throw .onnx("its input '\(input.name)' has no shape; the first dimension is the batch")
    }
    guard input.element != .string, input.element != .bool else {
      throw .onnx("its input '\(input.name)' is of \(input.element); numbers can be trained on")
    }
    if case .fixed(let size) = dimensions[0], size > 0 { bakedBatch = size }
    var shape = [batch]
    for (place, dimension) in dimensions.dropFirst().enumerated() {
      if case .fixed(let size) = dimension {
        shape.append(size)
      } else if place < options.sizes.count {
        shape.append(options.sizes[place])
      } else {
        throw .onnx(
          "dimension \(place + 1) of its input '\(input.name)' is open; export it with a fixed size, or give the input's shape"
        )
      }
    }
    let id = try builder.input(shape)
    if !input.element.holdsFloats { wholes.insert(id) }
    terms[input.name] = .value(id)
  }

  private mutating func lower(_ node: ONNXNode) throws(LearnError) {
    var inputs: [Term] = []
    for name in node.inputs {
      guard !name.isEmpty else {
        inputs.append(.nothing)
        continue
      }
      guard let term = terms[name] else {
        throw .onnx("\(node.place) reads '\(name)', which is neither an input of floats nor computed")
      }
      inputs.append(term)
    }
    let results: [Term]
    if let folded = try fold(node, inputs) {
      results = [.constant(folded)]
    } else {
      results = try operation(node, inputs)
    }
    for (place, name) in node.outputs.enumerated() where !name.isEmpty {
      if place < results.count { terms[name] = results[place] }
    }
  }

  /// The first input of a softmax or a sigmoid that the loss takes into itself.
  private func stripped(_ id: Graph.ID) -> (Graph.ID, Bool) {
    guard let index = makers[id] else { return (id, false) }
    let node = builder.graph.nodes[index]
    switch (node.operation, options.loss) {
    case (.softmax(let isLog), .crossEntropy) where !isLog: return (node.inputs[0], true)
    case (.unary(.sigmoid, _, _), .binaryShares): return (node.inputs[0], true)
    default: return (id, false)
    }
  }

  private func checkOutput(_ id: Graph.ID) throws(LearnError) {
    let shape = builder.shape(id)
    guard shape.count >= 1, shape[0] == batch else {
      throw .onnx("its output has the shape \(shape) for a batch of \(batch): its first dimension is not the batch")
    }
    if options.loss == .crossEntropy, shape.count < 2 || shape[shape.count - 1] < 2 {
      throw .onnx("its output has the shape \(shape); softmax cross-entropy takes scores of at least 2 classes")
    }
  }

  // MARK: parameters

  /// A parameter is trained where the loss reaches it through inputs that have a gradient, and it is not frozen.
  private func markTrained(_ graph: inout Graph) {
    var isReached = Array(repeating: false, count: graph.values.count)
    isReached[graph.output] = true
    for node in graph.nodes.reversed() where isReached[node.output] {
      for (place, input) in node.inputs.enumerated() where node.operation.isDifferentiable(place) {
        isReached[input] = true
      }
    }
    for index in graph.parameters.indices {
      let parameter = graph.parameters[index]
      if !isReached[parameter.value] || options.frozen.contains(parameter.name) {
        graph.parameters[index].isTrained = false
      }
    }
  }

  mutating func parameter(_ index: Int, isTrained: Bool = true) throws(LearnError) -> Graph.ID {
    if let known = parameters[index] { return known }
    let tensor = model.initializers[index]
    let id = try builder.parameter(tensor.name, tensor.shape, isTrained: isTrained)
    parameters[index] = id
    return id
  }

  // MARK: terms

  func constant(_ tensor: ONNXTensor) throws(LearnError) -> Constant {
    switch tensor.values {
    case .floats(let values): Constant(shape: tensor.shape, values: values.map(Double.init), isWhole: false)
    case .ints(let values): Constant(shape: tensor.shape, values: values.map(Double.init), isWhole: true)
    case .absent:
      throw .onnx("the values of '\(tensor.name)' are needed and are not in the file")
    }
  }

  /// What is known beforehand, or nil.
  func known(_ term: Term) throws(LearnError) -> Constant? {
    switch term {
    case .constant(let constant): return constant
    case .initializer(let index):
      let tensor = model.initializers[index]
      if case .absent = tensor.values { return nil }
      return try constant(tensor)
    case .value, .list, .nothing: return nil
    }
  }

  mutating func value(_ term: Term, _ place: String) throws(LearnError) -> Graph.ID {
    switch term {
    case .value(let id): return id
    case .initializer(let index):
      let tensor = model.initializers[index]
      // Exporters' own constants, which nobody trains.
      if tensor.count == 1, tensor.name.hasPrefix("val_"), let constant = try known(term) {
        return try builder.constant(constant.values.map(Float.init), constant.shape)
      }
      return try parameter(index)
    case .constant(let constant):
      try budget.spend(constant.values.count, place)
      return try builder.constant(constant.values.map(Float.init), constant.shape)
    case .list: throw .onnx("\(place) takes a tensor, and gets a sequence")
    case .nothing: throw .onnx("\(place) lacks an input")
    }
  }

  func shape(_ term: Term) -> [Int]? {
    switch term {
    case .value(let id): builder.shape(id)
    case .initializer(let index): model.initializers[index].shape
    case .constant(let constant): constant.shape
    case .list, .nothing: nil
    }
  }

  mutating func add(_ operation: Operation, _ inputs: [Graph.ID], _ node: ONNXNode) throws(LearnError) -> Graph.ID {
    let id = try builder.add(operation, inputs, at: node.place)
    makers[id] = builder.graph.nodes.count - 1
    return id
  }
  mutating func add(
    _ operation: Operation, _ inputs: [Graph.ID], shape: [Int], _ node: ONNXNode
  ) throws(LearnError) -> Graph.ID {
    let id = try builder.add(operation, inputs, shape: shape, at: node.place)
    makers[id] = builder.graph.nodes.count - 1
    return id
  }
  /// The node that made a value, where one did.
  func maker(_ id: Graph.ID) -> Graph.Node? { makers[id].map { builder.graph.nodes[$0] } }

  mutating func reshape(_ id: Graph.ID, _ shape: [Int], _ node: ONNXNode) throws(LearnError) -> Graph.ID {
    let from = builder.shape(id)
    if from == shape { return id }
    guard from.reduce(1, *) == shape.reduce(1, *) else {
      throw .onnx("\(node.place) cannot give \(from) the shape \(shape)")
    }
    return try add(.reshape, [id], shape: shape, node)
  }
}

extension Lowering {
  // MARK: attributes

  func int(_ node: ONNXNode, _ name: String, _ usual: Int) throws(LearnError) -> Int {
    guard let attribute = node.attributes[name] else { return usual }
    guard case .int(let value) = attribute, value > -(1 << 40), value < 1 << 40 else {
      throw .onnx("\(node.place): its attribute '\(name)' is not a number that can be used")
    }
    return Int(value)
  }
  func ints(_ node: ONNXNode, _ name: String) throws(LearnError) -> [Int]? {
    guard let attribute = node.attributes[name] else { return nil }
    guard case .ints(let values) = attribute, values.allSatisfy({ $0 > -(1 << 40) && $0 < 1 << 40 }) else {
      throw .onnx("\(node.place): its attribute '\(name)' is not a list of numbers that can be used")
    }
    return values.map { Int($0) }
  }
  func float(_ node: ONNXNode, _ name: String, _ usual: Float) throws(LearnError) -> Float {
    guard let attribute = node.attributes[name] else { return usual }
    guard case .float(let value) = attribute, value.isFinite else {
      throw .onnx("\(node.place): its attribute '\(name)' is not a finite number")
    }
    return value
  }
  func string(_ node: ONNXNode, _ name: String, _ usual: String) throws(LearnError) -> String {
    guard let attribute = node.attributes[name] else { return usual }
    guard case .string(let value) = attribute else { throw .onnx("\(node.place): its attribute '\(name)' is not text") }
    return value
  }
  /// An axis counted from either end.
  func axis(_ axis: Int, _ rank: Int, _ node: ONNXNode) throws(LearnError) -> Int {
    guard axis >= -rank, axis < rank else { throw .onnx("\(node.place): there is no axis \(axis) of \(rank)") }
    return axis < 0 ? axis + rank : axis
  }
  func need(_ inputs: [Term], _ count: Int, _ node: ONNXNode) throws(LearnError) {
    guard inputs.count >= count else { throw .onnx("\(node.place) has \(inputs.count) inputs, and needs \(count)") }
  }
  func optional(_ inputs: [Term], _ index: Int) -> Term? {
    guard index < inputs.count else { return nil }
    if case .nothing = inputs[index] { return nil }
    return inputs[index]
  }
  /// A list of whole numbers that must be known beforehand.
  func numbers(_ inputs: [Term], _ index: Int, _ what: String, _ node: ONNXNode) throws(LearnError) -> [Int]? {
    guard let term = optional(inputs, index) else { return nil }
    guard let constant = try known(term) else {
      throw .onnx("\(node.place): its \(what) hang on the samples, and must be known beforehand")
    }
    return constant.whole
  }
  func number(_ inputs: [Term], _ index: Int, _ what: String, _ node: ONNXNode) throws(LearnError) -> Float? {
    guard let term = optional(inputs, index) else { return nil }
    guard let constant = try known(term), constant.values.count == 1 else {
      throw .onnx("\(node.place): its \(what) must be one number, known beforehand")
    }
    return Float(constant.values[0])
  }
}

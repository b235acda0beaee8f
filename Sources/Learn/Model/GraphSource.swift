/// Where a model's graph comes from: the layers or the file of its declaration.
enum GraphSource: Sendable {
  case layers([Int], [Layer])
  case file(ONNXModel, Lowering.Options, normsAreFixed: Bool)

  struct Built {
    var graph: Graph
    var warnings: [String] = []
    var sharesAreGiven = false
  }

  init(_ declaration: ModelDeclaration) throws(LearnError) {
    if declaration.graph.isEmpty {
      guard declaration.output.isEmpty, declaration.loss == .crossEntropy || !declaration.layers.isEmpty else {
        throw .model("it has no layers and no graph")
      }
      self = .layers(declaration.input, declaration.layers)
      return
    }
    guard declaration.layers.isEmpty else { throw .model("it has layers and a graph; one of them is the model") }
    var options = Lowering.Options()
    options.loss = declaration.loss
    options.output = declaration.output
    options.hasDropout = !declaration.hasNoDropout
    options.sizes = declaration.input
    options.frozen = Set(declaration.frozen)
    self = .file(
      try ONNXModel(bytes: declaration.graph, named: "the model"), options, normsAreFixed: declaration.normsAreFixed)
  }

  func graph(batch: Int, isTraining: Bool) throws(LearnError) -> Built {
    switch self {
    case .layers(let input, let layers):
      return try LayerGraph.build(input, layers, batch: batch)
    case .file(let model, var options, let normsAreFixed):
      options.isTraining = isTraining
      options.normsAreFixed = normsAreFixed
      var lowering = Lowering(model, batch: batch, options: options)
      let graph = try lowering.run()
      return Built(
        graph: graph, warnings: ExportCheck.warnings(model, graph),
        sharesAreGiven: lowering.sharesAreGiven)
    }
  }

  func fileValues(_ parameters: [ParameterInfo]) throws(LearnError) -> [Float]? {
    guard case .file(let model, _, _) = self else { return nil }
    var known: [String: ONNXTensor] = [:]
    for tensor in model.initializers { known[tensor.name] = tensor }
    var values: [Float] = []
    for parameter in parameters {
      guard let tensor = known[parameter.name], case .floats(let floats) = tensor.values else { return nil }
      values += floats
    }
    return values
  }
}

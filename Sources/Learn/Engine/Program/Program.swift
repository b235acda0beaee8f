import CKernels

/// A graph made ready to run for one size of batch: its steps in order and the places of all they touch.
///
/// Parameters and their gradients lie outside, so that programs for several sizes share them.
final class Program {
  let input: Tensor
  let output: Tensor
  /// Floats of an arena that holds everything but parameters.
  let floats: Int
  let steps: [Step]
  private let gathers: [GatherStep]
  private let pieces: [Piece]
  private let kernels: pm_kernels
  private let constants: [(tensor: Tensor, values: [Float])]
  /// Trained parameters that the loss does not reach.
  private let untouched: [Tensor]

  /// - Parameters:
  ///   - parameters: the engine's, in the graph's order, lying as `layouts` says.
  ///   - trains: whether gradients are planned too.
  /// - Throws: `LearnError.model` for what cannot be planned, with its place.
  init(
    _ arranged: Layouts, parameters: [Tensor], trains: Bool, kernels: pm_kernels
  ) throws(LearnError) {
    let graph = arranged.graph
    var tensors: [Tensor?] = graph.values.map { _ in nil }
    var constants: [(tensor: Tensor, values: [Float])] = []
    for (id, value) in graph.values.enumerated() {
      switch value.source {
      case .parameter(let index): tensors[id] = parameters[index]
      case .input: tensors[id] = Tensor(shape: value.shape)
      case .constant(let values):
        let tensor = Tensor(shape: value.shape)
        tensors[id] = tensor
        constants.append((tensor, values))
      case .node: tensors[id] = Tensor(shape: value.shape, layout: arranged.layouts[id])
      }
    }
    func tensor(_ id: Graph.ID) -> Tensor { tensors[id] ?? Tensor(shape: [1]) }
    var steps: [Step] = []
    var differentiable: [[Bool]] = []
    for node in graph.nodes {
      differentiable.append(node.inputs.indices.map { node.operation.isDifferentiable($0) })
      let inputs = node.inputs.map(tensor)
      let output = tensor(node.output)
      steps.append(try StepMaker(kernels: kernels, place: node.place).step(node.operation, inputs, output))
    }
    input = tensor(graph.input)
    output = tensor(graph.output)
    self.steps = steps
    self.kernels = kernels
    self.constants = constants
    gathers = steps.compactMap { $0 as? GatherStep }

    var planner = LifetimePlanner(
      steps: steps, differentiable: differentiable, parameters: parameters, graph: graph)
    planner.plan(input: input, output: output, constants: constants.map(\.tensor), trains: trains)
    pieces = planner.pieces
    untouched = trains ? planner.untouched(graph.parameters.indices.filter { graph.parameters[$0].isTrained }) : []
    floats = MemoryPlan.place(pieces)
  }

  /// Puts everything into an arena; constants are written there.
  func bind(_ base: Floats, isImaginary: Bool = false) {
    for piece in pieces { piece.bind(base) }
    if isImaginary { return }
    for (tensor, values) in constants {
      kernels.fill(tensor.floats, 0, tensor.data)
      for row in 0..<tensor.rows {
        for column in 0..<tensor.width {
          tensor.data[row * tensor.stride + column] = values[row * tensor.width + column]
        }
      }
    }
  }

  func forward(_ run: Run) {
    for step in steps {
      run.meter?.begin(step)
      step.forward(run)
    }
  }
  /// `output.slope` is filled.
  func backward(_ run: Run) {
    for parameter in untouched { kernels.clear(parameter) }
    for step in steps.reversed() where step.wants.contains(true) {
      run.meter?.begin(step)
      step.backward(run)
    }
  }
  /// Whether a whole number was outside its table since it was asked last.
  func takeFault() -> Bool {
    var hasFault = false
    for gather in gathers where gather.takeFault() { hasFault = true }
    return hasFault
  }
}

/// When each piece is needed: a step at moment i forward and at 2n - i backward, the loss at n.
private struct LifetimePlanner {
  let steps: [Step]
  let differentiable: [[Bool]]
  private(set) var pieces: [Piece] = []
  private var written: Set<ObjectIdentifier> = []
  private var parameterPieces: Set<ObjectIdentifier> = []
  private let parameters: [Tensor]
  private let trained: Set<ObjectIdentifier>

  init(steps: [Step], differentiable: [[Bool]], parameters: [Tensor], graph: Graph) {
    self.steps = steps
    self.differentiable = differentiable
    self.parameters = parameters
    parameterPieces = Set(parameters.map { ObjectIdentifier($0.value) })
    trained = Set(
      zip(parameters, graph.parameters).filter { $0.1.isTrained }.map { ObjectIdentifier($0.0) })
  }

  mutating func plan(input: Tensor, output: Tensor, constants: [Tensor], trains: Bool) {
    let end = steps.count
    var needsGradient = trained
    let isReached = reached(output)
    // Aliases share their pieces from the beginning.
    for (index, step) in steps.enumerated() {
      let wants = zip(step.inputs, differentiable[index]).map { tensor, isDifferentiable in
        trains && isDifferentiable && isReached.contains(ObjectIdentifier(step.output))
          && needsGradient.contains(ObjectIdentifier(tensor))
      }
      step.wants = wants
      if wants.contains(true) { needsGradient.insert(ObjectIdentifier(step.output)) }
      if step.isAlias {
        step.output.value = step.inputs[0].value
        if wants[0] { step.output.gradient = gradient(step.inputs[0]) }
      }
      if wants.contains(true) {
        _ = gradient(step.output)
        for (tensor, isWanted) in zip(step.inputs, wants) where isWanted { _ = gradient(tensor) }
      }
    }
    if trains { written.insert(ObjectIdentifier(gradient(output))) }
    // Who writes a gradient first is known before anybody says what room it needs.
    for step in steps.reversed() {
      for index in step.inputs.indices where step.wants[index] {
        guard let gradient = step.inputs[index].gradient else { continue }
        step.adds[index] = !written.insert(ObjectIdentifier(gradient)).inserted
      }
    }
    for step in steps where step.wants.contains(true) { step.prepareBackward() }
    for constant in constants {
      // Written once and read in every pass.
      constant.value.need(at: 0)
      constant.value.need(at: 2 * end + 1)
    }
    input.value.need(at: 0)
    var known: Set<ObjectIdentifier> = []
    func remember(_ piece: Piece, _ pieces: inout [Piece]) {
      if known.insert(ObjectIdentifier(piece)).inserted { pieces.append(piece) }
    }
    for (index, step) in steps.enumerated() {
      let forward = index + 1
      let backward = 2 * end + 1 - index
      let goesBack = step.wants.contains(true)
      for tensor in step.inputs {
        tensor.value.need(at: forward)
        if goesBack && step.readsInputs { tensor.value.need(at: backward) }
      }
      step.output.value.need(at: forward)
      if goesBack && step.readsOutput { step.output.value.need(at: backward) }
      for piece in step.scratch { piece.need(at: forward) }
      for piece in step.saved {
        piece.need(at: forward)
        if goesBack { piece.need(at: backward) }
      }
      if goesBack {
        step.output.gradient?.need(at: backward)
        for (tensor, isWanted) in zip(step.inputs, step.wants) where isWanted { tensor.gradient?.need(at: backward) }
        for piece in step.backwardScratch { piece.need(at: backward) }
      }
      for piece in step.inputs.map(\.value) + [step.output.value] + step.scratch + step.saved + step.backwardScratch {
        remember(piece, &pieces)
      }
      for piece in ([step.output] + step.inputs).compactMap(\.gradient) { remember(piece, &pieces) }
    }
    output.value.need(at: end + 1)
    output.gradient?.need(at: end + 1)
    for tensor in [input, output] {
      remember(tensor.value, &pieces)
      if let gradient = tensor.gradient { remember(gradient, &pieces) }
    }
    pieces.removeAll { parameterPieces.contains(ObjectIdentifier($0)) }
  }

  /// What the loss reaches through inputs that have a gradient: nothing else is ever given one.
  private func reached(_ output: Tensor) -> Set<ObjectIdentifier> {
    var reached: Set<ObjectIdentifier> = [ObjectIdentifier(output)]
    for (step, differentiable) in zip(steps, differentiable).reversed()
    where reached.contains(ObjectIdentifier(step.output)) {
      for (tensor, isDifferentiable) in zip(step.inputs, differentiable) where isDifferentiable {
        reached.insert(ObjectIdentifier(tensor))
      }
    }
    return reached
  }

  private mutating func gradient(_ tensor: Tensor) -> Piece {
    if let known = tensor.gradient {
      if trained.contains(ObjectIdentifier(tensor)) { parameterPieces.insert(ObjectIdentifier(known)) }
      return known
    }
    let piece = Piece(tensor.floats)
    tensor.gradient = piece
    return piece
  }
  func untouched(_ indices: [Int]) -> [Tensor] {
    indices.map { parameters[$0] }.filter { tensor in
      tensor.gradient.map { !written.contains(ObjectIdentifier($0)) } ?? false
    }
  }
}

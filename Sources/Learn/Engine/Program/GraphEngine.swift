import CKernels

/// The engine of every graph: programs for the sizes of batches that come, over one set of parameters.
final class GraphEngine: Engine, @unchecked Sendable {
  /// Rows of the largest tile there is.
  static let tileRows = 14

  /// Who keeps this engine, and outlives it.
  unowned let model: Model
  let maxBatch: Int
  private let trains: Bool
  private let kernels: pm_kernels
  private let parameters: [Tensor]
  private let copies: [(load: CopyPlan, store: CopyPlan)]
  /// Trained parameters come first.
  private let trainedFloats: Int
  private let values: Floats
  private let gradients: Floats?
  private let first: Floats?
  private let second: Floats?
  private let origin: Floats?
  private let store0: Arena
  private let work: Arena
  private let workFloats: Int
  private var programs: [Int: Program] = [:]
  private var active = 0
  private let labels: UnsafeMutablePointer<Int32>
  private let targets: Floats
  private let targetRow: Int
  private let sampleRow: Floats
  private let meter: Meter?

  /// Bytes that were planned and are allocated.
  let plannedBytes: Int

  /// - Parameter meter: where there is one, passes are counted and nothing is computed or allocated.
  init(
    _ model: Model, maxBatch: Int, trains: Bool, _ optimizer: Optimizer, meter: Meter? = nil
  ) throws(LearnError) {
    self.model = model
    self.maxBatch = maxBatch
    self.trains = trains
    self.meter = meter
    kernels = meter?.kernels ?? model.kernels.pointee
    let plan = try GraphPlan(model, batch: maxBatch, trains: trains, optimizer, kernels)
    parameters = plan.parameters
    trainedFloats = plan.trainedFloats
    let sizes = plan.sizes
    guard plan.bytes <= Model.memoryLimit else {
      throw .training(
        "a batch of \(maxBatch) needs \(plan.bytes >> 20) MiB; at most \(Model.memoryLimit >> 20) MiB are taken, so make the "
          + "batch smaller")
    }
    store0 = try Arena(floats: plan.heldFloats, meter: meter)
    workFloats = plan.program.floats
    work = try Arena(floats: plan.workFloats, meter: meter)
    plannedBytes = plan.bytes
    targetRow = plan.program.output.stride
    let arena = store0
    let pieces = sizes.map { arena.take($0) }
    values = pieces[0]
    gradients = trains ? pieces[1] : nil
    first = sizes[2] > 0 ? pieces[2] : nil
    second = sizes[3] > 0 ? pieces[3] : nil
    origin = sizes[4] > 0 ? pieces[4] : nil
    labels = UnsafeMutableRawPointer(pieces[5]).bindMemory(to: Int32.self, capacity: max(1, sizes[5]))
    targets = pieces[6]
    sampleRow = pieces[7]
    var copies: [(load: CopyPlan, store: CopyPlan)] = []
    for (tensor, parameter) in zip(parameters, plan.graph.parameters) {
      tensor.value.bind(values)
      if let gradients { tensor.gradient?.bind(gradients) }
      var flat = 1
      var there: [(size: Int, from: Int, to: Int)] = []
      for (size, step) in zip(parameter.shape, tensor.steps).reversed() {
        there.insert((size, flat, step), at: 0)
        flat *= size
      }
      copies.append(
        (
          try CopyPlan(there, "'\(parameter.name)'"),
          try CopyPlan(there.map { ($0.size, $0.to, $0.from) }, "'\(parameter.name)'")
        ))
    }
    self.copies = copies
    base = work.take(workFloats)
    programs[maxBatch] = plan.program
    plan.program.bind(base, isImaginary: meter != nil)
    active = maxBatch
  }
  private let base: Floats

  private func program(_ batch: Int) throws(LearnError) -> Program {
    if active == batch, let program = programs[batch] { return program }
    let program: Program
    if let known = programs[batch] {
      program = known
    } else {
      let arranged = Layouts(try model.graph(batch: batch, isTraining: trains))
      program = try Program(arranged, parameters: parameters, trains: trains, kernels: kernels)
      guard program.floats <= workFloats else {
        throw .training("a batch of \(batch) needs more memory than one of \(maxBatch)")
      }
      // A chunk has one last batch; what else comes is rare.
      if programs.count > 4 { programs = programs.filter { $0.key == maxBatch } }
      programs[batch] = program
    }
    program.bind(base)
    active = batch
    return program
  }

  // MARK: weights

  func load(_ weights: Weights) {
    weights.withValues { source in
      for (index, tensor) in parameters.enumerated() {
        var shape = copies[index].load.shape
        kernels.copy(&shape, source.baseAddress! + model.parameters[index].offset, tensor.data, 0)
      }
    }
    origin?.update(from: values, count: trainedFloats)
  }
  func store() -> Weights { read { $0.data } }
  private func read(_ from: (Tensor) -> Floats) -> Weights {
    Weights(for: model) { target in
      for (index, tensor) in parameters.enumerated() {
        var shape = copies[index].store.shape
        kernels.copy(&shape, from(tensor), target + model.parameters[index].offset, 0)
      }
    }
  }
  /// Of the last step, in the form of weights; zero for what is not trained.
  func storeGradients() -> Weights {
    let zero = Floats.allocate(capacity: parameters.map(\.floats).max() ?? 1)
    zero.update(repeating: 0, count: parameters.map(\.floats).max() ?? 1)
    defer { zero.deallocate() }
    return read { $0.gradient?.pointer ?? zero }
  }

  // MARK: batches

  func load(_ samples: Samples, rows: ArraySlice<Int>) {
    guard let program = try? program(rows.count) else { return }
    let input = program.input
    let perSample = input.rows / max(1, rows.count)
    let rowsOfTargets = program.output.rows / max(1, rows.count)
    // Scores can be asked for without targets that fit.
    let hasTargets = (try? model.check(samples)) != nil
    for (place, row) in rows.enumerated() {
      let target = input.data + place * perSample * input.stride
      if perSample == 1 || input.isDense, input.shape.count > 1 {
        samples.load(row, into: target, kernels)
      } else {
        samples.load(row, into: sampleRow, kernels)
        for line in 0..<perSample {
          (target + line * input.stride).update(from: sampleRow + line * input.width, count: input.width)
        }
      }
      if hasTargets { loadTargets(samples, row, place * rowsOfTargets, rowsOfTargets, program.output.width) }
    }
    if !input.isDense { kernels.clear_tails(input.rows, input.width, input.stride, input.data) }
  }
  /// Counts what loading as many samples takes.
  func meterLoad(batch: Int) throws(LearnError) {
    guard let meter else { return }
    let program = try program(batch)
    let input = program.input
    let lines = input.isDense && input.shape.count > 1 ? 0 : input.rows
    meter.begin("samples")
    meter.add(.batch, 1)
    meter.add(.sample, Double(batch))
    meter.add(.sampleLine, Double(lines == batch ? 0 : lines))
    meter.add(.target, Double(model.targets * batch))
    meter.add(.moveVector, Double(input.floats / 16))
    meter.touch(input.data, input.floats)
  }
  private func loadTargets(_ samples: Samples, _ row: Int, _ at: Int, _ rows: Int, _ width: Int) {
    if model.loss == .crossEntropy {
      samples.labels(row, into: labels + at)
    } else if samples.targetKind == .classes {
      targets[at * targetRow] = Float(samples.label(row))
    } else if rows == 1 {
      samples.values(row, into: targets + at * targetRow)
    } else {
      // The row of samples is free by now; targets are no more than it holds, or go one by one.
      let values = samples.targetValues(row)
      for line in 0..<rows {
        for column in 0..<width { targets[(at + line) * targetRow + column] = values[line * width + column] }
      }
    }
  }

  /// Fills all memory that is planned anew in every pass, so that a test can tell whether anything reads what nobody wrote.
  func soil(_ value: Float) {
    base.update(repeating: value, count: workFloats)
    active = 0
  }

  // MARK: passes

  func begin(_ recipe: TrainingRecipe) {
    first?.update(repeating: 0, count: trainedFloats)
    second?.update(repeating: 0, count: trainedFloats)
  }

  /// Forward and backward without a descent; returns the sum of the samples' losses.
  func gradient(batch: Int, _ pass: Pass) throws(LearnError) -> Double {
    let program = try program(batch)
    let run = Run(key: pass.key, meter: meter)
    program.forward(run)
    meter?.begin("loss")
    var correct = 0
    let loss = self.loss(program.output, batch, slope: program.output.slope, &correct)
    program.backward(run)
    if program.takeFault() {
      throw .training("a whole number of the samples is not an index of its table; numbers begin at 0")
    }
    return loss
  }
  func step(batch: Int, _ recipe: TrainingRecipe, _ pass: Pass) throws(LearnError) -> Double {
    let loss = try gradient(batch: batch, pass)
    descend(recipe, pass.step)
    return loss
  }
  /// The seconds of each step forward, of the loss, and of each step backward.
  func times(batch: Int, _ recipe: TrainingRecipe, _ now: () -> Double) throws(LearnError) -> [Double] {
    let program = try program(batch)
    var times: [Double] = []
    func time(_ body: () -> Void) {
      let began = now()
      body()
      times.append(now() - began)
    }
    for step in program.steps { time { step.forward(Run()) } }
    var correct = 0
    time { _ = loss(program.output, batch, slope: program.output.slope, &correct) }
    for step in program.steps.reversed() where step.wants.contains(true) { time { step.backward(Run()) } }
    time { descend(recipe, 1) }
    return times
  }
  func evaluate(batch: Int, _ result: inout Evaluation) throws(LearnError) {
    let program = try program(batch)
    program.forward(Run(meter: meter))
    let rows = model.loss == .crossEntropy ? program.output.rows : batch
    result.lossSum += loss(program.output, batch, slope: nil, &result.correct) * Double(rows / batch)
    result.count += rows
    if program.takeFault() { throw .data("a whole number of the samples is not an index of its table") }
  }
  /// Scores of the batch that was loaded, row by row as the output's shape says.
  func scores(batch: Int) throws(LearnError) -> [Float] {
    let program = try program(batch)
    program.forward(Run(meter: meter))
    let output = program.output
    var scores: [Float] = []
    for row in 0..<output.rows {
      for column in 0..<output.width { scores.append(output.data[row * output.stride + column]) }
    }
    return scores
  }

  /// The sum of the samples' mean losses, and the gradient of their mean.
  private func loss(_ output: Tensor, _ batch: Int, slope: Floats?, _ correct: inout Int) -> Double {
    let rowsEach = output.rows / batch
    if model.loss == .crossEntropy {
      let sum = kernels.softmax_loss(
        output.rows, output.width, output.stride, output.data, labels, slope, 1 / Float(output.rows), &correct)
      return sum / Double(rowsEach)
    }
    let kind: pm_value_loss =
      switch model.loss {
      case .squared: pm_squared
      case .binaryLogits: pm_binary_logits
      default: model.sharesAreGiven ? pm_binary_shares : pm_binary_logits
      }
    let each = rowsEach * output.width
    var right = 0
    let sum = kernels.value_loss(
      Int32(kind.rawValue), output.rows, output.width, output.stride, output.data, targets, slope,
      1 / Float(batch * each), &right)
    correct += rowsEach == 1 ? right : right / rowsEach
    return sum / Double(each)
  }

  // MARK: descent

  private func descend(_ recipe: TrainingRecipe, _ step: Int) {
    guard let gradients, trainedFloats > 0 else { return }
    meter?.begin("optimizer")
    let optimizer = recipe.optimizer
    var descent = pm_descent()
    descent.rate = Float(recipe.learningRate)
    descent.momentum = Float(optimizer.momentum)
    descent.is_nesterov = optimizer.isNesterov ? 1 : 0
    descent.step = Int64(step)
    descent.scale = 1
    descent.decay = optimizer.kind == .adamW ? 0 : Float(optimizer.weightDecay)
    descent.pull = Float(optimizer.proximal)
    descent.keep = 1
    if optimizer.clipNorm > 0 {
      let norm = kernels.squares(trainedFloats, gradients).squareRoot()
      let share = optimizer.clipNorm / (norm + 1e-6)
      if share < 1 { descent.scale = Float(share) }
    }
    if optimizer.kind == .sgd {
      kernels.momentum_step(trainedFloats, &descent, gradients, origin, first, values)
      return
    }
    guard let first, let second else { return }
    descent.beta1 = Float(optimizer.beta1)
    descent.beta2 = Float(optimizer.beta2)
    descent.epsilon = Float(optimizer.epsilon)
    descent.rate1 = Float(recipe.learningRate / (1 - Self.power(optimizer.beta1, step)))
    descent.root2 = Float((1 - Self.power(optimizer.beta2, step)).squareRoot())
    if optimizer.kind == .adamW { descent.keep = Float(1 - recipe.learningRate * optimizer.weightDecay) }
    kernels.adam_step(trainedFloats, &descent, gradients, origin, first, second, values)
  }
  /// By squaring, so that no library's version decides a bit.
  private static func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, factor, left) = (1.0, base, exponent)
    while left > 0 {
      if left & 1 == 1 { result *= factor }
      factor *= factor
      left >>= 1
    }
    return result
  }
}

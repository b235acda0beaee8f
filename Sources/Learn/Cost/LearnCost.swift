import CKernels

/// What training or evaluating a model costs, told before any of it is allocated or run.
public struct LearnCost: Sendable, Equatable {
  /// Multiplications and additions of one step (or one batch of an evaluation), as the graph asks for them: without a gradient
  /// where none is needed.
  public var flopsPerStep: Double
  /// Bytes that the kernels of one step read and write.
  public var bytesPerStep: Double
  public var parameterCount: Int
  /// Of the arenas: what an engine allocates.
  public var plannedBytes: Int
  /// Of the part of a process that trains: arenas as the system gives them, weights that come and that go, and the chunk.
  public var peakBytes: Int
  /// Steps over all samples, epochs included; the last of an epoch may be a part of one.
  public var steps: Int
  private let wholeSteps: Double
  let work: Slots

  public func secondsPerStep(on machine: MachineProfile) -> Double { work.dot(machine.prices) }
  /// For all samples and epochs.
  public func seconds(on machine: MachineProfile) -> Double { wholeSteps * secondsPerStep(on: machine) }
  public var flops: Double { flopsPerStep * wholeSteps }

  init(
    flopsPerStep: Double, bytesPerStep: Double, parameterCount: Int, plannedBytes: Int, peakBytes: Int, samples: Int,
    batch: Int, epochs: Int, work: Slots
  ) {
    self.flopsPerStep = flopsPerStep
    self.bytesPerStep = bytesPerStep
    self.parameterCount = parameterCount
    self.plannedBytes = plannedBytes
    self.peakBytes = peakBytes
    steps = (samples + batch - 1) / batch * epochs
    wholeSteps = Double(samples) / Double(batch) * Double(epochs)
    self.work = work
  }
}

extension Model {
  /// What training so many samples costs.
  ///
  /// - Parameter limit: multiplications and additions of a step that are still looked into.
  /// - Throws: `LearnError.model` for what cannot be planned, and for what would take too much.
  public func cost(recipe: TrainingRecipe, samples: Int, limit: Double = 1e13) throws(LearnError) -> LearnCost {
    try recipe.check()
    return try cost(
      batch: min(recipe.batch, max(1, samples)), samples: samples, recipe: recipe, trains: true, limit: limit)
  }
  /// What evaluating so many samples costs.
  public func evaluationCost(samples: Int, limit: Double = 1e13) throws(LearnError) -> LearnCost {
    let batch = min(Self.evaluationBatch, max(1, samples))
    return try cost(
      batch: batch, samples: samples, recipe: TrainingRecipe(learningRate: 1, batch: batch), trains: false, limit: limit
    )
  }

  private func cost(
    batch: Int, samples: Int, recipe: TrainingRecipe, trains: Bool, limit: Double
  ) throws(LearnError) -> LearnCost {
    let graph = try graph(batch: batch, isTraining: trains)
    let flops = trains ? GraphCost.trainingFlops(graph) : GraphCost.flops(graph)
    guard flops <= limit else {
      throw .model(
        "a step of \(batch) samples takes \(Int(min(flops, 1e18))) multiplications and additions; at most \(Int(limit))"
      )
    }
    let meter = try measured(batch: batch, recipe: recipe, trains: trains, keepsParts: false)
    let plan = try plannedBytes(batch: batch, trains: trains, recipe.optimizer)
    let row = features * 4 + (loss == .crossEntropy ? targets * 2 : targets * 4)
    // Weights come, and where they are trained go as well.
    let peak = plan.allocated + weightBytes * (trains ? 2 : 1) + SampleForm.headerLength + samples * row
    return LearnCost(
      flopsPerStep: flops, bytesPerStep: meter.bytes, parameterCount: parameterCount, plannedBytes: plan.planned,
      peakBytes: peak, samples: max(1, samples), batch: batch, epochs: trains ? recipe.epochs : 1, work: meter.work)
  }

  /// The bytes that an engine will plan for itself, and those that the system gives it.
  func plannedBytes(
    batch: Int, trains: Bool, _ optimizer: Optimizer
  ) throws(LearnError) -> (planned: Int, allocated: Int) {
    if let blocks = chain(optimizer) {
      let plan = ChainPlan(self, blocks, batch: batch, trains: trains)
      return (plan.bytes, plan.allocatedBytes)
    }
    let plan = try GraphPlan(self, batch: batch, trains: trains, optimizer, kernels.pointee)
    return (plan.bytes, plan.allocatedBytes)
  }

  /// A meter that has seen one pass after another.
  func measured(
    batch: Int, recipe: TrainingRecipe, trains: Bool, keepsParts: Bool
  ) throws(LearnError) -> Meter {
    let meter = Meter(instructionSet, keepsParts: keepsParts)
    let pass: () throws(LearnError) -> Void
    if let blocks = chain(recipe.optimizer) {
      let engine = try ChainEngine(self, blocks, maxBatch: batch, trains: trains, meter: meter)
      pass = { () throws(LearnError) in
        engine.meterLoad(batch: batch)
        meter.add(.pass, 1)
        var result = Evaluation()
        if trains {
          _ = engine.step(batch: batch, recipe, Pass(step: 2))
        } else {
          engine.evaluate(batch: batch, &result)
        }
      }
    } else {
      let engine = try GraphEngine(self, maxBatch: batch, trains: trains, recipe.optimizer, meter: meter)
      pass = { () throws(LearnError) in
        try engine.meterLoad(batch: batch)
        meter.add(.pass, 1)
        var result = Evaluation()
        if trains {
          _ = try engine.step(batch: batch, recipe, Pass(step: 2))
        } else {
          try engine.evaluate(batch: batch, &result)
        }
      }
    }
    // The first fills the caches, the second counts.
    for _ in 0..<2 {
      meter.clear()
      try meter.count(pass)
    }
    guard !meter.isOverwhelmed else { throw .model("a step of \(batch) samples calls too many kernels to be counted") }
    return meter
  }
}

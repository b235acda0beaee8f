import Runtime

/// Looks into training step by step: what comparisons with other engines and measurements need, and no peer does.
package final class Inspection {
  package let model: Model
  private let engine: GraphEngine
  private let recipe: TrainingRecipe
  private let seed: Seed
  private var step = 0

  package init(_ model: Model, _ recipe: TrainingRecipe, seed: Seed) throws(LearnError) {
    self.model = model
    self.recipe = recipe
    self.seed = seed
    engine = try GraphEngine(model, maxBatch: recipe.batch, trains: true, recipe.optimizer)
    engine.begin(recipe)
  }
  package var plannedBytes: Int { engine.plannedBytes }
  package func load(_ weights: Weights) { engine.load(weights) }
  package func soil(_ value: Float) { engine.soil(value) }
  package func weights() -> Weights { engine.store() }
  package func gradients() -> Weights { engine.storeGradients() }
  /// Scores of these rows in training mode; running statistics move.
  package func scores(_ samples: Samples, _ rows: [Int]) throws(LearnError) -> [Float] {
    engine.load(samples, rows: rows[...])
    return try engine.scores(batch: rows.count)
  }
  /// The mean loss of these rows, and their gradients; nothing moves.
  package func gradient(_ samples: Samples, _ rows: [Int]) throws(LearnError) -> Double {
    engine.load(samples, rows: rows[...])
    return try engine.gradient(batch: rows.count, Pass(step: 1)) / Double(rows.count)
  }
  package func step(_ samples: Samples, _ rows: [Int]) throws(LearnError) -> Double {
    step += 1
    engine.load(samples, rows: rows[...])
    return try engine.step(batch: rows.count, recipe, Pass(step: step)) / Double(rows.count)
  }
}

/// Steps of the engine that a job would get, without what surrounds them: for measurements.
package final class Steps {
  private let model: Model
  private let engine: any Engine
  private let recipe: TrainingRecipe
  private var step = 0
  package var plannedBytes: Int { engine.plannedBytes }
  package func weights() -> Weights { engine.store() }
  package init(_ model: Model, _ recipe: TrainingRecipe, from weights: Weights) throws(LearnError) {
    self.model = model
    self.recipe = recipe
    engine = try model.makeEngine(batch: recipe.batch, trains: true, recipe.optimizer)
    engine.load(weights)
    engine.begin(recipe)
  }
  /// The mean loss of these rows before the step.
  @discardableResult
  package func take(_ samples: Samples, _ rows: ArraySlice<Int>) throws(LearnError) -> Double {
    step += 1
    engine.load(samples, rows: rows)
    return try engine.step(batch: rows.count, recipe, Pass(step: step)) / Double(rows.count)
  }
}

/// What a model's steps are expected to take and what they take, one by one.
package struct StepTimes {
  package var name: String
  package var expected: Double
  package var measured: Double

  /// Of a program's steps forward, and then backward; empty for a chain.
  package static func of(
    _ model: Model, _ recipe: TrainingRecipe, from weights: Weights, _ samples: Samples, on machine: MachineProfile,
    now: () -> Double
  ) throws(LearnError) -> [StepTimes] {
    let meter = try model.measured(batch: recipe.batch, recipe: recipe, trains: true, keepsParts: true)
    let expected = meter.parts.map { StepTimes(name: $0.name, expected: $0.work.dot(machine.prices), measured: 0) }
    guard model.chain(recipe.optimizer) == nil else { return expected }
    let engine = try GraphEngine(model, maxBatch: recipe.batch, trains: true, recipe.optimizer)
    engine.load(weights)
    engine.begin(recipe)
    var least: [Double] = []
    for _ in 0..<200 {
      engine.load(samples, rows: Array(0..<recipe.batch)[...])
      let times = try engine.times(batch: recipe.batch, recipe, now)
      least = least.isEmpty ? times : zip(least, times).map { min($0, $1) }
    }
    // The samples' part comes first, the optimizer's last.
    var all = expected
    for (index, time) in least.enumerated() where index + 1 < all.count { all[index + 1].measured = time }
    return all
  }
}

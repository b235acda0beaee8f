import CKernels
import Runtime

public struct TrainingOutcome: Sendable, Equatable {
  public var weights: Weights
  /// Mean over all samples seen, each with the weights of its moment.
  public var loss: Double
  public var steps: Int
  /// Digests of the weights after every so many steps, as the recipe asks.
  public var trail: [Digest] = []
  /// What travels: the weights' own bytes, or fewer that stand for them.
  public var update: [UInt8]
  public init(weights: Weights, loss: Double, steps: Int) {
    self.weights = weights
    update = weights.bytes
    self.loss = loss
    self.steps = steps
  }
}

extension Model {
  /// Trains a chunk from given weights. The same weights, chunk, recipe and seed give the same bits on every machine.
  ///
  /// - Throws: `LearnError.training` where the loss or a weight is not finite any more, or where targets do not fit.
  public func train(
    from weights: Weights, on samples: Samples, recipe: TrainingRecipe, seed: Seed
  ) throws(LearnError) -> TrainingOutcome {
    try recipe.check()
    try check(samples)
    let batch = min(recipe.batch, samples.count)
    return try withEngine(batch: batch, trains: true, recipe.optimizer) { engine throws(LearnError) in
      engine.load(weights)
      engine.begin(recipe)
      var loss = 0.0
      var pass = Pass(step: 0)
      var trail: [Digest] = []
      var keys = seed.stream("dropout")
      for order in recipe.orders(count: samples.count, seed: seed) {
        var start = 0
        while start < order.count {
          let end = min(order.count, start + recipe.batch)
          engine.load(samples, rows: order[start..<end])
          pass.step += 1
          pass.key = keys.next()
          loss += try engine.step(batch: end - start, recipe, pass)
          if recipe.trail > 0, pass.step % recipe.trail == 0 { trail.append(engine.store().digest) }
          start = end
        }
      }
      let trained = engine.store()
      let mean = loss / Double(samples.count * recipe.epochs)
      let bad = trained.withValues { kernels.pointee.not_finite(parameterCount, $0.baseAddress) }
      guard mean.isFinite, bad == 0 else {
        throw .training(
          "it diverged: a loss of \(mean) and \(bad) weights that are not finite; lower the learning rate")
      }
      let stored = try recipe.storage.encode(trained, base: weights, self)
      var outcome = TrainingOutcome(weights: stored.weights, loss: mean, steps: pass.step)
      outcome.update = stored.bytes
      outcome.trail = trail
      return outcome
    }
  }

  /// Whether samples are what the model takes and learns.
  public func check(_ samples: Samples) throws(LearnError) {
    guard samples.features == features else {
      throw .training("samples of \(samples.features) features for a model of \(features)")
    }
    switch loss {
    case .crossEntropy:
      guard samples.targetKind == .classes, samples.targetCount == targets else {
        throw .training(
          "this model learns \(targets) class\(targets == 1 ? "" : "es") of each sample, and the samples have "
            + "\(samples.targetCount) \(samples.targetKind == .classes ? "classes" : "numbers")")
      }
      guard samples.classes <= classes else {
        throw .training("samples of \(samples.classes) classes for a model of \(classes)")
      }
    case .binaryLogits, .binaryShares, .squared:
      let isBinaryClass =
        loss != .squared && targets == 1 && samples.targetKind == .classes && samples.targetCount == 1
        && samples.classes == 2
      guard isBinaryClass || (samples.targetKind == .values && samples.targetCount == targets) else {
        throw .training(
          "this model learns \(targets) numbers of each sample, and the samples have \(samples.targetCount) "
            + (samples.targetKind == .classes ? "classes" : "numbers"))
      }
    }
  }
}

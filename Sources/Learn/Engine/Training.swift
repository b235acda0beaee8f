import CKernels
import Runtime

/// How a chunk is trained: stochastic gradient descent with momentum, as PyTorch does it.
public struct TrainingRecipe: Wire, Equatable {
  public var learningRate = 0.0
  /// v = momentum v + gradient; w -= rate v. Begins at rest with every chunk and round.
  public var momentum = 0.0
  public var batch = 0
  public var epochs = 0
  /// Whether samples are shuffled before each epoch, from the seed; else they come in the chunk's order.
  public var shuffle = false

  public init() {}
  public init(learningRate: Double, momentum: Double = 0, batch: Int, epochs: Int = 1, shuffle: Bool = false) {
    self.learningRate = learningRate
    self.momentum = momentum
    self.batch = batch
    self.epochs = epochs
    self.shuffle = shuffle
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &learningRate)
    try codec(2, &momentum)
    try codec(3, &batch)
    try codec(4, &epochs)
    try codec(5, &shuffle)
  }

  public func check() throws(LearnError) {
    guard learningRate > 0, learningRate <= 1_000 else { throw .training("a learning rate of \(learningRate)") }
    guard momentum >= 0, momentum < 1 else { throw .training("a momentum of \(momentum); 0 to below 1 descends") }
    guard batch >= 1, batch <= 4_096 else { throw .training("a batch of \(batch); 1 to 4096 samples") }
    guard epochs >= 1, epochs <= 1_000 else { throw .training("\(epochs) epochs; 1 to 1000") }
  }
}

public struct TrainingOutcome: Sendable, Equatable {
  public var weights: Weights
  /// Mean over all samples seen, each with the weights of its moment.
  public var loss: Double
  public var steps: Int
  public init(weights: Weights, loss: Double, steps: Int) {
    self.weights = weights
    self.loss = loss
    self.steps = steps
  }
}

extension Model {
  /// Trains a chunk from given weights. The same weights, chunk, recipe and seed give the same bits on every machine.
  ///
  /// - Throws: `LearnError.training` where the loss or a weight is not finite any more.
  public func train(
    from weights: Weights, on samples: Samples, recipe: TrainingRecipe, seed: Seed
  ) throws(LearnError) -> TrainingOutcome {
    try recipe.check()
    try check(samples)
    return try withEngine(batch: recipe.batch, trains: true) { engine throws(LearnError) in
      engine.load(weights)
      if recipe.momentum != 0 { engine.rest() }
      var order = Array(0..<samples.count)
      var loss = 0.0
      var steps = 0
      for epoch in 0..<recipe.epochs {
        if recipe.shuffle {
          var stream = seed.child("epoch", epoch).stream
          stream.shuffle(&order)
        }
        var start = 0
        while start < order.count {
          let end = min(order.count, start + recipe.batch)
          engine.load(samples, rows: order[start..<end])
          loss += engine.step(batch: end - start, recipe)
          steps += 1
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
      return TrainingOutcome(weights: trained, loss: mean, steps: steps)
    }
  }

  func check(_ samples: Samples) throws(LearnError) {
    guard samples.targetKind == .classes, samples.targetCount == 1 else {
      throw .training("this model learns one class for each sample, and the chunk has other targets")
    }
    guard samples.features == features, samples.classes <= classes else {
      throw .training(
        "chunks of \(samples.features) features and \(samples.classes) classes for a model of \(features) and \(classes)"
      )
    }
  }
}

extension Engine {
  /// Forward, loss, backward. Returns the sum of the losses.
  func step(batch: Int, _ recipe: TrainingRecipe) -> Double {
    forward(batch: batch)
    var correct = 0
    let loss = kernels.softmax_loss(
      batch, model.classes, padded(model.classes), scores, labels, scoreGradient, 1 / Float(batch), &correct)
    backward(batch: batch, Descent(rate: Float(recipe.learningRate), momentum: Float(recipe.momentum)))
    return loss
  }

  /// Momentum begins at zero.
  func rest() {
    for state in blocks {
      state.weightVelocity?.update(repeating: 0, count: state.weightCount)
      state.biasVelocity?.update(repeating: 0, count: state.stride)
    }
  }
}

import CKernels

extension ChainEngine {
  /// Forward, loss, backward. Returns the sum of the losses.
  func step(batch: Int, _ recipe: TrainingRecipe, _ pass: Pass) -> Double {
    forward(batch: batch)
    var correct = 0
    let loss = kernels.softmax_loss(
      batch, model.classes, padded(model.classes), scores, labels, scoreGradient, 1 / Float(batch), &correct)
    backward(batch: batch, Descent(rate: Float(recipe.learningRate), momentum: Float(recipe.optimizer.momentum)))
    return loss
  }

  func evaluate(batch: Int, _ result: inout Evaluation) {
    forward(batch: batch)
    result.lossSum += kernels.softmax_loss(
      batch, model.classes, padded(model.classes), scores, labels, nil, 0, &result.correct)
    result.count += batch
  }

  /// Momentum begins at zero.
  func begin(_ recipe: TrainingRecipe) {
    guard recipe.optimizer.momentum != 0 else { return }
    for state in blocks {
      state.weightVelocity?.update(repeating: 0, count: state.weightCount)
      state.biasVelocity?.update(repeating: 0, count: state.stride)
    }
  }
}

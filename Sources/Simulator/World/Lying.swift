import Actors
import Learn
import Runtime

/// What a lying trainer does instead of its work.
enum Lying {
  static func training(_ lie: Lie, seed: Seed) -> Training {
    switch lie {
    case .skip:
      return { _, weights, samples, recipe, _ throws(LearnError) in
        TrainingOutcome(weights: weights, loss: 0, steps: samples.count / max(1, recipe.batch))
      }
    case .noise:
      return { model, weights, samples, recipe, training throws(LearnError) in
        var stream = seed.child("noise \(training.value)").stream
        let values = weights.values.map { $0 + Float(stream.unit() - 0.5) * 0.1 }
        return TrainingOutcome(
          weights: Weights(values: values, for: model), loss: 0, steps: samples.count / max(1, recipe.batch))
      }
    }
  }
}

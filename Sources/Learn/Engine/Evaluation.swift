import CKernels

/// How well weights do on samples that nobody trained on.
public struct Evaluation: Sendable, Equatable {
  public var count = 0
  /// Samples whose label has the first largest score.
  public var correct = 0
  /// Sum of cross-entropies.
  public var lossSum = 0.0

  public init() {}
  public var accuracy: Double { count > 0 ? Double(correct) / Double(count) : 0 }
  public var loss: Double { count > 0 ? lossSum / Double(count) : 0 }
  /// Adds another part; parts are added in the order of their rows, so that the sum has the same bits.
  public mutating func add(_ other: Evaluation) {
    count += other.count
    correct += other.correct
    lossSum += other.lossSum
  }
}

extension Model {
  /// Rows at a time. It has a say in the order of the loss's sum, and so belongs to the numerics.
  static let evaluationBatch = 100

  public func evaluate(_ weights: Weights, on samples: Samples, rows: Range<Int>) throws(LearnError) -> Evaluation {
    try check(samples)
    guard rows.lowerBound >= 0, rows.upperBound <= samples.count else {
      throw .data("rows \(rows) of \(samples.count) samples")
    }
    return try withEngine(batch: Self.evaluationBatch, trains: false) { engine throws(LearnError) in
      engine.load(weights)
      var result = Evaluation()
      var start = rows.lowerBound
      while start < rows.upperBound {
        let end = min(rows.upperBound, start + Self.evaluationBatch)
        engine.load(samples, rows: start..<end)
        engine.forward(batch: end - start)
        result.lossSum += kernels.pointee.softmax_loss(
          end - start, classes, padded(classes), engine.scores, engine.labels, nil, 0, &result.correct)
        result.count += end - start
        start = end
      }
      return result
    }
  }
}

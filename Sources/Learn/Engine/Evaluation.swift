import CKernels

/// How well weights do on samples that nobody trained on.
public struct Evaluation: Sendable, Equatable {
  public var count = 0
  /// Samples (or positions of a sequence) whose label has the first largest score; for other losses, whose numbers are all on
  /// their target's side of a half.
  public var correct = 0
  /// Sum of the samples' losses.
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
    return try withEngine(
      batch: min(Self.evaluationBatch, max(1, rows.count)), trains: false, Optimizer()
    ) { engine throws(LearnError) in
      engine.load(weights)
      var result = Evaluation()
      let order = Array(rows)
      var start = 0
      while start < order.count {
        let end = min(order.count, start + Self.evaluationBatch)
        engine.load(samples, rows: order[start..<end])
        try engine.evaluate(batch: end - start, &result)
        start = end
      }
      return result
    }
  }
}

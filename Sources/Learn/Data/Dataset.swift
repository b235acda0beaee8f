import Runtime

/// A dataset in memory: features of one storage, and the same number of targets for each sample.
public struct Dataset: Sendable {
  /// Row by row.
  public enum Features: Sendable {
    /// Each is divided by the divisor, in float32, when it is used.
    case bytes([UInt8], divisor: Float)
    case floats([Float])
  }
  /// Row by row, `per` for each sample.
  public enum Targets: Sendable {
    case classes([Int], per: Int, of: Int)
    case values([Float], per: Int)
  }
  public let features: Features
  public let targets: Targets
  /// Of one sample: [features], or [channels, height, width]. Its product is `featureCount`.
  public let shape: [Int]
  public let featureCount: Int
  public let count: Int

  /// - Throws: `LearnError.data` where counts do not agree, a label is not a class, or a number is not finite.
  public init(features: Features, targets: Targets, shape: [Int]) throws(LearnError) {
    var size = 1
    for side in shape {
      let (product, overflow) = size.multipliedReportingOverflow(by: side)
      guard side >= 1, !overflow, product <= SampleForm.limit else {
        throw .data(
          "a sample's shape is \(shape); its sides must be at least 1 and its size at most \(SampleForm.limit)")
      }
      size = product
    }
    featureCount = size
    let (total, per) =
      switch targets {
      case .classes(let labels, let per, _): (labels.count, per)
      case .values(let values, let per): (values.count, per)
      }
    guard total > 0 else { throw .data("it has no samples") }
    guard per >= 1, per <= SampleForm.limit, total % per == 0 else {
      throw .data("it has \(total) targets, which are not \(per) for each sample")
    }
    count = total / per
    let values =
      switch features {
      case .bytes(let bytes, _): bytes.count
      case .floats(let floats): floats.count
      }
    guard values % size == 0, values / size == count else {
      throw .data("it has \(values) values for \(count) samples of \(size) features")
    }
    self.features = features
    self.targets = targets
    self.shape = shape
    try form.check(count: 1)
    try checkNumbers(per)
  }

  private func checkNumbers(_ per: Int) throws(LearnError) {
    switch targets {
    case .classes(let labels, _, let classes):
      if let index = labels.firstIndex(where: { $0 < 0 || $0 >= classes }) {
        throw .data("sample \(index / per) has the label \(labels[index]) of \(classes) classes")
      }
    case .values(let values, _):
      if let index = values.firstIndex(where: { !$0.isFinite }) {
        throw .data("sample \(index / per) has \(values[index]) as target \(index % per)")
      }
    }
    if case .floats(let floats) = features, let index = floats.firstIndex(where: { !$0.isFinite }) {
      throw .data("sample \(index / featureCount) has \(floats[index]) as feature \(index % featureCount)")
    }
  }

  /// One class for each sample.
  public init(features: Features, labels: [Int], featureCount: Int, classes: Int) throws(LearnError) {
    try self.init(features: features, targets: .classes(labels, per: 1, of: classes), shape: [featureCount])
  }

  /// The classes, sample by sample; none where targets are numbers.
  public var labels: [Int] { if case .classes(let labels, _, _) = targets { labels } else { [] } }
  /// 0 where targets are numbers.
  public var classes: Int { if case .classes(_, _, let classes) = targets { classes } else { 0 } }
  /// Of each sample.
  public var targetCount: Int {
    switch targets {
    case .classes(_, let per, _), .values(_, let per): per
    }
  }

  /// How its chunks look.
  public var form: SampleForm {
    let (storage, divisor): (SampleForm.Storage, Float) =
      switch features {
      case .bytes(_, let divisor): (.bytes, divisor)
      case .floats: (.floats, 1)
      }
    let kind: SampleForm.TargetKind = if case .classes = targets { .classes } else { .values }
    return SampleForm(
      storage: storage, targetKind: kind, classes: classes, features: featureCount, targets: targetCount,
      divisor: divisor)
  }
}

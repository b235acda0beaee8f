import Runtime

/// A dataset in memory: features of one storage, and a label each.
public struct Dataset: Sendable {
  public enum Features: Sendable {
    /// Row by row; each is multiplied by the scale when it is used.
    case bytes([UInt8], scale: Float)
    case floats([Float])
  }
  public let features: Features
  public let labels: [Int]
  public let featureCount: Int
  public let classes: Int

  public var count: Int { labels.count }

  /// - Throws: `LearnError.data` where counts do not agree, a label is not a class, or a feature is not finite.
  public init(features: Features, labels: [Int], featureCount: Int, classes: Int) throws(LearnError) {
    let values =
      switch features {
      case .bytes(let bytes, _): bytes.count
      case .floats(let floats): floats.count
      }
    guard !labels.isEmpty else { throw .data("it has no samples") }
    guard featureCount > 0, values == labels.count * featureCount else {
      throw .data("it has \(values) values for \(labels.count) labels of \(featureCount) features")
    }
    guard classes >= 2, classes <= 65_535 else {
      throw .data("it has \(classes) classes; 2 to 65535 can be told apart")
    }
    if let row = labels.firstIndex(where: { $0 < 0 || $0 >= classes }) {
      throw .data("sample \(row) has the label \(labels[row]) of \(classes) classes")
    }
    if case .floats(let floats) = features, let index = floats.firstIndex(where: { !$0.isFinite }) {
      throw .data("sample \(index / featureCount) has \(floats[index]) as feature \(index % featureCount)")
    }
    self.features = features
    self.labels = labels
    self.featureCount = featureCount
    self.classes = classes
  }

  /// A chunk of these rows, in this order.
  public func chunk(rows: some Collection<Int>) throws(LearnError) -> Samples {
    for row in rows where row < 0 || row >= count { throw .data("row \(row) of \(count)") }
    let chosen = Array(rows)
    let encoded: [UInt8]
    switch features {
    case .bytes(let bytes, let scale):
      encoded = Samples.encode(
        storage: .bytes, classes: classes, count: chosen.count, features: featureCount, scale: scale,
        labels: chosen.map { labels[$0] }
      ) { place, out in
        out += bytes[(chosen[place] * featureCount)..<((chosen[place] + 1) * featureCount)]
      }
    case .floats(let floats):
      encoded = Samples.encode(
        storage: .floats, classes: classes, count: chosen.count, features: featureCount, scale: 1,
        labels: chosen.map { labels[$0] }
      ) { place, out in
        for index in (chosen[place] * featureCount)..<((chosen[place] + 1) * featureCount) {
          let bits = floats[index].bitPattern
          for shift in stride(from: 0, to: 32, by: 8) { out.append(UInt8(truncatingIfNeeded: bits >> UInt32(shift))) }
        }
      }
    }
    return try Samples(bytes: encoded)
  }

  public func prefix(_ limit: Int) throws(LearnError) -> Dataset { try rows(0..<min(limit, count)) }

  /// The dataset of these rows alone.
  public func rows(_ range: Range<Int>) throws(LearnError) -> Dataset {
    guard range.lowerBound >= 0, range.upperBound <= count else { throw .data("rows \(range) of \(count)") }
    let values = (range.lowerBound * featureCount)..<(range.upperBound * featureCount)
    let chosen: Features =
      switch features {
      case .bytes(let bytes, let scale): .bytes(Array(bytes[values]), scale: scale)
      case .floats(let floats): .floats(Array(floats[values]))
      }
    return try Dataset(features: chosen, labels: Array(labels[range]), featureCount: featureCount, classes: classes)
  }
}

import Foundation
import Runtime

/// How features are moved and stretched: each less a mean, over a deviation. Found once, on the rows that are trained on, and
/// carried from there to every other sample.
///
/// There is one pair of numbers for each feature, or for each channel: a pair holds for `features / means.count` features that
/// stand side by side.
public struct Normalisation: Wire, Equatable, Sendable {
  public enum Scaling: String, Sendable, CaseIterable {
    case none
    /// A pair for each feature.
    case zscore
    /// A pair for each channel of a picture.
    case channels

    /// How many pairs samples of this shape get; nil for none.
    public func groups(shape: [Int]) throws(LearnError) -> Int? {
      switch self {
      case .none: return nil
      case .zscore: return shape.reduce(1, *)
      case .channels:
        guard shape.count == 2 || shape.count == 3 else {
          throw .data("a sample of the shape \(shape) is no picture and has no channels; scale it by zscore")
        }
        return shape.count == 3 ? shape[0] : 1
      }
    }
  }
  /// Of one sample.
  public private(set) var features = 0
  public private(set) var means: [Double] = []
  /// Never negative. What does not vary has 0, and becomes 0.
  public private(set) var deviations: [Double] = []

  public init() {}

  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &features)
    try codec(2, repeated: &means, limit: SampleForm.limit)
    try codec(3, repeated: &deviations, limit: SampleForm.limit)
    guard codec.isReading else { return }
    guard means.count == deviations.count, features >= means.count, features <= SampleForm.limit,
      means.isEmpty ? features == 0 : features % means.count == 0
    else {
      throw .badValue(field: 2, "\(means.count) means and \(deviations.count) deviations for \(features) features")
    }
    if deviations.contains(where: { $0 < 0 }) { throw .badValue(field: 3, "a deviation below 0") }
  }

  /// Reads the source twice: for the means, then for the spread around them. Sums run in double from the first row to the last,
  /// and for a channel from its first feature to its last.
  ///
  /// - Parameters:
  ///   - groups: how many pairs; a divisor of the features.
  ///   - leaving: features that stay as they are.
  ///   - isIncluded: whether a row is one that is trained on.
  public init(
    fitting source: some RowSource, groups: Int, leaving: Set<Int> = [], rows isIncluded: (Int) -> Bool
  ) throws(LearnError) {
    let count = source.form.features
    guard groups >= 1, count % groups == 0 else {
      throw .data("\(source.name) has \(count) features, which \(groups) channels cannot share")
    }
    features = count
    let width = count / groups
    func pass(_ term: (Float, Int) -> Double) throws(LearnError) -> (sums: [Double], rows: Int) {
      var sums = [Double](repeating: 0, count: count)
      var row = [Float](repeating: 0, count: count)
      var index = 0
      var included = 0
      try source.forEach { values, _ throws(LearnError) in
        defer { index += 1 }
        guard isIncluded(index) else { return }
        included += 1
        source.floats(values, into: &row)
        for feature in 0..<count { sums[feature] += term(row[feature], feature) }
      }
      let folded = (0..<groups).map { group in
        sums[(group * width)..<((group + 1) * width)].reduce(0, +)
      }
      return (folded, included)
    }
    let first = try pass { value, _ in Double(value) }
    guard first.rows > 0 else { throw .data("\(source.name) has no rows to find means in") }
    let total = Double(first.rows) * Double(width)
    let found = first.sums.map { $0 / total }
    let second = try pass { value, feature in
      let difference = Double(value) - found[feature / width]
      return difference * difference
    }
    means = found
    deviations = second.sums.map { ($0 / total).squareRoot() }
    for feature in leaving where width == 1 && feature < count {
      means[feature] = 0
      deviations[feature] = 1
    }
  }

  /// Puts one sample's features into their new place.
  func apply(to row: inout [Float]) {
    let width = features / means.count
    for feature in 0..<features {
      let pair = feature / width
      let deviation = deviations[pair]
      row[feature] = deviation > 0 ? Float((Double(row[feature]) - means[pair]) / deviation) : 0
    }
  }

  /// The same samples, normalised.
  ///
  /// - Throws: `LearnError.data` where they have another number of features, or a feature becomes infinite.
  public func applied(to dataset: Dataset) throws(LearnError) -> Dataset {
    try Dataset(NormalisedRows(dataset, self), shape: dataset.shape)
  }
}

/// The samples of another source, normalised on their way.
public struct NormalisedRows<Source: RowSource>: RowSource {
  public let source: Source
  public let normalisation: Normalisation
  public let form: SampleForm
  public var name: String { source.name }
  public var count: Int { source.count }

  /// - Throws: `LearnError.data` where the source has another number of features.
  public init(_ source: Source, _ normalisation: Normalisation) throws(LearnError) {
    guard normalisation.features == source.form.features else {
      throw .data(
        "\(source.name) has \(source.form.features) features, and the normalisation is for \(normalisation.features)")
    }
    self.source = source
    self.normalisation = normalisation
    var form = source.form
    form.storage = .floats
    form.divisor = 1
    self.form = form
  }

  public func forEach(
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(LearnError) -> Void
  ) throws(LearnError) {
    var row = [Float](repeating: 0, count: form.features)
    try source.forEach { values, targets throws(LearnError) in
      source.floats(values, into: &row)
      normalisation.apply(to: &row)
      let result = row.withUnsafeBytes { bytes in
        Result { () throws(LearnError) -> Void in try body(bytes, targets) }
      }
      try result.get()
    }
  }
}

extension Normalisation {
  /// Its numbers as JSON with sorted keys, for files beside a model.
  public func json() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    return [UInt8](try encoder.encode(Words(features: features, means: means, deviations: deviations)))
  }
  private struct Words: Codable {
    var features: Int
    var means: [Double]
    var deviations: [Double]
  }
  /// - Throws: `LearnError.data` for what `json` did not write.
  public init(json: [UInt8]) throws(LearnError) {
    guard let words = try? JSONDecoder().decode(Words.self, from: Data(json)) else {
      throw .data("this is not a normalisation: an object of features, means and deviations")
    }
    self.init()
    (features, means, deviations) = (words.features, words.means, words.deviations)
    guard means.count == deviations.count, !means.isEmpty, features >= 1, features % means.count == 0,
      deviations.allSatisfy({ $0 >= 0 && $0.isFinite }), means.allSatisfy(\.isFinite)
    else { throw .data("a normalisation whose counts do not agree") }
  }
}

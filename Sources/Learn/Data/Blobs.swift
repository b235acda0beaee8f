import Runtime

/// Points around a centre for each class: data that need no file.
public enum Blobs {
  /// Each feature is its centre's plus noise that is nearly normal (the sum of twelve uniform draws, less six).
  public static func dataset(samples: Int, features: Int, classes: Int, spread: Double = 1, seed: Seed)
    throws(LearnError)
    -> Dataset
  {
    guard samples >= classes, classes >= 2, features >= 1, samples * features <= 1 << 28 else {
      throw .data("\(samples) samples of \(features) features in \(classes) classes cannot be made")
    }
    var centres: [Double] = []
    var centreStream = seed.stream("blob centres")
    for _ in 0..<(classes * features) { centres.append(4 * centreStream.unit() - 2) }
    var stream = seed.stream("blob points")
    var values: [Float] = []
    values.reserveCapacity(samples * features)
    var labels: [Int] = []
    for _ in 0..<samples {
      let label = stream.below(classes)
      labels.append(label)
      for feature in 0..<features {
        var noise = -6.0
        for _ in 0..<12 { noise += stream.unit() }
        values.append(Float(centres[label * features + feature] + spread * noise))
      }
    }
    return try Dataset(features: .floats(values), labels: labels, featureCount: features, classes: classes)
  }
}

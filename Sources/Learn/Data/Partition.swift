import CKernels
import Runtime

/// How a dataset is cut into chunks. Every row goes to one chunk, every chunk has at least one, and the seed alone decides.
public enum Partition: Equatable, Sendable {
  /// Shuffled and cut into equal runs.
  case iid
  /// Each class is shared out by a draw from Dirichlet(alpha) (Hsu et al., 2019); a small alpha gives chunks of few classes.
  /// Whatever is below `least` is filled up from the largest chunks, so that it always ends.
  case dirichlet(alpha: Double, least: Int)

  public func rows(_ dataset: Dataset, chunks: Int, seed: Seed) throws(LearnError) -> [[Int]] {
    guard chunks >= 1, chunks <= dataset.count else {
      throw .data("\(dataset.count) samples cannot be cut into \(chunks) chunks")
    }
    switch self {
    case .iid:
      var order = Array(0..<dataset.count)
      var stream = seed.stream("iid")
      stream.shuffle(&order)
      return (0..<chunks).map { Array(order[(dataset.count * $0 / chunks)..<(dataset.count * ($0 + 1) / chunks)]) }
    case .dirichlet(let alpha, let least):
      guard alpha > 0, alpha <= 1_000_000 else {
        throw .data("a Dirichlet distribution needs an alpha above 0, not \(alpha)")
      }
      guard case .classes(_, per: 1, _) = dataset.targets else {
        throw .data(
          "a Dirichlet split shares out classes and needs one for each sample; these data have \(dataset.words); split "
            + "them by iid")
      }
      guard least >= 1, least * chunks <= dataset.count else {
        throw .data("\(chunks) chunks of at least \(least) samples need more than \(dataset.count)")
      }
      return dirichlet(dataset, chunks, alpha, least, seed)
    }
  }

  private func dirichlet(_ dataset: Dataset, _ chunks: Int, _ alpha: Double, _ least: Int, _ seed: Seed) -> [[Int]] {
    var rowsOfClass: [[Int]] = Array(repeating: [], count: dataset.classes)
    for (row, label) in dataset.labels.enumerated() { rowsOfClass[label].append(row) }
    var parts: [[Int]] = Array(repeating: [], count: chunks)
    for label in 0..<dataset.classes {
      var stream = seed.child("dirichlet", label).stream
      var rows = rowsOfClass[label]
      stream.shuffle(&rows)
      let weights = (0..<chunks).map { _ in Gamma.draw(alpha, &stream) }
      let total = weights.reduce(0, +)
      var cumulative = 0.0
      var start = 0
      for chunk in 0..<chunks {
        cumulative += weights[chunk]
        let share = total > 0 ? cumulative / total : Double(chunk + 1) / Double(chunks)
        let end = chunk == chunks - 1 ? rows.count : max(start, min(rows.count, Int(share * Double(rows.count))))
        parts[chunk] += rows[start..<end]
        start = end
      }
    }
    level(&parts, least: least)
    for chunk in 0..<chunks {
      var stream = seed.child("chunk order", chunk).stream
      stream.shuffle(&parts[chunk])
    }
    return parts
  }

  /// Moves rows from the largest chunk (the first of several) to those that have too few.
  private func level(_ parts: inout [[Int]], least: Int) {
    for chunk in parts.indices {
      while parts[chunk].count < least {
        guard let largest = parts.indices.max(by: { parts[$0].count < parts[$1].count }),
          let row = parts[largest].popLast()
        else { return }
        parts[chunk].append(row)
      }
    }
  }
}

/// Gamma variates by Marsaglia and Tsang (2000), in our own logarithm and exponential, so that no library's version decides
/// a row.
enum Gamma {
  static func draw(_ alpha: Double, _ stream: inout RandomStream) -> Double {
    var shape = alpha
    var boost = 1.0
    if alpha < 1 {
      boost = pm_exp(pm_log(1 - stream.unit()) / alpha)
      shape += 1
    }
    let d = shape - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = normal(&stream)
      let root = 1 + c * x
      if root <= 0 { continue }
      let v = root * root * root
      if pm_log(1 - stream.unit()) < 0.5 * x * x + d - d * v + d * pm_log(v) { return d * v * boost }
    }
  }

  /// Marsaglia's polar method: a standard normal draw.
  private static func normal(_ stream: inout RandomStream) -> Double {
    while true {
      let a = 2 * stream.unit() - 1
      let b = 2 * stream.unit() - 1
      let s = a * a + b * b
      if s > 0 && s < 1 { return a * (-2 * pm_log(s) / s).squareRoot() }
    }
  }
}

import CKernels
import Runtime

/// How a dataset is cut into chunks. Every row goes to one chunk, every chunk has at least one, and the seed alone decides.
public enum Partition: Equatable, Sendable {
  /// Shuffled and cut into equal runs.
  case iid
  /// Each class is shared out by a draw from Dirichlet(alpha) (Hsu et al., 2019); a small alpha gives chunks of few classes.
  /// Whatever is below `least` is filled up from the largest chunks, so that it always ends.
  case dirichlet(alpha: Double, least: Int)

  /// The rows of each chunk.
  ///
  /// - Throws: `LearnError.data` for more chunks than samples, numbers that cannot be, or a Dirichlet split of samples that do
  ///   not have one class each.
  public func rows(_ dataset: Dataset, chunks: Int, seed: Seed) throws(LearnError) -> [[Int]] {
    let cut = try cut(count: dataset.count, chunks: chunks, seed: seed, words: dataset.form.words) {
      (dataset.labels.map { UInt16($0) }, dataset.classes)
    }
    return (0..<chunks).map { cut.order[cut.starts[$0]..<cut.starts[$0 + 1]].map(Int.init) }
  }

  /// The rows of all chunks, one chunk after the other, and where each chunk begins and the last one ends.
  struct Cut {
    var order: [UInt32]
    var starts: [Int]
  }

  /// - Parameters:
  ///   - words: nil where each sample has one class, else what its targets are.
  ///   - labels: the class of each row, and how many classes there are; asked for only where they have a say.
  func cut(
    count: Int, chunks: Int, seed: Seed, words: String?,
    labels: () throws(LearnError) -> (labels: [UInt16], classes: Int)
  ) throws(LearnError) -> Cut {
    guard chunks >= 1, chunks <= count, count <= Int(UInt32.max) else {
      throw .data("\(count) samples cannot be cut into \(chunks) chunks")
    }
    switch self {
    case .iid:
      var order = Array(0..<UInt32(count))
      var stream = seed.stream("iid")
      stream.shuffle(&order)
      return Cut(order: order, starts: (0...chunks).map { count * $0 / chunks })
    case .dirichlet(let alpha, let least):
      guard alpha > 0, alpha <= 1_000_000 else {
        throw .data("a Dirichlet distribution needs an alpha above 0, not \(alpha)")
      }
      if let words {
        throw .data(
          "a Dirichlet split shares out classes and needs one for each sample; these data have \(words): split them by iid"
        )
      }
      guard least >= 1, least <= count / chunks else {
        throw .data("\(chunks) chunks of at least \(least) samples need more than \(count)")
      }
      let (classOfRow, classes) = try labels()
      let parts = dirichlet(classOfRow, classes, chunks, alpha, least, seed)
      var starts = [0]
      for part in parts { starts.append(starts[starts.count - 1] + part.count) }
      return Cut(order: Array(parts.joined()), starts: starts)
    }
  }

  private func dirichlet(
    _ labels: [UInt16], _ classes: Int, _ chunks: Int, _ alpha: Double, _ least: Int, _ seed: Seed
  ) -> [[UInt32]] {
    var rowsOfClass: [[UInt32]] = Array(repeating: [], count: classes)
    for (row, label) in labels.enumerated() { rowsOfClass[Int(label)].append(UInt32(row)) }
    var parts: [[UInt32]] = Array(repeating: [], count: chunks)
    for label in 0..<classes {
      var stream = seed.child("dirichlet", label).stream
      var rows: [UInt32] = []
      swap(&rows, &rowsOfClass[label])
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
  private func level(_ parts: inout [[UInt32]], least: Int) {
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

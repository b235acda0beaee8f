import Runtime

/// The order in which the rows of a chunk are trained on, epoch after epoch; the same for every engine. Each epoch's order is
/// drawn over the one before it.
public struct RowOrder: Sequence, IteratorProtocol {
  private var rows: [Int]
  private var epoch = 0
  private let epochs: Int
  private let shuffle: Bool
  private let seed: Seed

  init(count: Int, epochs: Int, shuffle: Bool, seed: Seed) {
    rows = Array(0..<count)
    self.epochs = epochs
    self.shuffle = shuffle
    self.seed = seed
  }

  public mutating func next() -> [Int]? {
    guard epoch < epochs else { return nil }
    if shuffle {
      var stream = seed.child("epoch", epoch).stream
      stream.shuffle(&rows)
    }
    epoch += 1
    return rows
  }
}

extension TrainingRecipe {
  /// An order of the rows for each epoch.
  public func orders(count: Int, seed: Seed) -> RowOrder {
    RowOrder(count: count, epochs: epochs, shuffle: shuffle, seed: seed)
  }
}

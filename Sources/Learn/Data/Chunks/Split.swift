import Runtime

/// How samples are told off: some held back for the test, the rest cut into chunks. The seed alone decides.
public struct Split: Sendable {
  /// Nil where the test has samples of its own.
  public var testShare: Double?
  public var partition: Partition
  public var chunks: Int
  /// The job's.
  public var seed: Seed

  public init(testShare: Double?, partition: Partition, chunks: Int, seed: Seed) {
    self.testShare = testShare
    self.partition = partition
    self.chunks = chunks
    self.seed = seed
  }

  /// All rows in the order of their draw, and how many of the first are held back: at least one, and not all.
  public static func draw(count: Int, testShare: Double, seed: Seed) throws(LearnError) -> (order: [UInt32], test: Int)
  {
    guard count >= 2, count <= Int(UInt32.max) else {
      throw .data("\(count) samples cannot be split into some to train on and some for the test")
    }
    var order = Array(0..<UInt32(count))
    var stream = seed.stream("test split")
    stream.shuffle(&order)
    return (order, max(1, min(count - 1, Int(Double(count) * testShare))))
  }

  /// The seed of the partition of what is trained on.
  public static func partitionSeed(_ seed: Seed) -> Seed { seed.child("partition") }

  /// Rows that a plan is made for; it takes eight bytes for each while it is made.
  static let rowLimit = 1 << 25
  /// The same for a split by classes, which takes more.
  static let classRowLimit = 1 << 24

  /// Where every row goes.
  public func plan(_ source: some RowSource) throws(LearnError) -> RowPlan {
    let count = source.count
    guard count <= Self.rowLimit else {
      throw .data("\(source.name) has \(count) rows; at most \(Self.rowLimit) can be split: cut the file in parts")
    }
    var trained: [UInt32]?
    var tested = 0
    if let testShare {
      (trained, tested) = try Self.draw(count: count, testShare: testShare, seed: seed)
    }
    var cut = try partition.cut(
      count: count - tested, chunks: chunks, seed: Self.partitionSeed(seed), words: source.form.words
    ) { () throws(LearnError) in
      guard count <= Self.classRowLimit else {
        throw .data("\(source.name) has \(count) rows; at most \(Self.classRowLimit) can be split by classes")
      }
      var labels: [UInt16] = []
      labels.reserveCapacity(count)
      try source.forEach { _, targets throws(LearnError) in
        labels.append(UInt16(littleEndian: targets.loadUnaligned(as: UInt16.self)))
      }
      if let trained { labels = trained.dropFirst(tested).map { labels[Int($0)] } }
      return (labels, source.form.classes)
    }
    if let trained {
      for index in cut.order.indices { cut.order[index] = trained[tested + Int(cut.order[index])] }
      cut.order += trained.prefix(tested)
    }
    trained = nil
    var places = [UInt32](repeating: 0, count: count)
    for (place, row) in cut.order.enumerated() { places[Int(row)] = UInt32(place) }
    if tested > 0 { cut.starts.append(count) }
    return RowPlan(places: places, starts: cut.starts, hasTest: tested > 0)
  }
}

/// Where each row of a source goes: its place among all samples, chunk after chunk, those for the test last.
public struct RowPlan: Sendable {
  public let places: [UInt32]
  /// Where each part begins, and at last how many rows there are.
  let starts: [Int]
  let hasTest: Bool

  /// Chunks, and the test's samples if any.
  var parts: Int { starts.count - 1 }
  func size(_ part: Int) -> Int { starts[part + 1] - starts[part] }
  /// The part that a place belongs to.
  func part(of place: Int) -> Int {
    var low = 0
    var high = parts
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= place { low = middle } else { high = middle }
    }
    return low
  }
  /// Whether a row is trained on.
  public func isTrained(_ row: Int) -> Bool { !hasTest || Int(places[row]) < starts[parts - 1] }
}

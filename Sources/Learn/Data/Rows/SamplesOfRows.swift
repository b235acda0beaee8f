extension Samples {
  /// All samples of a source at once, as one chunk.
  ///
  /// - Throws: `LearnError.data` where the source fails or holds more than a chunk may.
  public init(all source: some RowSource) throws(LearnError) {
    let form = source.form
    try form.check(count: source.count)
    var bytes = form.header(count: source.count)
    guard form.length(count: source.count) <= 1 << 31 else {
      throw .data("\(source.name) has more samples than can be held at once; split it and name its test.pmck")
    }
    bytes.reserveCapacity(form.length(count: source.count))
    var targets: [UInt8] = []
    targets.reserveCapacity(source.count * form.targetBytes)
    try source.forEach { (row, wanted) throws(LearnError) in
      bytes.append(contentsOf: row)
      targets.append(contentsOf: wanted)
    }
    try self.init(bytes: bytes + targets)
  }
}

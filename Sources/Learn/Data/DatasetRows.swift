import Runtime

extension Dataset {
  /// A chunk of these rows, in this order.
  public func chunk(rows: some Collection<Int>) throws(LearnError) -> Samples {
    let form = self.form
    try form.check(count: rows.count)
    for row in rows where row < 0 || row >= count { throw .data("row \(row) of \(count)") }
    var bytes = form.header(count: rows.count)
    bytes.reserveCapacity(form.length(count: rows.count))
    for row in rows { appendFeatures(of: row, to: &bytes) }
    for row in rows { appendTargets(of: row, to: &bytes) }
    return try Samples(bytes: bytes)
  }

  /// As in a chunk.
  func appendFeatures(of row: Int, to bytes: inout [UInt8]) {
    let range = (row * featureCount)..<((row + 1) * featureCount)
    switch features {
    case .bytes(let values, _): bytes += values[range]
    case .floats(let values): Self.append(values[range], to: &bytes)
    }
  }

  /// As in a chunk.
  func appendTargets(of row: Int, to bytes: inout [UInt8]) {
    switch targets {
    case .classes(let labels, let per, _):
      for label in labels[(row * per)..<((row + 1) * per)] {
        bytes.append(UInt8(truncatingIfNeeded: label))
        bytes.append(UInt8(truncatingIfNeeded: label >> 8))
      }
    case .values(let values, let per): Self.append(values[(row * per)..<((row + 1) * per)], to: &bytes)
    }
  }

  private static func append(_ floats: ArraySlice<Float>, to bytes: inout [UInt8]) {
    for value in floats {
      withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }
  }

  public func prefix(_ limit: Int) throws(LearnError) -> Dataset { try rows(0..<min(limit, count)) }

  /// The dataset of these rows alone.
  public func rows(_ range: Range<Int>) throws(LearnError) -> Dataset {
    guard range.lowerBound >= 0, range.upperBound <= count else { throw .data("rows \(range) of \(count)") }
    return try choosing(range)
  }

  /// The dataset of these rows, in this order.
  public func choosing(_ rows: some Collection<Int>) throws(LearnError) -> Dataset {
    for row in rows where row < 0 || row >= count { throw .data("row \(row) of \(count)") }
    func picked<T>(_ values: [T], _ width: Int) -> [T] {
      var chosen: [T] = []
      chosen.reserveCapacity(rows.count * width)
      for row in rows { chosen += values[(row * width)..<((row + 1) * width)] }
      return chosen
    }
    let chosen: Features =
      switch features {
      case .bytes(let bytes, let divisor): .bytes(picked(bytes, featureCount), divisor: divisor)
      case .floats(let floats): .floats(picked(floats, featureCount))
      }
    let aims: Targets =
      switch targets {
      case .classes(let labels, let per, let classes): .classes(picked(labels, per), per: per, of: classes)
      case .values(let values, let per): .values(picked(values, per), per: per)
      }
    return try Dataset(features: chosen, targets: aims, shape: shape)
  }
}

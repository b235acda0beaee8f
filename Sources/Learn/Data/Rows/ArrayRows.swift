/// Samples of two arrays in files, read a few rows at a time.
public struct ArrayRows: RowSource {
  /// An array and where its elements lie.
  struct Place: Sendable {
    var file: FileReader
    var layout: ArrayLayout
    var start: Int
  }
  private static let batchBytes = 1 << 22

  public let form: SampleForm
  public let count: Int
  /// Of one sample.
  public let shape: [Int]
  public var name: String { features.layout.name }
  private let features: Place
  private let targets: Place

  /// - Throws: `LearnError.data` where the two do not belong together; targets are read once, to find how many classes there are.
  init(features: Place, targets: Place, options: ArrayOptions) throws(LearnError) {
    let pair = try ArrayPair(features.layout, targets.layout, options)
    self.features = features
    self.targets = targets
    count = pair.count
    shape = pair.shape
    var largest: UInt16 = 0
    if pair.kind == .classes {
      try Self.batches(of: targets, perSample: pair.targetCount, count: pair.count) { rows, raw throws(LearnError) in
        let labels = try Self.classes(raw, targets.layout, rows, pair.targetCount)
        largest = max(largest, labels.max() ?? 0)
      }
    }
    form = pair.form(classes: max(2, Int(largest) + 1))
    try form.check(count: 1)
  }

  /// Two NPY files.
  public init(npy path: String, targets other: String, options: ArrayOptions = ArrayOptions()) throws(LearnError) {
    try self.init(features: Self.npy(path), targets: Self.npy(other), options: options)
  }

  /// Images and labels in IDX files that are not gzipped; pixels are divided by 255.
  public init(idx images: String, labels: String) throws(LearnError) {
    try self.init(
      features: Self.idx(images), targets: Self.idx(labels), options: ArrayOptions(choice: .classes, divisor: 255))
  }

  private static func npy(_ path: String) throws(LearnError) -> Place {
    let file = try FileReader(path: path)
    let header = try NPY.header(file.bytes(0..<min(file.count, NPY.headerLimit + 12)), named: path)
    let layout = ArrayLayout(name: path, type: header.type, shape: header.shape)
    let (_, needed) = try layout.size(limit: Int.max >> 1)
    guard file.count - header.dataStart == needed else {
      throw .data(
        "\(path) has \(file.count - header.dataStart) bytes of elements where its shape \(header.shape) needs \(needed)"
      )
    }
    guard !header.isFortran || header.shape.count <= 1 else {
      throw .data("\(path) is in Fortran's order, whose rows do not lie together; save numpy.ascontiguousarray(array)")
    }
    return Place(file: file, layout: layout, start: header.dataStart)
  }

  private static func idx(_ path: String) throws(LearnError) -> Place {
    let file = try FileReader(path: path)
    let (shape, start) = try IDX.header(file.bytes(0..<min(file.count, 64)), length: file.count, named: path)
    return Place(file: file, layout: ArrayLayout(name: path, type: .u8, shape: shape), start: start)
  }

  public func forEach(
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(LearnError) -> Void
  ) throws(LearnError) {
    let targetCount = form.targets
    let features = self.features
    let kind = form.targetKind
    var aims: [UInt8] = []
    try Self.batches(
      of: features, perSample: form.features, with: targets, otherPerSample: targetCount, count: count
    ) { rows, raw, other throws(LearnError) in
      switch kind {
      case .classes:
        let labels = try Self.classes(other, targets.layout, rows, targetCount)
        aims = labels.withUnsafeBytes { Array($0) }
      case .values:
        let values = try Self.floats(other, targets.layout, rows, targetCount)
        aims = values.withUnsafeBytes { Array($0) }
      }
      let floats = form.storage == .floats ? try Self.floats(raw, features.layout, rows, form.features) : []
      let failure = aims.withUnsafeBytes { aims in
        floats.withUnsafeBytes { floats in
          Result { () throws(LearnError) -> Void in
            let source = form.storage == .floats ? floats : raw
            for row in 0..<rows.count {
              try body(
                UnsafeRawBufferPointer(rebasing: source[(row * form.rowBytes)..<((row + 1) * form.rowBytes)]),
                UnsafeRawBufferPointer(rebasing: aims[(row * form.targetBytes)..<((row + 1) * form.targetBytes)]))
            }
          }
        }
      }
      try failure.get()
    }
  }

  // MARK: pieces

  private static func floats(_ raw: UnsafeRawBufferPointer, _ layout: ArrayLayout, _ rows: Range<Int>, _ per: Int)
    throws(LearnError) -> [Float]
  {
    var bad: Int?
    let values = [Float](unsafeUninitializedCapacity: rows.count * per) { buffer, done in
      bad = layout.type.floats(raw.baseAddress!, count: rows.count * per, into: buffer.baseAddress!)
      done = bad ?? rows.count * per
    }
    if let bad { throw layout.notANumber(at: rows.lowerBound * per + bad) }
    return values
  }

  private static func classes(_ raw: UnsafeRawBufferPointer, _ layout: ArrayLayout, _ rows: Range<Int>, _ per: Int)
    throws(LearnError) -> [UInt16]
  {
    var bad: Int?
    let values = [UInt16](unsafeUninitializedCapacity: rows.count * per) { buffer, done in
      bad = layout.type.classes(raw.baseAddress!, count: rows.count * per, into: buffer.baseAddress!)
      done = bad ?? rows.count * per
    }
    if let bad { throw layout.notAClass(at: rows.lowerBound * per + bad) }
    return values
  }

  private static func batches(
    of place: Place, perSample: Int, count: Int,
    _ body: (Range<Int>, UnsafeRawBufferPointer) throws(LearnError) -> Void
  ) throws(LearnError) {
    try batches(of: place, perSample: perSample, with: nil, otherPerSample: 0, count: count) {
      rows, raw, _ throws(LearnError) in
      try body(rows, raw)
    }
  }

  /// Reads as many rows as fit a batch, of one array or of two.
  private static func batches(
    of place: Place, perSample: Int, with other: Place?, otherPerSample: Int, count: Int,
    _ body: (Range<Int>, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(LearnError) -> Void
  ) throws(LearnError) {
    let width = place.layout.type.width * perSample
    let otherWidth = other.map { $0.layout.type.width * otherPerSample } ?? 0
    let step = max(1, min(count, batchBytes / max(1, width + otherWidth)))
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: step * (width + otherWidth), alignment: 16)
    defer { buffer.deallocate() }
    var row = 0
    while row < count {
      let rows = row..<min(count, row + step)
      let first = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(rows.count * width)])
      let second = UnsafeMutableRawBufferPointer(
        rebasing: buffer[(step * width)..<(step * width + rows.count * otherWidth)])
      try place.file.read(at: place.start + row * width, into: first)
      if let other { try other.file.read(at: other.start + row * otherWidth, into: second) }
      try body(rows, UnsafeRawBufferPointer(first), UnsafeRawBufferPointer(second))
      row = rows.upperBound
    }
  }
}

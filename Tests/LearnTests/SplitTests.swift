import Foundation
import Runtime
import Testing

@testable import Learn

/// Normalisation, and the split of files that is never in memory as a whole.
@Suite struct SplitTests {
  private func floats(_ dataset: Dataset) -> [Float] {
    if case .floats(let floats) = dataset.features { floats } else { [] }
  }

  @Test func `a normalisation knows only the rows that are trained on`() throws {
    let data = try Dataset(
      features: .floats([1, 5, 3, 5, 1_000, 6]), labels: [0, 1, 0], featureCount: 2, classes: 2)
    let found = try Normalisation(fitting: data, groups: 2) { $0 < 2 }
    #expect(found.means == [2, 5] && found.deviations == [1, 0])
    #expect(floats(try found.applied(to: data)) == [-1, 0, 1, 0, 998, 0])
    #expect(try Normalisation(wireBytes: found.wireBytes) == found)
    let left = try Normalisation(fitting: data, groups: 2, leaving: [1]) { $0 < 2 }
    #expect(floats(try left.applied(to: data)) == [-1, 5, 1, 5, 998, 6])
  }

  @Test func `a normalisation by channels of bytes`() throws {
    let data = try Dataset(
      features: .bytes([0, 255, 51, 51, 0, 255, 51, 51], divisor: 255), targets: .classes([0, 1], per: 1, of: 2),
      shape: [2, 1, 2])
    let found = try Normalisation(fitting: data, groups: 2) { _ in true }
    #expect(found.means.count == 2 && found.means[0] == 0.5 && found.deviations[0] == 0.5)
    #expect(floats(try found.applied(to: data)) == [-1, 1, 0, 0, -1, 1, 0, 0])
    #expect(try found.applied(to: data).shape == [2, 1, 2])
    #expect(throws: LearnError.self) { try Normalisation(fitting: data, groups: 3) { _ in true } }
    #expect(throws: LearnError.self) { try Normalisation(fitting: data, groups: 2) { _ in false } }
    let narrow = try Dataset(features: .floats([1]), labels: [0], featureCount: 1, classes: 2)
    #expect(throws: LearnError.self) { try found.applied(to: narrow) }
  }

  @Test func `a normalisation from outside is checked`() throws {
    let data = try Blobs.dataset(samples: 20, features: 6, classes: 2, seed: Seed(1))
    let bytes = try Normalisation(fitting: data, groups: 3) { _ in true }.wireBytes
    for length in 1..<bytes.count {
      #expect(throws: WireError.self) { try Normalisation(wireBytes: Array(bytes.prefix(length))) }
    }
    var negative = bytes
    negative[bytes.count - 1] |= 0x80
    #expect(throws: WireError.self) { try Normalisation(wireBytes: negative) }
  }

  /// What a job makes of these data in memory: its chunks and the test's.
  private func inMemory(_ data: Dataset, _ split: Split, groups: Int?) throws -> [[UInt8]] {
    var data = data
    var trained = Array(0..<data.count)
    var tested: [Int] = []
    if let share = split.testShare {
      let (order, count) = try Split.draw(count: data.count, testShare: share, seed: split.seed)
      tested = order.prefix(count).map(Int.init)
      trained = order.dropFirst(count).map(Int.init)
    }
    if let groups {
      let included = Set(trained)
      data = try Normalisation(fitting: data, groups: groups) { included.contains($0) }.applied(to: data)
    }
    let train = try data.choosing(trained)
    var chunks = try split.partition.rows(train, chunks: split.chunks, seed: Split.partitionSeed(split.seed)).map {
      try train.chunk(rows: $0).bytes
    }
    if !tested.isEmpty { chunks.append(try data.chunk(rows: tested).bytes) }
    return chunks
  }

  private func onDisk(_ source: some RowSource, _ split: Split, groups: Int?) throws -> [[UInt8]] {
    let folder = try newFolder("split-\(source.count)-\(source.form.features)")
    defer { remove(folder) }
    let plan = try split.plan(source)
    let writer = try ChunkWriter(folder: folder)
    let written: [ChunkWriter.Written]
    if let groups {
      let found = try Normalisation(fitting: source, groups: groups) { plan.isTrained($0) }
      written = try writer.write(try NormalisedRows(source, found), plan)
    } else {
      written = try writer.write(source, plan)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == written.count)
    #expect(throws: LearnError.self) { try ChunkWriter(folder: folder) }
    return try written.map { part in
      let bytes = try FileReader.all(path: "\(folder)/\(part.file)", limit: 1 << 27)
      #expect(Digest(of: bytes) == part.digest && bytes.count == part.bytes)
      #expect(try Samples(bytes: bytes).count == part.samples)
      return bytes
    }
  }

  static let splits = [
    Split(testShare: 0.2, partition: .iid, chunks: 7, seed: Seed(3)),
    Split(testShare: nil, partition: .iid, chunks: 1, seed: Seed(4)),
    Split(testShare: 0.1, partition: .dirichlet(alpha: 0.5, least: 3), chunks: 6, seed: Seed(5)),
    Split(testShare: nil, partition: .dirichlet(alpha: 10, least: 1), chunks: 9, seed: Seed(6)),
  ]

  @Test(arguments: splits) func `a table split from its file is the table split in memory, bit for bit`(_ split: Split)
    throws
  {
    var stream = Seed(1).stream
    var text = "a,b,colour,y\n"
    for row in 0..<900 {
      text += "\(stream.unit()),\(row),\(["red", "green"][stream.below(2)]),k\(stream.below(4))\n"
    }
    let path = "/tmp/peermill-split-\(split.chunks).csv"
    try write(path, Array(text.utf8))
    defer { remove(path) }
    let memory = try CSV.dataset(Array(text.utf8), label: "y", named: path).dataset
    let table = try CSV.scan(.file(FileReader(path: path)), label: "y", named: path)
    for groups in [nil, 4] {
      #expect(try onDisk(table, split, groups: groups) == inMemory(memory, split, groups: groups))
    }
  }

  @Test(arguments: splits) func `arrays split from their files are those split in memory, bit for bit`(_ split: Split)
    throws
  {
    let folder = try newFolder("arrays-\(split.chunks)")
    defer { remove(folder) }
    var stream = Seed(2).stream
    let pixels = stream.bytes(500 * 12)
    let doubles = (0..<(500 * 3)).flatMap { _ in
      let bits = stream.unit().bitPattern
      return (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64(8 * $0)) }
    }
    let labels = (0..<500).map { _ in UInt8(stream.below(5)) }
    func header(_ type: String, _ shape: String) -> String {
      "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape)), }"
    }
    let y = ArrayTests.npy(header("|u1", "500,"), labels)
    try write("\(folder)/y.npy", y)
    for (name, x) in [
      ("pixels", ArrayTests.npy(header("|u1", "500, 3, 2, 2"), pixels)),
      ("doubles", ArrayTests.npy(header("<f8", "500, 3"), doubles)),
    ] {
      let path = "\(folder)/\(name).npy"
      try write(path, x)
      let memory = try NPY.dataset(features: x, targets: y, named: path, targetsNamed: "y")
      let rows = try ArrayRows(npy: path, targets: "\(folder)/y.npy")
      #expect(rows.shape == memory.shape && rows.form == memory.form)
      for groups in [nil, 3] {
        #expect(try onDisk(rows, split, groups: groups) == inMemory(memory, split, groups: groups))
      }
    }
    let images = [0, 0, 8, 3, 0, 0, 1, 0xF4, 0, 0, 0, 3, 0, 0, 0, 4] + pixels
    let marks = [0, 0, 8, 1, 0, 0, 1, 0xF4] + labels
    try write("\(folder)/images", images)
    try write("\(folder)/labels", marks)
    let memory = try IDX.dataset(images: images, labels: marks, named: "t")
    let rows = try ArrayRows(idx: "\(folder)/images", labels: "\(folder)/labels")
    #expect(try onDisk(rows, split, groups: nil) == inMemory(memory, split, groups: nil))
  }

  @Test func `a text split from its file is the text split in memory, bit for bit`() throws {
    var stream = Seed(8).stream
    let text = (0..<10_000).map { _ in UInt8(97 + stream.below(20)) }
    let path = "/tmp/peermill-split-text.txt"
    try write(path, text)
    defer { remove(path) }
    for vocabulary in TextFile.Vocabulary.allCases {
      let memory = try TextFile(text, window: 33, vocabulary: vocabulary, named: path)
      let rows = try TextRows(path: path, window: 33, vocabulary: vocabulary)
      #expect(rows.vocabulary == memory.vocabulary)
      #expect(try onDisk(rows, Self.splits[0], groups: nil) == inMemory(memory.dataset, Self.splits[0], groups: nil))
      #expect(throws: LearnError.self) { try Self.splits[2].plan(rows) }
    }
  }

  @Test func `a chunk that would be too large is refused before anything is written`() throws {
    let folder = try newFolder("large")
    defer { remove(folder) }
    let path = "\(folder)/x.npy"
    try write(
      path, ArrayTests.npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 70000000), }", []))
    try write("\(folder)/y.npy", ArrayTests.npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }", [0, 1]))
    let handle = try #require(FileHandle(forWritingAtPath: path))
    let header = try NPY.header(FileReader.all(path: path, limit: 1 << 20), named: "t").dataStart
    try handle.truncate(atOffset: UInt64(header + 140_000_000))
    try handle.close()
    do {
      _ = try ArrayRows(npy: path, targets: "\(folder)/y.npy")
      Issue.record("a sample of 70,000,000 features was taken")
    } catch { #expect("\(error)".contains("16777216")) }
    try write(
      path, ArrayTests.npy("{'descr': '|u1', 'fortran_order': False, 'shape': (20, 7000000), }", []))
    try write(
      "\(folder)/y.npy",
      ArrayTests.npy("{'descr': '|u1', 'fortran_order': False, 'shape': (20,), }", [UInt8](repeating: 1, count: 20)))
    let again = try #require(FileHandle(forWritingAtPath: path))
    try again.truncate(
      atOffset: UInt64(try NPY.header(FileReader.all(path: path, limit: 1 << 20), named: "t").dataStart + 140_000_000))
    try again.close()
    let rows = try ArrayRows(npy: path, targets: "\(folder)/y.npy")
    let plan = try Split(testShare: nil, partition: .iid, chunks: 1, seed: Seed(1)).plan(rows)
    do {
      _ = try ChunkWriter(folder: "\(folder)/out").write(rows, plan)
      Issue.record("it was written")
    } catch { #expect("\(error)".contains("ask for more chunks")) }
  }
}

import CKernels
import Runtime
import Testing

@testable import Learn

@Suite struct DataTests {
  private func idx(_ shape: [Int], _ values: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0, 0, 8, UInt8(shape.count)]
    for size in shape { for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: size >> shift)) } }
    return bytes + values
  }

  @Test func `IDX images and labels make a dataset`() throws {
    let data = try IDX.dataset(
      images: idx([2, 2, 2], [0, 255, 1, 2, 3, 4, 5, 6]), labels: idx([2], [1, 0]), named: "t")
    #expect(data.count == 2 && data.featureCount == 4 && data.labels == [1, 0])
    let chunk = try data.chunk(rows: [1, 0])
    #expect(chunk.count == 2 && chunk.label(0) == 0 && chunk.label(1) == 1)
    #expect(try Samples(bytes: chunk.bytes).bytes == chunk.bytes)
  }

  @Test func `IDX that is cut short or claims too much is refused`() {
    let good = idx([2, 2, 2], [0, 255, 1, 2, 3, 4, 5, 6])
    for length in 0..<good.count {
      #expect(throws: LearnError.self) { try IDX.read(Array(good.prefix(length)), named: "t") }
    }
    #expect(throws: LearnError.self) { try IDX.read(idx([1 << 31, 1 << 31], []), named: "t") }
    #expect(throws: LearnError.self) { try IDX.read([0, 0, 0x0D, 1, 0, 0, 0, 0], named: "t") }
    #expect(throws: LearnError.self) { try IDX.read([0x1F, 0x8B, 1, 2, 3], named: "t") }
    #expect(throws: LearnError.self) { try IDX.dataset(images: good, labels: idx([3], [0, 1, 2]), named: "t") }
  }

  private func csv(_ text: String, _ label: String = "y") throws -> Dataset {
    try CSV.dataset(Array(text.utf8), label: label, named: "t.csv").dataset
  }

  @Test func `CSV with quotes, spaces and either line end`() throws {
    let data = try csv("a,\"b, c\",y\r\n1, 2.5 ,\"x \"\"1\"\"\"\n-3,4e2,k\n")
    #expect(data.featureCount == 2 && data.classes == 2 && data.labels == [1, 0])
    guard case .floats(let values) = data.features else {
      Issue.record("floats")
      return
    }
    #expect(values == [1, 2.5, -3, 400])
  }

  @Test(arguments: [
    ("", "empty"), ("a,y\n", "no rows"), ("a,b\n1,2\n", "no column 'y'"), ("a,y\nnan,p\n1,q\n", "line 2, column 'a'"),
    ("a,y\n1,p\n,q\n", "line 3"), ("a,y\n1\n", "has 1 columns"), ("a,y\n1,p\n2,p\n", "one class"),
    ("a,y\n\"1,p\n", "quote"), ("a,y\ninf,p\n", "not a finite number"), ("a,y\n1,\n", "no label"),
  ])
  func `CSV that cannot be used says where`(_ text: String, _ words: String) {
    do {
      _ = try csv(text)
      Issue.record("it was read")
    } catch { #expect("\(error)".contains(words), "\(error)") }
  }

  @Test func `a chunk's bytes from outside are checked`() throws {
    let data = try Blobs.dataset(samples: 20, features: 3, classes: 2, seed: Seed(1))
    let bytes = try data.chunk(rows: 0..<20).bytes
    for length in 0..<bytes.count {
      #expect(throws: LearnError.self) { try Samples(bytes: Array(bytes.prefix(length))) }
    }
    var stream = Seed(2).stream
    for _ in 0..<3_000 {
      var mutated = bytes
      mutated[stream.below(32)] = UInt8(stream.below(256))
      _ = try? Samples(bytes: mutated)
    }
    var label = bytes
    label[bytes.count - 1] = 9
    #expect(throws: LearnError.self) { try Samples(bytes: label) }
    var nan = bytes
    nan.replaceSubrange(28..<32, with: [0, 0, 0xC0, 0x7F])
    #expect(throws: LearnError.self) { try Samples(bytes: nan) }
  }

  private func floats(_ samples: Samples, _ row: Int) -> [Float] {
    var out = [Float](repeating: -1, count: samples.features)
    out.withUnsafeMutableBufferPointer { samples.load(row, into: $0.baseAddress!, pm_kernels_best().pointee) }
    return out
  }

  @Test func `bytes are divided, rounded once`() throws {
    let data = try Dataset(
      features: .bytes((0..<256).map { UInt8($0) } + [7, 8, 9], divisor: 255), labels: [1], featureCount: 259,
      classes: 2)
    let loaded = floats(try data.chunk(rows: 0..<1), 0)
    for value in 0..<256 { #expect(loaded[value] == Float(value) / 255) }
    #expect(loaded[258] == Float(9) / 255)
  }

  @Test func `several classes or numbers for each sample come back from a chunk`() throws {
    let many = try Dataset(
      features: .bytes([1, 2, 3, 4, 5, 6], divisor: 1), targets: .classes([0, 299, 7, 8, 9, 10], per: 3, of: 300),
      shape: [3])
    let chunk = try many.chunk(rows: [1, 0])
    #expect(chunk.targetKind == .classes && chunk.targetCount == 3 && chunk.classes == 300)
    var labels: [Int32] = [0, 0, 0]
    chunk.labels(1, into: &labels)
    #expect(labels == [0, 299, 7] && chunk.label(0) == 8 && floats(chunk, 0) == [4, 5, 6])

    let numbers = try Dataset(
      features: .bytes([1, 2, 3], divisor: 2), targets: .values([0.5, -1, 2, 3, 4, 5], per: 2), shape: [1])
    let other = try numbers.chunk(rows: 0..<3)
    #expect(other.targetKind == .values && other.targetCount == 2 && other.classes == 0)
    var values: [Float] = [0, 0]
    other.values(1, into: &values)
    #expect(values == [2, 3] && floats(other, 2) == [1.5])
    #expect(try Samples(bytes: other.bytes).bytes == other.bytes)
    for length in 0..<other.bytes.count {
      #expect(throws: LearnError.self) { try Samples(bytes: Array(other.bytes.prefix(length))) }
    }
    #expect(try numbers.choosing([2, 0]).chunk(rows: [0]).bytes == numbers.chunk(rows: [2]).bytes)
  }

  @Test func `targets and divisors that cannot be are refused`() throws {
    func refused(_ features: Dataset.Features, _ targets: Dataset.Targets, _ shape: [Int]) -> Bool {
      (try? Dataset(features: features, targets: targets, shape: shape)) == nil
    }
    #expect(refused(.floats([1]), .values([.nan], per: 1), [1]))
    #expect(refused(.floats([1]), .values([1], per: 2), [1]))
    #expect(refused(.floats([1]), .values([1], per: 0), [1]))
    #expect(refused(.floats([1]), .classes([2], per: 1, of: 2), [1]))
    #expect(refused(.floats([1]), .classes([0], per: 1, of: 1), [1]))
    #expect(refused(.floats([1]), .classes([0], per: 1, of: 65_537), [1]))
    #expect(refused(.floats([1]), .classes([0], per: 1, of: 2), [0]))
    #expect(refused(.floats([1]), .classes([0], per: 1, of: 2), [Int.max, 2]))
    for divisor in [0, -1, .nan, .infinity, .leastNonzeroMagnitude] as [Float] {
      #expect(refused(.bytes([1], divisor: divisor), .classes([0], per: 1, of: 2), [1]))
    }
    let good = try Dataset(features: .floats([1]), targets: .values([1], per: 1), shape: [1]).chunk(rows: [0]).bytes
    for (place, byte) in [(4, 1), (5, 3), (6, 3), (7, 1), (8, 2), (24, 1)] as [(Int, UInt8)] {
      var bad = good
      bad[place] = byte
      #expect(throws: LearnError.self, "byte \(place)") { try Samples(bytes: bad) }
    }
    var infinite = good
    infinite.replaceSubrange(32..<36, with: [0, 0, 0x80, 0x7F])
    #expect(throws: LearnError.self) { try Samples(bytes: infinite) }
  }

  @Test func `a Dirichlet split needs one class for each sample`() throws {
    let data = try Dataset(
      features: .floats([1, 2, 3, 4]), targets: .classes([0, 1, 1, 0], per: 2, of: 2), shape: [2])
    #expect(try Partition.iid.rows(data, chunks: 2, seed: Seed(1)).count == 2)
    do {
      _ = try Partition.dirichlet(alpha: 1, least: 1).rows(data, chunks: 2, seed: Seed(1))
      Issue.record("it was split")
    } catch { #expect("\(error)".contains("needs one for each sample")) }
  }

  @Test(arguments: [
    Partition.iid, .dirichlet(alpha: 0.5, least: 1), .dirichlet(alpha: 0.01, least: 5),
    .dirichlet(alpha: 100, least: 1),
  ])
  func `a partition gives every row to one chunk, and the same for one seed`(_ partition: Partition) throws {
    let data = try Blobs.dataset(samples: 1_000, features: 2, classes: 7, seed: Seed(1))
    let rows = try partition.rows(data, chunks: 40, seed: Seed(3))
    #expect(rows.flatMap { $0 }.sorted() == Array(0..<1_000))
    #expect(rows.allSatisfy { !$0.isEmpty })
    if case .dirichlet(_, let least) = partition { #expect(rows.allSatisfy { $0.count >= least }) }
    #expect(try partition.rows(data, chunks: 40, seed: Seed(3)) == rows)
    #expect(try partition.rows(data, chunks: 40, seed: Seed(4)) != rows)
    #expect(throws: LearnError.self) { try partition.rows(data, chunks: 1_001, seed: Seed(1)) }
  }

  @Test func `a small alpha gives chunks of few classes`() throws {
    let data = try Blobs.dataset(samples: 5_000, features: 1, classes: 10, seed: Seed(1))
    func spread(_ alpha: Double) throws -> Double {
      let rows = try Partition.dirichlet(alpha: alpha, least: 1).rows(data, chunks: 50, seed: Seed(5))
      let classes = rows.map { Set($0.map { data.labels[$0] }).count }
      return Double(classes.reduce(0, +)) / 50
    }
    #expect(try spread(0.1) < spread(1) && spread(1) < spread(100))
  }
}

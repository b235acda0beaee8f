import Foundation
import Runtime
import Testing

@testable import Learn

/// Files of arrays: NPY, NPZ, safetensors. Those read from the corpus were written by NumPy and by safetensors themselves.
@Suite struct ArrayTests {
  static let corpus = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fuzz/corpus").path
  private func file(_ name: String) throws -> [UInt8] {
    try FileReader.all(path: "\(Self.corpus)/\(name)", limit: 1 << 20)
  }
  private func words(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "it was read"
    } catch { return "\(error)" }
  }

  /// An NPY file with this header.
  static func npy(_ header: String, _ elements: [UInt8], major: UInt8 = 1) -> [UInt8] {
    let text = Array(header.utf8)
    let length = (0..<(major == 1 ? 2 : 4)).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
    return [0x93] + Array("NUMPY".utf8) + [major, 0] + length + text + elements
  }

  @Test(arguments: ["f4", "f8", "i8", "i4", "u1", "i1", "f2"])
  func `NPY of every type gives the same numbers`(_ type: String) throws {
    let array = try NPY.read(file("npy/plain-\(type).npy"), named: "t")
    #expect(array.layout.shape == [4, 3])
    #expect(try array.floats() == (0..<12).map { Float($0) })
    #expect(try array.classes() == (0..<12).map { UInt16($0) })
  }

  @Test func `NPY of booleans, of version 2, of one axis, in Fortran's order`() throws {
    #expect(try NPY.read(file("npy/bool.npy"), named: "t").floats() == (0..<12).map { $0 > 4 ? 1 : 0 })
    #expect(try NPY.read(file("npy/version2.npy"), named: "t").floats() == (0..<12).map { Float($0) })
    #expect(try NPY.read(file("npy/vector.npy"), named: "t").classes() == [0, 1, 2, 1])
    #expect(try NPY.read(file("npy/scalar.npy"), named: "t").layout.shape == [])
    let turned = try NPY.read(file("npy/fortran.npy"), named: "t")
    #expect(turned.layout.shape == [2, 3, 4])
    #expect(try turned.floats() == (0..<24).map { Float($0) })
  }

  @Test(arguments: [
    ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "the type '|O'"),
    ("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "the type '>f4'"),
    ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "records and objects"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1), }", "not a tuple"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "a number that is missing"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "too long"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", "more than 8 axes"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000), }", "claims the shape"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "needs 8"),
    ("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "neither True nor False"),
    ("{'descr': '<f4', 'shape': (1,), }", "without descr"),
    ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "repeated key"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'code': __import__('os')}", "unknown or repeated key"),
    ("__import__('os').system('true')", "lacks a '{'"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } or 1", "goes on after its end"),
  ])
  func `NPY with another header is refused in words`(_ header: String, _ expected: String) {
    let told = words { _ = try NPY.read(Self.npy(header, [0, 0, 0, 0]), named: "t.npy") }
    #expect(told.contains(expected) && told.contains("t.npy"), "\(told)")
  }

  @Test func `NPY that is cut short is refused at every length`() throws {
    let good = try file("npy/plain-f4.npy")
    for length in 0..<good.count {
      #expect(throws: LearnError.self) { try NPY.read(Array(good.prefix(length)), named: "t") }
    }
    for name in ["object", "records"] {
      #expect(throws: LearnError.self) { try NPY.read(file("npy/\(name).npy"), named: "t") }
    }
    #expect(throws: LearnError.self) {
      try NPY.dataset(features: file("npy/empty.npy"), targets: file("npy/vector.npy"), named: "x", targetsNamed: "y")
    }
  }

  @Test func `numbers that float32 does not hold, and labels that are none, say where`() throws {
    func array(_ type: ElementType, _ shape: [Int], _ bytes: [UInt8]) -> NumberArray {
      NumberArray(layout: ArrayLayout(name: "a", type: type, shape: shape), bytes: bytes, start: 0)
    }
    func little(_ values: [UInt64], _ width: Int) -> [UInt8] {
      values.flatMap { value in (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
    }
    let odd = array(.i64, [2, 2], little([1, 2, 3, (1 << 24) + 1], 8))
    #expect(words { _ = try odd.floats() }.contains("a[1, 1] is a number that float32 does not hold"))
    let huge = array(.f64, [1, 1], little([(1e300).bitPattern], 8))
    #expect(words { _ = try huge.floats() }.contains("a[0, 0] is not finite"))
    let third = array(.f64, [1], little([(1.0 / 3).bitPattern], 8))
    #expect(try third.floats() == [Float(1.0 / 3)])
    let negative = array(.i32, [2], little([1, UInt64(bitPattern: -1)], 4))
    #expect(words { _ = try negative.classes() }.contains("a[1] is not the number of a class"))
    #expect(throws: LearnError.self) { try array(.f64, [1], little([(1.0000000001).bitPattern], 8)).classes() }
    #expect(throws: LearnError.self) { try array(.bool, [1], [2]).floats() }
    let halves = array(.f16, [5], little([0x3C00, 0x0001, 0x83FF, 0x7BFF, 0x8000], 2))
    #expect(try halves.floats() == [1, 0x1p-24, -0x3FFp-24, 65_504, 0])
    #expect(throws: LearnError.self) { try array(.f16, [1], little([0x7C00], 2)).floats() }
    #expect(try array(.bf16, [2], little([0x3F80, 0xC040], 2)).floats() == [1, -3])
  }

  @Test func `NPZ stored and deflated, by names`() throws {
    for name in ["stored", "deflated", "names"] {
      let data = try NPZ.dataset(file("npz/\(name).npz"), named: "t")
      #expect(data.count == 4 && data.shape == [3] && data.labels == [0, 1, 2, 1] && data.classes == 3)
    }
    let images = try NPZ.dataset(file("npz/images.npz"), named: "t")
    #expect(images.shape == [2, 3] && images.form.divisor == 255 && images.form.storage == .bytes)
    #expect(try NPZ.dataset(file("npz/images.npz"), options: ArrayOptions(divisor: 1), named: "t").form.divisor == 1)
    let numbers = try NPZ.dataset(file("npz/numbers.npz"), named: "t")
    #expect(numbers.targetCount == 2 && numbers.classes == 0 && numbers.form.targetKind == .values)
    let asNumbers = try NPZ.dataset(file("npz/stored.npz"), options: ArrayOptions(choice: .numbers), named: "t")
    #expect(asNumbers.form.targetKind == .values)
    let missing = words {
      _ = try NPZ.dataset(file("npz/stored.npz"), options: ArrayOptions(features: "z"), named: "t")
    }
    #expect(missing.contains("no array 'z'; it has x, y"))
    #expect(throws: LearnError.self) {
      try NPZ.dataset(file("npz/numbers.npz"), options: ArrayOptions(choice: .classes), named: "t")
    }
  }

  @Test func `NPZ that is damaged, or unpacks to more than it says, is refused`() throws {
    for name in ["stored", "deflated"] {
      let good = try file("npz/\(name).npz")
      for length in 0..<good.count {
        #expect(throws: LearnError.self) { try NPZ.dataset(Array(good.prefix(length)), named: "t") }
      }
      let whole = try NPZ.dataset(good, named: "t").chunk(rows: 0..<4).bytes
      var stream = Seed(5).stream
      for place in good.indices {
        var bad = good
        bad[place] ^= UInt8(1 + stream.below(255))
        // A checksum covers what is unpacked: either nothing is read, or the same is.
        if let data = try? NPZ.dataset(bad, named: "t") { #expect(try data.chunk(rows: 0..<4).bytes == whole) }
      }
    }
    let bomb = try file("npz/bomb.npz")
    let members = try ZIP.members(bomb, named: "t")
    #expect(bomb.count < 2_000 && members[0].size > 1 << 20)
    #expect(words { _ = try NPZ.array("x", in: bomb, members, "t", limit: 1 << 20) }.contains("at most 1048576"))
    var lying = members[0]
    lying.size = 1_000
    #expect(words { _ = try ZIP.content(of: lying, in: bomb, named: "t", limit: 1 << 20) }.contains("does not unpack"))
  }

  @Test func `safetensors of several types give data`() throws {
    let floats = try SafetensorsData.dataset(file("safetensors/floats.safetensors"), named: "t")
    #expect(floats.count == 4 && floats.shape == [3] && floats.labels == [0, 1, 2, 1])
    let bytes = try SafetensorsData.dataset(file("safetensors/bytes.safetensors"), named: "t")
    #expect(bytes.form.storage == .bytes && bytes.form.divisor == 1 && bytes.labels == [0, 1, 2, 1])
    let halves = try SafetensorsData.dataset(file("safetensors/halves.safetensors"), named: "t")
    #expect(halves.form.targetKind == .values && halves.form.targets == 1)
    guard case .floats(let a) = floats.features, case .floats(let b) = halves.features else {
      Issue.record("floats")
      return
    }
    #expect(a == b)
    #expect(
      words {
        _ = try SafetensorsData.dataset(
          file("safetensors/floats.safetensors"), options: ArrayOptions(targets: "z"), named: "t")
      }.contains("no tensor 'z'; it has"))
  }

  /// A safetensors file with this header.
  static func safetensors(_ header: String, _ data: Int) -> [UInt8] {
    let text = Array(header.utf8)
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text + [UInt8](repeating: 0, count: data)
  }

  @Test func `the reader of safetensors knows every type, and that of weights float32 alone`() throws {
    for (word, type) in Safetensors.types {
      let bytes = Self.safetensors(
        "{\"a\":{\"dtype\":\"\(word)\",\"shape\":[2,3],\"data_offsets\":[0,\(6 * type.width)]}}", 6 * type.width)
      let read = try Safetensors.readAny(bytes)
      #expect(read.tensors == [.init(name: "a", type: type, shape: [2, 3], begin: 0, end: 6 * type.width)])
      if type == .f32 {
        #expect(try Safetensors.read(bytes).tensors == read.tensors)
      } else {
        #expect(throws: LearnError.weights("'a' is not F32")) { try Safetensors.read(bytes) }
      }
    }
  }

  @Test(arguments: [
    ("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "'F8_E4M3', which is not read"),
    ("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "no type"),
    ("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "repeated field"),
    ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "leaves a hole"),
    ("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, "where its shape needs 2"),
    ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 2, "end at byte 1 of 2"),
    (
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[999999999999999,999999999999999],\"data_offsets\":[0,1]}}", 1,
      "a shape too large"
    ),
    (
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
      1, "leaves a hole or overlaps"
    ),
    ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{}}", 1, "stands twice"),
  ])
  func `safetensors that lie are refused in words`(_ header: String, _ data: Int, _ expected: String) {
    let told = words { _ = try Safetensors.readAny(Self.safetensors(header, data)) }
    #expect(told.contains(expected), "\(told)")
  }

  @Test func `arrays that do not belong together are refused in words`() throws {
    func array(_ type: ElementType, _ shape: [Int]) -> NumberArray {
      NumberArray(
        layout: ArrayLayout(name: "a", type: type, shape: shape),
        bytes: [UInt8](repeating: 0, count: shape.reduce(type.width, *)), start: 0)
    }
    func told(_ x: NumberArray, _ y: NumberArray, _ options: ArrayOptions = ArrayOptions()) -> String {
      words { _ = try ArrayPair.dataset(x, y, options) }
    }
    #expect(told(array(.f32, [3, 2]), array(.i32, [2])).contains("has 3 samples and a has 2"))
    #expect(told(array(.f32, []), array(.i32, [2])).contains("is one number"))
    #expect(told(array(.f32, [2, 0]), array(.i32, [2])).contains("its sides must be at least 1"))
    #expect(told(array(.f32, [2, 1]), array(.i32, [2, 0])).contains("no targets"))
    #expect(told(array(.f32, [2, 1]), array(.i32, [2]), ArrayOptions(divisor: 255)).contains("only bytes are divided"))
    #expect(told(array(.f32, [2, 1]), array(.i32, [2, 5])) == "it was read")
  }
}

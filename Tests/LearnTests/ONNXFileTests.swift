import Foundation
import Runtime
import Testing

@testable import Learn

@Suite struct ONNXFileTests {
  // MARK: What is read

  @Test func `a small file is read into values`() throws {
    let model = try onnxRead(ONNXDraft())
    #expect(model.irVersion == 8 && model.opset == 17 && model.mlOpset == nil && model.producer == "tests")
    #expect(model.nodes.map(\.op) == ["Mul", "Relu"])
    #expect(model.nodes[0].inputs == ["x", "w"] && model.nodes[0].outputs == ["h"])
    #expect(model.nodes[1].place == "node 1 'n' (Relu)")
    #expect(
      model.initializers == [ONNXTensor(name: "w", element: .float, shape: [4], values: .floats([1, 2, 3, 4]))])
    #expect(model.inputs.map(\.name) == ["x"] && model.inputs[0].shape == [.named("batch"), .fixed(4)])
    #expect(model.outputs.map(\.name) == ["y"] && model.outputs[0].shape == nil)
  }

  @Test func `nodes out of order are sorted, and no more is moved than must be`() throws {
    let nodes = [
      onnxNode("Relu", ["x"], ["a"]), onnxNode("Add", ["b", "c"], ["y"]), onnxNode("Tanh", ["a"], ["c"]),
      onnxNode("Exp", ["a"], ["b"]),
      onnxNode("Neg", ["x"], ["z"]),
    ]
    let model = try onnxRead(ONNXDraft().with { $0.nodes = nodes })
    #expect(model.nodes.map(\.op) == ["Relu", "Exp", "Tanh", "Add", "Neg"])
    #expect(model.nodes.map(\.index) == [0, 1, 2, 3, 4])
  }

  @Test func `a long chain is no deep call`() throws {
    var nodes = (0..<19_998).map { onnxNode("Relu", [$0 == 0 ? "x" : "h\($0)"], ["h\($0 + 1)"]) }
    nodes.append(onnxNode("Relu", ["h19998"], ["y"]))
    let model = try onnxRead(ONNXDraft().with { $0.nodes = nodes.reversed() })
    #expect(model.nodes.count == 19_999 && model.nodes[0].inputs == ["x"])
  }

  @Test func `attributes of every kind are read, packed or not, with their type or without`() throws {
    let attributes: [Proto] = [
      onnxAttribute("f", 1).float(2, 1.5), onnxAttribute("i", 2).int(3, -7),
      onnxAttribute("s", 3).text(4, "SAME_UPPER"),
      onnxAttribute("t", 4).message(
        5, onnxTensor("", 7, [2]).content(9, littleBytes(Int64(-1)) + littleBytes(Int64(64)))),
      onnxAttribute("fs", 6).float(7, 1).float(7, -2), onnxAttribute("packed fs", 6).content(7, rawFloats([3, 4])),
      onnxAttribute("is", 7).int(8, 1).int(8, Int64.min), onnxAttribute("packed is", 7).content(8, [1, 0x80, 1]),
      onnxAttribute("ss", 8).text(9, "a").text(9, "b"), onnxAttribute("zero", 2), onnxAttribute("none", 7),
      Proto().text(1, "untyped").int(3, 5),
    ]
    let model = try onnxRead(ONNXDraft().with { $0.nodes[0] = onnxNode("Mul", ["x", "w"], ["h"], attributes) })
    let expected: [String: ONNXAttribute] = [
      "f": .float(1.5), "i": .int(-7), "s": .string("SAME_UPPER"),
      "t": .tensor(ONNXTensor(name: "", element: .int64, shape: [2], values: .ints([-1, 64]))),
      "fs": .floats([1, -2]), "packed fs": .floats([3, 4]), "is": .ints([1, Int64.min]), "packed is": .ints([1, 128]),
      "ss": .strings(["a", "b"]), "zero": .int(0), "none": .ints([]), "untyped": .int(5),
    ]
    #expect(model.nodes[0].attributes == expected)
  }

  @Test func `tensors of every kind are read from raw and from typed data`() throws {
    func ints(_ field: UInt64, _ values: [Int64]) -> (Proto) -> Proto { { values.reduce($0) { $0.int(field, $1) } } }
    func packed(_ field: UInt64, _ values: [Int64]) -> (Proto) -> Proto {
      { $0.content(field, values.flatMap { Proto.varint(UInt64(bitPattern: $0)) }) }
    }
    func raw<N: FixedWidthInteger>(_ values: [N]) -> (Proto) -> Proto { { $0.content(9, values.flatMap(littleBytes)) } }
    let doubles = [1.5, -0x1p200].map(\.bitPattern)
    let cases: [(Int64, (Proto) -> Proto, ONNXTensor.Values)] = [
      (1, { $0.float(4, 1).float(4, -.infinity) }, .floats([1, -.infinity])),
      (1, { $0.content(4, littleBytes(Float(1).bitPattern) + littleBytes(Float(2).bitPattern)) }, .floats([1, 2])),
      (10, raw([0x3C00, 0xFBFF] as [UInt16]), .floats([1, -65_504])),
      (10, ints(5, [1, 0x7C00]), .floats([0x1p-24, .infinity])),
      (16, raw([0x3F80, 0xC000] as [UInt16]), .floats([1, -2])), (16, packed(5, [0x3F80, 1]), .floats([1, 0x1p-133])),
      (11, raw(doubles), .floats([1.5, -.infinity])),
      (11, { $0.content(10, doubles.flatMap(littleBytes)) }, .floats([1.5, -.infinity])),
      (2, raw([0, 255] as [UInt8]), .ints([0, 255])), (2, ints(5, [0, 255]), .ints([0, 255])),
      (3, raw([-128, 127] as [Int8]), .ints([-128, 127])), (3, packed(5, [-128, 127]), .ints([-128, 127])),
      (4, raw([0, 65_535] as [UInt16]), .ints([0, 65_535])), (5, raw([-1, 1] as [Int16]), .ints([-1, 1])),
      (6, raw([-1, .max] as [Int32]), .ints([-1, Int64(Int32.max)])),
      (6, packed(5, [-1, 0xFFFF_FFFE]), .ints([-1, -2])),
      (7, raw([.min, .max] as [Int64]), .ints([.min, .max])), (7, packed(7, [-1, 300]), .ints([-1, 300])),
      (9, raw([0, 1] as [UInt8]), .ints([0, 1])), (12, raw([0, .max] as [UInt32]), .ints([0, Int64(UInt32.max)])),
      (13, ints(11, [0, .max]), .ints([0, .max])),
    ]
    for (type, data, expected) in cases {
      let model = try onnxRead(ONNXDraft().with { $0.initializers.append(data(onnxTensor("t", type, [2]))) })
      #expect(model.initializers[1].values == expected, "type \(type)")
      let again = try ONNXModel(bytes: model.stripped(of: []), named: "again")
      #expect(again.initializers == model.initializers)
    }
  }

  @Test func `every half is exact, and comes back; floats round to the nearest`() {
    for bits in UInt16.min...UInt16.max where bits & 0x7C00 != 0x7C00 || bits & 0x3FF == 0 {
      let value = ONNXElements.fromHalf(bits)
      let exponent = Int(bits >> 10 & 31)
      let fraction = Double(bits & 0x3FF)
      var expected =
        exponent == 0
        ? fraction * 0x1p-24 : (1_024 + fraction) * Double(sign: .plus, exponent: exponent - 25, significand: 1)
      if exponent == 31 { expected = .infinity }
      #expect(Double(value.magnitude) == expected && (value.sign == .minus) == (bits >= 0x8000))
      #expect(ONNXElements.toHalf(value) == bits)
      // Halfway to the next, the even one is nearest; a little more, the next.
      let next = ONNXElements.fromHalf(bits &+ 1)
      guard exponent < 31, next.isFinite else { continue }
      let middle = (value + next) / 2
      #expect(ONNXElements.toHalf(middle) == bits + (bits & 1))
      #expect(ONNXElements.toHalf(bits >= 0x8000 ? middle.nextDown : middle.nextUp) == bits + 1)
    }
    #expect(ONNXElements.toHalf(65_520) == 0x7C00 && ONNXElements.toHalf(Float(65_520).nextDown) == 0x7BFF)
    #expect(ONNXElements.toBFloat(Float(bitPattern: 0x3F80_8000)) == 0x3F80)
    #expect(ONNXElements.toBFloat(Float(bitPattern: 0x3F81_8000)) == 0x3F82)
    #expect(ONNXElements.toBFloat(Float.greatestFiniteMagnitude) == 0x7F80)
  }

  @Test func `initializers that old files list among the inputs are none`() throws {
    let file = ONNXDraft().with {
      $0.version = 3
      $0.inputs.append(onnxValue("w", 1, [Proto().int(1, 4)]))
    }
    let model = try onnxRead(file)
    #expect(model.inputs.map(\.name) == ["x"])
    #expect(try ONNXModel(bytes: model.stripped(of: ["w"]), named: "again").inputs.map(\.name) == ["x"])
    #expect(
      onnxWords(file.with { $0.inputs[1] = onnxValue("w", 1, [Proto().int(1, 5)]) }.bytes).contains(
        "another type or shape"))
  }

  @Test func `unknown fields, documents and metadata are passed over`() throws {
    let noise = Proto().text(14, "\u{0}\n").int(900, 3).raw([0xA1, 0x38, 1, 2, 3, 4, 5, 6, 7, 8])
    let file = ONNXDraft().with {
      $0.end = noise.text(6, "\n")
      $0.graphEnd = Proto().text(10, "\n").text(16, "\u{1}")
      $0.nodes[0] = $0.nodes[0].text(6, "\n").content(9, [0xFF, 0xFF])
    }
    #expect(try onnxRead(file).stripped(of: []) == onnxRead(ONNXDraft()).stripped(of: []))
    #expect(try onnxRead(file).replacing([:]) == file.bytes)
  }

  // MARK: What is refused

  @Test func `bytes that are no protobuf are refused`() throws {
    let start = Proto().int(1, 8)
    let cases: [([UInt8], String)] = [
      ([], "ir_version is missing"), (start.bytes, "imports no version"),
      (start.message(8, Proto().int(2, 17)).bytes, "no graph"),
      ([0], "field number"), (start.raw([0x0B]).bytes, "wire type 3"),
      (start.raw([0x0C]).bytes, "wire type 4"), (start.raw([0x0E]).bytes, "wire type 6"),
      (start.raw([0x03]).bytes, "field number"), (start.raw([UInt8](repeating: 0xFF, count: 11)).bytes, "too long"),
      (start.raw([0x10] + [UInt8](repeating: 0x80, count: 9) + [2]).bytes, "too long"),
      (start.raw([0x08, 0x80]).bytes, "does not end"),
      (start.raw([0x3A, 5, 1]).bytes, "says 5 bytes where 1 are left"),
      (start.raw([0x3A] + Proto.varint(UInt64.max)).bytes, "bytes where 0"),
      (start.raw([0x15, 1, 2]).bytes, "past the end"),
      (start.raw([0x11, 1, 2]).bytes, "past the end"), (start.text(1, "8").bytes, "a varint belongs"),
      (start.int(7, 8).bytes, "a length and bytes belongs"), (start.content(2, [0xC3]).bytes, "UTF-8"),
      (start.text(2, "a\nb").bytes, "control"), (start.text(2, "a\u{85}b").bytes, "control"),
      (start.text(2, String(repeating: "a", count: 1_025)).bytes, "at most 1024"),
    ]
    for (bytes, expected) in cases {
      let said = onnxWords(bytes)
      #expect(said.contains(expected), "\(said)")
      #expect(said.hasPrefix("the ONNX file: test.onnx: "))
    }
    let whole = ONNXDraft().bytes
    for length in whole.indices { #expect(onnxWords(Array(whole[..<length])) != "it was read") }
  }

  @Test func `models of other versions, domains and kinds are refused`() {
    let cases: [((inout ONNXDraft) -> Void, String)] = [
      ({ $0.version = 2 }, "ir_version is 2"), ({ $0.version = 15 }, "ir_version is 15"),
      ({ $0.imports = [] }, "imports no version"), ({ $0.imports = [("", 12)] }, "opset 12"),
      ({ $0.imports = [("ai.onnx", 24)] }, "opset 24"), ({ $0.imports.append(("ai.onnx", 18)) }, "two versions"),
      ({ $0.imports.append(("ai.onnx.ml", 9)) }, "opset 9 of ai.onnx.ml"), ({ $0.imports[0].1 = -1 }, "version -1"),
      ({ $0.end = $0.end.message(7, $0.graph) }, "two graphs"),
      ({ $0.end = Proto().message(25, Proto()) }, "functions"),
      ({ $0.end = Proto().message(20, Proto()) }, "training_info"),
      ({ $0.graphEnd = Proto().message(15, Proto()) }, "sparse"),
      (
        { $0.graphEnd = Proto().message(14, Proto().text(1, "w").message(2, onnxEntry("SCALE_TENSOR", "s"))) },
        "quantized"
      ),
      ({ $0.nodes[0] = $0.nodes[0].text(7, "com.microsoft") }, "the domain 'com.microsoft'"),
      ({ $0.nodes[0] = $0.nodes[0].text(7, "ai.onnx.ml") }, "does not import"),
      ({ $0.nodes[0] = $0.nodes[0].text(8, "o") }, "overload"),
      ({ $0.nodes[0] = onnxNode("", ["x"], ["h"]) }, "no operator"),
    ]
    for (change, expected) in cases {
      let said = onnxWords(ONNXDraft().with(change).bytes)
      #expect(said.contains(expected), "\(said)")
    }
  }

  @Test func `graphs that do not hang together are refused`() {
    let cases: [((inout ONNXDraft) -> Void, String)] = [
      ({ $0.nodes = [] }, "no nodes"), ({ $0.outputs = [] }, "no outputs"),
      ({ $0.nodes[1] = onnxNode("Relu", ["q"], ["y"]) }, "node 1 'n' (Relu) reads 'q', which nothing defines"),
      ({ $0.nodes[1] = onnxNode("Relu", ["y"], ["y"]) }, "its own output"),
      ({ $0.nodes[0] = onnxNode("Mul", ["x", "y"], ["h"]) }, "a cycle"),
      ({ $0.outputs = [onnxValue("q")] }, "output 'q'"),
      ({ $0.outputs.append($0.outputs[0]) }, "two outputs 'y'"), ({ $0.inputs.append($0.inputs[0]) }, "two inputs 'x'"),
      ({ $0.initializers.append(onnxWeight()) }, "two initializers 'w'"),
      ({ $0.nodes.append(onnxNode("Relu", ["x"], ["y"])) }, "as node 1"),
      ({ $0.nodes.append(onnxNode("Relu", ["x"], ["w"])) }, "given already"),
      ({ $0.nodes.append(onnxNode("Relu", ["x"], ["", ""])) }, "no output"),
      ({ $0.initializers.append(onnxWeight("")) }, "no name"), ({ $0.inputs.append(onnxValue("")) }, "no name"),
      ({ $0.inputs.append(Proto().text(1, "z")) }, "no type"),
      ({ $0.outputs.append(Proto().text(1, "z").message(2, Proto().message(4, Proto()))) }, "a sequence"),
      ({ $0.outputs.append(Proto().text(1, "z").message(2, Proto().message(5, Proto()))) }, "a map"),
      ({ $0.inputs.append(onnxValue("z", 14)) }, "type 14"),
      ({ $0.inputs.append(onnxValue("z", 1, [Proto().int(1, -1)])) }, "of -1"),
      ({ $0.inputs.append(onnxValue("z", 1, .init(repeating: Proto(), count: 9))) }, "more than 8 dimensions"),
      ({ $0.nodes = .init(repeating: $0.nodes[0], count: 20_001) }, "more than 20000 nodes"),
      ({ $0.initializers = (0...5_000).map { onnxWeight("w\($0)", [1]) } }, "more than 5000 initializers"),
      ({ $0.nodes[0] = onnxNode("Sum", .init(repeating: "x", count: 1_025), ["h"]) }, "more than 1024 inputs"),
      (
        { $0.nodes = .init(repeating: onnxNode("Sum", .init(repeating: "", count: 1_000), ["h"]), count: 300) },
        "262144"
      ),
    ]
    for (change, expected) in cases {
      let said = onnxWords(ONNXDraft().with(change).bytes)
      #expect(said.contains(expected), "\(said)")
    }
  }

  @Test func `nodes with graphs are refused by name, node and opset`() {
    for op in ["If", "Loop", "Scan"] {
      let said = onnxWords(ONNXDraft().with { $0.nodes[1] = onnxNode(op, ["h"], ["y"]) }.bytes)
      #expect(said.contains("node 1 'n' (\(op)), opset 17, holds a graph"), "\(said)")
    }
    for field in [6, 11] as [UInt64] {
      let body = onnxAttribute("body", field == 6 ? 5 : 10).message(field, ONNXDraft().graph)
      #expect(
        onnxWords(ONNXDraft().with { $0.nodes[1] = onnxNode("SequenceMap", ["h"], ["y"], [body]) }.bytes).contains(
          "holds a graph"))
    }
  }

  @Test func `attributes that cannot be are refused`() {
    let cases: [([Proto], String)] = [
      ([onnxAttribute("a", 2).int(3, 1), onnxAttribute("a", 2).int(3, 1)], "'a' twice"),
      ([Proto().int(3, 1)], "without a name"),
      ([Proto().text(1, "a")], "no value"), ([onnxAttribute("a", 1).int(3, 1)], "another kind"),
      ([onnxAttribute("a", 2).int(3, 1).float(2, 1)], "two kinds"), ([onnxAttribute("a", 99)], "type 99"),
      ([onnxAttribute("a", 4)], "no tensor"), ([onnxAttribute("a", 4).message(5, onnxTensor("", [2]))], "no data"),
      ([onnxAttribute("a", 1).float(2, .nan)], "not a number"),
      ([onnxAttribute("a", 6).content(7, rawFloats([1, .nan]))], "not a number"),
      ([onnxAttribute("a", 6).content(7, [1, 2, 3])], "3 bytes"), ([onnxAttribute("a", 2).text(21, "r")], "function"),
      ([onnxAttribute("a", 11).message(22, Proto())], "not read"),
      ([onnxAttribute("a", 9).message(10, onnxTensor("", [0]))], "not read"),
      ([onnxAttribute("a", 7).content(8, [UInt8](repeating: 1, count: 8_193))], "more than 65536 bytes"),
      ([onnxAttribute("a", 3).content(4, [UInt8](repeating: 65, count: 65_537))], "at most 65536"),
      ([onnxAttribute("a", 4).message(5, onnxTensor("", [1 << 23]))], "more than 16777216 bytes"),
      (.init(repeating: onnxAttribute("a", 2), count: 257), "more than 256 attributes"),
    ]
    for (attributes, expected) in cases {
      let said = onnxWords(ONNXDraft().with { $0.nodes[0] = onnxNode("Mul", ["x", "w"], ["h"], attributes) }.bytes)
      #expect(said.contains(expected) && said.contains("node 0"), "\(said)")
    }
  }

  @Test func `tensors that cannot be are refused`() {
    let cases: [(Proto, String)] = [
      (onnxTensor("t", [-1]).content(9, []), "dimension of -1"), (onnxTensor("t", [1 << 32]), "dimension of"),
      (onnxTensor("t", [1 << 31, 1 << 31, 1 << 31]), "more than 268435456 elements"),
      (onnxTensor("t", [1 << 15, 1 << 15]), "more than 268435456 elements"),
      (onnxTensor("t", .init(repeating: 1, count: 9)), "8 dimensions"),
      (onnxTensor("t", [2]).content(9, [1, 2, 3]), "3 bytes of data where its shape needs 8"),
      (onnxTensor("t", [2]).content(9, rawFloats([1, 2, 3])), "12 bytes"),
      (onnxTensor("t", [2]).float(4, 1), "4 bytes of data"),
      (onnxTensor("t", [1]).float(4, 1).float(4, 1), "more data"),
      (onnxTensor("t", 7, [1]).int(7, 1).int(7, 1), "more data"),
      (onnxTensor("t", 7, [3]).int(7, 1), "1 elements where"),
      (onnxTensor("t", [1]).content(9, rawFloats([1])).float(4, 1), "at once"),
      (onnxTensor("t", [1]).content(9, rawFloats([1])).content(9, rawFloats([1])), "raw data twice"),
      (onnxTensor("t", [1]).int(7, 1), "in field 7"), (onnxTensor("t", [1]).float(4, 1).int(7, 1), "two kinds"),
      (onnxTensor("t", 8, [1]).text(6, "a"), "of strings"), (onnxTensor("t", 14, [1]), "type 14"),
      (onnxTensor("t", 0, [1]), "type 0"),
      (onnxTensor("t", 22, [1]), "type 22"), (onnxTensor("t", [1]).message(3, Proto()), "segment"),
      (onnxTensor("t", [2]).content(9, rawFloats([1, .nan])), "element 1 is not a number"),
      (onnxTensor("t", 10, [1]).int(5, 0x7E00), "not a number"),
      (onnxTensor("t", 9, [1]).content(9, [2]), "its type can hold"), (onnxTensor("t", 2, [1]).int(5, 256), "is 256"),
      (onnxTensor("t", 13, [1]).content(9, littleBytes(UInt64.max)), "its type can hold"),
      (onnxTensor("t", [1]).int(14, 2), "location 2"),
    ]
    for (initializer, expected) in cases {
      let said = onnxWords(ONNXDraft().with { $0.initializers.append(initializer) }.bytes)
      #expect(said.contains(expected), "\(said)")
    }
    let many = (0..<3).map { onnxTensor("t\($0)", [1 << 27]) }
    #expect(
      onnxWords(ONNXDraft().with { $0.initializers += many }.bytes).contains(
        "'t1' it has more than 268435456 elements in all"))
  }

  @Test func `data beside the file are found by plain names, within bounds, and once`() throws {
    func outside(_ name: String, _ entries: [(String, String)]) -> Proto {
      onnxTensor(name, [2]).messages(13, entries.map { onnxEntry($0.0, $0.1) }).int(14, 1)
    }
    func file(_ tensors: Proto...) -> ONNXDraft { ONNXDraft().with { $0.initializers += tensors } }
    let data = ["d": rawFloats([1, 2, 3, 4])]
    let model = try onnxRead(
      file(
        outside("a", [("location", "d"), ("offset", "8"), ("length", "8")]),
        outside("b", [("location", "d"), ("length", "8")])),
      external: data)
    #expect(model.initializers[1].values == .floats([3, 4]) && model.initializers[2].values == .floats([1, 2]))
    let cases: [([(String, String)], String)] = [
      ([], "does not say where"), ([("location", "../d")], "plain"), ([("location", "/d")], "plain"),
      ([("location", "..")], "plain"), ([("location", "a\\d")], "plain"), ([("location", "/\u{301}d")], "plain"),
      ([("location", "d\u{0}")], "control"), ([("location", "e")], "did not come"),
      ([("location", "d"), ("location", "d")], "twice"),
      ([("location", "d"), ("offset", "-8")], "not a number of bytes"),
      ([("location", "d"), ("offset", "17")], "begins at byte 17"),
      ([("location", "d"), ("offset", "9223372036854775807")], "not a number of bytes"),
      ([("location", "d"), ("offset", "8"), ("length", "9")], "9 bytes from 8"),
      ([("location", "d"), ("length", "4")], "4 bytes of data"), ([("location", "d")], "16 bytes of data"),
    ]
    for (entries, expected) in cases {
      let said = onnxWords(file(outside("a", entries)).bytes, external: data)
      #expect(said.contains(expected), "\(said)")
    }
    let part = [("location", "d"), ("length", "8")]
    #expect(
      onnxWords(file(outside("a", part), outside("b", part), outside("c", part)).bytes, external: data).contains(
        "share"))
    #expect(onnxWords(file(outside("a", part).float(4, 1)).bytes, external: data).contains("inside and outside"))
    #expect(
      onnxWords(file(onnxTensor("a", [2]).message(13, onnxEntry("location", "d"))).bytes).contains(
        "says that they are inside"))
  }

  @Test func `whatever is changed in a good file, it is read or refused`() throws {
    for name in ["cnn-training.onnx", ""] {
      let good = try name.isEmpty ? ONNXDraft().bytes : onnxFixture(name)
      var count = 0
      for seed in 0..<2_000 {
        var chance = Seed(UInt64(seed)).stream
        var bytes = good
        for _ in 0...chance.below(4) {
          if bytes.isEmpty { break }
          let place = chance.below(bytes.count)
          switch chance.below(5) {
          case 0: bytes[place] = UInt8(truncatingIfNeeded: chance.next())
          case 1: bytes[place] ^= 1 << UInt8(chance.below(8))
          case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + chance.below(8)))
          case 3: bytes.insert(contentsOf: chance.bytes(1 + chance.below(8)), at: place)
          default: if chance.chance(0.3) { bytes.removeLast(bytes.count - place) } else { bytes[place] = 0xFF }
          }
        }
        guard let model = try? ONNXModel(bytes: bytes, named: "") else { continue }
        count += 1
        // What is read can be written, and is the same when it is read again.
        #expect(try model.replacing([:]) == bytes)
        let canonical = model.stripped(of: [])
        let again = try ONNXModel(bytes: canonical, named: "")
        #expect(again.stripped(of: []) == canonical && again.initializers == model.initializers)
        var doubled: [String: [Float]] = [:]
        for tensor in model.initializers {
          guard case .floats(let floats) = tensor.values, tensor.element == .float else { continue }
          doubled[tensor.name] = floats.map { $0 * 2 }
        }
        let other = try ONNXModel(bytes: model.replacing(doubled), named: "")
        for tensor in other.initializers {
          if let new = doubled[tensor.name] { #expect(tensor.values == .floats(new)) }
        }
      }
      #expect(count > 20)
    }
  }

  // MARK: What is written

  @Test func `other weights change their bytes alone`() throws {
    let doubles: [Double] = [1.1, 2.2]
    let half = onnxTensor("half", 10, [2]).int(5, 0x3C00).int(5, 1)
    let file = ONNXDraft().with {
      $0.initializers += [
        onnxTensor("typed", [2]).float(4, 5).text(12, "doc").float(4, 6), half,
        onnxTensor("double", 11, [2]).content(9, doubles.flatMap { littleBytes($0.bitPattern) }),
        onnxTensor("whole", 7, [1]).int(7, 1), onnxTensor("empty", [2]),
      ]
    }
    let model = try onnxRead(file)
    let same: [String: [Float]] = ["w": [1, 2, 3, 4], "typed": [5, 6], "half": [1, 0x1p-24], "double": [1.1, 2.2]]
    #expect(try model.replacing(same) == file.bytes)
    let changed = try model.replacing([
      "w": [1, 2, 3, -4], "typed": [5, 7], "half": [0x1p-24, 2], "double": [1.1, 3], "empty": [8, 9],
    ])
    let expected = file.with {
      $0.initializers[0] = onnxWeight("w", [1, 2, 3, -4])
      $0.initializers[1] = onnxTensor("typed", [2]).float(4, 5).text(12, "doc").float(4, 7)
      $0.initializers[2] = onnxTensor("half", 10, [2]).int(5, 1).int(5, 0x4000)
      $0.initializers[3] = onnxTensor("double", 11, [2]).content(9, [1.1, 3].flatMap { littleBytes($0.bitPattern) })
      $0.initializers[5] = onnxTensor("empty", [2]).content(9, rawFloats([8, 9]))
    }
    #expect(changed == expected.bytes)
    let wrong: [([String: [Float]], String)] = [
      (["q": [1]], "no initializer 'q'"), (["w": [1]], "4 elements and is given 1"),
      (["w": [1, 2, 3, .nan]], "not a number"),
      (["whole": [1]], "whole numbers"), (["half": [1, 70_000]], "too large"),
    ]
    for (values, expected) in wrong {
      do throws(LearnError) {
        _ = try model.replacing(values)
        Issue.record("it was written")
      } catch { #expect(error.description.contains(expected), "\(error)") }
    }
  }

  @Test func `a stripped file has no weights, nor what only people read, and takes weights again`() throws {
    let file = ONNXDraft().with {
      $0.nodes[0] = onnxNode(
        "Mul", ["x", "w"], ["h"], [onnxAttribute("b", 2).int(3, 1), onnxAttribute("a", 1).float(2, 2)])
      $0.initializers.append(onnxWeight("kept", [5]))
      $0.end = Proto().text(6, "document").message(14, onnxEntry("key", "secret"))
    }
    let model = try onnxRead(file)
    let stripped = model.stripped(of: ["w"])
    let again = try ONNXModel(bytes: stripped, named: "stripped")
    #expect(
      again.initializers.map(\.values) == [.absent, .floats([5])] && again.initializers.map(\.shape) == [[4], [1]])
    #expect(
      again.nodes[0].attributes == model.nodes[0].attributes && again.opset == 17
        && again.inputs[0].shape == model.inputs[0].shape)
    #expect(again.stripped(of: ["w"]) == stripped)
    #expect(String(decoding: stripped, as: UTF8.self).contains("secret") == false)
    let filled = try ONNXModel(bytes: again.replacing(["w": [1, 2, 3, 4]]), named: "filled")
    #expect(filled.initializers == model.initializers)
    // Other weights are the same declaration.
    #expect(try ONNXModel(bytes: model.replacing(["w": [9, 9, 9, 9]]), named: "").stripped(of: ["w"]) == stripped)
  }

  // MARK: ONNXDrafts of PyTorch

  @Test func `a file of the older exporter is read as other readers read it`() throws {
    let bytes = try onnxFixture("cnn-training.onnx")
    let model = try ONNXModel(bytes: bytes, named: "cnn-training.onnx")
    #expect(
      model.irVersion == 8 && model.opset == 17 && model.producer == "pytorch" && model.producerVersion == "2.13.0")
    let ops =
      "Conv BatchNormalization Relu MaxPool Shape Constant Gather Constant Constant Unsqueeze Constant Unsqueeze Concat"
    #expect(model.nodes.map(\.op).joined(separator: " ") == ops + " Reshape Constant Constant Dropout Gemm")
    let names = ["c.weight", "c.bias", "b.weight", "b.bias", "b.running_mean", "b.running_var", "f.weight", "f.bias"]
    #expect(model.initializers.map(\.name) == names)
    #expect(model.initializers.map(\.shape) == [[4, 1, 3, 3], [4], [4], [4], [4], [4], [10, 64], [10]])
    #expect(sizes(model)[0] == 6.229805247858167 && sizes(model)[6] == 40.953342497348785)
    #expect(
      model.inputs.map(\.name) == ["x"] && model.inputs[0].shape == [.named("batch"), .fixed(1), .fixed(8), .fixed(8)])
    #expect(model.outputs.map(\.name) == ["y"] && model.outputs[0].shape == [.named("batch"), .fixed(10)])
    #expect(model.nodes[1].attributes == ["epsilon": .float(1e-5), "momentum": .float(0.9), "training_mode": .int(1)])
    #expect(model.nodes[0].attributes["pads"] == .ints([1, 1, 1, 1]) && model.nodes[1].outputs.count == 3)
    #expect(try model.replacing([:]) == bytes)
  }

  @Test func `a file of the newer exporter is read with its data beside it, and is written as one`() throws {
    let bytes = try onnxFixture("cnn-dynamo.onnx")
    let data = ["cnn-dynamo.onnx.data": try onnxFixture("cnn-dynamo.onnx.data")]
    #expect(onnxWords(bytes).contains("'cnn-dynamo.onnx.data', which did not come with it"))
    let model = try ONNXModel(bytes: bytes, external: data, named: "cnn-dynamo.onnx")
    #expect(model.irVersion == 10 && model.opset == 20 && model.producerVersion == "2.13.0+cpu")
    #expect(model.nodes.map(\.op) == ["Conv", "Relu", "MaxPool", "Reshape", "Dropout", "Gemm"])
    #expect(
      model.initializers.map(\.name) == ["c.weight", "c.bias", "f.weight", "f.bias", "val_15", "val_13", "val_14"])
    #expect(sizes(model)[0] == 6.468027960509062 && sizes(model)[2] == 40.953342497348785)
    #expect(model.initializers[4].values == .ints([-1, 64]) && model.initializers[6].element == .bool)
    #expect(model.initializers[5].shape == [] && model.initializers[5].count == 1)
    #expect(model.nodes[0].attributes["auto_pad"] == .string("NOTSET"))
    var weights: [String: [Float]] = [:]
    for tensor in model.initializers { if case .floats(let floats) = tensor.values { weights[tensor.name] = floats } }
    #expect(try model.replacing(weights) == bytes)
    weights["f.weight"]?[0] = 1
    let inside = try ONNXModel(bytes: model.replacing(weights), named: "inside")
    #expect(
      inside.initializers[2].values == .floats(weights["f.weight"] ?? [])
        && inside.initializers[0] == model.initializers[0])
    #expect(inside.stripped(of: ["f.weight"]) == model.stripped(of: ["f.weight"]))
  }

  /// The sums of the sizes of each initializer's floats.
  private func sizes(_ model: ONNXModel) -> [Double] {
    model.initializers.map { tensor in
      guard case .floats(let floats) = tensor.values else { return 0 }
      return floats.reduce(0) { $0 + Double($1.magnitude) }
    }
  }
}

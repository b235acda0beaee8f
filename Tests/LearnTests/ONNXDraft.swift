import Foundation

@testable import Learn

/// A protobuf message under construction, which may be as wrong as a test likes.
struct Proto {
  var bytes: [UInt8] = []

  static func varint(_ value: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = value
    while rest > 127 {
      bytes.append(UInt8(rest & 127) | 128)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  func raw(_ more: [UInt8]) -> Proto { Proto(bytes: bytes + more) }
  func int(_ field: UInt64, _ value: Int64) -> Proto {
    raw(Self.varint(field << 3) + Self.varint(UInt64(bitPattern: value)))
  }
  func float(_ field: UInt64, _ value: Float) -> Proto {
    raw(Self.varint(field << 3 | 5) + littleBytes(value.bitPattern))
  }
  func content(_ field: UInt64, _ content: [UInt8]) -> Proto {
    raw(Self.varint(field << 3 | 2) + Self.varint(UInt64(content.count)) + content)
  }
  func text(_ field: UInt64, _ text: String) -> Proto { content(field, Array(text.utf8)) }
  func message(_ field: UInt64, _ message: Proto) -> Proto { content(field, message.bytes) }
  func messages(_ field: UInt64, _ messages: [Proto]) -> Proto {
    raw(messages.flatMap { Proto().message(field, $0).bytes })
  }
  func texts(_ field: UInt64, _ texts: [String]) -> Proto { texts.reduce(self) { $0.text(field, $1) } }
}

func littleBytes<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
func rawFloats(_ floats: [Float]) -> [UInt8] { floats.flatMap { littleBytes($0.bitPattern) } }

func onnxTensor(_ name: String, _ dims: [Int64]) -> Proto { onnxTensor(name, 1, dims) }
func onnxTensor(_ name: String, _ type: Int64, _ dims: [Int64]) -> Proto {
  dims.reduce(Proto()) { $0.int(1, $1) }.int(2, type).text(8, name)
}
func onnxWeight(_ name: String = "w", _ floats: [Float] = [1, 2, 3, 4]) -> Proto {
  onnxTensor(name, [Int64(floats.count)]).content(9, rawFloats(floats))
}
func onnxNode(_ op: String, _ inputs: [String], _ outputs: [String], _ attributes: [Proto] = []) -> Proto {
  Proto().texts(1, inputs).texts(2, outputs).text(3, "n").text(4, op).messages(5, attributes)
}
func onnxAttribute(_ name: String, _ type: Int64) -> Proto { Proto().text(1, name).int(20, type) }
func onnxValue(_ name: String, _ type: Int64 = 1, _ dims: [Proto]? = nil) -> Proto {
  var tensor = Proto().int(1, type)
  if let dims { tensor = tensor.message(2, Proto().messages(1, dims)) }
  return Proto().text(1, name).message(2, Proto().message(1, tensor))
}
func onnxEntry(_ key: String, _ value: String) -> Proto { Proto().text(1, key).text(2, value) }

/// A file with one input 'x' and one output 'y', as wrong as its parts are.
struct ONNXDraft {
  var version: Int64 = 8
  var imports: [(String, Int64)] = [("", 17)]
  var nodes = [onnxNode("Mul", ["x", "w"], ["h"]), onnxNode("Relu", ["h"], ["y"])]
  var initializers = [onnxWeight()]
  var inputs = [onnxValue("x", 1, [Proto().text(2, "batch"), Proto().int(1, 4)])]
  var outputs = [onnxValue("y")]
  var graphEnd = Proto()
  var end = Proto()

  var graph: Proto {
    Proto().messages(1, nodes).text(2, "g").messages(5, initializers).messages(11, inputs).messages(12, outputs)
      .raw(graphEnd.bytes)
  }
  var bytes: [UInt8] {
    Proto().int(1, version).text(2, "tests").message(7, graph)
      .messages(8, imports.map { Proto().text(1, $0.0).int(2, $0.1) }).raw(end.bytes).bytes
  }
  func with(_ change: (inout ONNXDraft) -> Void) -> ONNXDraft {
    var file = self
    change(&file)
    return file
  }
}

func onnxRead(_ file: ONNXDraft, external: [String: [UInt8]] = [:]) throws -> ONNXModel {
  try ONNXModel(bytes: file.bytes, external: external, named: "test.onnx")
}
func onnxWords(_ bytes: [UInt8], external: [String: [UInt8]] = [:]) -> String {
  do throws(LearnError) {
    _ = try ONNXModel(bytes: bytes, external: external, named: "test.onnx")
    return "it was read"
  } catch { return error.description }
}
func onnxFixture(_ name: String) throws -> [UInt8] {
  let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")
  return [UInt8](try Data(contentsOf: folder.appending(path: name)))
}

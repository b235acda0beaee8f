/// Writes a model of declared layers, with its weights, as an ONNX file that any runtime reads.
public enum LayerExport {
  static let opset: Int64 = 17

  /// - Returns: a file with one input `input`, one output `scores`, and the parameters under their own names.
  /// - Throws: `LearnError.model` for a model that came from a file: that file is what its weights go back into.
  public static func onnx(_ model: Model, _ weights: Weights) throws(LearnError) -> [UInt8] {
    let declaration = model.declaration
    guard declaration.graph.isEmpty else {
      throw .model("it came from an ONNX file; its weights go back into that file")
    }
    let named = model.named(weights)
    var nodes: [(op: String, inputs: [String], attributes: [(String, [Int64])])] = []
    var isImage = declaration.input.count == 3
    for (index, layer) in declaration.layers.enumerated() {
      let parameters = ["layers.\(index).weight", "layers.\(index).bias"]
      switch layer.kind {
      case .dense:
        if isImage { nodes.append(("Flatten", [], [])) }
        isImage = false
        nodes.append(("Gemm", parameters, [("transB", [1])]))
      case .convolution:
        let border = Int64(layer.kernel / 2)
        nodes.append(("Conv", parameters, [("pads", [border, border, border, border])]))
      case .relu: nodes.append(("Relu", [], []))
      case .maxPool: nodes.append(("MaxPool", [], [("kernel_shape", [2, 2]), ("strides", [2, 2])]))
      }
    }
    var file = ProtobufWriter()
    file.int(1, 8)
    file.text(2, "peermill")
    file.message(7) { graph in
      var current = "input"
      for (index, node) in nodes.enumerated() {
        let output = index == nodes.count - 1 ? "scores" : "value.\(index)"
        graph.message(1) { writer in
          writer.string(1, current)
          for input in node.inputs { writer.string(1, input) }
          writer.string(2, output)
          writer.string(4, node.op)
          for (name, numbers) in node.attributes {
            writer.message(5) {
              $0.string(1, name)
              if node.op == "Gemm" { $0.int(3, numbers[0]) } else { $0.packed(8, numbers) }
              $0.int(20, node.op == "Gemm" ? 2 : 7)
            }
          }
        }
        current = output
      }
      graph.string(2, "peermill")
      for parameter in model.parameters {
        graph.message(5) {
          $0.packed(1, parameter.shape.map(Int64.init))
          $0.int(2, 1)
          $0.text(8, parameter.name)
          $0.content(9, ONNXElements.write(.floats(named[parameter.name] ?? []), as: .float))
        }
      }
      value(&graph, 11, "input", declaration.input)
      value(&graph, 12, "scores", [model.classes])
    }
    file.message(8) {
      $0.string(1, "")
      $0.int(2, opset)
    }
    return file.bytes
  }

  private static func value(_ graph: inout ProtobufWriter, _ field: Int, _ name: String, _ sizes: [Int]) {
    graph.message(field) { value in
      value.string(1, name)
      value.message(2) { type in
        type.message(1) { tensor in
          tensor.int(1, 1)
          tensor.message(2) { shape in
            shape.message(1) { $0.string(2, "batch") }
            for size in sizes { shape.message(1) { $0.int(1, Int64(size)) } }
          }
        }
      }
    }
  }
}

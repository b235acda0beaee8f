/// The graph of a declaration's layers, each checked.
enum LayerGraph {
  static func build(_ input: [Int], _ layers: [Layer], batch: Int) throws(LearnError) -> GraphSource.Built {
    guard input.count == 1 || input.count == 3 else {
      throw .model("its input is [features] or [channels, height, width], not \(input)")
    }
    guard input.allSatisfy({ $0 >= 1 && $0 <= Model.sizeLimit }) else {
      throw .model("its input \(input) has a size outside 1...\(Model.sizeLimit)")
    }
    guard !layers.isEmpty, layers.count <= ModelDeclaration.layerLimit else {
      throw .model("it has \(layers.count) layers; 1 to \(ModelDeclaration.layerLimit) can be trained")
    }
    var builder = GraphBuilder()
    var x = try builder.input([batch] + input)
    var previous: Layer.Kind?
    for (index, layer) in layers.enumerated() {
      let name = "layer \(index + 1) (\(layer.kind))"
      let shape = builder.shape(x)
      switch layer.kind {
      case .dense:
        let inputs = shape.dropFirst().reduce(1, *)
        guard layer.outputs >= 1, layer.outputs <= Model.sizeLimit, inputs <= 1 << 24 else {
          throw .model(
            "\(name) has \(layer.outputs) outputs of \(inputs) inputs; 1 to \(Model.sizeLimit) outputs can be trained")
        }
        if shape.count > 2 { x = try builder.add(.reshape, [x], shape: [batch, inputs], at: name) }
        let weight = try builder.parameter("layers.\(index).weight", [layer.outputs, inputs], fanIn: inputs)
        let bias = try builder.parameter("layers.\(index).bias", [layer.outputs], fanIn: inputs)
        x = try builder.add(.linear(isTransposed: true, hasRelu: false), [x, weight, bias], at: name)
      case .convolution:
        guard shape.count == 4 else {
          throw .model("\(name) needs [channels, height, width], and gets \(Array(shape.dropFirst()))")
        }
        guard layer.outputs >= 1, layer.outputs <= 4_096 else {
          throw .model("\(name) has \(layer.outputs) channels; 1 to 4096")
        }
        guard layer.kernel % 2 == 1, layer.kernel >= 1, layer.kernel <= 31 else {
          throw .model("\(name) has a kernel of \(layer.kernel); odd sizes from 1 to 31 keep the size")
        }
        let side = layer.kernel
        let border = side / 2
        let fanIn = shape[1] * side * side
        let weight = try builder.parameter(
          "layers.\(index).weight", [layer.outputs, shape[1], side, side], fanIn: fanIn)
        let bias = try builder.parameter("layers.\(index).bias", [layer.outputs], fanIn: fanIn)
        let window = Window(taps: [side, side], before: [border, border], after: [border, border])
        x = try builder.add(.convolution(window, groups: 1), [x, weight, bias], at: name)
      case .relu:
        guard let last = previous, last != .relu, last != .maxPool else {
          throw .model("\(name) must follow a dense layer or a convolution")
        }
        x = try builder.add(.unary(.relu), [x], at: name)
      case .maxPool:
        let isBehind = index > 0 && (previous == .convolution || previous == .relu && shape.count == 4)
        guard isBehind else { throw .model("\(name) must follow a convolution, or the ReLU after one") }
        guard shape[2] % 2 == 0, shape[3] % 2 == 0 else {
          throw .model("\(name) halves even sizes only, and gets \(shape[2])x\(shape[3])")
        }
        x = try builder.add(.maxPool(Window(taps: [2, 2], steps: [2, 2])), [x], at: name)
      }
      previous = layer.kind
    }
    guard let last = layers.last, last.kind == .dense else {
      throw .model("its last layer must be dense, without a ReLU: its outputs are the classes' scores")
    }
    guard last.outputs >= 2 else {
      throw .model("its last layer has \(last.outputs) outputs; there are at least 2 classes")
    }
    var graph = builder.finish(output: x)
    Fusion.fuse(&graph)
    return GraphSource.Built(graph: graph)
  }
}

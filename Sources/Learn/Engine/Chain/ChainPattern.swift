/// One trainable step of a chain, with the ReLU and the pool that follow it.
struct Block: Equatable, Sendable {
  enum Kind: Equatable, Sendable {
    case dense(inputs: Int, outputs: Int)
    case convolution(channels: Int, height: Int, width: Int, outputs: Int, kernel: Int)
  }
  var kind: Kind
  var hasRelu = false
  var hasPool = false
  /// Where a dense layer flattens images: their channels, height and width.
  var flattens: [Int]?
  var weight: Int
  var bias: Int
  /// Of the images that come in; 0 where none do.
  var channels: Int { if case .convolution(let channels, _, _, _, _) = kind { channels } else { 0 } }
}

/// Finds out whether a graph is a chain.
enum ChainPattern {
  /// The blocks of a graph that is nothing but convolutions that keep the size (with ReLUs and 2x2 pools), then dense layers;
  /// nil for any other.
  static func blocks(_ graph: Graph) -> [Block]? {
    var blocks: [Block] = []
    var at = graph.input
    var flattens: [Int]?
    func parameter(_ id: Graph.ID) -> Int? {
      guard case .parameter(let index) = graph.values[id].source, graph.parameters[index].isTrained else { return nil }
      return index
    }
    for node in graph.nodes {
      guard node.inputs[0] == at else { return nil }
      let shape = graph.shape(at)
      switch node.operation {
      case .linear(true, let hasRelu):
        guard shape.count == 2, node.inputs.count == 3, let weight = parameter(node.inputs[1]),
          let bias = parameter(node.inputs[2])
        else { return nil }
        let outputs = graph.shape(node.output)[1]
        blocks.append(
          Block(
            kind: .dense(inputs: shape[1], outputs: outputs), hasRelu: hasRelu, flattens: flattens, weight: weight,
            bias: bias))
        flattens = nil
      case .convolution(let window, 1):
        let side = window.taps[0]
        guard flattens == nil, node.inputs.count == 3, let weight = parameter(node.inputs[1]),
          let bias = parameter(node.inputs[2]), side % 2 == 1, side <= 31,
          window
            == Window(taps: [side, side], before: [side / 2, side / 2], after: [side / 2, side / 2]),
          blocks.allSatisfy({ if case .convolution = $0.kind { true } else { false } })
        else { return nil }
        blocks.append(
          Block(
            kind: .convolution(
              channels: shape[1], height: shape[2], width: shape[3], outputs: graph.shape(node.output)[1], kernel: side),
            weight: weight, bias: bias))
      case .unary(.relu, _, _):
        guard let last = blocks.last, !last.hasRelu, !last.hasPool else { return nil }
        blocks[blocks.count - 1].hasRelu = true
      case .maxPool(Window(taps: [2, 2], steps: [2, 2])):
        guard let last = blocks.last, case .convolution = last.kind, !last.hasPool, shape[2] % 2 == 0,
          shape[3] % 2 == 0
        else { return nil }
        blocks[blocks.count - 1].hasPool = true
      case .reshape:
        let to = graph.shape(node.output)
        guard to.count == 2, to[0] == shape[0], blocks.isEmpty || shape.count == 4 else { return nil }
        // Images that no convolution has seen are features in a row already.
        flattens = blocks.isEmpty ? nil : Array(shape.dropFirst())
      default: return nil
      }
      at = node.output
    }
    guard at == graph.output, let last = blocks.last, case .dense = last.kind, !last.hasRelu else { return nil }
    return blocks
  }
}

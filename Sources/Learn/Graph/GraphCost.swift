/// What operations cost, from their shapes alone.
enum GraphCost {
  /// Multiplications and additions of the forward pass.
  static func flops(_ operation: Operation, inputs: [[Int]], output: [Int]) -> Double {
    let count = product(output)
    switch operation {
    case .linear(let isTransposed, _): return 2 * count * Double(inputs[1][isTransposed ? 1 : 0])
    case .matmul: return 2 * count * Double(inputs[0].last ?? 1)
    case .convolution: return 2 * count * product(inputs[1].dropFirst())
    case .transposedConvolution: return 2 * product(inputs[0]) * product(inputs[1].dropFirst())
    case .recurrent: return 2 * Double(inputs[0][0] * inputs[0][1]) * (product(inputs[1]) + product(inputs[2]))
    case .maxPool(let window), .meanPool(let window, _): return count * Double(window.taps[0] * window.taps[1])
    case .reduce: return product(inputs[0])
    case .channelNorm, .rowNorm, .softmax: return 8 * count
    case .unary: return 4 * count
    default: return count
    }
  }
  private static func product(_ sizes: some Sequence<Int>) -> Double { sizes.reduce(1.0) { $0 * Double($1) } }

  /// Of a whole forward pass.
  static func flops(_ graph: Graph) -> Double {
    graph.nodes.reduce(0) { sum, node in
      sum + flops(node.operation, inputs: node.inputs.map(graph.shape), output: graph.shape(node.output))
    }
  }

  /// Of a step: forward, and backward wherever a trained parameter hangs on it.
  static func trainingFlops(_ graph: Graph) -> Double {
    var needs = Array(repeating: false, count: graph.values.count)
    for parameter in graph.parameters where parameter.isTrained { needs[parameter.value] = true }
    var sum = 0.0
    for node in graph.nodes {
      let wants = node.inputs.indices.map { needs[node.inputs[$0]] && node.operation.isDifferentiable($0) }
      if wants.contains(true) { needs[node.output] = true }
      let once = flops(node.operation, inputs: node.inputs.map(graph.shape), output: graph.shape(node.output))
      sum += once + once * backward(node, wants, graph)
    }
    return sum
  }
  /// How many times the forward pass a node's backward pass is.
  private static func backward(_ node: Graph.Node, _ wants: [Bool], _ graph: Graph) -> Double {
    guard wants.contains(true) else { return 0 }
    switch node.operation {
    case .linear, .matmul, .convolution, .transposedConvolution:
      return (wants[0] ? 1 : 0) + (wants[1] ? 1 : 0)
    case .recurrent:
      // The way back through time is always gone; the input's gradient is not.
      let (w, r) = (product(graph.shape(node.inputs[1])), product(graph.shape(node.inputs[2])))
      return (r + (wants[0] ? w : 0) + (wants[1] ? w : 0) + (wants[2] ? r : 0)) / (w + r)
    default: return 1
    }
  }
}

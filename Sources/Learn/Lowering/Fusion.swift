/// Puts operations together that run faster as one. What is computed stays the same but for roundings.
enum Fusion {
  static func fuse(_ graph: inout Graph) {
    bias(&graph)
    relu(&graph)
    gelu(&graph)
    graph.prune()
  }

  private static func makers(_ graph: Graph) -> [Graph.ID: Int] {
    var makers: [Graph.ID: Int] = [:]
    for (index, node) in graph.nodes.enumerated() { makers[node.output] = index }
    return makers
  }

  /// A product that is used once, plus a vector: one operation.
  private static func bias(_ graph: inout Graph) {
    let makers = makers(graph)
    let uses = graph.uses
    for index in graph.nodes.indices {
      guard case .binary(.add) = graph.nodes[index].operation else { continue }
      let inputs = graph.nodes[index].inputs
      for side in 0..<2 {
        guard let made = makers[inputs[side]], uses[inputs[side]] == 1,
          case .linear = graph.nodes[made].operation, graph.nodes[made].inputs.count == 2
        else { continue }
        // The vector may have got leading ones through a reshape.
        var vector = inputs[1 - side]
        if let turned = makers[vector], case .reshape = graph.nodes[turned].operation {
          vector = graph.nodes[turned].inputs[0]
        }
        guard graph.shape(vector) == [graph.shape(inputs[side]).last ?? 0],
          graph.shape(inputs[side]) == graph.shape(graph.nodes[index].output)
        else { continue }
        graph.nodes[index].operation = graph.nodes[made].operation
        graph.nodes[index].inputs = graph.nodes[made].inputs + [vector]
        graph.nodes[index].place = graph.nodes[made].place
        break
      }
    }
    graph.prune()
  }
  /// A ReLU behind a product with a bias, or behind a norm of channels.
  private static func relu(_ graph: inout Graph) {
    let makers = makers(graph)
    let uses = graph.uses
    for index in graph.nodes.indices {
      guard case .unary(.relu, _, _) = graph.nodes[index].operation, let made = makers[graph.nodes[index].inputs[0]],
        uses[graph.nodes[index].inputs[0]] == 1
      else { continue }
      switch graph.nodes[made].operation {
      case .linear(let isTransposed, false) where graph.nodes[made].inputs.count == 3:
        graph.nodes[index].operation = .linear(isTransposed: isTransposed, hasRelu: true)
      case .channelNorm(let epsilon, let momentum, let isTraining, false):
        graph.nodes[index].operation = .channelNorm(
          epsilon: epsilon, momentum: momentum, isTraining: isTraining, hasRelu: true)
      default: continue
      }
      graph.nodes[index].inputs = graph.nodes[made].inputs
      graph.nodes[index].place = graph.nodes[made].place
    }
    graph.prune()
  }

  /// x · 0.5 · (1 + erf(x / √2)) in the orders in which exporters write it, and x · sigmoid(x).
  private static func gelu(_ graph: inout Graph) {
    let makers = makers(graph)
    let uses = graph.uses
    func made(_ id: Graph.ID) -> Graph.Node? { uses[id] == 1 ? makers[id].map { graph.nodes[$0] } : nil }
    func half(_ id: Graph.ID) -> Graph.ID? {
      guard let node = made(id), case .unary(.affine, let alpha, let beta) = node.operation, alpha == 0.5, beta == 0
      else {
        return nil
      }
      return node.inputs[0]
    }
    /// x of 1 + erf(x / √2).
    func bell(_ id: Graph.ID) -> Graph.ID? {
      guard let shifted = made(id), case .unary(.affine, 1, 1) = shifted.operation,
        let error = made(shifted.inputs[0]), case .unary(.error, _, _) = error.operation,
        let scaled = made(error.inputs[0]), case .unary(.affine, let alpha, 0) = scaled.operation,
        abs(alpha - 0.70710678) < 1e-6
      else { return nil }
      return scaled.inputs[0]
    }
    func factors(_ id: Graph.ID) -> (Graph.ID, Graph.ID)? {
      guard let node = made(id), case .binary(.multiply) = node.operation else { return nil }
      return (node.inputs[0], node.inputs[1])
    }
    for index in graph.nodes.indices {
      let node = graph.nodes[index]
      var found: Graph.ID?
      var kind = Unary.gelu
      if case .unary(.affine, 0.5, 0) = node.operation, let (a, b) = factors(node.inputs[0]) {
        if bell(b) == a { found = a } else if bell(a) == b { found = b }
      } else if case .binary(.multiply) = node.operation {
        for (a, b) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
          if let x = half(a), bell(b) == x { found = x }
          if let inner = half(b), bell(inner) == a { found = a }
          if let gate = made(b), case .unary(.sigmoid, _, _) = gate.operation, gate.inputs[0] == a {
            found = a
            kind = .silu
          }
        }
      }
      if let found {
        graph.nodes[index].operation = .unary(kind)
        graph.nodes[index].inputs = [found]
      }
    }
    graph.prune()
  }
}

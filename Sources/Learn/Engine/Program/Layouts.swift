/// Chooses how each value lies in memory, and puts conversions where a step wants it otherwise.
struct Layouts {
  private(set) var graph: Graph
  private(set) var layouts: [Layout]
  /// For each parameter, what steps asked for.
  private var requests: [Graph.ID: [Layout]] = [:]
  private var converted: [Key: Graph.ID] = [:]
  private struct Key: Hashable {
    var id: Graph.ID
    var layout: String
  }

  init(_ source: Graph) {
    // Once to learn what is asked of the parameters, once more with each lying as all its users ask.
    let first = Layouts(source, homes: [:])
    var homes: [Graph.ID: Layout] = [:]
    for parameter in source.parameters {
      let asked = first.requests[parameter.value] ?? []
      if let only = asked.first, asked.allSatisfy({ $0 == only }) { homes[parameter.value] = only }
    }
    self = Layouts(source, homes: homes)
  }

  private init(_ source: Graph, homes: [Graph.ID: Layout]) {
    graph = source
    graph.nodes = []
    layouts = source.values.map { _ in .rows }
    for (id, layout) in homes { layouts[id] = layout }
    var names = Array(source.values.indices)
    for node in source.nodes {
      var node = node
      node.inputs = node.inputs.map { names[$0] }
      arrange(&node)
      graph.nodes.append(node)
      names[node.output] = node.output
    }
    graph.output = get(graph.output, .rows, "the output")
  }

  private mutating func get(_ id: Graph.ID, _ layout: Layout, _ place: String) -> Graph.ID {
    if case .parameter = graph.values[id].source { requests[id, default: []].append(layout) }
    if layouts[id] == layout { return id }
    let key = Key(id: id, layout: "\(layout)")
    if let known = converted[key] { return known }
    graph.values.append(Graph.Value(shape: graph.shape(id), source: .node))
    layouts.append(layout)
    let output = graph.values.count - 1
    graph.nodes.append(Graph.Node(operation: .convert(layout), inputs: [id], output: output, place: place))
    converted[key] = output
    return output
  }

  private mutating func arrange(_ node: inout Graph.Node) {
    func isLast(_ id: Graph.ID) -> Bool { layouts[id] == .channelsLast }
    var layout = Layout.rows
    var wanted = node.inputs.map { _ in Layout.rows }
    switch node.operation {
    case .convolution(let window, _):
      layout = .channelsLast
      let isInput = node.inputs[0] == graph.input
      let takesRows = isInput && ConvolutionStep.takesRows(window, channels: graph.shape(node.inputs[0])[1])
      wanted[0] = takesRows && !isDepthwise(node) ? .rows : .channelsLast
      wanted[1] = .kernel
    case .transposedConvolution, .maxPool, .meanPool:
      layout = .channelsLast
      wanted[0] = .channelsLast
    case .channelNorm:
      if graph.shape(node.inputs[0]).count > 2 { layout = .channelsLast }
      wanted[0] = layout
    case .linear(let isTransposed, _):
      if isTransposed { wanted[1] = .transposed }
    case .unary, .dropout, .reduce, .slice, .pad, .concat, .expand, .binary, .choose:
      if node.inputs.contains(where: isLast) {
        layout = .channelsLast
        wanted = node.inputs.map { _ in .channelsLast }
      }
    case .transpose:
      wanted[0] = layouts[node.inputs[0]]
    case .reshape:
      let (from, to) = (graph.shape(node.inputs[0]), graph.shape(node.output))
      if isLast(node.inputs[0]), from.count >= 2, to.count >= 2, Array(from[..<2]) == Array(to[..<2]),
        from.dropFirst(2).allSatisfy({ $0 == 1 })
          || from.dropFirst(2).filter({ $0 != 1 }) == to.dropFirst(2).filter({ $0 != 1 })
      {
        // Pixels of one, or the same pixels under another rank: nothing moves.
        wanted[0] = .channelsLast
        layout = to.count > 2 ? .channelsLast : .rows
      }
    case .matmul, .softmax, .rowNorm, .gather, .recurrent, .convert: break
    }
    for index in node.inputs.indices { node.inputs[index] = get(node.inputs[index], wanted[index], node.place) }
    layouts[node.output] = layout
  }

  private func isDepthwise(_ node: Graph.Node) -> Bool {
    if case .convolution(_, let groups) = node.operation { return groups > 1 }
    return false
  }
}

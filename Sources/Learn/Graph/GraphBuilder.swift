/// Adds values to a graph, and refuses shapes that do not fit, are too large, or cost too much.
struct GraphBuilder {
  static let nodeLimit = 20_000
  static let elementLimit = 1 << 28
  /// Multiplications and additions of one step.
  static let flopLimit = 1e15

  private(set) var graph = Graph()
  private(set) var flops = 0.0

  mutating func input(_ shape: [Int]) throws(LearnError) -> Graph.ID {
    graph.input = try value(shape, .input, "the input")
    return graph.input
  }
  mutating func constant(_ values: [Float], _ shape: [Int]) throws(LearnError) -> Graph.ID {
    try value(shape, .constant(values), "a constant")
  }
  mutating func parameter(
    _ name: String, _ shape: [Int], isTrained: Bool = true, fanIn: Int? = nil
  ) throws(LearnError) -> Graph.ID {
    let id = try value(shape, .parameter(graph.parameters.count), "'\(name)'")
    let inputs = fanIn ?? max(1, shape.count > 1 ? shape.dropFirst().reduce(1, *) : shape.first ?? 1)
    graph.parameters.append(
      Graph.Parameter(name: name, shape: shape, isTrained: isTrained, fanIn: inputs, value: id))
    return id
  }
  mutating func finish(output: Graph.ID) -> Graph {
    graph.output = output
    graph.prune()
    return graph
  }
  func shape(_ id: Graph.ID) -> [Int] { graph.shape(id) }

  mutating func add(_ operation: Operation, _ inputs: [Graph.ID], at place: String) throws(LearnError) -> Graph.ID {
    guard graph.nodes.count < Self.nodeLimit else { throw .model("it has more than \(Self.nodeLimit) operations") }
    let shape = try Self.shape(operation, inputs.map { graph.shape($0) }, place)
    return try add(operation, inputs, shape: shape, at: place)
  }
  /// For operations whose shape is a choice: reshape, slice, expand, pad.
  mutating func add(
    _ operation: Operation, _ inputs: [Graph.ID], shape: [Int], at place: String
  ) throws(LearnError) -> Graph.ID {
    let output = try value(shape, .node, place)
    graph.nodes.append(Graph.Node(operation: operation, inputs: inputs, output: output, place: place))
    flops += GraphCost.flops(operation, inputs: inputs.map { graph.shape($0) }, output: shape)
    guard flops <= Self.flopLimit else {
      throw .model("\(place): a step would cost more than \(Self.flopLimit) multiplications")
    }
    return output
  }

  private mutating func value(_ shape: [Int], _ source: Graph.Source, _ place: String) throws(LearnError) -> Graph.ID {
    guard shape.count <= 8 else { throw .model("\(place) has \(shape.count) dimensions; at most 8") }
    var count = 1
    for size in shape {
      let (next, overflow) = count.multipliedReportingOverflow(by: size)
      guard size >= 1, !overflow, next <= Self.elementLimit else {
        throw .model(
          "\(place) has the shape \(shape); sizes begin at 1, and \(Self.elementLimit) elements are the most")
      }
      count = next
    }
    // Each row takes whole vectors, so that narrow values take more than their elements.
    guard count / (shape.last ?? 1) * padded(shape.last ?? 1) <= Self.elementLimit * 2 else {
      throw .model("\(place) has the shape \(shape), too many narrow rows to be held in memory")
    }
    graph.values.append(Graph.Value(shape: shape, source: source))
    return graph.values.count - 1
  }

  // MARK: shapes

  private static func shape(_ operation: Operation, _ inputs: [[Int]], _ place: String) throws(LearnError) -> [Int] {
    func refuse(_ words: String) -> LearnError { .model("\(place): \(words)") }
    let x = inputs[0]
    switch operation {
    case .unary, .dropout, .softmax, .convert: return x
    case .binary:
      return try broadcast(x, inputs[1], place)
    case .choose:
      return try broadcast(try broadcast(x, inputs[1], place), inputs[2], place)
    case .matmul:
      let b = inputs[1]
      guard x.count >= 2, b.count >= 2, x[x.count - 1] == b[b.count - 2] else {
        throw refuse("\(x) cannot be multiplied by \(b)")
      }
      return try broadcast(Array(x.dropLast(2)), Array(b.dropLast(2)), place) + [x[x.count - 2], b[b.count - 1]]
    case .linear(let isTransposed, _):
      let w = inputs[1]
      guard let width = x.last, w.count == 2, width == w[isTransposed ? 1 : 0] else {
        throw refuse("\(x) does not fit a weight of \(w)\(isTransposed ? ", transposed" : "")")
      }
      let outputs = w[isTransposed ? 0 : 1]
      if inputs.count > 2, inputs[2] != [outputs] { throw refuse("a bias of \(inputs[2]) for \(outputs) outputs") }
      return x.dropLast() + [outputs]
    case .convolution(let window, let groups):
      let w = inputs[1]
      guard x.count == 4, w.count == 4, groups >= 1, x[1] == w[1] * groups, w[0] % groups == 0,
        window.taps == Array(w[2...])
      else { throw refuse("images of \(x) do not fit a kernel of \(w) in \(groups) groups") }
      if inputs.count > 2, inputs[2] != [w[0]] { throw refuse("a bias of \(inputs[2]) for \(w[0]) outputs") }
      return [x[0], w[0]] + (try slide(window, x, place))
    case .transposedConvolution(let window):
      let w = inputs[1]
      guard x.count == 4, w.count == 4, x[1] == w[0], window.taps == Array(w[2...]) else {
        throw refuse("images of \(x) do not fit a kernel of \(w)")
      }
      if inputs.count > 2, inputs[2] != [w[1]] { throw refuse("a bias of \(inputs[2]) for \(w[1]) outputs") }
      var sizes: [Int] = []
      for side in 0..<2 {
        let size = (x[2 + side] - 1) * window.steps[side] + window.gaps[side] * (window.taps[side] - 1) + 1
        let left = size - window.before[side] - window.after[side]
        guard left >= 1, left <= 1 << 20 else { throw refuse("its padding leaves nothing of \(size) pixels") }
        sizes.append(left)
      }
      return [x[0], w[1]] + sizes
    case .maxPool(let window), .meanPool(let window, _):
      guard x.count == 4 else { throw refuse("a pool takes [n, channels, height, width], and gets \(x)") }
      return [x[0], x[1]] + (try slide(window, x, place))
    case .reduce(_, let axes):
      var shape = x
      for axis in axes {
        guard axis >= 0, axis < x.count else { throw refuse("there is no axis \(axis) in \(x)") }
        shape[axis] = 1
      }
      return shape
    case .channelNorm:
      guard x.count >= 2, inputs.dropFirst().allSatisfy({ $0 == [x[1]] }) else {
        throw refuse("statistics of \(inputs.dropFirst().map { $0 }) for \(x)")
      }
      return x
    case .rowNorm:
      guard let width = x.last, inputs.dropFirst().allSatisfy({ $0 == [width] }) else {
        throw refuse("a scale of \(inputs.dropFirst().map { $0 }) for \(x)")
      }
      return x
    case .transpose(let permutation):
      guard permutation.count == x.count, permutation.sorted() == Array(0..<x.count) else {
        throw refuse("\(permutation) is not an order of the axes of \(x)")
      }
      return permutation.map { x[$0] }
    case .concat(let axis):
      guard axis >= 0, axis < x.count else { throw refuse("there is no axis \(axis) in \(x)") }
      var shape = x
      shape[axis] = 0
      for other in inputs {
        guard other.count == x.count else { throw refuse("\(other) does not fit beside \(x)") }
        for (index, size) in other.enumerated() where index != axis && size != x[index] {
          throw refuse("\(other) does not fit beside \(x)")
        }
        shape[axis] += other[axis]
        guard shape[axis] <= elementLimit else { throw refuse("it grows too large") }
      }
      return shape
    case .gather:
      guard x.count == 2 else { throw refuse("a table has two dimensions, and this has \(x)") }
      return inputs[1] + [x[1]]
    case .recurrent(let cell, _):
      let w = inputs[1]
      let r = inputs[2]
      guard x.count == 3, w.count == 2, r.count == 2, w[1] == x[2], r[0] == w[0], r[0] == cell.gates * r[1],
        inputs[3] == [2 * w[0]], inputs.dropFirst(4).allSatisfy({ $0 == [x[1], r[1]] })
      else { throw refuse("\(x) does not fit weights of \(w) and \(r)") }
      return [x[0], x[1], r[1]]
    case .reshape, .slice, .pad, .expand: throw refuse("its shape must be told")
    }
  }

  private static func slide(_ window: Window, _ x: [Int], _ place: String) throws(LearnError) -> [Int] {
    var sizes: [Int] = []
    for side in 0..<2 {
      let reach = window.gaps[side] * (window.taps[side] - 1) + 1
      let size = x[2 + side] + window.before[side] + window.after[side]
      guard window.taps[side] >= 1, window.taps[side] <= 1 << 12, window.steps[side] >= 1, window.gaps[side] >= 1,
        window.before[side] >= 0, window.after[side] >= 0, reach <= size
      else {
        throw .model("\(place): a window of \(window.taps) does not fit \(Array(x[2...])) with its padding")
      }
      sizes.append(window.output(x[2 + side], side))
    }
    return sizes
  }

  static func broadcast(_ a: [Int], _ b: [Int], _ place: String) throws(LearnError) -> [Int] {
    let rank = max(a.count, b.count)
    var shape: [Int] = []
    for index in 0..<rank {
      let x = index < rank - a.count ? 1 : a[index - (rank - a.count)]
      let y = index < rank - b.count ? 1 : b[index - (rank - b.count)]
      guard x == y || x == 1 || y == 1 else { throw .model("\(place): \(a) and \(b) do not fit together") }
      shape.append(max(x, y))
    }
    return shape
  }
}

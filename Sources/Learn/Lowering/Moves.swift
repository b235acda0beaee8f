/// Operations that only move elements, told once as shapes and steps, for constants and for samples alike.
extension Lowering {
  enum Move {
    case reshape([Int])
    case transpose([Int])
    case slice(starts: [Int], steps: [Int], sizes: [Int])
    case expand([Int])
  }

  /// The moves of a node of one input, one for each output; nil where the node is another kind.
  func moves(_ node: ONNXNode, _ shape: [Int], _ inputs: [Term]) throws(LearnError) -> [Move]? {
    let rank = shape.count
    switch node.op {
    case "Identity": return [.reshape(shape)]
    case "Reshape":
      guard let target = try numbers(inputs, 1, "sizes", node) else { throw .onnx("\(node.place) lacks its shape") }
      return [.reshape(try resolve(target, shape, node))]
    case "Flatten":
      let axis = try int(node, "axis", 1)
      let cut = axis < 0 ? axis + rank : axis
      guard cut >= 0, cut <= rank else { throw .onnx("\(node.place): there is no axis \(axis) of \(rank)") }
      return [.reshape([shape[..<cut].reduce(1, *), shape[cut...].reduce(1, *)])]
    case "Squeeze":
      let chosen = try axes(node, inputs, 1)
      var sizes: [Int] = []
      let dropped = try chosen?.map { axis throws(LearnError) in try self.axis(axis, rank, node) }
      for (axis, size) in shape.enumerated() {
        let isDropped = dropped?.contains(axis) ?? (size == 1)
        if !isDropped {
          sizes.append(size)
        } else if size != 1 {
          throw .onnx("\(node.place) drops axis \(axis) of \(shape), which is not 1")
        }
      }
      return [.reshape(sizes)]
    case "Unsqueeze":
      guard let chosen = try axes(node, inputs, 1) else { throw .onnx("\(node.place) lacks its axes") }
      let whole = rank + chosen.count
      guard whole <= 8 else { throw .onnx("\(node.place) makes more than 8 dimensions") }
      var places: Set<Int> = []
      for axis in chosen { places.insert(try self.axis(axis, whole, node)) }
      guard places.count == chosen.count else { throw .onnx("\(node.place) names an axis twice") }
      var rest = shape[...]
      var sizes: [Int] = []
      for axis in 0..<whole { sizes.append(places.contains(axis) ? 1 : rest.popFirst() ?? 1) }
      return [.reshape(sizes)]
    case "Transpose":
      let permutation = try ints(node, "perm") ?? Array((0..<rank).reversed())
      guard permutation.sorted() == Array(0..<rank) else {
        throw .onnx("\(node.place): \(permutation) is not an order of \(rank) axes")
      }
      return [.transpose(permutation)]
    case "Slice": return [try slice(node, shape, inputs)]
    case "Split", "SplitToSequence": return try split(node, shape, inputs)
    case "Expand":
      guard let target = try numbers(inputs, 1, "sizes", node) else { throw .onnx("\(node.place) lacks its shape") }
      guard target.allSatisfy({ $0 >= 1 }), target.count <= 8 else { throw .onnx("\(node.place) expands to \(target)") }
      return [.expand(try GraphBuilder.broadcast(shape, target, node.place))]
    default: return nil
    }
  }

  /// Axes are an attribute before opset 13 or 18, and an input later.
  func axes(_ node: ONNXNode, _ inputs: [Term], _ index: Int) throws(LearnError) -> [Int]? {
    if let given = try ints(node, "axes") { return given }
    return try numbers(inputs, index, "axes", node)
  }

  private func resolve(_ target: [Int], _ shape: [Int], _ node: ONNXNode) throws(LearnError) -> [Int] {
    guard target.count <= 8 else { throw .onnx("\(node.place) makes \(target.count) dimensions; at most 8") }
    let count = shape.reduce(1, *)
    let keepsZero = try int(node, "allowzero", 0) != 0
    func attempt(_ target: [Int]) -> [Int]? {
      var sizes: [Int] = []
      var known = 1
      var open: Int?
      for (axis, size) in target.enumerated() {
        var size = size
        if size == 0 && !keepsZero {
          guard axis < shape.count else { return nil }
          size = shape[axis]
        }
        if size == -1 {
          guard open == nil else { return nil }
          open = axis
          sizes.append(1)
          continue
        }
        let (next, overflow) = known.multipliedReportingOverflow(by: size)
        guard size >= 1, !overflow else { return nil }
        known = next
        sizes.append(size)
      }
      if let open {
        guard count % known == 0 else { return nil }
        sizes[open] = count / known
        known = count
      }
      return known == count ? sizes : nil
    }
    if let sizes = attempt(target) { return sizes }
    // A batch that was fixed when the file was written stands in the shape itself.
    if let bakedBatch, target.first == bakedBatch, bakedBatch != batch {
      if let sizes = attempt([batch] + target.dropFirst()) { return sizes }
    }
    if let bakedBatch, let first = target.first, first > 0, first % bakedBatch == 0 {
      let (scaled, overflow) = (first / bakedBatch).multipliedReportingOverflow(by: batch)
      if !overflow, let sizes = attempt([scaled] + target.dropFirst()) { return sizes }
    }
    throw .onnx("\(node.place) cannot give \(shape) the shape \(target)")
  }

  private func slice(_ node: ONNXNode, _ shape: [Int], _ inputs: [Term]) throws(LearnError) -> Move {
    var isConstant = false
    if case .constant = inputs.first { isConstant = true }
    guard let from = try numbers(inputs, 1, "starts", node), let to = try numbers(inputs, 2, "ends", node),
      from.count == to.count
    else { throw .onnx("\(node.place) lacks starts and ends") }
    let chosen = try numbers(inputs, 3, "axes", node) ?? Array(0..<from.count)
    let strides = try numbers(inputs, 4, "steps", node) ?? from.map { _ in 1 }
    guard chosen.count == from.count, strides.count == from.count else {
      throw .onnx("\(node.place) has \(from.count) starts for \(chosen.count) axes and \(strides.count) steps")
    }
    var starts = shape.map { _ in 0 }
    var steps = shape.map { _ in 1 }
    var sizes = shape
    var seen: Set<Int> = []
    for index in from.indices {
      let axis = try axis(chosen[index], shape.count, node)
      guard seen.insert(axis).inserted else { throw .onnx("\(node.place) cuts axis \(axis) twice") }
      let (size, step) = (shape[axis], strides[index])
      guard step != 0, step >= -(1 << 31), step <= 1 << 31 else {
        throw .onnx("\(node.place) cuts in steps of \(step)")
      }
      let start = from[index] < 0 ? from[index] + size : from[index]
      let end = to[index] < 0 ? to[index] + size : to[index]
      if step > 0 {
        let (low, high) = (min(max(start, 0), size), min(max(end, 0), size))
        starts[axis] = low
        sizes[axis] = max(0, (high - low + step - 1) / step)
      } else {
        let (high, low) = (min(max(start, -1), size - 1), min(max(end, -1), size - 1))
        starts[axis] = high
        sizes[axis] = max(0, (high - low - step - 1) / -step)
      }
      steps[axis] = step
      // Of constants, nothing may be left: shapes are put together like that.
      guard sizes[axis] >= 1 || isConstant else {
        throw .onnx("\(node.place) leaves nothing of axis \(axis) of \(shape)")
      }
    }
    return .slice(starts: starts, steps: steps, sizes: sizes)
  }

  private func split(_ node: ONNXNode, _ shape: [Int], _ inputs: [Term]) throws(LearnError) -> [Move] {
    let axis = try axis(try int(node, "axis", 0), shape.count, node)
    let size = shape[axis]
    var parts = try ints(node, "split") ?? []
    if parts.isEmpty { parts = try numbers(inputs, 1, "sizes", node) ?? [] }
    if node.op == "SplitToSequence", let one = parts.first, parts.count == 1,
      let given = optional(inputs, 1), self.shape(given) == []
    {
      guard one >= 1, size / one <= 4_096 else {
        throw .onnx("\(node.place) splits \(size) into pieces of \(one), more than 4096 of them")
      }
      parts = stride(from: 0, to: size, by: one).map { min(one, size - $0) }
    }
    if parts.isEmpty {
      let count = node.op == "SplitToSequence" ? size : try int(node, "num_outputs", node.outputs.count)
      guard count >= 1, count <= size, count <= 4_096 else { throw .onnx("\(node.place) splits \(size) into \(count)") }
      let each = (size + count - 1) / count
      parts = (0..<count).map { min(each, size - $0 * each) }
    }
    guard parts.allSatisfy({ $0 >= 1 && $0 <= size }), parts.reduce(0, +) == size, parts.count <= 4_096 else {
      throw .onnx("\(node.place) splits \(size) into \(parts.prefix(8))\(parts.count > 8 ? " and more" : "")")
    }
    var moves: [Move] = []
    var at = 0
    for part in parts {
      var starts = shape.map { _ in 0 }
      var sizes = shape
      starts[axis] = at
      sizes[axis] = part
      moves.append(.slice(starts: starts, steps: shape.map { _ in 1 }, sizes: sizes))
      at += part
    }
    return moves
  }

  // MARK: constants

  mutating func foldMove(_ node: ONNXNode, _ x: Constant, _ inputs: [Constant?]) throws(LearnError) -> Constant? {
    if node.op == "Concat" { return try foldConcat(node, inputs.compactMap { $0 }) }
    if node.op == "Tile" { return nil }
    guard node.op != "Split", node.op != "SplitToSequence" else { return nil }
    let terms = inputs.map { $0.map { Term.constant($0) } ?? .nothing }
    guard let move = try moves(node, x.shape, terms)?.first else { return nil }
    return try apply(move, to: x, node)
  }

  mutating func apply(_ move: Move, to x: Constant, _ node: ONNXNode) throws(LearnError) -> Constant {
    switch move {
    case .reshape(let shape): return Constant(shape: shape, values: x.values, isWhole: x.isWhole)
    case .transpose(let permutation):
      return try gathered(x, permutation.map { x.shape[$0] }, permutation.map { x.steps[$0] }, 0, node)
    case .slice(let starts, let steps, let sizes):
      let start = zip(starts, x.steps).reduce(0) { $0 + $1.0 * $1.1 }
      return try gathered(x, sizes, zip(steps, x.steps).map { $0 * $1 }, start, node)
    case .expand(let shape): return try gathered(x, shape, Self.broadcastSteps(x, shape), 0, node)
    }
  }
  private mutating func gathered(
    _ x: Constant, _ shape: [Int], _ steps: [Int], _ start: Int, _ node: ONNXNode
  ) throws(LearnError) -> Constant {
    try spend(shape, node)
    var values: [Double] = []
    var walk = Odometer(shape, [steps], starts: [start])
    for _ in 0..<shape.reduce(1, *) {
      values.append(x.values[walk.places[0]])
      walk.next()
    }
    return Constant(shape: shape, values: values, isWhole: x.isWhole)
  }
  private mutating func foldConcat(_ node: ONNXNode, _ parts: [Constant]) throws(LearnError) -> Constant {
    let first = parts[0]
    let axis = try axis(try int(node, "axis", 0), max(1, first.shape.count), node)
    var shape = first.shape
    guard parts.allSatisfy({ $0.shape.count == shape.count }), !shape.isEmpty else {
      throw .onnx("\(node.place) joins shapes that do not fit: \(parts.map(\.shape))")
    }
    for part in parts {
      for other in shape.indices where other != axis && part.shape[other] != shape[other] {
        throw .onnx("\(node.place) joins shapes that do not fit: \(parts.map(\.shape))")
      }
    }
    shape[axis] = parts.reduce(0) { $0 + $1.shape[axis] }
    try spend(shape, node)
    let outer = shape[..<axis].reduce(1, *)
    var values: [Double] = []
    for block in 0..<outer {
      for part in parts {
        let run = part.shape[axis...].reduce(1, *)
        values += part.values[(block * run)..<((block + 1) * run)]
      }
    }
    return Constant(shape: shape, values: values, isWhole: parts.allSatisfy(\.isWhole))
  }

  // MARK: samples

  mutating func apply(_ move: Move, to id: Graph.ID, _ node: ONNXNode) throws(LearnError) -> Graph.ID {
    switch move {
    case .reshape(let shape): return try reshape(id, shape, node)
    case .transpose(let permutation):
      if permutation == Array(permutation.indices) { return id }
      return try add(.transpose(permutation), [id], node)
    case .slice(let starts, let steps, let sizes):
      if sizes == builder.shape(id), steps.allSatisfy({ $0 == 1 }) { return id }
      return try add(.slice(starts: starts, steps: steps), [id], shape: sizes, node)
    case .expand(let shape):
      if shape == builder.shape(id) { return id }
      return try add(.expand, [id], shape: shape, node)
    }
  }
}

extension Lowering {
  mutating func concat(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 1, node)
    var parts: [Graph.ID] = []
    for term in inputs { parts.append(try value(term, node.place)) }
    if parts.count == 1 { return parts[0] }
    let rank = builder.shape(parts[0]).count
    return try add(.concat(axis: try axis(try int(node, "axis", 0), rank, node)), parts, node)
  }

  mutating func pad(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 1, node)
    guard try string(node, "mode", "constant") == "constant" else {
      throw .onnx("\(node.place), opset \(model.opset): of padding, only the mode 'constant' is supported")
    }
    let x = try value(inputs[0], node.place)
    let shape = builder.shape(x)
    guard let pads = try numbers(inputs, 1, "sizes", node) else { throw .onnx("\(node.place) lacks its sizes") }
    let chosen = try numbers(inputs, 3, "axes", node) ?? Array(0..<shape.count)
    guard pads.count == 2 * chosen.count else {
      throw .onnx("\(node.place) has \(pads.count) sizes for \(chosen.count) axes")
    }
    var before = shape.map { _ in 0 }
    var sizes = shape
    var starts = before
    var kept = shape
    for (place, axis) in chosen.enumerated() {
      let axis = try self.axis(axis, shape.count, node)
      let (low, high) = (pads[place], pads[place + chosen.count])
      guard abs(low) <= 1 << 28, abs(high) <= 1 << 28 else { throw .onnx("\(node.place) pads by \(pads)") }
      before[axis] = max(0, low)
      starts[axis] = max(0, -low)
      kept[axis] = shape[axis] - starts[axis] - max(0, -high)
      guard kept[axis] >= 1 else { throw .onnx("\(node.place) leaves nothing of \(shape)") }
      sizes[axis] = kept[axis] + before[axis] + max(0, high)
    }
    let cut =
      kept == shape ? x : try add(.slice(starts: starts, steps: shape.map { _ in 1 }), [x], shape: kept, node)
    if sizes == kept { return cut }
    let fill = try number(inputs, 2, "value", node) ?? 0
    return try add(.pad(before: before, value: fill), [cut], shape: sizes, node)
  }

  mutating func gather(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 2, node)
    guard let source = shape(inputs[0]) else { throw .onnx("\(node.place) takes from a sequence") }
    let axis = try axis(try int(node, "axis", 0), source.count, node)
    if let ids = try known(inputs[1]) {
      let size = source[axis]
      let whole = ids.whole.map { $0 < 0 ? $0 + size : $0 }
      guard whole.allSatisfy({ $0 >= 0 && $0 < size }) else {
        throw .onnx("\(node.place) takes an index outside \(size)")
      }
      // One index, or a run of them, is a slice.
      if let first = whole.first, whole.indices.allSatisfy({ whole[$0] == first + $0 }) {
        let x = try value(inputs[0], node.place)
        var starts = source.map { _ in 0 }
        var sizes = source
        starts[axis] = first
        sizes[axis] = whole.count
        let cut = try apply(.slice(starts: starts, steps: source.map { _ in 1 }, sizes: sizes), to: x, node)
        return try reshape(cut, Array(source[..<axis]) + ids.shape + Array(source[(axis + 1)...]), node)
      }
    }
    guard axis == 0 else {
      throw .onnx("\(node.place), opset \(model.opset): rows are taken along the first axis only")
    }
    var table = try value(inputs[0], node.place)
    let row = source.dropFirst().reduce(1, *)
    if source.count != 2 { table = try reshape(table, [source[0], row], node) }
    var ids = try value(inputs[1], node.place)
    let places = builder.shape(ids)
    if places.isEmpty { ids = try reshape(ids, [1], node) }
    let rows = try add(.gather, [table, ids], node)
    return try reshape(rows, places + source.dropFirst(), node)
  }
}

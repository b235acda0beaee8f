extension Lowering {
  /// The window of a convolution or a pool; images of one side have a second of size 1.
  private func window(_ node: ONNXNode, _ sizes: [Int], taps: [Int]) throws(LearnError) -> Window {
    let sides = taps.count
    let steps = try ints(node, "strides") ?? taps.map { _ in 1 }
    let gaps = try ints(node, "dilations") ?? taps.map { _ in 1 }
    var pads = try ints(node, "pads") ?? Array(repeating: 0, count: 2 * sides)
    guard steps.count == sides, gaps.count == sides, pads.count == 2 * sides else {
      throw .onnx("\(node.place): its strides, dilations or pads do not fit \(sides) dimensions")
    }
    for number in taps + steps + gaps {
      guard number >= 1, number <= 1 << 16 else {
        throw .onnx("\(node.place): a kernel, stride or dilation of \(number)")
      }
    }
    guard pads.allSatisfy({ $0 >= 0 && $0 <= 1 << 16 }) else { throw .onnx("\(node.place): a padding of \(pads)") }
    let auto = try string(node, "auto_pad", "NOTSET")
    for side in 0..<sides where auto == "SAME_UPPER" || auto == "SAME_LOWER" {
      let outputs = (sizes[side] + steps[side] - 1) / steps[side]
      let whole = max(0, (outputs - 1) * steps[side] + gaps[side] * (taps[side] - 1) + 1 - sizes[side])
      pads[side] = auto == "SAME_UPPER" ? whole / 2 : whole - whole / 2
      pads[side + sides] = whole - pads[side]
    }
    func both(_ list: [Int], _ rest: Int) -> [Int] { sides == 1 ? [rest] + list : list }
    return Window(
      taps: both(taps, 1), steps: both(steps, 1), gaps: both(gaps, 1), before: both(Array(pads[..<sides]), 0),
      after: both(Array(pads[sides...]), 0))
  }

  /// [n, c, l] as [n, c, 1, l].
  private mutating func image(_ id: Graph.ID, _ node: ONNXNode) throws(LearnError) -> Graph.ID {
    let shape = builder.shape(id)
    switch shape.count {
    case 3: return try reshape(id, [shape[0], shape[1], 1, shape[2]], node)
    case 4: return id
    default:
      throw .onnx("\(node.place), opset \(model.opset): images of one or two dimensions are supported, not \(shape)")
    }
  }
  private mutating func unimage(_ id: Graph.ID, _ rank: Int, _ node: ONNXNode) throws(LearnError) -> Graph.ID {
    let shape = builder.shape(id)
    return rank == 3 ? try reshape(id, [shape[0], shape[1], shape[3]], node) : id
  }

  mutating func convolution(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 2, node)
    let x = try value(inputs[0], node.place)
    let w = try value(inputs[1], node.place)
    let rank = builder.shape(x).count
    let shape = builder.shape(w)
    guard shape.count == rank, rank == 3 || rank == 4 else {
      throw .onnx("\(node.place): images of \(builder.shape(x)) do not fit a kernel of \(shape)")
    }
    let window = try window(node, Array(builder.shape(x)[2...]), taps: Array(shape[2...]))
    let groups = try int(node, "group", 1)
    let channels = builder.shape(x)[1]
    guard groups >= 1, channels == shape[1] * groups, shape[0] % groups == 0 else {
      throw .onnx("\(node.place): \(channels) channels do not fit a kernel of \(shape) in \(groups) groups")
    }
    var kernel = try image(w, node)
    let isDepthwise = groups > 1 && groups == channels && shape[0] == channels
    if groups > 1 && !isDepthwise { kernel = try dense(kernel, groups, node) }
    var operands = [try image(x, node), kernel]
    if let bias = optional(inputs, 2) { operands.append(try value(bias, node.place)) }
    let y = try add(.convolution(window, groups: isDepthwise ? groups : 1), operands, node)
    return try unimage(y, rank, node)
  }

  /// A kernel in groups as one over all channels, with zeros where groups do not meet.
  private mutating func dense(_ kernel: Graph.ID, _ groups: Int, _ node: ONNXNode) throws(LearnError) -> Graph.ID {
    let shape = builder.shape(kernel)
    guard groups <= 64 else {
      throw .onnx("\(node.place), opset \(model.opset): \(groups) groups of several channels; at most 64 are supported")
    }
    let outputs = shape[0] / groups
    var parts: [Graph.ID] = []
    for group in 0..<groups {
      let cut = try apply(
        .slice(
          starts: [group * outputs, 0, 0, 0], steps: [1, 1, 1, 1], sizes: [outputs, shape[1], shape[2], shape[3]]),
        to: kernel, node)
      parts.append(
        try add(
          .pad(before: [0, group * shape[1], 0, 0], value: 0), [cut],
          shape: [outputs, shape[1] * groups, shape[2], shape[3]], node))
    }
    return try add(.concat(axis: 0), parts, node)
  }

  mutating func transposedConvolution(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 2, node)
    let x = try value(inputs[0], node.place)
    let w = try value(inputs[1], node.place)
    let rank = builder.shape(x).count
    let shape = builder.shape(w)
    guard shape.count == rank, rank == 3 || rank == 4 else {
      throw .onnx("\(node.place): images of \(builder.shape(x)) do not fit a kernel of \(shape)")
    }
    guard try int(node, "group", 1) == 1, node.attributes["output_shape"] == nil,
      try string(node, "auto_pad", "NOTSET") == "NOTSET"
    else {
      throw .onnx(
        "\(node.place), opset \(model.opset): of ConvTranspose, groups, output_shape and auto_pad are not supported")
    }
    var window = try window(node, Array(builder.shape(x)[2...]), taps: Array(shape[2...]))
    // What is added at the far end is padding that is taken away less of.
    let extra = try ints(node, "output_padding") ?? Array(repeating: 0, count: rank - 2)
    guard extra.count == rank - 2, extra.allSatisfy({ $0 >= 0 && $0 < 1 << 10 }) else {
      throw .onnx("\(node.place): an output_padding of \(extra)")
    }
    for side in 0..<extra.count { window.after[side + (rank == 3 ? 1 : 0)] -= extra[side] }
    var operands = [try image(x, node), try image(w, node)]
    if let bias = optional(inputs, 2) { operands.append(try value(bias, node.place)) }
    return try unimage(try add(.transposedConvolution(window), operands, node), rank, node)
  }

  mutating func pool(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 1, node)
    let x = try value(inputs[0], node.place)
    let shape = builder.shape(x)
    guard let taps = try ints(node, "kernel_shape"), shape.count == 3 || shape.count == 4,
      taps.count == shape.count - 2
    else { throw .onnx("\(node.place): a pool over \(shape) with no kernel that fits") }
    var window = try window(node, Array(shape[2...]), taps: taps)
    for side in 0..<2 where window.before[side] >= window.taps[side] || window.after[side] >= window.taps[side] {
      throw .onnx("\(node.place): its padding reaches as far as its kernel")
    }
    let counts = try int(node, "count_include_pad", 0) != 0
    let padded = window
    if try int(node, "ceil_mode", 0) != 0 {
      let sizes = shape.count == 3 ? [1, shape[2]] : Array(shape[2...])
      for side in 0..<2 {
        let whole =
          sizes[side] + window.before[side] + window.after[side] - window.gaps[side] * (window.taps[side] - 1) - 1
        guard whole >= 0 else { throw .onnx("\(node.place): its kernel is larger than \(shape)") }
        var outputs = (whole + window.steps[side] - 1) / window.steps[side] + 1
        // A window that would begin in the padding behind the image is left out.
        if (outputs - 1) * window.steps[side] >= sizes[side] + window.before[side] { outputs -= 1 }
        window.after[side] += max(0, (outputs - 1) * window.steps[side] - whole)
      }
    }
    if node.op == "AveragePool", counts, window != padded {
      throw .onnx(
        "\(node.place), opset \(model.opset): ceil_mode together with count_include_pad is not supported for AveragePool"
      )
    }
    let operation: Operation =
      node.op == "MaxPool" ? .maxPool(window) : .meanPool(window, countsPadding: counts)
    if node.op == "MaxPool", node.outputs.count > 1, !node.outputs[1].isEmpty {
      throw .onnx("\(node.place): the indices of a MaxPool cannot be used")
    }
    return try unimage(try add(operation, [try image(x, node)], node), shape.count, node)
  }

  // MARK: norms

  mutating func batchNorm(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 5, node)
    var operands = [try value(inputs[0], node.place)]
    for index in 1...4 {
      // Running statistics are averaged, not trained.
      if index > 2, case .initializer(let initializer) = inputs[index] {
        operands.append(try parameter(initializer, isTrained: false))
      } else {
        operands.append(try value(inputs[index], node.place))
      }
    }
    var momentum = try float(node, "momentum", 0.9)
    let isTraining = options.isTraining && !options.normsAreFixed && node.inputs[3...].allSatisfy { isParameter($0) }
    if !isTraining { momentum = 1 }
    let epsilon = try float(node, "epsilon", 1e-5)
    return try add(
      .channelNorm(epsilon: epsilon, momentum: momentum, isTraining: isTraining, hasRelu: false), operands, node)
  }
  private func isParameter(_ name: String) -> Bool {
    if case .initializer = terms[name] { return true }
    return false
  }

  mutating func layerNorm(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 2, node)
    let x = try value(inputs[0], node.place)
    let shape = builder.shape(x)
    let axis = try axis(try int(node, "axis", -1), shape.count, node)
    let width = shape[axis...].reduce(1, *)
    let flat = try reshape(x, Array(shape[..<axis]) + [width], node)
    let epsilon = try float(node, "epsilon", 1e-5)
    var operands = [flat]
    for index in 1...2 {
      guard let term = optional(inputs, index) else { break }
      operands.append(try reshape(try value(term, node.place), [width], node))
    }
    return try reshape(try add(.rowNorm(epsilon: epsilon), operands, node), shape, node)
  }

  /// Groups of channels normalised over all their pixels; a group for each channel where none are told.
  mutating func groupNorm(_ node: ONNXNode, _ inputs: [Term], groups: Int?) throws(LearnError) -> Graph.ID {
    try need(inputs, 3, node)
    let x = try value(inputs[0], node.place)
    let shape = builder.shape(x)
    guard shape.count >= 2 else { throw .onnx("\(node.place) takes [n, channels, ...], and gets \(shape)") }
    let count = groups ?? shape[1]
    guard count >= 1, shape[1] % count == 0 else {
      throw .onnx("\(node.place): \(shape[1]) channels in \(count) groups")
    }
    let flat = try reshape(x, [shape[0], count, shape[1] / count * shape[2...].reduce(1, *)], node)
    let normed = try reshape(
      try add(.rowNorm(epsilon: try float(node, "epsilon", 1e-5)), [flat], node), shape, node)
    var y = normed
    for (index, kind) in [(1, Binary.multiply), (2, Binary.add)] {
      // An exporter's constant ones and zeros change nothing and are nobody's weights.
      if case .initializer(let number) = inputs[index], model.initializers[number].name.hasPrefix("val_"),
        let known = try known(inputs[index]), known.values.allSatisfy({ $0 == (kind == .add ? 0 : 1) })
      {
        continue
      }
      if let known = try constantOnly(inputs[index]), known.values.allSatisfy({ $0 == (kind == .add ? 0 : 1) }) {
        continue
      }
      let id = try value(inputs[index], node.place)
      var size = Array(repeating: 1, count: shape.count)
      size[1] = builder.shape(id).reduce(1, *)
      // Before opset 21 there was a scale for each group.
      if groups != nil, size[1] == count, count != shape[1] {
        let each = try reshape(id, [count, 1], node)
        let spread = try apply(.expand([count, shape[1] / count]), to: each, node)
        size[1] = shape[1]
        y = try add(.binary(kind), [y, try reshape(spread, size, node)], node)
        continue
      }
      y = try add(.binary(kind), [y, try reshape(id, size, node)], node)
    }
    return y
  }
  private func constantOnly(_ term: Term) throws(LearnError) -> Constant? {
    if case .constant(let constant) = term { return constant }
    return nil
  }

  // MARK: sequences

  mutating func recurrent(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> [Term] {
    try need(inputs, 3, node)
    let cell: Cell = node.op == "LSTM" ? .lstm : node.op == "GRU" ? .gru : .tanh
    func refuse(_ what: String) -> LearnError {
      .onnx("\(node.place), opset \(model.opset): \(what) is not supported for \(node.op)")
    }
    if let given = node.attributes["activations"], case .strings(let names) = given {
      let usual: [String] =
        switch cell {
        case .lstm: ["Sigmoid", "Tanh", "Tanh"]
        case .gru: ["Sigmoid", "Tanh"]
        case .tanh: ["Tanh"]
        }
      let isUsual = names.indices.allSatisfy {
        names[$0].lowercased() == usual[$0 % usual.count].lowercased()
      }
      if !isUsual { throw refuse("an activation among \(names)") }
    }
    if node.attributes["clip"] != nil { throw refuse("clip") }
    if try int(node, "layout", 0) != 0 { throw refuse("layout 1") }
    if try int(node, "input_forget", 0) != 0 { throw refuse("input_forget") }
    if cell == .gru, try int(node, "linear_before_reset", 0) == 0 { throw refuse("linear_before_reset 0") }
    if optional(inputs, 4) != nil { throw refuse("a list of sequence lengths") }
    if optional(inputs, 7) != nil { throw refuse("a peephole") }
    if node.outputs.count > 2, !node.outputs[2].isEmpty,
      model.nodes.contains(where: { $0.inputs.contains(node.outputs[2]) })
    {
      throw refuse("the last cell state as an output")
    }
    let x = try value(inputs[0], node.place)
    let w = try value(inputs[1], node.place)
    let r = try value(inputs[2], node.place)
    let (xs, ws, rs) = (builder.shape(x), builder.shape(w), builder.shape(r))
    guard xs.count == 3, ws.count == 3, rs.count == 3, ws[0] == rs[0] else {
      throw .onnx("\(node.place): \(xs) does not fit weights of \(ws) and \(rs)")
    }
    let direction = try string(node, "direction", "forward")
    let directions = direction == "bidirectional" ? 2 : 1
    guard ws[0] == directions, ["forward", "reverse", "bidirectional"].contains(direction) else {
      throw .onnx("\(node.place): weights of \(ws) for the direction '\(direction)'")
    }
    let (times, batch, gates, units) = (xs[0], xs[1], ws[1], rs[2])
    guard gates == cell.gates * units, rs[1] == gates, ws[2] == xs[2] else {
      throw .onnx("\(node.place): \(xs) does not fit weights of \(ws) and \(rs)")
    }
    try spend([2, gates], node)
    try spend([batch, units], node)
    var wholes: [Graph.ID] = []
    var lasts: [Graph.ID] = []
    for index in 0..<directions {
      let isReversed = direction == "reverse" || index == 1
      var operands = [
        x, try part(w, index, [gates, ws[2]], node), try part(r, index, [gates, units], node),
      ]
      if let bias = optional(inputs, 3) {
        operands.append(try part(try value(bias, node.place), index, [2 * gates], node))
      } else {
        operands.append(try builder.constant(Array(repeating: 0, count: 2 * gates), [2 * gates]))
      }
      for state in [5, 6] where state == 5 || cell == .lstm {
        if let given = optional(inputs, state) {
          operands.append(try part(try value(given, node.place), index, [batch, units], node))
        } else {
          operands.append(try builder.constant(Array(repeating: 0, count: batch * units), [batch, units]))
        }
      }
      let y = try add(.recurrent(cell, isReversed: isReversed), operands, node)
      let last = try apply(
        .slice(
          starts: [isReversed ? 0 : times - 1, 0, 0], steps: [1, 1, 1], sizes: [1, batch, units]), to: y, node)
      lasts.append(last)
      wholes.append(try reshape(y, [times, 1, batch, units], node))
    }
    let whole = directions == 1 ? wholes[0] : try add(.concat(axis: 1), wholes, node)
    let last = directions == 1 ? lasts[0] : try add(.concat(axis: 0), lasts, node)
    return [.value(whole), .value(last)]
  }
  private mutating func part(_ id: Graph.ID, _ index: Int, _ shape: [Int], _ node: ONNXNode) throws(LearnError)
    -> Graph.ID
  {
    let whole = builder.shape(id)
    guard whole.count >= 1, index < whole[0] else {
      throw .onnx("\(node.place): weights of \(whole) for two directions")
    }
    var starts = whole.map { _ in 0 }
    var sizes = whole
    starts[0] = index
    sizes[0] = 1
    return try reshape(
      try apply(.slice(starts: starts, steps: whole.map { _ in 1 }, sizes: sizes), to: id, node), shape, node)
  }
}

extension Lowering {
  /// Lowers one node that must run; its outputs in order.
  mutating func operation(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> [Term] {
    if node.domain == "ai.onnx.ml" {
      throw .onnx(
        "\(node.place) is of ai.onnx.ml, whose weights are attributes; of scikit-learn's models, MLPClassifier and MLPRegressor "
          + "can be trained, up to the tensor before their softmax")
    }
    if let unary = try unary(node, inputs) { return [.value(unary)] }
    if let binary = try binary(node, inputs) { return [.value(binary)] }
    switch node.op {
    case "Identity":
      try need(inputs, 1, node)
      return [inputs[0]]
    case "Cast", "CastLike": return [try cast(node, inputs)]
    case "Selu", "Celu", "Mish", "Softsign": return [.value(try composed(node, inputs))]
    case "Sum": return [.value(try sum(node, inputs))]
    case "Dropout": return [.value(try dropout(node, inputs))]
    case "Gemm": return [.value(try gemm(node, inputs))]
    case "MatMul": return [.value(try matmul(node, inputs))]
    case "Conv": return [.value(try convolution(node, inputs))]
    case "ConvTranspose": return [.value(try transposedConvolution(node, inputs))]
    case "MaxPool", "AveragePool": return [.value(try pool(node, inputs))]
    case "GlobalAveragePool", "GlobalMaxPool":
      try need(inputs, 1, node)
      let x = try value(inputs[0], node.place)
      let axes = Array(2..<max(2, builder.shape(x).count))
      return [.value(try add(.reduce(node.op == "GlobalMaxPool" ? .largest : .mean, axes: axes), [x], node))]
    case "ReduceMean", "ReduceSum", "ReduceMax": return [.value(try reduce(node, inputs))]
    case "Softmax", "LogSoftmax": return [.value(try softmax(node, inputs))]
    case "BatchNormalization": return [.value(try batchNorm(node, inputs))]
    case "LayerNormalization": return [.value(try layerNorm(node, inputs))]
    case "InstanceNormalization": return [.value(try groupNorm(node, inputs, groups: nil))]
    case "GroupNormalization":
      return [.value(try groupNorm(node, inputs, groups: try int(node, "num_groups", 1)))]
    case "Concat": return [.value(try concat(node, inputs))]
    case "Pad": return [.value(try pad(node, inputs))]
    case "Where": return [.value(try choose(node, inputs))]
    case "Gather": return [.value(try gather(node, inputs))]
    case "Trilu": return [.value(try trilu(node, inputs))]
    case "SequenceAt": return [try sequenceAt(node, inputs)]
    case "SequenceConstruct": return [.list(inputs)]
    case "LSTM", "GRU", "RNN": return try recurrent(node, inputs)
    case "Split", "SplitToSequence":
      let parts = try moved(node, inputs)
      return node.op == "Split" ? parts : [.list(try squeezed(parts, node))]
    default:
      if inputs.first != nil,
        ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Expand"].contains(node.op)
      {
        return try moved(node, inputs)
      }
      throw .onnx(
        "\(node.place), opset \(model.opset): the operator \(node.op) is not supported where it computes on samples or weights"
      )
    }
  }

  /// Floats stay floats and whole numbers whole; a float that becomes whole would be cut, which has no gradient.
  private mutating func cast(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Term {
    try need(inputs, node.op == "CastLike" ? 2 : 1, node)
    let isFloat: Bool
    if node.op == "CastLike" {
      switch inputs[1] {
      case .constant(let constant): isFloat = !constant.isWhole
      case .value(let id): isFloat = !wholes.contains(id)
      default: isFloat = true
      }
    } else {
      guard let target = ONNXElement(rawValue: try int(node, "to", 1)), target != .string else {
        throw .onnx("\(node.place) casts to a kind of element that is not known")
      }
      isFloat = target.holdsFloats
      if target == .bool {
        let x = try value(inputs[0], node.place)
        let zero = try builder.constant([0], Array(repeating: 1, count: builder.shape(x).count))
        let isZero = try add(.binary(.isEqual), [x, zero], node)
        let id = try add(.unary(.affine, alpha: -1, beta: 1), [isZero], node)
        wholes.insert(id)
        return .value(id)
      }
    }
    if !isFloat, case .value(let id) = inputs[0], !wholes.contains(id) {
      throw .onnx("\(node.place), opset \(model.opset): floats that are computed cannot be cast to whole numbers")
    }
    return inputs[0]
  }

  private mutating func moved(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> [Term] {
    try need(inputs, 1, node)
    let x = try value(inputs[0], node.place)
    guard let moves = try moves(node, builder.shape(x), inputs) else { return [] }
    var results: [Term] = []
    for move in moves {
      let id = try apply(move, to: x, node)
      if wholes.contains(x) { wholes.insert(id) }
      results.append(.value(id))
    }
    return results
  }
  private mutating func squeezed(_ parts: [Term], _ node: ONNXNode) throws(LearnError) -> [Term] {
    guard try int(node, "keepdims", 1) == 0, node.inputs.count < 2 || node.inputs[1].isEmpty else { return parts }
    var results: [Term] = []
    for part in parts {
      let id = try value(part, node.place)
      var shape = builder.shape(id)
      shape.remove(at: try axis(try int(node, "axis", 0), shape.count, node))
      results.append(.value(try reshape(id, shape, node)))
    }
    return results
  }
  private func sequenceAt(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Term {
    guard let first = inputs.first, case .list(let parts) = first,
      let index = try numbers(inputs, 1, "index", node)?.first, index >= -parts.count, index < parts.count
    else { throw .onnx("\(node.place) takes a part that its sequence does not have") }
    return parts[index < 0 ? index + parts.count : index]
  }

  // MARK: element by element

  private mutating func unary(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID? {
    let kind: Unary
    var alpha: Float = 0
    var beta: Float = 0
    switch node.op {
    case "Relu": kind = .relu
    case "Tanh": kind = .tanh
    case "Sigmoid": kind = .sigmoid
    case "Exp": kind = .exponential
    case "Log": kind = .logarithm
    case "Sqrt": kind = .root
    case "Abs": kind = .absolute
    case "Erf": kind = .error
    case "Softplus": kind = .softplus
    case "HardSwish": kind = .hardSwish
    case "LeakyRelu": (kind, alpha) = (.leaky, try float(node, "alpha", 0.01))
    case "Elu": (kind, alpha) = (.elu, try float(node, "alpha", 1))
    case "HardSigmoid":
      (kind, alpha, beta) = (.hardSigmoid, try float(node, "alpha", 0.2), try float(node, "beta", 0.5))
    case "Neg": (kind, alpha) = (.affine, -1)
    case "Reciprocal": (kind, alpha) = (.power, -1)
    case "Gelu": kind = try string(node, "approximate", "none") == "tanh" ? .geluTanh : .gelu
    case "Clip":
      kind = .clip
      alpha = try number(inputs, 1, "lower bound", node) ?? -Float.greatestFiniteMagnitude
      beta = try number(inputs, 2, "upper bound", node) ?? Float.greatestFiniteMagnitude
    case "Pow":
      guard let exponent = try number(inputs, 1, "exponent", node) else {
        throw .onnx("\(node.place) lacks its exponent")
      }
      guard exponent.isFinite, abs(exponent) <= 1_000 else {
        throw .onnx("\(node.place) has an exponent of \(exponent)")
      }
      (kind, alpha) = (.power, exponent)
    default: return nil
    }
    try need(inputs, 1, node)
    return try add(.unary(kind, alpha: alpha, beta: beta), [try value(inputs[0], node.place)], node)
  }

  /// Functions that are others put together.
  private mutating func composed(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 1, node)
    let x = try value(inputs[0], node.place)
    switch node.op {
    case "Selu":
      let bent = try add(.unary(.elu, alpha: try float(node, "alpha", 1.6732632)), [x], node)
      return try add(.unary(.affine, alpha: try float(node, "gamma", 1.0507010)), [bent], node)
    case "Celu":
      let alpha = try float(node, "alpha", 1)
      guard alpha != 0 else { throw .onnx("\(node.place) has an alpha of 0") }
      let scaled = try add(.unary(.affine, alpha: 1 / alpha), [x], node)
      return try add(.unary(.affine, alpha: alpha), [try add(.unary(.elu, alpha: 1), [scaled], node)], node)
    case "Mish":
      let gate = try add(.unary(.tanh), [try add(.unary(.softplus), [x], node)], node)
      return try add(.binary(.multiply), [x, gate], node)
    default:
      let size = try add(.unary(.affine, alpha: 1, beta: 1), [try add(.unary(.absolute), [x], node)], node)
      return try add(.binary(.divide), [x, size], node)
    }
  }
  private mutating func sum(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 1, node)
    var total = try value(inputs[0], node.place)
    for term in inputs.dropFirst() { total = try broadcast(.add, total, try value(term, node.place), node) }
    return total
  }

  private mutating func binary(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID? {
    let kind: Binary
    var isSwapped = false
    switch node.op {
    case "Add": kind = .add
    case "Sub": kind = .subtract
    case "Mul": kind = .multiply
    case "Div": kind = .divide
    case "Max": kind = .larger
    case "Min": kind = .smaller
    case "Equal": kind = .isEqual
    case "Less": kind = .isLess
    case "Greater": (kind, isSwapped) = (.isLess, true)
    case "LessOrEqual": kind = .isAtMost
    case "GreaterOrEqual": (kind, isSwapped) = (.isAtMost, true)
    case "And": kind = .both
    case "Or": kind = .either
    case "Not":
      try need(inputs, 1, node)
      return try add(.unary(.affine, alpha: -1, beta: 1), [try value(inputs[0], node.place)], node)
    case "PRelu":
      return try prelu(node, inputs)
    default: return nil
    }
    try need(inputs, 2, node)
    guard inputs.count == 2 else { throw .onnx("\(node.place) has \(inputs.count) inputs; two can be computed with") }
    let sides = isSwapped ? [inputs[1], inputs[0]] : inputs
    let areWhole = isWhole(sides[0]) && isWhole(sides[1])
    if areWhole, kind == .divide {
      throw .onnx("\(node.place), opset \(model.opset): whole numbers of the samples cannot be divided")
    }
    defer { if areWhole || !kind.isDifferentiable, let made = builder.graph.nodes.last?.output { wholes.insert(made) } }
    if let short = try affine(kind, sides, node) { return short }
    return try broadcast(kind, try value(sides[0], node.place), try value(sides[1], node.place), node)
  }

  private func isWhole(_ term: Term) -> Bool {
    switch term {
    case .constant(let constant): constant.isWhole
    case .value(let id): wholes.contains(id)
    default: false
    }
  }

  /// One number beside samples: scaled and shifted in one pass.
  private mutating func affine(_ kind: Binary, _ sides: [Term], _ node: ONNXNode) throws(LearnError) -> Graph.ID? {
    func number(_ term: Term) -> Float? {
      guard case .constant(let constant) = term, constant.values.count == 1 else { return nil }
      return Float(constant.values[0])
    }
    let (a, b) = (number(sides[0]), number(sides[1]))
    guard let other = a ?? b, (a == nil) != (b == nil) else { return nil }
    let term = a == nil ? sides[0] : sides[1]
    let count = (a == nil ? shape(sides[1]) : shape(sides[0]))?.count ?? 0
    let rank = shape(term)?.count ?? 0
    guard count <= rank, other.isFinite else { return nil }
    let (alpha, beta): (Float, Float)
    switch (kind, a == nil) {
    case (.add, _): (alpha, beta) = (1, other)
    case (.subtract, true): (alpha, beta) = (1, -other)
    case (.subtract, false): (alpha, beta) = (-1, other)
    case (.multiply, _): (alpha, beta) = (other, 0)
    case (.divide, true): (alpha, beta) = (Float(1 / Double(other)), 0)
    default: return nil
    }
    guard alpha.isFinite else { return nil }
    return try add(.unary(.affine, alpha: alpha, beta: beta), [try value(term, node.place)], node)
  }

  /// Both sides get the rank of the result, so that layouts can be told apart.
  mutating func broadcast(_ kind: Binary, _ a: Graph.ID, _ b: Graph.ID, _ node: ONNXNode) throws(LearnError) -> Graph.ID
  {
    let rank = max(builder.shape(a).count, builder.shape(b).count)
    return try add(.binary(kind), [try ranked(a, rank, node), try ranked(b, rank, node)], node)
  }
  private mutating func ranked(_ id: Graph.ID, _ rank: Int, _ node: ONNXNode) throws(LearnError) -> Graph.ID {
    let shape = builder.shape(id)
    return try reshape(id, Array(repeating: 1, count: max(0, rank - shape.count)) + shape, node)
  }

  private mutating func prelu(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 2, node)
    let x = try value(inputs[0], node.place)
    let slope = try value(inputs[1], node.place)
    let positive = try add(.unary(.relu), [x], node)
    let negative = try broadcast(.subtract, x, positive, node)
    return try broadcast(.add, positive, try broadcast(.multiply, negative, slope, node), node)
  }

  private mutating func choose(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 3, node)
    var sides: [Graph.ID] = []
    // What stands beside samples in a choice is a constant of the exporter's, not a weight.
    for (place, term) in inputs.enumerated() {
      if place > 0, case .initializer = term, shape(term)?.reduce(1, *) == 1, let known = try known(term) {
        sides.append(try value(.constant(known), node.place))
      } else {
        sides.append(try value(term, node.place))
      }
    }
    let rank = sides.map { builder.shape($0).count }.max() ?? 1
    var ranks: [Graph.ID] = []
    for side in sides { ranks.append(try ranked(side, rank, node)) }
    return try add(.choose, ranks, node)
  }

  private mutating func trilu(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 1, node)
    let x = try value(inputs[0], node.place)
    let shape = builder.shape(x)
    guard shape.count >= 2 else { throw .onnx("\(node.place) needs a matrix, and gets \(shape)") }
    let (rows, columns) = (shape[shape.count - 2], shape[shape.count - 1])
    let diagonal = try numbers(inputs, 1, "diagonal", node)?.first ?? 0
    let isUpper = try int(node, "upper", 1) != 0
    try spend([rows, columns], node)
    var mask: [Float] = []
    for row in 0..<rows {
      for column in 0..<columns {
        mask.append((isUpper ? column - row >= diagonal : column - row <= diagonal) ? 1 : 0)
      }
    }
    return try broadcast(.multiply, x, try builder.constant(mask, [rows, columns]), node)
  }

  private mutating func dropout(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 1, node)
    let x = try value(inputs[0], node.place)
    let ratio = try number(inputs, 1, "ratio", node) ?? 0.5
    guard ratio >= 0, ratio < 1 else { throw .onnx("\(node.place) drops a share of \(ratio); 0 to below 1 can be") }
    dropouts += 1
    guard options.isTraining, options.hasDropout, ratio > 0 else { return x }
    return try add(.dropout(ratio: ratio, number: dropouts), [x], node)
  }

  // MARK: products

  private mutating func gemm(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 2, node)
    let (alpha, beta) = (try float(node, "alpha", 1), try float(node, "beta", 1))
    var a = try value(inputs[0], node.place)
    let b = try value(inputs[1], node.place)
    if try int(node, "transA", 0) != 0 { a = try add(.transpose([1, 0]), [a], node) }
    let isTransposed = try int(node, "transB", 0) != 0
    let bias = try optional(inputs, 2).map { term throws(LearnError) in try self.value(term, node.place) }
    let outputs = builder.shape(b).count == 2 ? builder.shape(b)[isTransposed ? 0 : 1] : 0
    if alpha == 1, beta == 1, let bias, builder.shape(bias) == [outputs] {
      return try add(.linear(isTransposed: isTransposed, hasRelu: false), [a, b, bias], node)
    }
    var y = try add(.linear(isTransposed: isTransposed, hasRelu: false), [a, b], node)
    if alpha != 1 { y = try add(.unary(.affine, alpha: alpha), [y], node) }
    guard var bias, beta != 0 else { return y }
    if beta != 1 { bias = try add(.unary(.affine, alpha: beta), [bias], node) }
    return try broadcast(.add, y, bias, node)
  }

  private mutating func matmul(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 2, node)
    let a = try value(inputs[0], node.place)
    let b = try value(inputs[1], node.place)
    let (left, right) = (builder.shape(a), builder.shape(b))
    guard left.count >= 1, right.count >= 1, left.count > 1 || right.count > 1 else {
      throw .onnx("\(node.place) multiplies \(left) by \(right)")
    }
    if right.count == 2, left.count >= 2 {
      // A weight that is turned first is a weight that lies the other way.
      if let maker = maker(b), case .transpose([1, 0]) = maker.operation {
        return try add(.linear(isTransposed: true, hasRelu: false), [a, maker.inputs[0]], node)
      }
      return try add(.linear(isTransposed: false, hasRelu: false), [a, b], node)
    }
    guard left.count > 1, right.count > 1 else {
      throw .onnx("\(node.place) multiplies a vector, \(left) by \(right); give it two dimensions")
    }
    return try add(.matmul, [a, b], node)
  }

  // MARK: reductions

  private mutating func reduce(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 1, node)
    let x = try value(inputs[0], node.place)
    let rank = builder.shape(x).count
    var chosen: [Int] = []
    for axis in try axes(node, inputs, 1) ?? Array(0..<rank) { chosen.append(try self.axis(axis, rank, node)) }
    if chosen.isEmpty {
      if try int(node, "noop_with_empty_axes", 0) != 0 { return x }
      chosen = Array(0..<rank)
    }
    let kind: Reduction = node.op == "ReduceMean" ? .mean : node.op == "ReduceSum" ? .sum : .largest
    let y = try add(.reduce(kind, axes: chosen), [x], node)
    if try int(node, "keepdims", 1) != 0 { return y }
    let kept = builder.shape(x).enumerated().filter { !chosen.contains($0.offset) }.map(\.element)
    return try reshape(y, kept, node)
  }

  private mutating func softmax(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Graph.ID {
    try need(inputs, 1, node)
    let x = try value(inputs[0], node.place)
    let rank = builder.shape(x).count
    let axis = try axis(try int(node, "axis", -1), rank, node)
    let operation = Operation.softmax(isLog: node.op == "LogSoftmax")
    if axis == rank - 1 { return try add(operation, [x], node) }
    var permutation = Array(0..<rank)
    permutation.swapAt(axis, rank - 1)
    let turned = try add(.transpose(permutation), [x], node)
    return try add(.transpose(permutation), [try add(operation, [turned], node)], node)
  }
}

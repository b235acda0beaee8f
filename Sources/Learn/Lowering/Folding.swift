import CKernels

extension Lowering {
  /// Computes a node beforehand where all that it needs is known; nil where it must run, or where nothing is gained.
  mutating func fold(_ node: ONNXNode, _ inputs: [Term]) throws(LearnError) -> Constant? {
    if node.op == "Shape" {
      try need(inputs, 1, node)
      guard let shape = shape(inputs[0]) else { throw .onnx("\(node.place) asks for the shape of a sequence") }
      let start = try int(node, "start", 0)
      let end = try int(node, "end", shape.count)
      let from = min(max(start < 0 ? start + shape.count : start, 0), shape.count)
      let to = min(max(end < 0 ? end + shape.count : end, from), shape.count)
      return whole(Array(shape[from..<to]))
    }
    if node.op == "Size" {
      try need(inputs, 1, node)
      return shape(inputs[0]).map { Constant(shape: [], values: [Double($0.reduce(1, *))], isWhole: true) }
    }
    if node.op == "Constant" { return try constantNode(node) }
    // Weights stay weights: only what is constant is computed with.
    var constants: [Constant?] = []
    var hasConstant = false
    for term in inputs {
      switch term {
      case .constant(let constant):
        constants.append(constant)
        hasConstant = true
      case .nothing: constants.append(nil)
      case .initializer, .value, .list: return nil
      }
    }
    guard hasConstant else { return nil }
    return try folded(node, constants)
  }

  private func whole(_ values: [Int]) -> Constant {
    Constant(shape: [values.count], values: values.map(Double.init), isWhole: true)
  }

  private func constantNode(_ node: ONNXNode) throws(LearnError) -> Constant {
    for (name, attribute) in node.attributes.sorted(by: { $0.key < $1.key }) {
      switch (name, attribute) {
      case ("value", .tensor(let tensor)): return try constant(tensor)
      case ("value_float", .float(let value)): return Constant(shape: [], values: [Double(value)], isWhole: false)
      case ("value_int", .int(let value)): return Constant(shape: [], values: [Double(value)], isWhole: true)
      case ("value_floats", .floats(let values)):
        return Constant(shape: [values.count], values: values.map(Double.init), isWhole: false)
      case ("value_ints", .ints(let values)):
        return Constant(shape: [values.count], values: values.map(Double.init), isWhole: true)
      default: continue
      }
    }
    throw .onnx("\(node.place) holds no numbers")
  }

  private mutating func folded(_ node: ONNXNode, _ inputs: [Constant?]) throws(LearnError) -> Constant? {
    func input(_ index: Int) throws(LearnError) -> Constant {
      guard index < inputs.count, let constant = inputs[index] else {
        throw .onnx("\(node.place) lacks input \(index)")
      }
      return constant
    }
    func optional(_ index: Int) -> Constant? { index < inputs.count ? inputs[index] : nil }
    let x = try input(0)
    switch node.op {
    case "Identity", "Dropout": return x
    case "Cast", "CastLike":
      let target =
        node.op == "Cast" ? ONNXElement(rawValue: try int(node, "to", 1)) : (try input(1).isWhole) ? .int64 : .float
      guard let target else { throw .onnx("\(node.place) casts to an unknown kind of element") }
      if target == .bool { return Constant(shape: x.shape, values: x.values.map { $0 != 0 ? 1 : 0 }, isWhole: true) }
      return target.holdsFloats
        ? Constant(shape: x.shape, values: x.values.map { Double(Float($0)) }, isWhole: false)
        : Constant(shape: x.shape, values: x.whole.map(Double.init), isWhole: true)
    case "Add", "Sub", "Mul", "Div", "Mod", "Pow", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And",
      "Or",
      "Xor", "Max", "Min":
      guard inputs.count == 2 else { return nil }
      return try foldBinary(node, x, try input(1))
    case "Neg", "Abs", "Sqrt", "Floor", "Ceil", "Not", "Reciprocal", "Sign", "Round":
      return try foldUnary(node, x)
    case "Where":
      let (a, b) = (try input(1), try input(2))
      let shape = try GraphBuilder.broadcast(
        try GraphBuilder.broadcast(x.shape, a.shape, node.place), b.shape, node.place)
      try spend(shape, node)
      var values: [Double] = []
      var walk = Odometer(shape, [x, a, b].map { Self.broadcastSteps($0, shape) })
      for _ in 0..<shape.reduce(1, *) {
        values.append(x.values[walk.places[0]] != 0 ? a.values[walk.places[1]] : b.values[walk.places[2]])
        walk.next()
      }
      return Constant(shape: shape, values: values, isWhole: a.isWhole)
    case "Range":
      let (start, limit, delta) = (x, try input(1), try input(2))
      guard start.values.count == 1, limit.values.count == 1, delta.values.count == 1, delta.values[0] != 0 else {
        throw .onnx("\(node.place): a range needs a start, a limit and a step other than 0")
      }
      let count = ((limit.values[0] - start.values[0]) / delta.values[0]).rounded(.up)
      guard count.isFinite, abs(count) <= Double(FoldingBudget.each) else {
        throw .onnx("\(node.place) is too long a range")
      }
      let steps = max(0, Int(count))
      try spend([steps], node)
      return Constant(
        shape: [steps], values: (0..<steps).map { start.values[0] + Double($0) * delta.values[0] }, isWhole: x.isWhole)
    case "ConstantOfShape":
      let shape = x.whole
      try spend(shape, node)
      var value = Constant(shape: [1], values: [0], isWhole: false)
      if case .tensor(let tensor) = node.attributes["value"] { value = try constant(tensor) }
      guard value.values.count == 1 else { throw .onnx("\(node.place) fills with more than one value") }
      return Constant(
        shape: shape, values: Array(repeating: value.values[0], count: shape.reduce(1, *)), isWhole: value.isWhole)
    case "Trilu":
      return try foldTrilu(node, x, optional(1)?.whole.first ?? 0)
    case "ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin":
      guard x.shape.count <= 1 else { return nil }
      let value: Double =
        switch node.op {
        case "ReduceProd": x.values.reduce(1, *)
        case "ReduceSum": x.values.reduce(0, +)
        case "ReduceMax": x.values.max() ?? 0
        default: x.values.min() ?? 0
        }
      let keeps = try int(node, "keepdims", 1) != 0
      return Constant(shape: keeps ? x.shape.map { _ in 1 } : [], values: [value], isWhole: x.isWhole)
    case "Gather":
      return try foldGather(node, x, try input(1))
    default:
      // Moves are the same for constants and for samples.
      return try foldMove(node, x, inputs)
    }
  }

  mutating func spend(_ shape: [Int], _ node: ONNXNode) throws(LearnError) {
    var count = 1
    for size in shape {
      let (next, overflow) = count.multipliedReportingOverflow(by: size)
      guard size >= 0, !overflow, shape.count <= 8 else {
        throw .onnx("\(node.place) computes the shape \(shape), which cannot be")
      }
      count = next
    }
    try budget.spend(count, node.place)
  }

  static func broadcastSteps(_ constant: Constant, _ shape: [Int]) -> [Int] {
    let missing = shape.count - constant.shape.count
    return shape.indices.map { axis in
      axis < missing || constant.shape[axis - missing] == 1 ? 0 : constant.steps[axis - missing]
    }
  }

  private mutating func foldBinary(_ node: ONNXNode, _ a: Constant, _ b: Constant) throws(LearnError) -> Constant {
    let shape = try GraphBuilder.broadcast(a.shape, b.shape, node.place)
    try spend(shape, node)
    let isWhole = a.isWhole && b.isWhole
    let isTruth = ["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor"].contains(node.op)
    let fmod = try int(node, "fmod", 0) != 0
    var values: [Double] = []
    var walk = Odometer(shape, [a, b].map { Self.broadcastSteps($0, shape) })
    for _ in 0..<shape.reduce(1, *) {
      let (x, y) = (a.values[walk.places[0]], b.values[walk.places[1]])
      walk.next()
      var value: Double
      switch node.op {
      case "Add": value = x + y
      case "Sub": value = x - y
      case "Mul": value = x * y
      case "Div":
        if isWhole && y == 0 { throw .onnx("\(node.place) divides a whole number by 0") }
        value = isWhole ? (x / y).rounded(.towardZero) : x / y
      case "Mod":
        if y == 0 { throw .onnx("\(node.place) divides by 0") }
        let rest = x.truncatingRemainder(dividingBy: y)
        value = !fmod && rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest
      case "Pow":
        switch y {
        case 0: value = 1
        case 1: value = x
        case 2: value = x * x
        case 0.5: value = x.squareRoot()
        case -0.5: value = 1 / x.squareRoot()
        case -1: value = 1 / x
        default: value = pm_exp(y * pm_log(x))
        }
      case "Max": value = max(x, y)
      case "Min": value = min(x, y)
      case "Equal": value = x == y ? 1 : 0
      case "Less": value = x < y ? 1 : 0
      case "Greater": value = x > y ? 1 : 0
      case "LessOrEqual": value = x <= y ? 1 : 0
      case "GreaterOrEqual": value = x >= y ? 1 : 0
      case "And": value = x != 0 && y != 0 ? 1 : 0
      case "Or": value = x != 0 || y != 0 ? 1 : 0
      default: value = (x != 0) != (y != 0) ? 1 : 0
      }
      if !isWhole && !isTruth { value = Double(Float(value)) }
      if isWhole && abs(value) > 9e15 && !isTruth { value = value > 0 ? 9e15 : -9e15 }
      values.append(value)
    }
    return Constant(shape: shape, values: values, isWhole: isWhole || isTruth)
  }

  private mutating func foldUnary(_ node: ONNXNode, _ x: Constant) throws(LearnError) -> Constant {
    try spend(x.shape, node)
    let values = x.values.map { value -> Double in
      switch node.op {
      case "Neg": -value
      case "Abs": abs(value)
      case "Sqrt": Double(Float(value).squareRoot())
      case "Floor": value.rounded(.down)
      case "Ceil": value.rounded(.up)
      case "Round": value.rounded(.toNearestOrEven)
      case "Not": value != 0 ? 0 : 1
      case "Sign": value > 0 ? 1 : value < 0 ? -1 : 0
      default: Double(Float(1 / value))
      }
    }
    return Constant(shape: x.shape, values: values, isWhole: x.isWhole)
  }

  private mutating func foldTrilu(_ node: ONNXNode, _ x: Constant, _ diagonal: Int) throws(LearnError) -> Constant {
    guard x.shape.count >= 2 else { throw .onnx("\(node.place) needs a matrix, and gets \(x.shape)") }
    try spend(x.shape, node)
    let isUpper = try int(node, "upper", 1) != 0
    let (rows, columns) = (x.shape[x.shape.count - 2], x.shape[x.shape.count - 1])
    var values = x.values
    for index in values.indices {
      let (row, column) = (index / columns % rows, index % columns)
      let isKept = isUpper ? column - row >= diagonal : column - row <= diagonal
      if !isKept { values[index] = 0 }
    }
    return Constant(shape: x.shape, values: values, isWhole: x.isWhole)
  }

  private mutating func foldGather(_ node: ONNXNode, _ x: Constant, _ ids: Constant) throws(LearnError) -> Constant {
    let axis = try axis(try int(node, "axis", 0), x.shape.count, node)
    let shape = Array(x.shape[..<axis]) + ids.shape + Array(x.shape[(axis + 1)...])
    try spend(shape, node)
    let outer = x.shape[..<axis].reduce(1, *)
    let inner = x.shape[(axis + 1)...].reduce(1, *)
    let size = x.shape[axis]
    var values: [Double] = []
    for block in 0..<outer {
      for id in ids.whole {
        guard id >= -size, id < size else { throw .onnx("\(node.place) takes index \(id) of \(size)") }
        let start = (block * size + (id < 0 ? id + size : id)) * inner
        values += x.values[start..<(start + inner)]
      }
    }
    return Constant(shape: shape, values: values, isWhole: x.isWhole)
  }
}

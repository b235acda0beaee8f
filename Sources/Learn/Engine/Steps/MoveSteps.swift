import CKernels

/// One copy between two places, planned: dimensions merged where both lie in a row, the innermost chosen for the kernel.
struct CopyPlan {
  private(set) var shape = pm_copy_shape()
  /// - Parameters: for each dimension its size, and the floats of one step in either place.
  /// - Throws: where more than six dimensions are left.
  init(_ dimensions: [(size: Int, from: Int, to: Int)], _ place: String) throws(LearnError) {
    var merged: [(size: Int, from: Int, to: Int)] = []
    for dimension in dimensions where dimension.size != 1 {
      if let last = merged.last, last.from == dimension.from * dimension.size, last.to == dimension.to * dimension.size
      {
        merged[merged.count - 1] = (last.size * dimension.size, dimension.from, dimension.to)
      } else {
        merged.append(dimension)
      }
    }
    var ordered = merged.enumerated().sorted {
      let (a, b) = ($0.element, $1.element)
      // A step of 0 stays in place: the outermost, so that the innermost moves.
      let x = a.to == 0 ? Int.max : a.to
      let y = b.to == 0 ? Int.max : b.to
      return x != y ? x > y : $0.offset < $1.offset
    }.map(\.element)
    if ordered.count > 2, ordered[ordered.count - 1].from != 1,
      let along = ordered.firstIndex(where: { $0.from == 1 })
    {
      ordered.insert(ordered.remove(at: along), at: ordered.count - 1)
    }
    guard ordered.count <= 6 else { throw .model("\(place): a copy over \(ordered.count) dimensions is too involved") }
    while ordered.count < 6 { ordered.insert((1, 0, 0), at: 0) }
    withUnsafeMutableBytes(of: &shape) { raw in
      let numbers = raw.bindMemory(to: Int.self)
      for (index, dimension) in ordered.enumerated() {
        numbers[index] = dimension.size
        numbers[6 + index] = dimension.from
        numbers[12 + index] = dimension.to
      }
    }
  }
}

/// A tensor's elements in other places: conversions, transpositions, slices, concatenations, padding and expansion.
final class MoveStep: Step {
  struct Move {
    var plan: CopyPlan
    var back: CopyPlan
    var input: Int
    var from = 0
    var to = 0
  }
  private var moves: [Move]
  private let fill: Float?
  /// Whether the moves reach every element.
  private let isComplete: Bool

  init(
    _ moves: [Move], fill: Float? = nil, isComplete: Bool, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels
  ) {
    self.moves = moves
    self.fill = fill
    self.isComplete = isComplete
    super.init(inputs, output, kernels)
  }
  override var readsInputs: Bool { false }
  override func forward(_ run: Run) {
    if let fill { kernels.fill(output.floats, fill, output.data) }
    if fill != nil || !output.isDense { kernels.clear_tails(output.rows, output.width, output.stride, output.data) }
    for index in moves.indices {
      var shape = moves[index].plan.shape
      kernels.copy(&shape, inputs[moves[index].input].data + moves[index].from, output.data + moves[index].to, 0)
    }
  }
  override func backward(_ run: Run) {
    for index in moves.indices where wants[moves[index].input] {
      let input = moves[index].input
      let target = inputs[input]
      let mustClear = !adds[input] && !isComplete
      if mustClear { kernels.clear(target) }
      if !adds[input], !mustClear, !target.isDense {
        kernels.clear_tails(target.rows, target.width, target.stride, target.slope)
      }
      var shape = moves[index].back.shape
      kernels.copy(
        &shape, output.slope + moves[index].to, target.slope + moves[index].from, adds[input] || mustClear ? 1 : 0)
    }
  }
}

/// The same memory under another shape.
final class AliasStep: Step {
  override var readsInputs: Bool { false }
  override var isAlias: Bool { true }
}

/// Elements one by one, where shapes have nothing in common but their count.
final class ScatterStep: Step {
  private let from: [Int32]
  private let to: [Int32]
  override init(_ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    from = Self.places(inputs[0])
    to = Self.places(output)
    super.init(inputs, output, kernels)
  }
  private static func places(_ tensor: Tensor) -> [Int32] {
    let steps = tensor.steps
    var index = tensor.shape.map { _ in 0 }
    var places: [Int32] = []
    for _ in 0..<tensor.shape.reduce(1, *) {
      places.append(Int32(zip(index, steps).reduce(0) { $0 + $1.0 * $1.1 }))
      for axis in index.indices.reversed() {
        index[axis] += 1
        if index[axis] < tensor.shape[axis] { break }
        index[axis] = 0
      }
    }
    return places
  }
  override var readsInputs: Bool { false }
  override func forward(_ run: Run) {
    if !output.isDense { kernels.clear_tails(output.rows, output.width, output.stride, output.data) }
    if let meter = run.meter {
      meter.add(.scatterElement, Double(from.count))
      meter.touch(inputs[0].data, inputs[0].floats)
      meter.touch(output.data, output.floats)
      return
    }
    let source = inputs[0].data
    let target = output.data
    for index in from.indices { target[Int(to[index])] = source[Int(from[index])] }
  }
  override func backward(_ run: Run) {
    guard wants[0] else { return }
    if !adds[0] { kernels.clear(inputs[0]) }
    if let meter = run.meter {
      meter.add(.scatterElement, Double(from.count))
      meter.touch(output.slope, output.floats)
      meter.touch(inputs[0].slope, inputs[0].floats)
      return
    }
    let source = output.slope
    let target = inputs[0].slope
    for index in from.indices { target[Int(from[index])] += source[Int(to[index])] }
  }
}

/// Rows of a table by whole numbers; a number outside it is remembered as a fault and reads row 0.
final class GatherStep: Step {
  private var hasFault = false
  func takeFault() -> Bool {
    defer { hasFault = false }
    return hasFault
  }
  override func forward(_ run: Run) {
    let table = inputs[0]
    let ids = inputs[1]
    if let meter = run.meter {
      meter.add(.gatherRow, Double(ids.rows * ids.width))
      meter.add(.moveVector, Double(output.floats / 16))
      meter.touch(table.data, min(table.floats, output.floats))
      meter.touch(output.data, output.floats)
      return
    }
    var out = output.data
    for row in 0..<ids.rows {
      for column in 0..<ids.width {
        out.update(from: table.data + index(ids, row, column) * table.stride, count: table.stride)
        out += output.stride
      }
    }
  }
  private func index(_ ids: Tensor, _ row: Int, _ column: Int) -> Int {
    let number = ids.data[row * ids.stride + column]
    guard number >= 0, number < Float(inputs[0].rows), number == number.rounded(.towardZero) else {
      hasFault = true
      return 0
    }
    return Int(number)
  }
  override func backward(_ run: Run) {
    guard wants[0] else { return }
    let table = inputs[0]
    let ids = inputs[1]
    if !adds[0] { kernels.clear(table) }
    if let meter = run.meter {
      meter.add(.gatherRow, Double(ids.rows * ids.width))
      meter.add(.copyAddVector, Double(output.floats / 16))
      meter.add(.copyLine, Double(ids.rows * ids.width))
      meter.touch(output.slope, output.floats)
      meter.touch(table.slope, min(table.floats, output.floats))
      return
    }
    var slope = output.slope
    var shape = pm_copy_shape()
    shape.size = (1, 1, 1, 1, 1, table.stride)
    shape.in_step = (0, 0, 0, 0, 0, 1)
    shape.out_step = (0, 0, 0, 0, 0, 1)
    for row in 0..<ids.rows {
      for column in 0..<ids.width {
        kernels.copy(&shape, slope, table.slope + index(ids, row, column) * table.stride, 1)
        slope += output.stride
      }
    }
  }
}

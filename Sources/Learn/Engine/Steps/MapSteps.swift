import CKernels

/// A function of each element.
final class UnaryStep: Step {
  private let op: Int32
  private let alpha: Float
  private let beta: Float
  private let rows: Int
  private let width: Int

  init(_ unary: Unary, _ alpha: Float, _ beta: Float, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    op = Int32(unary.rawValue)
    self.alpha = alpha
    self.beta = beta
    rows = output.isDense ? 1 : output.rows
    width = output.isDense ? output.floats : output.width
    super.init(inputs, output, kernels)
  }
  override var readsOutput: Bool { true }
  override func forward(_ run: Run) {
    kernels.unary(op, rows, width, output.stride, alpha, beta, inputs[0].data, output.data)
  }
  override func backward(_ run: Run) {
    guard wants[0] else { return }
    kernels.unary_gradient(
      op, rows, width, output.stride, alpha, beta, inputs[0].data, output.data, output.slope, inputs[0].slope,
      adds[0] ? 1 : 0)
  }
}

/// Rows of the output and of the operands that are broadcast over it.
private struct Broadcast {
  let table: RowTable?
  /// Where each row of a gradient is added; none where all go to one row.
  let sumTable: RowTable?
  let isScalar: Bool
  let stride: Int
  init(_ operand: Tensor, over output: Tensor) {
    table = operand.table(over: output)
    sumTable = operand.rows == 1 ? nil : table ?? RowTable((0..<output.rows).map(Int32.init))
    isScalar = operand.width == 1 && output.width != 1
    stride = operand.stride
  }
  var isWhole: Bool { table == nil && !isScalar }
  func operand(_ data: Floats) -> pm_operand {
    pm_operand(
      data: UnsafePointer(data), table: table.map { UnsafePointer($0.pointer) }, stride: stride,
      is_scalar: isScalar ? 1 : 0)
  }
}

/// A function of two, broadcast.
final class BinaryStep: Step {
  private let op: Binary
  private let sides: [Broadcast]
  private let rows: Int
  private let width: Int
  private var part: Piece?

  init(_ op: Binary, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.op = op
    sides = inputs.map { Broadcast($0, over: output) }
    let isFlat = sides.allSatisfy(\.isWhole) && output.isDense
    rows = isFlat ? 1 : output.rows
    width = isFlat ? output.floats : output.width
    super.init(inputs, output, kernels)
  }
  override var readsInputs: Bool { op != .add && op != .subtract }
  override func prepareBackward() {
    let needsPart = zip(sides, wants).contains { side, wants in wants && !side.isWhole && op != .add }
    if needsPart { part = needBackward(output.floats) }
  }
  override func forward(_ run: Run) {
    var a = sides[0].operand(inputs[0].data)
    var b = sides[1].operand(inputs[1].data)
    kernels.binary(Int32(op.rawValue), rows, width, &a, &b, output.data, output.stride)
  }
  override func backward(_ run: Run) {
    for which in 0..<2 where wants[which] {
      var a = sides[0].operand(inputs[0].data)
      var b = sides[1].operand(inputs[1].data)
      let target = inputs[which]
      let side = sides[which]
      if side.isWhole {
        kernels.binary_gradient(
          Int32(op.rawValue), Int32(which), rows, width, &a, &b, output.slope, target.slope, output.stride,
          adds[which] ? 1 : 0)
        continue
      }
      var whole = output.slope
      if let part {
        kernels.binary_gradient(
          Int32(op.rawValue), Int32(which), output.rows, output.width, &a, &b, output.slope, part.pointer,
          output.stride, 0)
        whole = part.pointer
      }
      if !adds[which] { kernels.clear(target) }
      kernels.reduce(
        output.rows, output.width, output.stride, whole, side.sumTable?.pointer, side.isScalar ? 1 : 0, 1,
        target.slope, target.stride)
    }
  }
}

/// a where the condition is not 0, else b.
final class ChooseStep: Step {
  private let sides: [Broadcast]
  private var part: Piece?
  private var zero: Piece?

  override init(_ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    sides = inputs.map { Broadcast($0, over: output) }
    super.init(inputs, output, kernels)
  }
  override func prepareBackward() {
    zero = needBackward(16)
    if (1...2).contains(where: { wants[$0] && !sides[$0].isWhole }) { part = needBackward(output.floats) }
  }
  override func forward(_ run: Run) {
    var condition = sides[0].operand(inputs[0].data)
    var a = sides[1].operand(inputs[1].data)
    var b = sides[2].operand(inputs[2].data)
    kernels.choose(output.rows, output.width, &condition, &a, &b, output.data, output.stride, 0)
  }
  override func backward(_ run: Run) {
    guard let zero else { return }
    kernels.fill(16, 0, zero.pointer)
    var none = pm_operand(data: UnsafePointer(zero.pointer), table: nil, stride: 0, is_scalar: 1)
    var slope = pm_operand(data: UnsafePointer(output.slope), table: nil, stride: output.stride, is_scalar: 0)
    var condition = sides[0].operand(inputs[0].data)
    for which in 1...2 where wants[which] {
      let target = inputs[which]
      let side = sides[which]
      let isWhole = side.isWhole
      let into = isWhole ? target.slope : part?.pointer ?? target.slope
      if which == 1 {
        kernels.choose(
          output.rows, output.width, &condition, &slope, &none, into, output.stride, isWhole && adds[which] ? 1 : 0)
      } else {
        kernels.choose(
          output.rows, output.width, &condition, &none, &slope, into, output.stride, isWhole && adds[which] ? 1 : 0)
      }
      if isWhole { continue }
      if !adds[which] { kernels.clear(target) }
      kernels.reduce(
        output.rows, output.width, output.stride, into, side.sumTable?.pointer, side.isScalar ? 1 : 0, 1,
        target.slope, target.stride)
    }
  }
}

/// Sums, means or maxima over axes that stay with size 1.
final class ReduceStep: Step {
  private let reduction: Reduction
  /// How often the largest value occurs.
  private var counts: Piece?
  private let sides: Broadcast
  private var table: RowTable? { sides.table }
  private let isScalar: Bool
  private let scale: Float

  init(_ reduction: Reduction, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.reduction = reduction
    let x = inputs[0]
    isScalar = output.width == 1 && x.width != 1
    sides = Broadcast(output, over: x)
    scale =
      reduction == .mean ? 1 / Float(x.shape.reduce(1, *) / output.shape.reduce(1, *)) : 1
    super.init(inputs, output, kernels)
  }
  override var readsInputs: Bool { reduction == .largest }
  override var readsOutput: Bool { reduction == .largest }

  override func forward(_ run: Run) {
    let x = inputs[0]
    if reduction == .largest {
      kernels.fill(output.floats, -.infinity, output.data)
      kernels.largest(
        x.rows, x.width, x.stride, x.data, sides.sumTable?.pointer, isScalar ? 1 : 0, output.data, output.stride)
      kernels.clear_tails(output.rows, output.width, output.stride, output.data)
      return
    }
    kernels.fill(output.floats, 0, output.data)
    kernels.reduce(
      x.rows, x.width, x.stride, x.data, sides.sumTable?.pointer, isScalar ? 1 : 0, scale, output.data, output.stride)
  }
  override func backward(_ run: Run) {
    guard wants[0] else { return }
    let x = inputs[0]
    if reduction == .largest {
      // Equal largest values share the gradient.
      largestBackward(x, run)
      return
    }
    if reduction == .mean {
      kernels.unary(
        Int32(Unary.affine.rawValue), output.rows, output.width, output.stride, scale, 0, output.slope, output.slope)
    }
    var slope = pm_operand(
      data: UnsafePointer(output.slope), table: table.map { UnsafePointer($0.pointer) }, stride: output.stride,
      is_scalar: isScalar ? 1 : 0)
    // Both choices are the same: this spreads the gradient over the rows.
    var condition = slope
    var other = slope
    kernels.choose(x.rows, x.width, &condition, &slope, &other, x.slope, x.stride, adds[0] ? 1 : 0)
  }
  private func largestBackward(_ x: Tensor, _ run: Run) {
    if !adds[0] { kernels.clear(x) }
    if let meter = run.meter {
      meter.add(.searchElement, 2 * Double(x.rows * x.width))
      return
    }
    guard let counts else { return }
    counts.pointer.update(repeating: 0, count: output.floats)
    visit(x) { from, to in if x.data[from] == output.data[to] { counts.pointer[to] += 1 } }
    visit(x) { from, to in
      if x.data[from] == output.data[to] { x.slope[from] += output.slope[to] / counts.pointer[to] }
    }
  }
  /// Every element of x with the element of the output that it went to.
  private func visit(_ x: Tensor, _ body: (_ from: Int, _ to: Int) -> Void) {
    for row in 0..<x.rows {
      let to = Int(table.map { $0.pointer[row] } ?? Int32(row)) * output.stride
      for k in 0..<x.width { body(row * x.stride + k, isScalar ? to : to + k) }
    }
  }
  override func prepareBackward() {
    if reduction == .largest { counts = needBackward(output.floats) }
  }
}

/// Zeroes a share of the elements and scales up the others.
final class DropoutStep: Step {
  private let ratio: Float
  private let number: UInt64
  init(_ ratio: Float, _ number: Int, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.ratio = ratio
    self.number = UInt64(number)
    super.init(inputs, output, kernels)
  }
  override var readsInputs: Bool { false }
  private func key(_ run: Run) -> UInt64 { run.key &+ number &* 0xD1B5_4A32_D192_ED03 }
  override func forward(_ run: Run) {
    kernels.dropout(output.rows, output.width, output.stride, key(run), ratio, inputs[0].data, output.data, 0)
    kernels.clear_tails(output.rows, output.width, output.stride, output.data)
  }
  override func backward(_ run: Run) {
    guard wants[0] else { return }
    kernels.dropout(
      output.rows, output.width, output.stride, key(run), ratio, output.slope, inputs[0].slope, adds[0] ? 1 : 0)
    kernels.clear_tails(output.rows, output.width, output.stride, inputs[0].slope)
  }
}

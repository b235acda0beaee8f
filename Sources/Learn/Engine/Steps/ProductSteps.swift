import CKernels

/// Products of matrices in pieces that stay in the first-level cache. A sum that is stored and loaded again is the same sum,
/// so that the pieces change no bit.
struct Products {
  let kernels: pm_kernels
  /// Steps of a reduction at a time.
  static let piece = 128

  /// c[m, n] (+)= sum over k of a[m, k] b[k, n], then a bias and a ReLU. Columns are a multiple of 16.
  func multiply(
    rows: Int, depth: Int, columns: Int, _ a: Floats, _ aRow: Int, _ b: Floats, _ bRow: Int, _ c: Floats, _ cRow: Int,
    from start: pm_start = pm_from_zero, epilogue: pm_epilogue = pm_store, bias: Floats? = nil
  ) {
    var shape = pm_product_shape()
    shape.a_row = aRow
    shape.a_step = 1
    shape.b_row = bRow
    shape.c_row = cRow
    shape.s1 = 1
    shape.s2 = 1
    shape.bias = bias.map { UnsafePointer($0) }
    run(0, rows, depth, columns, &shape, a, 1, b, c, start, epilogue)
  }

  /// c[m, n] (+)= sum over k of a[k, m] b[k, n].
  func multiplyTransposed(
    rows: Int, depth: Int, columns: Int, _ a: Floats, _ aStep: Int, _ b: Floats, _ bRow: Int, _ c: Floats, _ cRow: Int,
    adds: Bool
  ) {
    var shape = pm_product_shape()
    shape.a_row = 1
    shape.a_step = aStep
    shape.b_row = bRow
    shape.c_row = cRow
    shape.s1 = 1
    shape.s2 = 1
    run(1, rows, depth, columns, &shape, a, aStep, b, c, adds ? pm_from_sums : pm_from_zero, pm_store)
  }

  private func run(
    _ transposed: Int32, _ rows: Int, _ depth: Int, _ columns: Int, _ shape: inout pm_product_shape, _ a: Floats,
    _ aStep: Int, _ b: Floats, _ c: Floats, _ start: pm_start, _ epilogue: pm_epilogue
  ) {
    // Rows that fit one tile read b once, however long the reduction is.
    let most = rows <= GraphEngine.tileRows ? depth : transposed == 0 ? Self.piece : 2 * Self.piece
    var k = 0
    repeat {
      shape.depth = min(most, depth - k)
      shape.start = Int32((k > 0 ? pm_from_sums : start).rawValue)
      let isLast = k + shape.depth == depth
      shape.epilogue = Int32((isLast ? epilogue : pm_store).rawValue)
      kernels.product(transposed, rows, columns, &shape, a + k * aStep, b + k * shape.b_row, c)
      k += shape.depth
    } while k < depth
  }

  /// out[n, k] = b[k, n], zero behind each row: products reach whole vectors, and what lies behind a row must stay zero.
  func transpose(rows: Int, columns: Int, _ b: Floats, _ bRow: Int, _ out: Floats, _ outRow: Int) {
    kernels.transpose(rows, columns, b, bRow, out, outRow)
    if rows < outRow { kernels.clear_tails(columns, rows, outRow, out) }
  }
}

/// y = x W + b, and a ReLU.
final class LinearStep: Step {
  private let hasRelu: Bool
  private let products: Products
  private var turned: Piece?
  private var part: Piece?
  /// Few rows go along the weights as they lie; many are worth a transposed copy.
  private static let fewRows = 32

  init(hasRelu: Bool, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.hasRelu = hasRelu
    products = Products(kernels: kernels)
    super.init(inputs, output, kernels)
  }
  override var readsOutput: Bool { hasRelu }
  private var x: Tensor { inputs[0] }
  private var weight: Tensor { inputs[1] }
  private var columns: Int { padded(output.width) }
  private var turnedRow: Int { rowStride(x.width) }

  override func prepareBackward() {
    guard wants[0] else { return }
    if x.rows > Self.fewRows {
      turned = needBackward(output.width * turnedRow)
    } else if adds[0] {
      part = needBackward(x.floats)
    }
  }
  override func forward(_ run: Run) {
    let bias = inputs.count > 2 ? inputs[2].data : nil
    products.multiply(
      rows: x.rows, depth: x.width, columns: columns, x.data, x.stride, weight.data, weight.stride, output.data,
      output.stride, epilogue: bias == nil ? pm_store : hasRelu ? pm_bias_relu : pm_bias, bias: bias)
  }
  override func backward(_ run: Run) {
    let slope = output.slope
    if hasRelu { kernels.relu_backward(output.floats, output.data, slope) }
    if inputs.count > 2, wants[2] {
      if !adds[2] { kernels.clear(inputs[2]) }
      kernels.reduce(
        output.rows, output.width, output.stride, slope, nil, 0, 1, inputs[2].slope, inputs[2].stride)
    }
    if wants[0] {
      if let turned {
        products.transpose(
          rows: x.width, columns: output.width, weight.data, weight.stride, turned.pointer, turnedRow)
        products.multiply(
          rows: x.rows, depth: output.width, columns: padded(x.width), slope, output.stride, turned.pointer, turnedRow,
          x.slope, x.stride, from: adds[0] ? pm_from_sums : pm_from_zero)
      } else {
        let target = part?.pointer ?? x.slope
        if !x.isDense { kernels.clear_tails(x.rows, x.width, x.stride, target) }
        kernels.dots(
          x.rows, x.width, columns, slope, output.stride, weight.data, weight.stride, target, x.stride)
        if part != nil { add(target, to: x.slope, count: x.floats) }
      }
    }
    if wants[1] {
      products.multiplyTransposed(
        rows: x.width, depth: x.rows, columns: columns, x.data, x.stride, slope, output.stride, weight.slope,
        weight.stride, adds: adds[1])
    }
  }
}

extension Step {
  func add(_ from: Floats, to: Floats, count: Int) {
    var shape = pm_copy_shape()
    shape.size = (1, 1, 1, 1, 1, count)
    shape.in_step = (0, 0, 0, 0, 0, 1)
    shape.out_step = (0, 0, 0, 0, 0, 1)
    kernels.copy(&shape, from, to, 1)
  }
}

/// Products of many matrices, leading dimensions broadcast.
final class MatmulStep: Step {
  private let products: Products
  /// For each matrix of the output, those of both sides.
  private let pairs: [(a: Int, b: Int)]
  private let m: Int
  private let k: Int
  private let n: Int
  private var turned: Piece?
  /// Whether several products share a matrix of either side.
  private let isShared: [Bool]

  override init(_ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    products = Products(kernels: kernels)
    let rank = output.shape.count
    m = output.shape[rank - 2]
    n = output.shape[rank - 1]
    k = inputs[0].width
    let lead = Tensor(shape: Array(output.shape.dropLast(2)) + [1])
    pairs = MatmulStep.pair(inputs, lead)
    isShared = inputs.map { side in side.shape.dropLast(2).reduce(1, *) != lead.rows }
    super.init(inputs, output, kernels)
  }
  private static func pair(_ inputs: [Tensor], _ lead: Tensor) -> [(a: Int, b: Int)] {
    func rows(_ side: Tensor) -> [Int] {
      let missing = lead.shape.count - 1 - (side.shape.count - 2)
      let shape = Array(repeating: 1, count: missing) + side.shape.dropLast(2) + [1]
      guard let table = Tensor(shape: shape).table(over: lead) else { return Array(0..<lead.rows) }
      return (0..<lead.rows).map { Int(table.pointer[$0]) }
    }
    return zip(rows(inputs[0]), rows(inputs[1])).map { (a: $0, b: $1) }
  }
  private var turnedRow: Int { padded(k) }
  override func prepareBackward() {
    if wants[0] { turned = needBackward(n * turnedRow) }
  }
  override func forward(_ run: Run) {
    let (a, b) = (inputs[0], inputs[1])
    for (index, pair) in pairs.enumerated() {
      products.multiply(
        rows: m, depth: k, columns: padded(n), a.data + pair.a * m * a.stride, a.stride,
        b.data + pair.b * k * b.stride, b.stride, output.data + index * m * output.stride, output.stride)
    }
  }
  override func backward(_ run: Run) {
    let (a, b) = (inputs[0], inputs[1])
    for side in 0..<2 where wants[side] && isShared[side] && !adds[side] { kernels.clear(inputs[side]) }
    for (index, pair) in pairs.enumerated() {
      let slope = output.slope + index * m * output.stride
      if wants[0], let turned {
        products.transpose(
          rows: k, columns: n, b.data + pair.b * k * b.stride, b.stride, turned.pointer, turnedRow)
        products.multiply(
          rows: m, depth: n, columns: padded(k), slope, output.stride, turned.pointer, turnedRow,
          a.slope + pair.a * m * a.stride, a.stride, from: adds[0] || isShared[0] ? pm_from_sums : pm_from_zero)
      }
      if wants[1] {
        products.multiplyTransposed(
          rows: k, depth: m, columns: padded(n), a.data + pair.a * m * a.stride, a.stride, slope, output.stride,
          b.slope + pair.b * k * b.stride, b.stride, adds: adds[1] || isShared[1])
      }
    }
  }
}

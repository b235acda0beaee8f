import CKernels

/// A whole sequence through an LSTM, a GRU (`linear_before_reset` 1) or a plain cell with tanh, gates in ONNX's order.
final class RecurrentStep: Step {
  private let cell: Cell
  private let isReversed: Bool
  private let products: Products
  private let times: Int
  private let batch: Int
  private let units: Int
  private let gateRow: Int
  private let hiddenRow: Int
  private let gates: Piece
  private let cells: Piece?
  private let hidden: Piece?
  private let bias: Piece
  private let turnedW: Piece
  private let turnedR: Piece
  private var carry: Piece?
  private var cellCarry: Piece?

  init(_ cell: Cell, isReversed: Bool, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.cell = cell
    self.isReversed = isReversed
    products = Products(kernels: kernels)
    times = output.shape[0]
    batch = output.shape[1]
    units = output.shape[2]
    gateRow = rowStride(cell.gates * units)
    hiddenRow = output.stride
    let rows = times * batch
    gates = Piece(rows * gateRow)
    cells = cell == .lstm ? Piece(rows * hiddenRow) : nil
    hidden = cell == .gru ? Piece(rows * gateRow) : nil
    bias = Piece(2 * gateRow)
    turnedW = Piece(inputs[0].width * gateRow)
    turnedR = Piece(units * gateRow)
    super.init(inputs, output, kernels)
    for piece in [gates, cells, hidden] { if let piece { keep(piece) } }
    keep(bias)
    for piece in [turnedW, turnedR] { useForward(piece) }
  }
  override var readsOutput: Bool { true }
  private var x: Tensor { inputs[0] }
  private var w: Tensor { inputs[1] }
  private var r: Tensor { inputs[2] }
  private var columns: Int { padded(cell.gates * units) }
  override func prepareBackward() {
    carry = needBackward(batch * hiddenRow)
    if cell == .lstm { cellCarry = needBackward(batch * hiddenRow) }
  }

  private func place(_ turn: Int) -> Int { isReversed ? times - 1 - turn : turn }
  private func before(_ turn: Int) -> Floats {
    turn == 0 ? inputs[4].data : output.data + place(turn - 1) * batch * hiddenRow
  }
  private func cellBefore(_ turn: Int) -> Floats {
    guard let cells else { return inputs[4].data }
    return turn == 0 ? inputs[5].data : cells.pointer + place(turn - 1) * batch * hiddenRow
  }

  private func sumBiases(_ total: Int) {
    let biases = inputs[3].data
    for index in 0..<gateRow {
      let isInside = index < total
      // A GRU's two biases stay apart: the reset gate stands between them.
      bias.pointer[index] = isInside ? (cell == .gru ? biases[index] : biases[index] + biases[total + index]) : 0
      bias.pointer[gateRow + index] = isInside ? biases[total + index] : 0
    }
  }

  override func forward(_ run: Run) {
    let total = cell.gates * units
    run.meter?.add(.biasElement, Double(gateRow))
    if run.meter == nil { sumBiases(total) }
    kernels.fill(turnedW.floats, 0, turnedW.pointer)
    kernels.fill(turnedR.floats, 0, turnedR.pointer)
    products.transpose(rows: total, columns: x.width, w.data, w.stride, turnedW.pointer, gateRow)
    products.transpose(rows: total, columns: units, r.data, r.stride, turnedR.pointer, gateRow)
    products.multiply(
      rows: times * batch, depth: x.width, columns: columns, x.data, x.stride, turnedW.pointer, gateRow, gates.pointer,
      gateRow, epilogue: pm_bias, bias: bias.pointer)
    for turn in 0..<times {
      let time = place(turn)
      let gate = gates.pointer + time * batch * gateRow
      let h = output.data + time * batch * hiddenRow
      if let hidden {
        let q = hidden.pointer + time * batch * gateRow
        products.multiply(
          rows: batch, depth: units, columns: columns, before(turn), hiddenRow, turnedR.pointer, gateRow, q, gateRow,
          epilogue: pm_bias, bias: bias.pointer + gateRow)
        kernels.gru_cell(batch, units, gate, q, gateRow, before(turn), h, hiddenRow)
        continue
      }
      products.multiply(
        rows: batch, depth: units, columns: columns, before(turn), hiddenRow, turnedR.pointer, gateRow, gate, gateRow,
        from: pm_from_sums)
      if let cells {
        kernels.lstm_cell(
          batch, units, gate, gateRow, cellBefore(turn), cells.pointer + time * batch * hiddenRow, h, hiddenRow)
      } else {
        for row in 0..<batch {
          kernels.unary(
            Int32(Unary.tanh.rawValue), 1, units, hiddenRow, 0, 0, gate + row * gateRow, h + row * hiddenRow)
        }
      }
    }
  }

  override func backward(_ run: Run) {
    guard let carry else { return }
    let total = cell.gates * units
    let size = batch * hiddenRow
    kernels.fill(size, 0, carry.pointer)
    if let cellCarry { kernels.fill(size, 0, cellCarry.pointer) }
    for turn in (0..<times).reversed() {
      let time = place(turn)
      let gate = gates.pointer + time * batch * gateRow
      let dh = carry.pointer
      add(output.slope + time * size, to: dh, count: size)
      switch cell {
      case .lstm:
        guard let cells, let cellCarry else { return }
        kernels.lstm_cell_gradient(
          batch, units, gate, gateRow, cellBefore(turn), cells.pointer + time * size, dh, cellCarry.pointer, hiddenRow)
        products.multiply(
          rows: batch, depth: total, columns: hiddenRow, gate, gateRow, r.data, r.stride, dh, hiddenRow)
      case .gru:
        guard let hidden else { return }
        let q = hidden.pointer + time * batch * gateRow
        kernels.gru_cell_gradient(batch, units, gate, q, gateRow, before(turn), dh, hiddenRow)
        products.multiply(
          rows: batch, depth: total, columns: hiddenRow, q, gateRow, r.data, r.stride, dh, hiddenRow,
          from: pm_from_sums)
      case .tanh:
        for row in 0..<batch {
          let h = output.data + time * size + row * hiddenRow
          kernels.unary_gradient(
            Int32(Unary.tanh.rawValue), 1, units, hiddenRow, 0, 0, h, h, dh + row * hiddenRow, gate + row * gateRow, 0)
        }
        products.multiply(
          rows: batch, depth: total, columns: hiddenRow, gate, gateRow, r.data, r.stride, dh, hiddenRow)
      }
    }
    if inputs.count > 4, wants[4] { give(carry.pointer, 4, size) }
    if inputs.count > 5, wants[5], let cellCarry { give(cellCarry.pointer, 5, size) }
    parameters(total, run)
  }
  private func give(_ from: Floats, _ index: Int, _ count: Int) {
    if !adds[index] { kernels.clear(inputs[index]) }
    add(from, to: inputs[index].slope, count: count)
  }

  private func parameters(_ total: Int, _ run: Run) {
    let rows = times * batch
    let inner = hidden?.pointer ?? gates.pointer
    if wants[0] {
      products.multiply(
        rows: rows, depth: total, columns: padded(x.width), gates.pointer, gateRow, w.data, w.stride, x.slope, x.stride,
        from: adds[0] ? pm_from_sums : pm_from_zero)
    }
    if wants[1] {
      products.multiplyTransposed(
        rows: total, depth: rows, columns: padded(x.width), gates.pointer, gateRow, x.data, x.stride, w.slope, w.stride,
        adds: adds[1])
    }
    if wants[2] {
      if !adds[2] { kernels.clear(r) }
      for turn in 0..<times {
        products.multiplyTransposed(
          rows: total, depth: batch, columns: padded(units), inner + place(turn) * batch * gateRow, gateRow,
          before(turn), hiddenRow, r.slope, r.stride, adds: true)
      }
    }
    if wants[3] {
      let slope = inputs[3].slope
      if !adds[3] { kernels.clear(inputs[3]) }
      // The second half may begin anywhere: it is summed beside and then added.
      let sums = bias.pointer
      for half in 0..<2 {
        kernels.fill(gateRow, 0, sums)
        kernels.reduce(rows, total, gateRow, half == 0 ? gates.pointer : inner, nil, 0, 1, sums, gateRow)
        run.meter?.add(.biasElement, Double(total))
        if run.meter != nil { continue }
        for index in 0..<total { slope[half * total + index] += sums[index] }
      }
    }
  }
}

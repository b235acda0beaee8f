import CKernels

extension Meter {
  /// Kernels that count.
  var kernels: pm_kernels { Self.table.pointee }
  private static let table = KernelTable(pointee: makeTable())

  private static func makeTable() -> pm_kernels {
    var t = pm_kernels_best().pointee
    products(&t)
    maps(&t)
    norms(&t)
    windows(&t)
    cells(&t)
    chains(&t)
    return t
  }

  private static func products(_ t: inout pm_kernels) {
    t.product = { Meter.active?.product($0 != 0, $1, $2, $3!.pointee, $4!, $5!, $6!) }
    t.dots = { Meter.active?.dots($0, $1, $2, $3!, $4, $5!, $6, $7!, $8) }
    t.transpose = { rows, columns, from, fromRow, to, toRow in
      Meter.active?.call()
      Meter.active?.turn(rows, columns, 1)
      Meter.active?.touch(from!, (rows - 1) * fromRow + columns)
      Meter.active?.touch(to!, (columns - 1) * toRow + rows)
    }
    t.copy = { Meter.active?.copy($0!.pointee, $1!, $2!, $3 != 0) }
    t.clear_tails = { rows, width, stride, x in
      Meter.active?.call()
      Meter.active?.add(.clearRow, Double(rows))
      Meter.active?.add(.clearElement, Double(rows * (stride - width)))
      Meter.active?.touch(x!, rows * stride)
    }
    t.fill_rows = { rows, width, stride, _, out in
      Meter.active?.call()
      Meter.active?.add(.clearRow, Double(rows))
      Meter.active?.add(.fillVector, Double(rows * width / 16))
      Meter.active?.touch(out!, (rows - 1) * stride + width)
    }
    t.fill = { n, _, out in
      Meter.active?.call()
      Meter.active?.add(.fillVector, Double(n) / 16)
      Meter.active?.touch(out!, n)
    }
    t.move = { n, from, out in
      Meter.active?.call()
      Meter.active?.add(.moveVector, Double(n) / 16)
      Meter.active?.touch(from!, n)
      Meter.active?.touch(out!, n)
    }
  }

  /// Vectors of rows of a width.
  private static func vectors(_ rows: Int, _ width: Int) -> Double { Double(rows * ((width + 15) / 16)) }
  private func side(_ o: UnsafePointer<pm_operand>, _ rows: Int, _ width: Int) {
    let o = o.pointee
    if o.table != nil || o.is_scalar != 0 { add(.operandRow, Double(rows)) }
    guard o.table == nil else { return }
    touch(o.data, o.is_scalar != 0 && o.stride == 0 ? 1 : (rows - 1) * o.stride + (o.is_scalar != 0 ? 1 : width))
  }

  /// Powers of simple exponents are worked out as products and roots.
  private static func function(_ op: Int32, _ exponent: Float) -> Int {
    guard op == Int32(Unary.power.rawValue) else { return Int(op) }
    switch exponent {
    case 1, 2, 3: return Int(Unary.affine.rawValue)
    case 0.5, -0.5, -1: return Int(Unary.root.rawValue)
    default: return Int(op)
    }
  }

  private static func maps(_ t: inout pm_kernels) {
    t.unary = { op, rows, width, stride, alpha, _, x, y in
      Meter.active?.call()
      Meter.active?.add(.mapRow, Double(rows))
      Meter.active?.add(Slots.unary(Meter.function(op, alpha), gradient: false), Meter.vectors(rows, width))
      Meter.active?.touch(x!, (rows - 1) * stride + width)
      Meter.active?.touch(y!, (rows - 1) * stride + width)
    }
    t.unary_gradient = { op, rows, width, stride, alpha, _, x, y, dy, dx, _ in
      Meter.active?.call()
      Meter.active?.add(.mapRow, Double(rows))
      Meter.active?.add(Slots.unary(Meter.function(op, alpha - 1), gradient: true), Meter.vectors(rows, width))
      for pointer in [x!, y!, dy!, UnsafePointer(dx!)] { Meter.active?.touch(pointer, (rows - 1) * stride + width) }
    }
    t.binary = { op, rows, width, a, b, out, stride in
      Meter.active?.call()
      Meter.active?.add(.mapRow, Double(rows))
      Meter.active?.add(op == Int32(Binary.divide.rawValue) ? .divideVector : .binaryVector, Meter.vectors(rows, width))
      Meter.active?.side(a!, rows, width)
      Meter.active?.side(b!, rows, width)
      Meter.active?.touch(out!, (rows - 1) * stride + width)
    }
    t.binary_gradient = { op, _, rows, width, a, b, dy, out, stride, _ in
      Meter.active?.call()
      Meter.active?.add(.mapRow, Double(rows))
      Meter.active?.add(
        op == Int32(Binary.divide.rawValue) ? .divideGradientVector : .binaryGradientVector, Meter.vectors(rows, width))
      Meter.active?.side(a!, rows, width)
      Meter.active?.side(b!, rows, width)
      Meter.active?.touch(dy!, (rows - 1) * stride + width)
      Meter.active?.touch(out!, (rows - 1) * stride + width)
    }
    t.choose = { rows, width, condition, a, b, out, stride, _ in
      Meter.active?.call()
      Meter.active?.add(.chooseRow, Double(rows))
      Meter.active?.add(.chooseVector, Meter.vectors(rows, width))
      for operand in [condition, a, b] { Meter.active?.side(operand!, rows, width) }
      Meter.active?.touch(out!, (rows - 1) * stride + width)
    }
    t.reduce = { rows, width, stride, x, table, isScalar, _, out, _ in
      Meter.active?.call()
      if table == nil, isScalar == 0 {
        Meter.active?.add(.columnsVector, Meter.vectors(rows, width))
      } else {
        Meter.active?.add(isScalar != 0 ? .sumRow : .spreadRow, Double(rows))
        Meter.active?.add(isScalar != 0 ? .sumVector : .spreadVector, Meter.vectors(rows, width))
      }
      Meter.active?.touch(x!, (rows - 1) * stride + width)
      Meter.active?.touch(out!, width)
    }
    t.largest = { rows, width, stride, x, _, _, _, _ in
      Meter.active?.call()
      Meter.active?.add(.largestElement, Double(rows * width))
      Meter.active?.touch(x!, (rows - 1) * stride + width)
    }
    t.dropout = { rows, width, stride, _, _, x, y, _ in
      Meter.active?.call()
      Meter.active?.add(.dropoutElement, Double(rows * width))
      Meter.active?.touch(x!, rows * stride)
      Meter.active?.touch(y!, rows * stride)
    }
  }

  private static func norms(_ t: inout pm_kernels) {
    t.softmax = { rows, width, stride, isLog, x, y in
      Meter.active?.call()
      Meter.active?.add(isLog != 0 ? .logSoftmaxRow : .softmaxRow, Double(rows))
      Meter.active?.add(.softmaxVector, Meter.vectors(rows, width))
      Meter.active?.touch(x!, rows * stride)
      Meter.active?.touch(y!, rows * stride)
    }
    t.softmax_gradient = { rows, width, stride, isLog, y, dy, dx, _ in
      Meter.active?.call()
      Meter.active?.add(.softmaxGradientRow, Double(rows))
      Meter.active?.add(isLog != 0 ? .logSoftmaxGradientVector : .softmaxGradientVector, Meter.vectors(rows, width))
      for pointer in [y!, dy!, UnsafePointer(dx!)] { Meter.active?.touch(pointer, rows * stride) }
    }
    t.row_norm = { rows, width, stride, _, _, _, x, y, _ in
      Meter.active?.call()
      Meter.active?.add(.rowNormRow, Double(rows))
      Meter.active?.add(.rowNormVector, Meter.vectors(rows, width))
      Meter.active?.touch(x!, rows * stride)
      Meter.active?.touch(y!, rows * stride)
    }
    t.row_norm_gradient = { rows, width, stride, _, x, _, dy, dx, _, _, _ in
      Meter.active?.call()
      Meter.active?.add(.rowNormGradientRow, Double(rows))
      Meter.active?.add(.rowNormGradientVector, Meter.vectors(rows, width))
      Meter.active?.touch(x!, rows * stride)
      Meter.active?.touch(dy!, rows * stride)
      if let dx { Meter.active?.touch(dx, rows * stride) }
    }
    t.channel_moments = { rows, width, stride, x, _, _ in
      Meter.active?.call()
      Meter.active?.add(.momentsVector, Meter.vectors(rows, width))
      Meter.active?.touch(x!, rows * stride)
    }
    t.channel_norm = { rows, width, stride, x, _, _, _, _, _, y in
      Meter.active?.call()
      Meter.active?.add(.channelNormVector, Meter.vectors(rows, width))
      Meter.active?.touch(x!, rows * stride)
      Meter.active?.touch(y!, rows * stride)
    }
    t.channel_norm_gradient = { rows, width, stride, x, _, _, _, y, dy, _, dx, _, _, _ in
      Meter.active?.call()
      Meter.active?.add(.channelGradientVector, Meter.vectors(rows, width))
      if let y { Meter.active?.touch(y, rows * stride) }
      Meter.active?.touch(x!, rows * stride)
      Meter.active?.touch(dy!, rows * stride)
      if let dx {
        Meter.active?.add(.channelMoveVector, Meter.vectors(rows, width))
        Meter.active?.touch(dx, rows * stride)
      }
    }
    t.softmax_loss = { rows, classes, row, z, _, dz, _, _ in
      Meter.active?.call()
      Meter.active?.add(.lossRow, Double(rows))
      Meter.active?.add(.lossClass, Double(rows * classes))
      Meter.active?.add(.lossVector, Double(rows * row / 16))
      Meter.active?.touch(z!, rows * row)
      if let dz { Meter.active?.touch(dz, rows * row) }
      return 0
    }
    t.value_loss = { kind, rows, width, stride, z, target, dz, _, _ in
      Meter.active?.call()
      Meter.active?.add(.valueRow, Double(rows))
      let unit: Unit =
        kind == Int32(pm_squared.rawValue)
        ? .squaredVector : kind == Int32(pm_binary_logits.rawValue) ? .logitsVector : .sharesVector
      Meter.active?.add(unit, Meter.vectors(rows, width))
      Meter.active?.touch(z!, rows * stride)
      Meter.active?.touch(target!, rows * stride)
      if let dz { Meter.active?.touch(dz, rows * stride) }
      return 0
    }
  }

  /// Windows of one vector of channels: taps that are met, pixels of the output.
  private func window(_ w: pm_window, _ tap: Unit, _ outputs: UnsafePointer<Float>?, _ inputs: UnsafePointer<Float>?) {
    call()
    let window = Window(
      taps: [w.height_taps, w.width_taps], steps: [w.row_step, w.column_step], gaps: [w.row_gap, w.column_gap],
      before: [w.top, w.left], after: [w.bottom, w.right])
    func met(_ side: Int, _ size: Int, _ outputs: Int) -> Int {
      (0..<window.taps[side]).reduce(0) { $0 + window.outputs(tap: $1, size: size, outputs: outputs, side).count }
    }
    let pieces = Double(w.images * ((w.channels + 15) / 16))
    add(tap, pieces * Double(met(0, w.height, w.out_height) * met(1, w.width, w.out_width)))
    add(.windowPixel, pieces * Double(w.out_height * w.out_width))
    if let outputs { touch(outputs, w.images * w.out_height * w.out_width * w.stride) }
    if let inputs { touch(inputs, w.images * w.height * w.width * w.stride) }
  }
  private static func windows(_ t: inout pm_kernels) {
    t.max_window = { w, x, y, _ in Meter.active?.window(w!.pointee, .maxTap, y, x) }
    t.max_window_gradient = { w, _, dy, dx in Meter.active?.window(w!.pointee, .maxGradientTap, dy, dx) }
    t.mean_window = { w, x, y in Meter.active?.window(w!.pointee, .meanTap, y, x) }
    t.mean_window_gradient = { w, dy, dx in Meter.active?.window(w!.pointee, .meanGradientTap, dy, dx) }
    t.depthwise = { w, x, _, _, y in Meter.active?.window(w!.pointee, .depthTap, y, x) }
    t.depthwise_gradient = { w, x, _, dy, dx, _ in
      Meter.active?.window(w!.pointee, dx == nil ? .depthKernelTap : .depthGradientTap, dy, x)
      if let dx {
        Meter.active?.touch(dx, w!.pointee.images * w!.pointee.height * w!.pointee.width * w!.pointee.stride)
      }
    }
  }

  private func cell(_ vector: Unit, _ part: Unit, _ batch: Int, _ units: Int) {
    call()
    add(vector, Double(batch * (units / 16)))
    add(part, units % 16 == 0 ? 0 : Double(batch))
  }
  private static func cells(_ t: inout pm_kernels) {
    t.lstm_cell = { batch, units, gates, gateRow, _, c, h, stride in
      Meter.active?.cell(.lstmVector, .lstmPart, batch, units)
      Meter.active?.touch(gates!, batch * gateRow)
      Meter.active?.touch(c!, batch * stride)
      Meter.active?.touch(h!, batch * stride)
    }
    t.lstm_cell_gradient = { batch, units, gates, gateRow, _, c, _, dc, stride in
      Meter.active?.cell(.lstmGradientVector, .lstmGradientPart, batch, units)
      Meter.active?.touch(gates!, batch * gateRow)
      Meter.active?.touch(c!, batch * stride)
      Meter.active?.touch(dc!, batch * stride)
    }
    t.gru_cell = { batch, units, gates, hidden, gateRow, _, h, stride in
      Meter.active?.cell(.gruVector, .gruPart, batch, units)
      Meter.active?.touch(gates!, batch * gateRow)
      Meter.active?.touch(hidden!, batch * gateRow)
      Meter.active?.touch(h!, batch * stride)
    }
    t.gru_cell_gradient = { batch, units, gates, hidden, gateRow, _, dh, stride in
      Meter.active?.cell(.gruGradientVector, .gruGradientPart, batch, units)
      Meter.active?.touch(gates!, batch * gateRow)
      Meter.active?.touch(hidden!, batch * gateRow)
      Meter.active?.touch(dh!, batch * stride)
    }
    t.momentum_step = { n, _, g, origin, v, w in
      Meter.active?.call()
      Meter.active?.add(v == nil ? .plainVector : .momentumVector, Double(n / 16))
      Meter.active?.touch(g!, n)
      if let origin { Meter.active?.touch(origin, n) }
      if let v { Meter.active?.touch(v, n) }
      Meter.active?.touch(w!, n)
    }
    t.adam_step = { n, _, g, origin, m, s, w in
      Meter.active?.call()
      Meter.active?.add(.adamVector, Double(n / 16))
      if let origin { Meter.active?.touch(origin, n) }
      for pointer in [g!, UnsafePointer(m!), UnsafePointer(s!), UnsafePointer(w!)] { Meter.active?.touch(pointer, n) }
    }
    t.squares = { n, x in
      Meter.active?.call()
      Meter.active?.add(.squaresVector, Double(n / 16))
      Meter.active?.touch(x!, n)
      return 0
    }
  }

  private static func chains(_ t: inout pm_kernels) {
    t.pool = { n, h, w, c, _, y, out, _, _, _ in
      Meter.active?.call()
      Meter.active?.add(.poolVector, Double(n * h * w * (c / 16)))
      Meter.active?.touch(y!, n * h * w * c * 4)
      Meter.active?.touch(out!, n * h * w * c)
    }
    t.pool_backward = { n, h, w, c, _, pooled, _, _, dp, _, _, _, dy, _, _, _ in
      Meter.active?.call()
      Meter.active?.add(.poolGradientVector, Double(n * h * w * (c / 16)))
      Meter.active?.touch(pooled!, n * h * w * c)
      Meter.active?.touch(dp!, n * h * w * c)
      Meter.active?.touch(dy!, n * h * w * c * 4)
    }
    t.relu = { n, y in
      Meter.active?.call()
      Meter.active?.add(.reluVector, Double(n / 16))
      Meter.active?.touch(y!, n)
    }
    t.relu_backward = { n, y, dy in
      Meter.active?.call()
      Meter.active?.add(.reluGradientVector, Double(n / 16))
      Meter.active?.touch(y!, n)
      Meter.active?.touch(dy!, n)
    }
    t.column_sums = { rows, n, row, d, _, _ in
      Meter.active?.call()
      Meter.active?.add(.columnSumsVector, Double(rows * n / 16))
      Meter.active?.touch(d!, (rows - 1) * row + n)
    }
    t.descend = { n, _, gradient, w in
      Meter.active?.call()
      Meter.active?.add(.descendVector, Double(n / 16))
      Meter.active?.touch(gradient!, n)
      Meter.active?.touch(w!, n)
    }
    t.descend_with_momentum = { n, _, _, gradient, v, w in
      Meter.active?.call()
      Meter.active?.add(.descendMomentumVector, Double(n / 16))
      for pointer in [gradient!, UnsafePointer(v!), UnsafePointer(w!)] { Meter.active?.touch(pointer, n) }
    }
    // Nobody knows which inputs will be zero: all are live.
    t.live_runs = { rows, n, row, x, _, most, runs in
      Meter.active?.call()
      Meter.active?.add(.runsVector, Double(rows * n / 16))
      Meter.active?.touch(x!, (rows - 1) * row + n)
      var count = 0
      while count * most < n {
        runs![count] = pm_run(begin: Int32(count * most), count: Int32(min(most, n - count * most)))
        count += 1
      }
      return count
    }
  }
}

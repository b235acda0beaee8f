import CKernels

extension ChainEngine {
  /// Scores of the batch that was loaded.
  func forward(batch: Int) {
    var first = 0
    while first < batch {
      let end = min(batch, first + imagesPerChunk)
      for index in blocks.indices where blocks[index].kernel > 0 { convolve(index, first, end) }
      if blocks[0].kernel == 0 { break }
      first = end
    }
    findLiveInputs(batch)
    for index in blocks.indices where blocks[index].kernel == 0 { multiply(index, batch) }
  }

  /// Where a block's output goes: the next block's input, or the scores.
  func output(of index: Int) -> (pointer: Floats, stride: Int) {
    guard index + 1 < blocks.count else { return (scores, padded(model.classes)) }
    return (blocks[index + 1].input, blocks[index + 1].inputStride)
  }

  /// Dense: the reduction goes in pieces whose weights stay in the first-level cache; a sum that is stored and loaded again is
  /// the same sum. Inputs that are zero in the whole batch are left out: adding a zero changes nothing.
  private func multiply(_ index: Int, _ batch: Int) {
    let state = blocks[index]
    let out = output(of: index)
    var shape = pm_product_shape()
    shape.a_row = state.inputStride
    shape.a_step = 1
    shape.b_row = state.stride
    shape.c_row = out.stride
    shape.s1 = 1
    shape.s2 = 1
    shape.bias = UnsafePointer(state.bias)
    let last = Int32((state.block.hasRelu ? pm_bias_relu : pm_bias).rawValue)
    if let runs = liveRuns, state.isFirst {
      multiplyLive(batch, &shape, UnsafePointer(runs), last, out.pointer)
      return
    }
    let piece = Self.piece
    var k = 0
    while k < state.inputRows {
      let depth = min(piece, state.inputRows - k)
      let isLast = k + depth == state.inputRows
      shape.depth = depth
      shape.start = Int32((k > 0 ? pm_from_sums : pm_from_zero).rawValue)
      shape.epilogue = isLast ? last : Int32(pm_store.rawValue)
      kernels.product(
        0, batch, state.paddedOutputs, &shape, state.input + k, state.weight + k * state.stride, out.pointer)
      k += depth
    }
  }

  private func multiplyLive(
    _ batch: Int, _ shape: inout pm_product_shape, _ runs: UnsafePointer<pm_run>, _ epilogue: Int32, _ out: Floats
  ) {
    let state = blocks[0]
    // A batch that fits one tile reads each weight once, however long the reduction is.
    let most = batch <= Self.tileRows ? Int.max : Self.piece
    var run = 0
    repeat {
      var end = run
      var depth = 0
      while end < liveCount, end == run || depth + Int(runs[end].count) <= most {
        depth += Int(runs[end].count)
        end += 1
      }
      shape.runs = runs + run
      shape.s1 = end - run
      shape.start = Int32((run > 0 ? pm_from_sums : pm_from_zero).rawValue)
      shape.epilogue = end == liveCount ? epilogue : Int32(pm_store.rawValue)
      kernels.product(0, batch, state.paddedOutputs, &shape, state.input, state.weight, out)
      run = end
    } while run < liveCount
  }

  /// Finds the inputs of the first dense block that are not zero in the whole batch.
  private func findLiveInputs(_ batch: Int) {
    guard let runs = liveRuns else { return }
    let state = blocks[0]
    // A gap of a few zeros is cheaper to go through than around.
    liveCount = kernels.live_runs(batch, state.inputRows, state.inputStride, state.input, 4, Self.piece, runs)
  }

  /// Convolution: one product a row of pixels and a column of the kernel; what lies in the border is left out, since adding a
  /// zero changes nothing.
  private func convolve(_ index: Int, _ first: Int, _ end: Int) {
    let state = blocks[index]
    let out = imageOutput(of: index)
    var shape = pm_product_shape()
    shape.a_row = state.channels
    shape.a_step = 1
    shape.b_row = state.stride
    shape.c_row = state.paddedOutputs
    shape.s2 = 1
    shape.a_s1 = state.rowStep
    shape.b_s1 = state.kernel * state.channels * state.stride
    shape.epilogue = Int32(pm_store.rawValue)
    shape.bias = UnsafePointer(state.bias)
    let rowOut = state.width * state.paddedOutputs
    for image in first..<end {
      for row in 0..<state.height {
        let taps = state.taps(row)
        shape.s1 = taps.count
        let target =
          state.unpooled.map { $0 + ((image - first) * state.height + row) * rowOut }
          ?? out.pointer + image * out.image + row * out.row
        sweep(
          state, &shape, from: pm_from_bias, columns: state.paddedOutputs,
          state.input + image * state.inputStride + (row + taps.lowerBound) * state.rowStep,
          state.weight + taps.lowerBound * shape.b_s1, target)
        if state.block.hasRelu && state.unpooled == nil { kernels.relu(rowOut, target) }
      }
    }
    if let unpooled = state.unpooled, let index = state.poolIndex {
      let pixels = state.outputHeight * state.outputWidth
      kernels.pool(
        end - first, state.outputHeight, state.outputWidth, state.paddedOutputs, state.block.hasRelu ? 1 : 0,
        unpooled, out.pointer + first * out.image, out.row, out.image, index + first * pixels * state.paddedOutputs)
    }
  }

  /// One row of outputs of a convolution whose A has `a_row` channels: the middle column of the kernel first, which meets every
  /// pixel, then the others from left to right, each with the pixels that it meets. Few channels go through whole rows of the
  /// kernel at once instead, border and all, since a column would be over too soon. The order is part of the numerics.
  func sweep(
    _ state: BlockState, _ shape: inout pm_product_shape, from start: pm_start, columns: Int,
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: Floats
  ) {
    let channels = shape.a_row
    shape.start = Int32(start.rawValue)
    guard channels >= 16 else {
      shape.depth = state.kernel * channels
      kernels.product(0, state.width, columns, &shape, a, b, c)
      return
    }
    shape.depth = channels
    for turn in 0..<state.kernel {
      let tap = turn == 0 ? state.border : turn <= state.border ? turn - 1 : turn
      let pixels = state.pixels(tap)
      if pixels.isEmpty { continue }
      kernels.product(
        0, pixels.count, columns, &shape, a + (pixels.lowerBound + tap) * channels, b + tap * channels * shape.b_row,
        c + pixels.lowerBound * shape.c_row)
      shape.start = Int32(pm_from_sums.rawValue)
    }
  }

  /// A convolution's output as images inside the next block's input.
  func imageOutput(of index: Int) -> (pointer: Floats, row: Int, image: Int) {
    let state = blocks[index]
    let next = blocks[index + 1]
    guard next.kernel > 0 else {
      return (next.input, state.outputWidth * state.paddedOutputs, next.inputStride)
    }
    let inner = next.border * next.rowStep + next.border * next.channels
    return (next.input + inner, next.rowStep, next.inputStride)
  }
}

extension BlockState {
  /// The kernel rows that meet the image at this row of outputs.
  func taps(_ row: Int) -> Range<Int> { max(0, border - row)..<min(kernel, height + border - row) }
  /// The pixels of a row of outputs that this column of the kernel meets inside the image.
  func pixels(_ tap: Int) -> Range<Int> {
    let first = max(0, border - tap)
    return first..<max(first, min(width, width + border - tap))
  }
}

import CKernels

extension Engine {
  /// Scores of the batch that was loaded.
  func forward(batch: Int) {
    var first = 0
    while first < batch {
      let end = min(batch, first + imagesPerChunk)
      for index in blocks.indices where blocks[index].kernel > 0 { convolve(index, first, end) }
      if blocks[0].kernel == 0 { break }
      first = end
    }
    for index in blocks.indices where blocks[index].kernel == 0 { multiply(index, batch) }
  }

  /// Where a block's output goes: the next block's input, or the scores.
  func output(of index: Int) -> (pointer: Floats, stride: Int) {
    guard index + 1 < blocks.count else { return (scores, padded(model.classes)) }
    return (blocks[index + 1].input, blocks[index + 1].inputStride)
  }

  /// Dense: the reduction goes in pieces whose weights stay in the first-level cache; a sum that is stored and loaded again is
  /// the same sum.
  private func multiply(_ index: Int, _ batch: Int) {
    let state = blocks[index]
    let out = output(of: index)
    let piece = 64
    var shape = pm_product_shape()
    shape.a_row = state.inputStride
    shape.a_step = 1
    shape.b_row = state.stride
    shape.c_row = out.stride
    shape.s1 = 1
    shape.s2 = 1
    shape.bias = UnsafePointer(state.bias)
    var k = 0
    while k < state.inputRows {
      let depth = min(piece, state.inputRows - k)
      let isLast = k + depth == state.inputRows
      shape.depth = depth
      shape.accumulate = k > 0 ? 1 : 0
      shape.epilogue = Int32((isLast ? (state.block.hasRelu ? pm_bias_relu : pm_bias) : pm_store).rawValue)
      kernels.product(
        0, batch, state.paddedOutputs, &shape, state.input + k, state.weight + k * state.stride, out.pointer)
      k += depth
    }
  }

  /// Convolution: one product a row of pixels, its kernel rows one after the other; those that lie in the border are left out,
  /// since adding a zero changes nothing.
  private func convolve(_ index: Int, _ first: Int, _ end: Int) {
    let state = blocks[index]
    let out = imageOutput(of: index)
    var shape = pm_product_shape()
    shape.a_row = state.channels
    shape.a_step = 1
    shape.b_row = state.stride
    shape.c_row = state.paddedOutputs
    shape.depth = state.kernel * state.channels
    shape.s2 = 1
    shape.a_s1 = state.rowStep
    shape.b_s1 = shape.depth * state.stride
    shape.epilogue = Int32((state.block.hasRelu ? pm_bias_relu : pm_bias).rawValue)
    shape.bias = UnsafePointer(state.bias)
    let rowOut = state.width * state.paddedOutputs
    for image in first..<end {
      for row in 0..<state.height {
        let taps = state.taps(row)
        shape.s1 = taps.count
        let target =
          state.unpooled.map { $0 + ((image - first) * state.height + row) * rowOut }
          ?? out.pointer + image * out.image + row * out.row
        kernels.product(
          0, state.width, state.paddedOutputs, &shape,
          state.input + image * state.inputStride + (row + taps.lowerBound) * state.rowStep,
          state.weight + taps.lowerBound * shape.b_s1, target)
      }
    }
    if let unpooled = state.unpooled, let index = state.poolIndex {
      let pixels = state.outputHeight * state.outputWidth
      kernels.pool(
        end - first, state.outputHeight, state.outputWidth, state.paddedOutputs, unpooled,
        out.pointer + first * out.image,
        out.row, out.image, index + first * pixels * state.paddedOutputs)
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
}

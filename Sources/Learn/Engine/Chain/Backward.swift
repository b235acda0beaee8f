import CKernels

/// How weights follow their gradients.
struct Descent {
  var rate: Float
  var momentum: Float
}

extension ChainEngine {
  /// One step of descent for the batch that went forward; `scoreGradient` is filled.
  func backward(batch: Int, _ descent: Descent) {
    for index in blocks.indices.reversed() where blocks[index].kernel == 0 { denseBackward(index, batch, descent) }
    guard blocks[0].kernel > 0 else { return }
    let convolutions = blocks.indices.filter { blocks[$0].kernel > 0 }
    for index in convolutions {
      if let sums = blocks[index].biasGradient { kernels.fill(blocks[index].stride, 0, sums) }
      turn(index)
    }
    var first = 0
    while first < batch {
      let end = min(batch, first + imagesPerChunk)
      for index in convolutions.reversed() { convolutionBackward(index, first, end) }
      first = end
    }
    for index in convolutions { follow(blocks[index], descent, weights: true) }
  }

  // MARK: dense

  private func denseBackward(_ index: Int, _ batch: Int, _ descent: Descent) {
    let state = blocks[index]
    let isLast = index + 1 == blocks.count
    guard let gradient = isLast ? scoreGradient : blocks[index + 1].inputGradient,
      let biasGradient = state.biasGradient,
      let weightGradient = state.weightGradient
    else { return }
    let row = isLast ? padded(model.classes) : blocks[index + 1].inputStride
    kernels.column_sums(batch, state.paddedOutputs, row, gradient, biasGradient, 0)
    // Plain descent is the epilogue of the product: the weights are passed over once.
    let isPlain = descent.momentum == 0
    var shape = pm_product_shape()
    shape.a_row = 1
    shape.a_step = state.inputStride
    shape.b_row = row
    shape.c_row = state.stride
    shape.depth = batch
    shape.s1 = 1
    shape.s2 = 1
    shape.epilogue = Int32((isPlain ? pm_descend : pm_store).rawValue)
    shape.rate = descent.rate
    let target = isPlain ? state.weight : weightGradient
    if isPlain, let runs = liveRuns, state.isFirst {
      // A weight whose inputs are all zero stays where it is.
      for run in UnsafeBufferPointer(start: runs, count: liveCount) {
        let k = Int(run.begin)
        kernels.product(
          1, Int(run.count), state.paddedOutputs, &shape, state.input + k, gradient, target + k * state.stride)
      }
      follow(state, descent, weights: false)
      return
    }
    let piece = 28
    var k = 0
    while k < state.inputRows {
      let count = min(piece, state.inputRows - k)
      // The gradient of the input comes from the weights before they change.
      if let inputGradient = state.inputGradient {
        kernels.dots(
          batch, count, state.paddedOutputs, gradient, row, state.weight + k * state.stride, state.stride,
          inputGradient + k, state.inputStride)
      }
      kernels.product(1, count, state.paddedOutputs, &shape, state.input + k, gradient, target + k * state.stride)
      k += count
    }
    if index > 0, blocks[index - 1].kernel == 0, blocks[index - 1].block.hasRelu,
      let inputGradient = state.inputGradient
    {
      kernels.relu_backward(batch * state.inputStride, state.input, inputGradient)
    }
    follow(state, descent, weights: !isPlain)
  }

  /// Biases always, weights where the product has not done it.
  private func follow(_ state: BlockState, _ descent: Descent, weights: Bool) {
    guard let biasGradient = state.biasGradient, let weightGradient = state.weightGradient,
      let biasVelocity = state.biasVelocity, let weightVelocity = state.weightVelocity
    else { return }
    if descent.momentum == 0 {
      kernels.descend(state.paddedOutputs, descent.rate, biasGradient, state.bias)
      if weights { kernels.descend(state.weightCount, descent.rate, weightGradient, state.weight) }
    } else {
      kernels.descend_with_momentum(
        state.paddedOutputs, descent.rate, descent.momentum, biasGradient, biasVelocity, state.bias)
      if weights {
        kernels.descend_with_momentum(
          state.weightCount, descent.rate, descent.momentum, weightGradient, weightVelocity, state.weight)
      }
    }
  }

  // MARK: convolution

  /// The kernel turned by half a circle, its channels exchanged: with it the gradient of the input is a convolution too.
  private func turn(_ index: Int) {
    let state = blocks[index]
    guard let turned = state.turnedWeight else { return }
    let kernel = state.kernel
    let piece = state.channels * state.stride
    for y in 0..<kernel {
      for x in 0..<kernel {
        kernels.transpose(
          state.channels, state.paddedOutputs, state.weight + ((kernel - 1 - y) * kernel + kernel - 1 - x) * piece,
          state.stride,
          turned + (y * kernel + x) * state.paddedOutputs * state.channels, state.channels)
      }
    }
  }

  private func convolutionBackward(_ index: Int, _ first: Int, _ end: Int) {
    let state = blocks[index]
    guard let gradient = state.outputGradient, let sums = state.biasGradient, let weightGradient = state.weightGradient,
      let outer = blocks[index + 1].inputGradient
    else { return }
    let rowStep = (state.width + state.border * 2) * state.paddedOutputs
    let imageStep = (state.height + state.border * 2) * rowStep
    let inner = gradient + state.border * rowStep + state.border * state.paddedOutputs
    unpool(index, first, end, outer, inner, rowStep, imageStep, sums)
    if !state.isFirst { inputGradient(state, first, end, gradient, rowStep, imageStep) }

    var shape = pm_product_shape()
    shape.a_row = 1
    shape.a_step = state.channels
    shape.b_row = state.paddedOutputs
    shape.c_row = state.stride
    shape.s2 = end - first
    shape.a_s1 = state.rowStep
    shape.b_s1 = rowStep
    shape.a_s2 = state.inputStride
    shape.b_s2 = imageStep
    shape.start = Int32((first > 0 ? pm_from_sums : pm_from_zero).rawValue)
    shape.epilogue = Int32(pm_store.rawValue)
    let rows = state.kernel * state.channels
    for tap in 0..<state.kernel {
      // Outputs whose tap lies in the border add nothing.
      let from = max(0, state.border - tap)
      let to = min(state.height, state.height + state.border - tap)
      shape.s1 = max(0, to - from)
      let a = state.input + first * state.inputStride + (from + tap) * state.rowStep
      let b = inner + from * rowStep
      let c = weightGradient + tap * rows * state.stride
      if state.channels < 16 {
        shape.depth = state.width
        kernels.product(1, rows, state.paddedOutputs, &shape, a, b, c)
        continue
      }
      for column in 0..<state.kernel {
        let pixels = state.pixels(column)
        shape.depth = pixels.count
        kernels.product(
          1, state.channels, state.paddedOutputs, &shape, a + (pixels.lowerBound + column) * state.channels,
          b + pixels.lowerBound * state.paddedOutputs, c + column * state.channels * state.stride)
      }
    }
  }

  /// The gradient before the pool and the ReLU, into the inside of a bordered buffer; adds its sums to the bias gradient.
  private func unpool(
    _ index: Int, _ first: Int, _ end: Int, _ outer: Floats, _ inner: Floats, _ rowStep: Int, _ imageStep: Int,
    _ sums: Floats
  ) {
    let state = blocks[index]
    let out = imageOutput(of: index)
    let gradientRow = state.outputWidth * state.paddedOutputs
    let gradientImage = blocks[index + 1].kernel > 0 ? state.outputHeight * gradientRow : blocks[index + 1].inputStride
    if let poolIndex = state.poolIndex {
      kernels.pool_backward(
        end - first, state.outputHeight, state.outputWidth, state.paddedOutputs, state.block.hasRelu ? 1 : 0,
        out.pointer + first * out.image, out.row, out.image, outer + first * gradientImage, gradientRow, gradientImage,
        poolIndex + first * state.outputHeight * gradientRow, inner, rowStep, imageStep, sums)
      return
    }
    for image in first..<end {
      for row in 0..<state.height {
        let line = inner + (image - first) * imageStep + row * rowStep
        kernels.move(gradientRow, outer + image * gradientImage + row * gradientRow, line)
        if state.block.hasRelu {
          kernels.relu_backward(gradientRow, out.pointer + image * out.image + row * out.row, line)
        }
        kernels.column_sums(state.width, state.paddedOutputs, state.paddedOutputs, line, sums, 1)
      }
    }
  }

  private func inputGradient(
    _ state: BlockState, _ first: Int, _ end: Int, _ gradient: Floats, _ rowStep: Int, _ imageStep: Int
  ) {
    guard let turned = state.turnedWeight, let target = state.inputGradient else { return }
    var shape = pm_product_shape()
    shape.a_row = state.paddedOutputs
    shape.a_step = 1
    shape.b_row = state.channels
    shape.c_row = state.channels
    shape.s2 = 1
    shape.a_s1 = rowStep
    shape.b_s1 = state.kernel * state.paddedOutputs * state.channels
    shape.epilogue = Int32(pm_store.rawValue)
    for image in first..<end {
      for row in 0..<state.height {
        let taps = state.taps(row)
        shape.s1 = taps.count
        sweep(
          state, &shape, from: pm_from_zero, columns: state.channels,
          gradient + (image - first) * imageStep + (row + taps.lowerBound) * rowStep,
          turned + taps.lowerBound * shape.b_s1, target + (image * state.height + row) * state.width * state.channels)
      }
    }
  }
}

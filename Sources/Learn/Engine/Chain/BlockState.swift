import CKernels

/// One block's weights, gradients and activations in an engine's arena. Activations are rows of samples, or images as height,
/// width, channels with the border that the next convolution needs; channels and outputs are padded to 16 with zeros, which
/// stay zeros in training.
struct BlockState {
  let block: Block
  let isFirst: Bool

  // weights: [inputs, outputs] with a row stride
  let inputRows: Int
  let outputs: Int
  let paddedOutputs: Int
  let stride: Int
  var weight: Floats
  var bias: Floats
  var weightGradient: Floats?
  var biasGradient: Floats?
  var weightVelocity: Floats?
  var biasVelocity: Floats?

  // activations
  /// What comes in: for images, with their border.
  var input: Floats
  /// From one row of samples to the next, or from one image to the next.
  let inputStride: Int
  /// The gradient of `input`, without a border; nil for the first block.
  var inputGradient: Floats?

  // convolutions only
  var channels = 0
  var height = 0
  var width = 0
  var kernel = 0
  /// Floats of one bordered row of pixels.
  var rowStep = 0
  /// Outputs before the pool, of one chunk of images.
  var unpooled: Floats?
  /// Which of the four was the largest, of every image.
  var poolIndex: UnsafeMutablePointer<UInt8>?
  /// The gradient before the pool, bordered, of one chunk.
  var outputGradient: Floats?
  /// Weights turned round for the gradient of the input.
  var turnedWeight: Floats?

  var border: Int { kernel / 2 }
  var weightCount: Int { inputRows * stride }
  var outputHeight: Int { block.hasPool ? height / 2 : height }
  var outputWidth: Int { block.hasPool ? width / 2 : width }
}

/// The sizes of a block's pieces, asked for twice: once to plan the arena and once to lay it out.
struct BlockPlan {
  let block: Block
  let isFirst: Bool
  let isConvolution: Bool
  var inputRows = 0
  var outputs = 0
  var paddedOutputs = 0
  var stride = 0
  var inputStride = 0
  var inputCount = 0
  var channels = 0
  var height = 0
  var width = 0
  var kernel = 0
  var rowStep = 0
  var gradientRowStep: Int { (width + kernel / 2 * 2) * paddedOutputs }
  var gradientImage: Int { (height + kernel / 2 * 2) * gradientRowStep }

  init(_ block: Block, isFirst: Bool, followsConvolution: Bool, batch: Int) {
    self.block = block
    self.isFirst = isFirst
    switch block.kind {
    case .dense(let inputs, let outputs):
      isConvolution = false
      if followsConvolution, let image = block.flattens {
        inputRows = padded(image[0]) * image[1] * image[2]
      } else {
        inputRows = inputs
      }
      self.outputs = outputs
      inputStride = padded(inputRows)
      inputCount = batch * inputStride
    case .convolution(let channels, let height, let width, let outputs, let kernel):
      isConvolution = true
      self.channels = isFirst ? channels : padded(channels)
      self.height = height
      self.width = width
      self.kernel = kernel
      self.outputs = outputs
      inputRows = kernel * kernel * self.channels
      rowStep = (width + kernel / 2 * 2) * self.channels
      inputStride = (height + kernel / 2 * 2) * rowStep
      inputCount = batch * inputStride
    }
    paddedOutputs = padded(outputs)
    stride = isConvolution ? paddedOutputs : rowStride(outputs)
  }

  /// How many images go through the convolutions at a time, so that they stay in the second-level cache.
  static func imagesPerChunk(_ plans: [BlockPlan], batch: Int) -> Int {
    let largest = plans.filter(\.isConvolution).map { $0.height * $0.width * $0.paddedOutputs }.max() ?? 1
    return max(1, min(batch, 65_536 / largest))
  }
}

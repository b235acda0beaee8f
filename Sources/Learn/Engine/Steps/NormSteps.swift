import CKernels

final class SoftmaxStep: Step {
  private let isLog: Int32
  init(_ isLog: Bool, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.isLog = isLog ? 1 : 0
    super.init(inputs, output, kernels)
  }
  override var readsInputs: Bool { false }
  override var readsOutput: Bool { true }
  override func forward(_ run: Run) {
    kernels.softmax(output.rows, output.width, output.stride, isLog, inputs[0].data, output.data)
  }
  override func backward(_ run: Run) {
    guard wants[0] else { return }
    kernels.softmax_gradient(
      output.rows, output.width, output.stride, isLog, output.data, output.slope, inputs[0].slope, adds[0] ? 1 : 0)
  }
}

/// LayerNorm along the last axis.
final class RowNormStep: Step {
  private let epsilon: Float
  private var moments: Piece
  init(_ epsilon: Float, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.epsilon = epsilon
    moments = Piece(0)
    super.init(inputs, output, kernels)
    moments = needSaved(output.rows * 2)
  }
  private func parameter(_ index: Int) -> Floats? { inputs.count > index ? inputs[index].data : nil }
  override func forward(_ run: Run) {
    kernels.row_norm(
      output.rows, output.width, output.stride, epsilon, parameter(1), parameter(2), inputs[0].data, output.data,
      moments.pointer)
  }
  override func backward(_ run: Run) {
    for index in 1..<inputs.count where wants[index] && !adds[index] { kernels.clear(inputs[index]) }
    func target(_ index: Int) -> Floats? { inputs.count > index && wants[index] ? inputs[index].slope : nil }
    kernels.row_norm_gradient(
      output.rows, output.width, output.stride, parameter(1), inputs[0].data, moments.pointer, output.slope, target(0),
      adds[0] ? 1 : 0, target(1), target(2))
  }
}

/// Batch normalisation of channels. In training it also moves the running statistics, the variance by the unbiased one, as
/// PyTorch does.
final class ChannelNormStep: Step {
  private let epsilon: Float
  private let momentum: Float
  private let isTraining: Bool
  private let hasRelu: Bool
  private var moments: Piece
  private let room: Int

  init(
    _ epsilon: Float, _ momentum: Float, _ isTraining: Bool, _ hasRelu: Bool, _ inputs: [Tensor], _ output: Tensor,
    _ kernels: pm_kernels
  ) {
    self.epsilon = epsilon
    self.momentum = momentum
    self.isTraining = isTraining
    self.hasRelu = hasRelu
    room = output.stride
    moments = Piece(0)
    super.init(inputs, output, kernels)
    moments = needSaved(room * 3)
  }
  override var readsOutput: Bool { hasRelu }
  override func forward(_ run: Run) {
    let x = inputs[0]
    let mean = moments.pointer
    let variance = mean + room
    let r = mean + 2 * room
    if isTraining { kernels.channel_moments(x.rows, x.width, x.stride, x.data, mean, variance) }
    if let meter = run.meter {
      meter.add(.channelElement, Double(room))
    } else {
      prepare(mean, variance, r)
    }
    kernels.channel_norm(
      x.rows, x.width, x.stride, x.data, mean, r, inputs[1].data, inputs[2].data, hasRelu ? 1 : 0, output.data)
  }
  private func prepare(_ mean: Floats, _ variance: Floats, _ r: Floats) {
    let x = inputs[0]
    if isTraining {
      let unbiased = x.rows > 1 ? Float(x.rows) / Float(x.rows - 1) : 1
      for channel in 0..<x.width {
        inputs[3].data[channel] = momentum * inputs[3].data[channel] + (1 - momentum) * mean[channel]
        inputs[4].data[channel] =
          momentum * inputs[4].data[channel] + (1 - momentum) * (variance[channel] * unbiased)
      }
    } else {
      mean.update(from: inputs[3].data, count: x.width)
      variance.update(from: inputs[4].data, count: x.width)
      for tail in x.width..<room {
        mean[tail] = 0
        variance[tail] = 0
      }
    }
    for channel in 0..<room { r[channel] = 1 / (variance[channel] + epsilon).squareRoot() }
  }
  override func backward(_ run: Run) {
    for index in 1...2 where wants[index] && !adds[index] { kernels.clear(inputs[index]) }
    let x = inputs[0]
    kernels.channel_norm_gradient(
      x.rows, x.width, x.stride, x.data, moments.pointer, moments.pointer + 2 * room, inputs[1].data,
      hasRelu ? output.data : nil, output.slope, isTraining ? 1 : 0, wants[0] ? x.slope : nil, adds[0] ? 1 : 0,
      wants[1] ? inputs[1].slope : nil, wants[2] ? inputs[2].slope : nil)
  }
}

/// Max and mean pools.
final class PoolStep: Step {
  private var window: pm_window
  private var index: Piece?

  init(_ window: Window, isMax: Bool, countsPadding: Bool, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels)
  {
    self.window = pm_window(window, inputs[0], output)
    self.window.counts_padding = countsPadding ? 1 : 0
    super.init(inputs, output, kernels)
    if isMax { index = needSaved(output.floats / 4 + 16) }
  }
  override var readsInputs: Bool { false }
  private func taps(_ piece: Piece) -> UnsafeMutablePointer<UInt8> {
    UnsafeMutableRawPointer(piece.pointer).assumingMemoryBound(to: UInt8.self)
  }
  override func forward(_ run: Run) {
    if let index {
      kernels.max_window(&window, inputs[0].data, output.data, taps(index))
    } else {
      kernels.mean_window(&window, inputs[0].data, output.data)
    }
  }
  override func backward(_ run: Run) {
    guard wants[0] else { return }
    let x = inputs[0]
    if !adds[0] { kernels.clear(x) }
    if let index {
      kernels.max_window_gradient(&window, taps(index), output.slope, x.slope)
    } else {
      kernels.mean_window_gradient(&window, output.slope, x.slope)
    }
  }
}

extension pm_window {
  init(_ window: Window, _ x: Tensor, _ y: Tensor) {
    self.init()
    images = x.shape[0]
    height = x.shape[2]
    width = x.shape[3]
    channels = x.width
    stride = x.stride
    out_height = y.shape[2]
    out_width = y.shape[3]
    height_taps = window.taps[0]
    width_taps = window.taps[1]
    row_step = window.steps[0]
    column_step = window.steps[1]
    row_gap = window.gaps[0]
    column_gap = window.gaps[1]
    top = window.before[0]
    left = window.before[1]
    bottom = window.after[0]
    right = window.after[1]
  }
}

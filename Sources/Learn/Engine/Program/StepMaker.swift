import CKernels

/// Makes the step of an operation.
struct StepMaker {
  let kernels: pm_kernels
  let place: String

  func step(_ operation: Operation, _ inputs: [Tensor], _ output: Tensor) throws(LearnError) -> Step {
    switch operation {
    case .unary(let unary, let alpha, let beta): return UnaryStep(unary, alpha, beta, inputs, output, kernels)
    case .binary(let binary): return BinaryStep(binary, inputs, output, kernels)
    case .choose: return ChooseStep(inputs, output, kernels)
    case .matmul: return MatmulStep(inputs, output, kernels)
    case .linear(_, let hasRelu): return LinearStep(hasRelu: hasRelu, inputs, output, kernels)
    case .convolution(let window, let groups):
      return groups > 1
        ? DepthwiseStep(window, inputs, output, kernels) : ConvolutionStep(window, inputs, output, kernels)
    case .transposedConvolution(let window):
      return try TransposedConvolutionStep(window, inputs, output, kernels, place)
    case .maxPool(let window):
      guard window.taps[0] * window.taps[1] <= 255 else {
        throw .model("\(place): a pool over \(window.taps) has more than 255 taps")
      }
      return PoolStep(window, isMax: true, countsPadding: false, inputs, output, kernels)
    case .meanPool(let window, let countsPadding):
      return PoolStep(window, isMax: false, countsPadding: countsPadding, inputs, output, kernels)
    case .reduce(let reduction, _): return ReduceStep(reduction, inputs, output, kernels)
    case .softmax(let isLog): return SoftmaxStep(isLog, inputs, output, kernels)
    case .channelNorm(let epsilon, let momentum, let isTraining, let hasRelu):
      if isTraining, inputs[0].rows < 2 {
        throw .model("\(place): a batch of one value per channel has no variance to normalise by; use a larger batch")
      }
      return ChannelNormStep(epsilon, momentum, isTraining, hasRelu, inputs, output, kernels)
    case .rowNorm(let epsilon): return RowNormStep(epsilon, inputs, output, kernels)
    case .gather: return GatherStep(inputs, output, kernels)
    case .dropout(let ratio, let number): return DropoutStep(ratio, number, inputs, output, kernels)
    case .recurrent(let cell, let isReversed):
      return RecurrentStep(cell, isReversed: isReversed, inputs, output, kernels)
    case .reshape: return try reshape(inputs, output)
    case .transpose(let permutation):
      let steps = inputs[0].steps
      return try move([(0, permutation.map { steps[$0] }, 0, output.shape, output.steps, 0)], inputs, output)
    case .convert:
      return try move(
        [(0, inputs[0].steps, 0, output.shape, output.steps, 0)], inputs, output)
    case .expand:
      let missing = output.shape.count - inputs[0].shape.count
      var from = Array(repeating: 0, count: missing)
      for (size, step) in zip(inputs[0].shape, inputs[0].steps) { from.append(size == 1 ? 0 : step) }
      return try move([(0, from, 0, output.shape, output.steps, 0)], isComplete: false, inputs, output)
    case .slice(let starts, let steps):
      let strides = inputs[0].steps
      let start = zip(starts, strides).reduce(0) { $0 + $1.0 * $1.1 }
      return try move(
        [(0, zip(strides, steps).map { $0 * $1 }, start, output.shape, output.steps, 0)], isComplete: false, inputs,
        output)
    case .pad(let before, let value):
      let start = zip(before, output.steps).reduce(0) { $0 + $1.0 * $1.1 }
      return try move(
        [(0, inputs[0].steps, 0, inputs[0].shape, output.steps, start)], fill: value, inputs, output)
    case .concat(let axis):
      var parts: [Part] = []
      var at = 0
      for (index, input) in inputs.enumerated() {
        parts.append((index, input.steps, 0, input.shape, output.steps, at * output.steps[axis]))
        at += input.shape[axis]
      }
      return try move(parts, inputs, output)
    }
  }

  private typealias Part = (input: Int, from: [Int], fromStart: Int, shape: [Int], to: [Int], toStart: Int)
  private func move(
    _ parts: [Part], fill: Float? = nil, isComplete: Bool = true, _ inputs: [Tensor], _ output: Tensor
  ) throws(LearnError) -> Step {
    var moves: [MoveStep.Move] = []
    for part in parts {
      var there: [(size: Int, from: Int, to: Int)] = []
      for axis in part.shape.indices { there.append((part.shape[axis], part.from[axis], part.to[axis])) }
      moves.append(
        MoveStep.Move(
          plan: try CopyPlan(there, place), back: try CopyPlan(there.map { ($0.size, $0.to, $0.from) }, place),
          input: part.input, from: part.fromStart, to: part.toStart))
    }
    return MoveStep(moves, fill: fill, isComplete: isComplete, inputs, output, kernels)
  }

  /// Nothing moves where both lie in memory alike; else the dimensions are cut where both are.
  private func reshape(_ inputs: [Tensor], _ output: Tensor) throws(LearnError) -> Step {
    let x = inputs[0]
    let isSame = x.width == output.width && x.stride == output.stride
    if isSame || (x.layout == .rows && output.layout == .rows && x.isDense && output.isDense) {
      return AliasStep(inputs, output, kernels)
    }
    var there: [(size: Int, from: Int, to: Int)] = []
    var (a, b) = (x.shape.count - 1, output.shape.count - 1)
    var (left, right) = (a >= 0 ? x.shape[a] : 1, b >= 0 ? output.shape[b] : 1)
    var (from, to) = (a >= 0 ? x.steps[a] : 0, b >= 0 ? output.steps[b] : 0)
    while a >= 0 || b >= 0 {
      let size = min(left, right)
      guard size > 0, left % size == 0, right % size == 0 else { return ScatterStep(inputs, output, kernels) }
      there.append((size, from, to))
      left /= size
      right /= size
      from *= size
      to *= size
      while left == 1 && a >= 0 {
        a -= 1
        if a >= 0 { (left, from) = (x.shape[a], x.steps[a]) }
      }
      while right == 1 && b >= 0 {
        b -= 1
        if b >= 0 { (right, to) = (output.shape[b], output.steps[b]) }
      }
      if a < 0 && b < 0 { break }
      if a < 0 || b < 0 { break }
    }
    there.reverse()
    let plan = try? CopyPlan(there, place)
    let back = try? CopyPlan(there.map { ($0.size, $0.to, $0.from) }, place)
    guard let plan, let back else { return ScatterStep(inputs, output, kernels) }
    return MoveStep([MoveStep.Move(plan: plan, back: back, input: 0)], isComplete: true, inputs, output, kernels)
  }
}

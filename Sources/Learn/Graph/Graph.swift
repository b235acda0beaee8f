import CKernels

/// A model as operations on checked shapes, with the batch bound: what declarations and ONNX files become, and what engines run.
struct Graph: Sendable {
  /// The number of a value within its graph.
  typealias ID = Int

  struct Value: Sendable {
    /// Sizes from the outermost dimension to the innermost; the batch is one of them.
    var shape: [Int]
    var source: Source
    var count: Int { shape.reduce(1, *) }
  }
  enum Source: Sendable {
    /// A batch of samples: the first dimension counts them.
    case input
    case parameter(Int)
    case constant([Float])
    case node
  }
  struct Node: Sendable {
    var operation: Operation
    var inputs: [ID]
    var output: ID
    /// Where it stands in the file, for messages.
    var place: String
  }
  /// A tensor that training changes, or (`isTrained` false) a running statistic that is averaged.
  struct Parameter: Sendable {
    var name: String
    var shape: [Int]
    var isTrained = true
    /// How many inputs each output sums over, for weights drawn here.
    var fanIn: Int
    var value: ID
    var count: Int { shape.reduce(1, *) }
  }

  var values: [Value] = []
  /// In an order in which every input comes before its use.
  var nodes: [Node] = []
  var parameters: [Parameter] = []
  var input: ID = 0
  /// Scores, shares or numbers, as the loss takes them.
  var output: ID = 0

  func shape(_ id: ID) -> [Int] { values[id].shape }

  /// Drops what the output does not hang on.
  mutating func prune() {
    var isNeeded = Array(repeating: false, count: values.count)
    isNeeded[output] = true
    var kept: [Node] = []
    for node in nodes.reversed() where isNeeded[node.output] {
      for input in node.inputs { isNeeded[input] = true }
      kept.append(node)
    }
    nodes = kept.reversed()
  }

  /// How often each value is used, the output's last use counted.
  var uses: [Int] {
    var uses = Array(repeating: 0, count: values.count)
    for node in nodes {
      for input in node.inputs { uses[input] += 1 }
    }
    uses[output] += 1
    return uses
  }
}

/// What a node does. Shapes are those of its values; axes are counted from the outermost.
enum Operation: Sendable, Equatable {
  case unary(Unary, alpha: Float = 0, beta: Float = 0)
  /// Broadcast as NumPy does it; both sides have the output's rank.
  case binary(Binary)
  /// condition, a, b: a where the condition is not 0.
  case choose
  /// [..., m, k] times [..., k, n], leading dimensions broadcast.
  case matmul
  /// x [..., inputs], weight [inputs, outputs], or [outputs, inputs] where transposed, and a bias where there is a third input.
  case linear(isTransposed: Bool, hasRelu: Bool)
  /// x [n, c, h, w], weight [o, c / groups, th, tw], and a bias where there is a third input.
  case convolution(Window, groups: Int)
  /// x [n, c, h, w], weight [c, o, th, tw], and a bias where there is a third input: the gradient of a convolution's input.
  case transposedConvolution(Window)
  case maxPool(Window)
  case meanPool(Window, countsPadding: Bool)
  /// Over these axes, which stay with size 1.
  case reduce(Reduction, axes: [Int])
  /// Along the last axis.
  case softmax(isLog: Bool)
  /// x [n, c, ...], scale, bias, running mean, running variance, each [c]; `isTraining`: by the batch's own moments.
  case channelNorm(epsilon: Float, momentum: Float, isTraining: Bool, hasRelu: Bool)
  /// Along the last axis: x, then scale and bias where there are three inputs.
  case rowNorm(epsilon: Float)
  case reshape
  case transpose([Int])
  case concat(axis: Int)
  case slice(starts: [Int], steps: [Int])
  case pad(before: [Int], value: Float)
  case expand
  /// Rows of a table by whole numbers: table [v, d], ids [...] to [..., d].
  case gather
  case dropout(ratio: Float, number: Int)
  /// x [t, b, i], w [gates·h, i], r [gates·h, h], bias [2·gates·h], and h0 [b, h], c0 [b, h] where there are more; to [t, b, h].
  case recurrent(Cell, isReversed: Bool)
  /// The same values in another place in memory.
  case convert(Layout)
}

extension Operation {
  /// Whether a gradient goes to this input.
  func isDifferentiable(_ input: Int) -> Bool {
    switch self {
    case .binary(let binary): binary.isDifferentiable
    case .choose: input > 0
    case .gather: input == 0
    case .channelNorm: input < 3
    default: true
    }
  }
}

enum Unary: UInt32, Sendable {
  case relu, leaky, elu, sigmoid, tanh, exponential, logarithm, root, absolute, power, error, gelu, geluTanh, hardSwish
  case hardSigmoid, clip, affine, softplus, silu
}
enum Binary: UInt32, Sendable {
  case add, subtract, multiply, divide, larger, smaller, isEqual, isLess, isAtMost, both, either
  var isDifferentiable: Bool { rawValue <= Binary.smaller.rawValue }
}
enum Reduction: Sendable { case sum, mean, largest }
enum Cell: Sendable {
  case lstm, gru, tanh
  var gates: Int {
    switch self {
    case .lstm: 4
    case .gru: 3
    case .tanh: 1
    }
  }
}

/// How taps slide over an image: rows and columns of taps, steps, gaps (dilations) and padding.
struct Window: Sendable, Equatable {
  var taps: [Int]
  var steps = [1, 1]
  var gaps = [1, 1]
  /// Top and left, bottom and right.
  var before = [0, 0]
  var after = [0, 0]
  var isWhole: Bool { taps == [1, 1] && steps == [1, 1] && before == [0, 0] && after == [0, 0] }

  /// The size along one side.
  func output(_ size: Int, _ side: Int) -> Int {
    (size + before[side] + after[side] - gaps[side] * (taps[side] - 1) - 1) / steps[side] + 1
  }
  /// The outputs that a tap meets inside an image of `size`.
  func outputs(tap: Int, size: Int, outputs: Int, _ side: Int) -> Range<Int> {
    let shift = tap * gaps[side] - before[side]
    // shift + o * step >= 0 and < size
    let first = shift >= 0 ? 0 : (-shift + steps[side] - 1) / steps[side]
    let end = size - shift <= 0 ? 0 : min(outputs, (size - shift - 1) / steps[side] + 1)
    return min(first, max(end, 0))..<max(end, min(first, max(end, 0)))
  }
}

/// How a value lies in memory: rows of a width, at a stride that is a multiple of 16 floats.
enum Layout: Sendable, Equatable {
  /// As its shape says; the innermost dimension is the width.
  case rows
  /// [n, c, ...] as n, ..., c: the channels are the width.
  case channelsLast
  /// A matrix as its transpose.
  case transposed
  /// A convolution's [o, c, th, tw] as th, tw, c, o: the outputs are the width.
  case kernel
}

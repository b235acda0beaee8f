import Runtime

/// What a model's output is measured by.
public enum Loss: Int, Sendable, CaseIterable {
  /// Softmax and cross-entropy on scores [..., classes], with classes as targets.
  case crossEntropy = 0
  /// Binary cross-entropy on logits, with numbers between 0 and 1 (or two classes) as targets.
  case binaryLogits = 1
  /// The same on shares between 0 and 1; a sigmoid at the model's end is taken into the loss.
  case binaryShares = 2
  /// The mean of squared differences.
  case squared = 3
}

/// In which order sums are added.
public enum Arithmetic: Int, Sendable, CaseIterable {
  /// Ours, one for all machines: the same bits everywhere, and usually the fastest.
  case reproducible = 0
  /// Products by OpenBLAS: near the same numbers, other bits on other processors. Nothing is verified by digest then.
  case blas = 1
}

/// A model as its owner declares it: layers in a row, or the graph of an ONNX file, and the loss that it is trained with.
public struct ModelDeclaration: Wire, Equatable {
  public static let layerLimit = 64
  /// Of a graph without its weights.
  public static let graphLimit = 8 << 20

  /// Of one sample: `[features]` or `[channels, height, width]` for layers; for a graph the sizes that its file leaves open.
  public var input: [Int] = []
  public var layers: [Layer] = []
  /// An ONNX file whose trained weights have no values; empty where there are layers.
  public var graph: [UInt8] = []
  public var loss = Loss.crossEntropy
  /// Of a graph: the tensor that is the prediction; empty for its first output of floats.
  public var output = ""
  /// Whether batch normalisation goes by its running statistics even in training.
  public var normsAreFixed = false
  public var hasNoDropout = false
  /// Parameters that stay as they are, by name.
  public var frozen: [String] = []
  public var arithmetic = Arithmetic.reproducible

  public init() {}
  public init(input: [Int], layers: [Layer]) {
    self.input = input
    self.layers = layers
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, repeated: &input, limit: 8)
    try codec(2, &layers, limit: Self.layerLimit)
    try codec(3, &graph, limit: Self.graphLimit)
    var number = loss.rawValue
    try codec(4, &number)
    guard let read = Loss(rawValue: number) else { throw .badValue(field: 4, "loss \(number)") }
    loss = read
    try codec(5, &output)
    try codec(6, &normsAreFixed)
    try codec(7, &hasNoDropout)
    try codec(8, repeated: &frozen, limit: 10_000)
    var order = arithmetic.rawValue
    try codec(9, &order)
    guard let read = Arithmetic(rawValue: order) else { throw .badValue(field: 9, "arithmetic \(order)") }
    arithmetic = read
  }
}

/// One layer of a declaration.
public struct Layer: Wire, Equatable {
  public enum Kind: Int, Sendable, CaseIterable {
    /// y = W x + b; flattens what comes in.
    case dense = 1
    /// Stride 1, zero padding that keeps the size ('same'); an odd kernel.
    case convolution = 2
    case relu = 3
    /// The largest of each 2x2 square.
    case maxPool = 4
  }
  public var kind = Kind.relu
  /// Outputs of a dense layer, channels of a convolution.
  public var outputs = 0
  /// Side of a convolution's kernel.
  public var kernel = 0

  public init() {}
  public init(kind: Kind, outputs: Int = 0, kernel: Int = 0) {
    self.kind = kind
    self.outputs = outputs
    self.kernel = kernel
  }
  public static func dense(_ outputs: Int) -> Layer { Layer(kind: .dense, outputs: outputs) }
  public static func convolution(channels: Int, kernel: Int) -> Layer {
    Layer(kind: .convolution, outputs: channels, kernel: kernel)
  }
  public static let relu = Layer(kind: .relu)
  public static let maxPool = Layer(kind: .maxPool)

  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    // Every kind has a number above 0, so that none is left out.
    var number = codec.isReading ? 0 : kind.rawValue
    try codec(1, &number)
    guard let read = Kind(rawValue: number) else { throw .badValue(field: 1, "layer kind \(number)") }
    kind = read
    try codec(2, &outputs)
    try codec(3, &kernel)
  }
}

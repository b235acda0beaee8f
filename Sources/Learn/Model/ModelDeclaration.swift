import Runtime

/// A model as its owner declares it: an input shape and layers in order, trained with softmax cross-entropy on the last.
public struct ModelDeclaration: Wire, Equatable {
  public static let layerLimit = 64

  /// `[features]`, or `[channels, height, width]`.
  public var input: [Int] = []
  public var layers: [Layer] = []

  public init() {}
  public init(input: [Int], layers: [Layer]) {
    self.input = input
    self.layers = layers
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, repeated: &input, limit: 3)
    try codec(2, &layers, limit: Self.layerLimit)
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

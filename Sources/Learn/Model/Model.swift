import CKernels
import Runtime
import Synchronization

/// A parameter tensor, as PyTorch shapes it: a dense weight is [out, in], a convolution's [out, in, height, width].
public struct ParameterInfo: Equatable, Sendable {
  public var name: String
  public var shape: [Int]
  /// Among all parameters, in floats.
  public var offset: Int
  public var count: Int
  /// How many inputs each output sums over.
  public var fanIn: Int
}

/// One trainable step of a checked model, with the ReLU and the pool that follow it.
struct Block: Equatable, Sendable {
  enum Kind: Equatable, Sendable {
    case dense(inputs: Int, outputs: Int)
    case convolution(channels: Int, height: Int, width: Int, outputs: Int, kernel: Int)
  }
  var kind: Kind
  var hasRelu = false
  var hasPool = false
  /// Where a dense layer flattens images: their channels, height and width.
  var flattens: [Int]?
  var weight: Int
  var bias: Int
}

/// The kernels of one instruction set: functions without state.
struct KernelTable: @unchecked Sendable {
  let pointee: pm_kernels
}

/// A declaration that was checked: every shape is known, every size bounded.
public final class Model: Sendable {
  public static let parameterLimit = 1 << 28
  public static let sizeLimit = 1 << 16

  public let declaration: ModelDeclaration
  public let parameters: [ParameterInfo]
  public let parameterCount: Int
  public let classes: Int
  /// Floats of one sample.
  public let features: Int
  /// Multiplications and additions of one forward pass of one sample; a training step takes about three times as many.
  public let forwardFlopsPerSample: Int
  let blocks: [Block]
  let safetensorsHeader: [UInt8]
  let kernels: KernelTable
  private let idle = Mutex<[Engine]>([])

  public var flopsPerSample: Int { forwardFlopsPerSample * 3 }

  /// - Parameter instructionSet: `avx512`, `avx2` or `plain` for one set of kernels; nil for the best there is. All give the
  ///   same bits.
  /// - Throws: `LearnError.model`, naming the first layer that does not fit.
  public init(_ declaration: ModelDeclaration, instructionSet: String? = nil) throws(LearnError) {
    let plan = try ModelPlan(declaration)
    self.declaration = declaration
    parameters = plan.parameters
    parameterCount = plan.offset
    classes = plan.classes
    features = plan.features
    forwardFlopsPerSample = plan.flops
    blocks = plan.blocks
    safetensorsHeader = Safetensors.header(plan.parameters)
    if let name = instructionSet {
      guard let named = pm_kernels_named(name) else { throw .model("this processor has no \(name) kernels") }
      kernels = KernelTable(pointee: named.pointee)
    } else {
      kernels = KernelTable(pointee: pm_kernels_best().pointee)
    }
  }

  public var instructionSet: String { String(cString: kernels.pointee.name) }
  public var weightBytes: Int { safetensorsHeader.count + parameterCount * 4 }

  /// PyTorch's own: every tensor uniform in ±1/√fan-in, from a stream of its own.
  public func initialWeights(seed: Seed) -> Weights {
    var values: [Float] = []
    values.reserveCapacity(parameterCount)
    for parameter in parameters {
      var stream = seed.stream(parameter.name)
      let bound = 1 / Double(parameter.fanIn).squareRoot()
      for _ in 0..<parameter.count { values.append(Float((2 * stream.unit() - 1) * bound)) }
    }
    return Weights(values: values, for: self)
  }

  /// Runs with an engine for batches of this size; engines are used again.
  func withEngine<R>(batch: Int, trains: Bool, _ body: (Engine) throws(LearnError) -> R) throws(LearnError) -> R {
    let found = idle.withLock { engines in
      engines.firstIndex { $0.maxBatch == batch && $0.trains == trains }.map { engines.remove(at: $0) }
    }
    let engine: Engine
    if let found { engine = found } else { engine = try Engine(self, maxBatch: batch, trains: trains) }
    defer { idle.withLock { $0.append(engine) } }
    return try body(engine)
  }
}

/// Walks a declaration once and checks it.
private struct ModelPlan {
  var parameters: [ParameterInfo] = []
  var blocks: [Block] = []
  var offset = 0
  var features = 0
  var classes = 0
  var flops = 0

  init(_ declaration: ModelDeclaration) throws(LearnError) {
    guard declaration.input.count == 1 || declaration.input.count == 3 else {
      throw .model("its input is [features] or [channels, height, width], not \(declaration.input)")
    }
    guard declaration.input.allSatisfy({ $0 >= 1 && $0 <= Model.sizeLimit }) else {
      throw .model("its input \(declaration.input) has a size outside 1...\(Model.sizeLimit)")
    }
    guard !declaration.layers.isEmpty, declaration.layers.count <= ModelDeclaration.layerLimit else {
      throw .model("it has \(declaration.layers.count) layers; 1 to \(ModelDeclaration.layerLimit) can be trained")
    }
    var shape = declaration.input
    features = try Self.product(shape, "the input")
    for (index, layer) in declaration.layers.enumerated() {
      let name = "layer \(index + 1) (\(layer.kind))"
      switch layer.kind {
      case .dense: try addDense(layer, index, &shape, name)
      case .convolution: try addConvolution(layer, index, &shape, name)
      case .relu:
        guard !blocks.isEmpty, !blocks[blocks.count - 1].hasRelu, !blocks[blocks.count - 1].hasPool else {
          throw .model("\(name) must follow a dense layer or a convolution")
        }
        blocks[blocks.count - 1].hasRelu = true
      case .maxPool:
        guard let last = blocks.indices.last, case .convolution = blocks[last].kind, !blocks[last].hasPool else {
          throw .model("\(name) must follow a convolution, or the ReLU after one")
        }
        guard shape[1] % 2 == 0, shape[2] % 2 == 0 else {
          throw .model("\(name) halves even sizes only, and gets \(shape[1])x\(shape[2])")
        }
        blocks[last].hasPool = true
        shape = [shape[0], shape[1] / 2, shape[2] / 2]
      }
    }
    guard let last = blocks.last, case .dense(_, let outputs) = last.kind, !last.hasRelu else {
      throw .model("its last layer must be dense, without a ReLU: its outputs are the classes' scores")
    }
    guard outputs >= 2 else { throw .model("its last layer has \(outputs) outputs; there are at least 2 classes") }
    classes = outputs
  }

  private mutating func addDense(_ layer: Layer, _ index: Int, _ shape: inout [Int], _ name: String) throws(LearnError)
  {
    let inputs = try Self.product(shape, name)
    guard layer.outputs >= 1, layer.outputs <= Model.sizeLimit, inputs <= 1 << 24 else {
      throw .model(
        "\(name) has \(layer.outputs) outputs of \(inputs) inputs; 1 to \(Model.sizeLimit) outputs can be trained")
    }
    let weight = try add("layers.\(index).weight", [layer.outputs, inputs], fanIn: inputs)
    let bias = try add("layers.\(index).bias", [layer.outputs], fanIn: inputs)
    blocks.append(
      Block(
        kind: .dense(inputs: inputs, outputs: layer.outputs), flattens: shape.count == 3 ? shape : nil, weight: weight,
        bias: bias))
    flops += 2 * inputs * layer.outputs
    shape = [layer.outputs]
  }

  private mutating func addConvolution(
    _ layer: Layer, _ index: Int, _ shape: inout [Int], _ name: String
  ) throws(LearnError) {
    guard shape.count == 3 else { throw .model("\(name) needs [channels, height, width], and gets \(shape)") }
    guard layer.outputs >= 1, layer.outputs <= 4_096 else {
      throw .model("\(name) has \(layer.outputs) channels; 1 to 4096")
    }
    guard layer.kernel % 2 == 1, layer.kernel >= 1, layer.kernel <= 31 else {
      throw .model("\(name) has a kernel of \(layer.kernel); odd sizes from 1 to 31 keep the size")
    }
    let side = layer.kernel
    let fanIn = shape[0] * side * side
    let weight = try add("layers.\(index).weight", [layer.outputs, shape[0], side, side], fanIn: fanIn)
    let bias = try add("layers.\(index).bias", [layer.outputs], fanIn: fanIn)
    blocks.append(
      Block(
        kind: .convolution(channels: shape[0], height: shape[1], width: shape[2], outputs: layer.outputs, kernel: side),
        weight: weight, bias: bias))
    flops += 2 * fanIn * layer.outputs * shape[1] * shape[2]
    shape[0] = layer.outputs
    _ = try Self.product(shape, name)
  }

  private mutating func add(_ name: String, _ shape: [Int], fanIn: Int) throws(LearnError) -> Int {
    let count = try Self.product(shape, name)
    guard offset + count <= Model.parameterLimit else {
      throw .model("it has more than \(Model.parameterLimit) parameters")
    }
    parameters.append(ParameterInfo(name: name, shape: shape, offset: offset, count: count, fanIn: fanIn))
    offset += count
    return parameters.count - 1
  }

  private static func product(_ shape: [Int], _ name: String) throws(LearnError) -> Int {
    var product = 1
    for size in shape {
      let (next, overflow) = product.multipliedReportingOverflow(by: size)
      guard !overflow, next <= Model.parameterLimit else { throw .model("\(name) has a shape too large: \(shape)") }
      product = next
    }
    return product
  }
}

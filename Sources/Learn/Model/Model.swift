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
  /// Whether training changes it; running statistics and frozen weights are not trained.
  public var isTrained = true
}

/// The kernels of one instruction set: functions without state.
struct KernelTable: @unchecked Sendable {
  let pointee: pm_kernels
}

/// A declaration that was checked: every shape is known, every size bounded.
public final class Model: Sendable {
  public static let parameterLimit = 1 << 28
  public static let sizeLimit = 1 << 16
  private static let idleLimit = 32
  /// Multiplications and additions of one sample's forward pass.
  public static let flopLimit = 1e12
  /// Bytes that one engine may take.
  public static let memoryLimit = 1 << 33

  public let declaration: ModelDeclaration
  public let parameters: [ParameterInfo]
  public let parameterCount: Int
  public let loss: Loss
  /// Of each target; 0 where targets are numbers.
  public let classes: Int
  /// Targets of one sample: 1 class, a class for each position, or numbers.
  public let targets: Int
  /// Floats of one sample.
  public let features: Int
  /// One sample's input, without the batch.
  public let input: [Int]
  /// One sample's prediction, without the batch.
  public let output: [Int]
  /// Multiplications and additions of one forward pass of one sample.
  public let forwardFlopsPerSample: Int
  /// What an owner should know of the file that the model came from.
  public let warnings: [String]
  let sharesAreGiven: Bool
  let safetensorsHeader: [UInt8]
  let kernels: KernelTable
  private let source: GraphSource
  private let blocks: [Block]?
  private let idle = Mutex<[IdleEngine]>([])

  private struct IdleEngine {
    var batch: Int
    var trains: Bool
    var optimizer: Optimizer
    var engine: any Engine
  }

  /// Those of a sample's share of a training step: no gradient is counted where none is computed.
  public let flopsPerSample: Int

  /// - Parameter instructionSet: `avx512`, `avx2` or `plain` for one set of kernels; nil for the best there is. All give the
  ///   same bits.
  /// - Throws: `LearnError.model` or `.onnx`, naming the first layer or node that does not fit.
  public convenience init(_ declaration: ModelDeclaration, instructionSet: String? = nil) throws(LearnError) {
    guard declaration.graph.count <= ModelDeclaration.graphLimit else {
      throw .model("its graph has \(declaration.graph.count) bytes; at most \(ModelDeclaration.graphLimit)")
    }
    try self.init(unbounded: declaration, instructionSet: instructionSet)
  }

  /// The same for an owner's own file, whose graph still holds its weights.
  public init(unbounded declaration: ModelDeclaration, instructionSet: String? = nil) throws(LearnError) {
    self.declaration = declaration
    source = try GraphSource(declaration)
    let built = try source.graph(batch: Self.referenceBatch, isTraining: true)
    let graph = built.graph
    warnings = built.warnings
    sharesAreGiven = built.sharesAreGiven
    let flops = GraphCost.flops(graph) / Double(Self.referenceBatch)
    guard flops <= Self.flopLimit else {
      throw .model("one sample costs \(flops) multiplications and additions; at most \(Self.flopLimit) are taken on")
    }
    loss = declaration.loss
    var parameters: [ParameterInfo] = []
    var offset = 0
    for parameter in graph.parameters {
      guard offset + parameter.count <= Self.parameterLimit else {
        throw .model("it has more than \(Self.parameterLimit) parameters")
      }
      parameters.append(
        ParameterInfo(
          name: parameter.name, shape: parameter.shape, offset: offset, count: parameter.count, fanIn: parameter.fanIn,
          isTrained: parameter.isTrained))
      offset += parameter.count
    }
    guard parameters.contains(where: \.isTrained) else { throw .model("it has no weight that can be trained") }
    self.parameters = parameters
    parameterCount = offset
    input = Array(graph.shape(graph.input).dropFirst())
    features = max(1, input.reduce(1, *))
    let output = graph.shape(graph.output)
    self.output = Array(output.dropFirst())
    let rows = output.dropLast().reduce(1, *) / Self.referenceBatch
    classes = loss == .crossEntropy ? output.last ?? 0 : 0
    targets = loss == .crossEntropy ? rows : output.reduce(1, *) / Self.referenceBatch
    guard classes <= SampleForm.classLimit, targets >= 1 else {
      throw .model("its output \(output) has too many classes or no targets")
    }
    forwardFlopsPerSample = Int(GraphCost.flops(graph) / Double(Self.referenceBatch))
    flopsPerSample = Int(GraphCost.trainingFlops(graph) / Double(Self.referenceBatch))
    blocks = loss == .crossEntropy && rows == 1 ? ChainPattern.blocks(graph) : nil
    safetensorsHeader = Safetensors.header(parameters)
    if let name = instructionSet {
      guard let named = pm_kernels_named(name) else { throw .model("this processor has no \(name) kernels") }
      kernels = KernelTable(pointee: named.pointee)
    } else {
      kernels = try Self.kernels(declaration.arithmetic)
    }
  }
  private static func kernels(_ arithmetic: Arithmetic) throws(LearnError) -> KernelTable {
    guard arithmetic == .blas else { return KernelTable(pointee: pm_kernels_best().pointee) }
    var why: UnsafePointer<CChar>?
    guard let found = pm_kernels_blas(&why) else {
      throw .model("the arithmetic 'blas' cannot be had: \(why.map { String(cString: $0) } ?? "no reason is told")")
    }
    return KernelTable(pointee: found.pointee)
  }
  /// Shapes are asked for with this batch when only what does not hang on it is wanted.
  static let referenceBatch = 2

  public var instructionSet: String { String(cString: kernels.pointee.name) }
  public var weightBytes: Int { safetensorsHeader.count + parameterCount * 4 }

  func graph(batch: Int, isTraining: Bool) throws(LearnError) -> Graph {
    try source.graph(batch: batch, isTraining: isTraining).graph
  }

  /// The weights that stand in the file that the model came from; nil where there are none.
  public func fileWeights() throws(LearnError) -> Weights? {
    guard let values = try source.fileValues(parameters) else { return nil }
    return Weights(values: values, for: self)
  }

  /// PyTorch's own: every tensor uniform in ±1/√fan-in, from a stream of its own. What is not trained begins at 0, or at 1
  /// where its name says variance.
  public func initialWeights(seed: Seed) -> Weights {
    var values: [Float] = []
    values.reserveCapacity(parameterCount)
    for parameter in parameters {
      guard parameter.isTrained else {
        let isVariance = parameter.name.hasSuffix("var") || parameter.name.hasSuffix("variance")
        values += Array(repeating: isVariance ? 1 : 0, count: parameter.count)
        continue
      }
      var stream = seed.stream(parameter.name)
      let bound = 1 / Double(parameter.fanIn).squareRoot()
      for _ in 0..<parameter.count { values.append(Float((2 * stream.unit() - 1) * bound)) }
    }
    return Weights(values: values, for: self)
  }

  /// The blocks of a chain where its engine does the work.
  func chain(_ optimizer: Optimizer) -> [Block]? { optimizer.isPlain ? blocks : nil }

  func makeEngine(batch: Int, trains: Bool, _ optimizer: Optimizer) throws(LearnError) -> any Engine {
    if let blocks = chain(optimizer) { return try ChainEngine(self, blocks, maxBatch: batch, trains: trains) }
    return try GraphEngine(self, maxBatch: batch, trains: trains, optimizer)
  }

  /// Runs with an engine for batches of this size; engines are used again.
  func withEngine<R>(
    batch: Int, trains: Bool, _ optimizer: Optimizer, _ body: (any Engine) throws(LearnError) -> R
  ) throws(LearnError) -> R {
    let found = idle.withLock { engines in
      engines.firstIndex { $0.batch == batch && $0.trains == trains && $0.optimizer == optimizer }
        .map { engines.remove(at: $0) }
    }
    let engine: any Engine
    if let found {
      engine = found.engine
    } else {
      engine = try makeEngine(batch: batch, trains: trains, optimizer)
    }
    let back = IdleEngine(batch: batch, trains: trains, optimizer: optimizer, engine: engine)
    defer {
      idle.withLock { engines in
        // Batches of all sizes come and go; the newest are kept.
        if engines.count >= Self.idleLimit { engines.removeFirst() }
        engines.append(back)
      }
    }
    return try body(engine)
  }
}

extension Model {
  /// Plans a training step of so many samples, and allocates nothing.
  ///
  /// - Throws: `LearnError` where there is none, as a batch of one has no variance to normalise by.
  public func checkBatch(_ batch: Int, _ optimizer: Optimizer) throws(LearnError) {
    _ = try GraphPlan(self, batch: batch, trains: true, optimizer, kernels.pointee)
  }

  /// Weights by the names of their tensors, each in the order of its shape.
  public func named(_ weights: Weights) -> [String: [Float]] {
    var named: [String: [Float]] = [:]
    weights.withValues { values in
      for parameter in parameters {
        named[parameter.name] = Array(values[parameter.offset..<(parameter.offset + parameter.count)])
      }
    }
    return named
  }

  /// Scores of samples as the model gives them when it is used: running statistics, no dropout.
  ///
  /// - Returns: for every row `output`'s elements, in the order of its shape.
  public func scores(_ weights: Weights, on samples: Samples, rows: Range<Int>) throws(LearnError) -> [Float] {
    guard samples.features == features else {
      throw .training("samples of \(samples.features) features for a model of \(features)")
    }
    guard !rows.isEmpty, rows.lowerBound >= 0, rows.upperBound <= samples.count else {
      throw .data("rows \(rows) of \(samples.count) samples")
    }
    let engine = try GraphEngine(
      self, maxBatch: min(Self.evaluationBatch, rows.count), trains: false, Optimizer())
    engine.load(weights)
    var scores: [Float] = []
    var start = rows.lowerBound
    while start < rows.upperBound {
      let end = min(rows.upperBound, start + Self.evaluationBatch)
      engine.load(samples, rows: Array(start..<end)[...])
      scores += try engine.scores(batch: end - start)
      start = end
    }
    return scores
  }
}

import Foundation
import Runtime
import Testing

@testable import Learn

/// Graphs as PyTorch exports them, without weights: convolutions, norms, attention, recurrence.
@Suite struct GraphEngineTests {
  struct Subject: Sendable, CustomTestStringConvertible {
    var name: String
    var loss = Loss.crossEntropy
    var tokens: Int?
    /// Of the weights after training, as `bits` does it, on every machine.
    var digest = ""
    var testDescription: String { name }

    func declaration() throws -> ModelDeclaration {
      let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/graphs")
      var declaration = ModelDeclaration()
      declaration.graph = [UInt8](try Data(contentsOf: folder.appending(path: name + ".onnx")))
      declaration.loss = loss
      return declaration
    }
    func samples(_ model: Model, _ count: Int) throws -> Samples {
      var stream = Seed(3).stream("rows")
      let features = (0..<(count * model.features)).map { _ in
        tokens.map { Float(stream.below($0)) } ?? Float(2 * stream.unit() - 1)
      }
      let targets: Dataset.Targets =
        model.loss == .crossEntropy
        ? .classes(
          (0..<(count * model.targets)).map { _ in stream.below(model.classes) }, per: model.targets, of: model.classes)
        : .values((0..<(count * model.targets)).map { _ in Float(stream.below(2)) }, per: model.targets)
      return try Dataset(features: .floats(features), targets: targets, shape: [model.features]).chunk(rows: 0..<count)
    }
  }
  static let subjects = [
    Subject(name: "cnn"), Subject(name: "resnet"), Subject(name: "gpt", tokens: 65), Subject(name: "lstm"),
    Subject(name: "gru"), Subject(name: "mobilenet"), Subject(name: "mixed-norms"),
    Subject(name: "unet", loss: .binaryLogits),
  ]

  /// Steps of seven samples and of what is left of eighteen; `bench learn-bits` takes twenty of them.
  private func bits(_ subject: Subject, _ set: String?, _ optimizer: Optimizer) throws -> Digest {
    let model = try Model(try subject.declaration(), instructionSet: set)
    let recipe = TrainingRecipe(learningRate: 0.01, optimizer: optimizer, batch: 7, epochs: 1, shuffle: true)
    return try model.train(
      from: model.initialWeights(seed: Seed(1)), on: try subject.samples(model, 18), recipe: recipe, seed: Seed(2)
    ).weights.digest
  }

  @Test(arguments: subjects) func `training gives the same bits on every instruction set`(_ subject: Subject) throws {
    var adam = Optimizer()
    adam.kind = .adamW
    adam.weightDecay = 0.01
    adam.clipNorm = 1
    for optimizer in [.sgd(momentum: 0.9), adam] {
      let digests = try Set(KernelTests.sets.map { try bits(subject, $0, optimizer) })
      #expect(digests.count == 1)
    }
  }

  @Test func `an engine used before, and beside others, gives the same bits`() async throws {
    let subject = Self.subjects[2]
    let model = try Model(try subject.declaration())
    let samples = try subject.samples(model, 18)
    let recipe = TrainingRecipe(learningRate: 0.01, optimizer: .sgd(momentum: 0.5), batch: 7, epochs: 2, shuffle: true)
    let start = model.initialWeights(seed: Seed(1))
    let alone = try model.train(from: start, on: samples, recipe: recipe, seed: Seed(2)).weights.digest
    for workers in [1, 2, 4] {
      let all = await withTaskGroup(of: Digest?.self) { group in
        for _ in 0..<workers {
          group.addTask {
            try? model.train(from: start, on: samples, recipe: recipe, seed: Seed(2)).weights.digest
          }
        }
        var found: [Digest?] = []
        for await digest in group { found.append(digest) }
        return found
      }
      #expect(all.allSatisfy { $0 == alone })
    }
  }

  @Test(arguments: subjects) func `gradients agree with differences along their direction`(_ subject: Subject) throws {
    let model = try Model(try subject.declaration())
    let samples = try subject.samples(model, 6)
    let rows = Array(0..<6)
    let inspection = try Inspection(model, TrainingRecipe(learningRate: 1, batch: 6), seed: Seed(1))
    let start = model.initialWeights(seed: Seed(1))
    inspection.load(start)
    _ = try inspection.gradient(samples, rows)
    let gradient = inspection.gradients().values
    let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    #expect(norm > 1e-4)
    func loss(_ way: Double) throws -> Double {
      let moved = zip(start.values, gradient).map { Float(Double($0) + way * Double($1) / norm) }
      inspection.load(Weights(values: moved, for: model))
      return try inspection.gradient(samples, rows)
    }
    let way = 3e-3
    let slope = (try loss(way) - loss(-way)) / (2 * way)
    #expect(abs(slope - norm) <= 0.03 * norm, "\(slope) along a gradient of \(norm)")
  }

  @Test func `a chain trained as a graph goes the same way`() throws {
    let declaration = ModelDeclaration(
      input: [1, 8, 8],
      layers: [.convolution(channels: 17, kernel: 3), .relu, .maxPool, .dense(20), .relu, .dense(5)])
    let model = try Model(declaration)
    let samples = try KernelTests.chunk(model, 40)
    let start = model.initialWeights(seed: Seed(1))
    let chain = try model.train(
      from: start, on: samples, recipe: TrainingRecipe(learningRate: 0.02, momentum: 0.5, batch: 7), seed: Seed(2))
    // A bound that no gradient reaches changes nothing but the engine.
    var optimizer = Optimizer.sgd(momentum: 0.5)
    optimizer.clipNorm = 1e6
    let graph = try model.train(
      from: start, on: samples, recipe: TrainingRecipe(learningRate: 0.02, optimizer: optimizer, batch: 7),
      seed: Seed(2))
    #expect(abs(chain.loss - graph.loss) < 1e-5)
    #expect(zip(chain.weights.values, graph.weights.values).allSatisfy { abs($0 - $1) < 2e-5 })
  }

  @Test func `the memory that was planned is the memory that is taken, and pieces at work do not overlap`() throws {
    for subject in Self.subjects {
      let model = try Model(try subject.declaration())
      let inspection = try Inspection(model, TrainingRecipe(learningRate: 1, batch: 5), seed: Seed(1))
      #expect(inspection.plannedBytes > model.parameterCount * 8)
    }
    var stream = Seed(9).stream("pieces")
    let pieces = (0..<200).map { _ in
      let piece = Piece(1 + stream.below(1_000))
      let first = stream.below(50)
      piece.need(at: first)
      piece.need(at: first + stream.below(10))
      return piece
    }
    let floats = MemoryPlan.place(pieces)
    for (index, a) in pieces.enumerated() {
      #expect(a.offset >= 0 && a.offset + Arena.size(a.floats) <= floats)
      for b in pieces[(index + 1)...] where a.first <= b.last && b.first <= a.last {
        #expect(a.offset + Arena.size(a.floats) <= b.offset || b.offset + Arena.size(b.floats) <= a.offset)
      }
    }
  }

  @Test(arguments: subjects) func `a step reads nothing that nobody wrote`(_ subject: Subject) throws {
    let model = try Model(try subject.declaration())
    var optimizer = Optimizer()
    optimizer.kind = .adam
    optimizer.clipNorm = 0.01
    let samples = try subject.samples(model, 5)
    let start = model.initialWeights(seed: Seed(1))
    var digests: Set<Digest> = []
    for value: Float in [0, 1e6, .infinity, .nan] {
      let inspection = try Inspection(
        model, TrainingRecipe(learningRate: 0.01, optimizer: optimizer, batch: 5), seed: Seed(1))
      inspection.load(start)
      for _ in 0..<2 {
        inspection.soil(value)
        _ = try inspection.step(samples, Array(0..<5))
      }
      digests.insert(inspection.weights().digest)
    }
    #expect(digests.count == 1)
  }

  @Test func `a trail of digests ends in the weights`() throws {
    let subject = Self.subjects[3]
    let model = try Model(try subject.declaration())
    var recipe = TrainingRecipe(learningRate: 0.01, batch: 6, epochs: 2)
    recipe.trail = 3
    let outcome = try model.train(
      from: model.initialWeights(seed: Seed(1)), on: try subject.samples(model, 18), recipe: recipe, seed: Seed(2))
    #expect(outcome.steps == 6 && outcome.trail.count == 2 && outcome.trail[1] == outcome.weights.digest)
    #expect(outcome.trail[0] != outcome.trail[1])
  }

  @Test func `dropout drops as the seed says, in training alone`() throws {
    let file = ONNXDraft().with {
      $0.nodes = [
        onnxNode("Mul", ["x", "w"], ["h"]), onnxNode("Dropout", ["h", "ratio", "on"], ["y"]),
      ]
      $0.initializers = [
        onnxTensor("w", [64]).content(9, rawFloats(Array(repeating: 1, count: 64))),
        onnxTensor("ratio", []).content(9, rawFloats([0.25])), onnxTensor("on", 9, []).content(9, [1]),
      ]
      $0.inputs = [onnxValue("x", 1, [Proto().text(2, "batch"), Proto().int(1, 64)])]
    }
    var declaration = ModelDeclaration()
    declaration.graph = file.bytes
    declaration.loss = .squared
    let model = try Model(declaration)
    let samples = try Dataset(
      features: .floats(Array(repeating: 1, count: 640)), targets: .values(Array(repeating: 0, count: 640), per: 64),
      shape: [64]
    ).chunk(rows: 0..<10)
    let start = try #require(try model.fileWeights())
    let recipe = TrainingRecipe(learningRate: 0.1, batch: 10)
    let one = try model.train(from: start, on: samples, recipe: recipe, seed: Seed(1))
    let other = try model.train(from: start, on: samples, recipe: recipe, seed: Seed(2))
    #expect(one == (try model.train(from: start, on: samples, recipe: recipe, seed: Seed(1))))
    #expect(one.weights != other.weights)
    // Kept shares are scaled up: the mean square is 1/0.75 where a quarter is dropped.
    #expect(abs(one.loss - 1 / 0.75) < 0.1)
    #expect(try model.scores(start, on: samples, rows: 0..<10).allSatisfy { $0 == 1 })
  }

  @Test func `optimizers worked by hand`() throws {
    // y = w x with x = 1 and target 0: the gradient is 2 w.
    let file = ONNXDraft().with {
      $0.nodes = [onnxNode("Mul", ["x", "w"], ["y"])]
      $0.initializers = [onnxTensor("w", [1]).content(9, rawFloats([1]))]
      $0.inputs = [onnxValue("x", 1, [Proto().text(2, "batch"), Proto().int(1, 1)])]
    }
    var declaration = ModelDeclaration()
    declaration.graph = file.bytes
    declaration.loss = .squared
    let model = try Model(declaration)
    let samples = try Dataset(features: .floats([1, 1]), targets: .values([0, 0], per: 1), shape: [1]).chunk(
      rows: 0..<2)
    let start = try #require(try model.fileWeights())
    func after(_ change: (inout Optimizer) -> Void) throws -> Double {
      var optimizer = Optimizer()
      change(&optimizer)
      let recipe = TrainingRecipe(learningRate: 0.1, optimizer: optimizer, batch: 1)
      return Double(try model.train(from: start, on: samples, recipe: recipe, seed: Seed(1)).weights.values[0])
    }
    #expect(abs(try after { _ in } - 0.64) < 1e-6)
    // v = 2, w = 0.8; v = 1.8 + 1.6 = ..., with momentum a half: v = 1 + 1.6, w = 0.54.
    #expect(abs(try after { $0.momentum = 0.5 } - 0.54) < 1e-6)
    // Nesterov: g + m v: 2 + 1 = 3, w = 0.7; v = 1 + 1.4 = 2.4; 1.4 + 1.2 = 2.6, w = 0.44.
    #expect(
      abs(
        try after {
          $0.momentum = 0.5
          $0.isNesterov = true
        } - 0.44) < 1e-6)
    // Decay adds w: 2.1 w each time.
    #expect(abs(try after { $0.weightDecay = 0.1 } - 0.79 * 0.79) < 1e-6)
    // A norm of at most 1: 0.9, then 0.8.
    #expect(abs(try after { $0.clipNorm = 1 } - 0.8) < 1e-5)
    // The pull is none at first, then -0.2 of it: 0.8 - 0.1 (1.6 - 0.1).
    #expect(abs(try after { $0.proximal = 0.5 } - 0.65) < 1e-6)
    // Adam's first steps are of the size of the rate.
    #expect(abs(try after { $0.kind = .adam } - 0.8) < 2e-3)
    #expect(
      abs(
        try after {
          $0.kind = .adamW
          $0.weightDecay = 1
        } - (0.8 * 0.9 - 0.1)) < 2e-3)
  }

  @Test(arguments: [0, 1, 2, 3, 7]) func `OpenBLAS comes to nearly the same weights, or says why it is not used`(
    _ index: Int
  ) throws {
    let subject = Self.subjects[index]
    var declaration = try subject.declaration()
    let ours = try Model(declaration)
    declaration.arithmetic = .blas
    #expect(try ModelDeclaration(wireBytes: declaration.wireBytes) == declaration)
    let theirs: Model
    do throws(LearnError) { theirs = try Model(declaration) } catch {
      #expect(error.description.contains("OPENBLAS_CORETYPE") || error.description.contains("not installed"))
      return
    }
    let samples = try subject.samples(ours, 12)
    let start = ours.initialWeights(seed: Seed(1))
    let recipe = TrainingRecipe(learningRate: 0.01, batch: 6)
    let a = try ours.train(from: start, on: samples, recipe: recipe, seed: Seed(2))
    let b = try theirs.train(from: start, on: samples, recipe: recipe, seed: Seed(2))
    #expect(abs(a.loss - b.loss) < 1e-4)
    #expect(zip(a.weights.values, b.weights.values).allSatisfy { abs($0 - $1) < 1e-4 })
  }

  @Test func `rates follow their schedules`() {
    var schedule = RateSchedule()
    schedule.kind = .cosine
    schedule.warmup = 2
    schedule.floor = 0.1
    let shares = (0..<12).map { schedule.share(round: $0, of: 12) }
    #expect(abs(shares[0] - 1 / 3) < 1e-12 && abs(shares[1] - 2 / 3) < 1e-12 && shares[2] == 1)
    #expect(abs(shares[11] - 0.1) < 1e-12 && zip(shares[2...], shares[3...]).allSatisfy { $0 > $1 })
    schedule.kind = .step
    schedule.warmup = 0
    schedule.every = 3
    schedule.factor = 0.5
    #expect((0..<7).map { schedule.share(round: $0, of: 7) } == [1, 1, 1, 0.5, 0.5, 0.5, 0.25])
    schedule.kind = .linear
    schedule.floor = 0
    #expect(schedule.share(round: 2, of: 5) == 0.5)
  }
}

/// Shapes of graphs in which a gradient comes together from several sides, or goes nowhere.
@Suite struct GradientPathTests {
  private func model(_ nodes: [Proto]) throws -> Model {
    func matrix(_ name: String, _ seed: Int) -> Proto {
      var stream = Seed(UInt64(seed)).stream(name)
      return onnxTensor(name, [6, 6]).content(9, rawFloats((0..<36).map { _ in Float(stream.unit() - 0.5) }))
    }
    let file = ONNXDraft().with {
      $0.nodes = nodes
      $0.initializers = [
        matrix("a", 1), matrix("b", 2), onnxTensor("t", []).content(9, rawFloats([0.1])),
      ]
      $0.inputs = [onnxValue("x", 1, [Proto().text(2, "batch"), Proto().int(1, 6)])]
    }
    var declaration = ModelDeclaration()
    declaration.graph = file.bytes
    declaration.loss = .squared
    return try Model(declaration)
  }
  /// The slope along the gradient, by differences, over its length: 1.
  private func agreement(_ model: Model, batch: Int) throws -> Double {
    var stream = Seed(7).stream("x")
    let features = (0..<(batch * 6)).map { _ in Float(2 * stream.unit() - 1) }
    let samples = try Dataset(
      features: .floats(features),
      targets: .values(Array(repeating: 0.25, count: batch * model.targets), per: model.targets),
      shape: [6]
    ).chunk(rows: 0..<batch)
    let rows = Array(0..<batch)
    let inspection = try Inspection(model, TrainingRecipe(learningRate: 1, batch: batch), seed: Seed(1))
    let start = try #require(try model.fileWeights())
    inspection.load(start)
    _ = try inspection.gradient(samples, rows)
    let gradient = inspection.gradients().values
    let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    func loss(_ way: Double) throws -> Double {
      let moved = zip(start.values, gradient).map { Float(Double($0) + way * Double($1) / norm) }
      inspection.load(Weights(values: moved, for: model))
      return try inspection.gradient(samples, rows)
    }
    return (try loss(1e-3) - loss(-1e-3)) / 2e-3 / norm
  }

  @Test(arguments: [1, 8, 32, 33]) func `branches add up`(_ batch: Int) throws {
    let residual = try model([
      onnxNode("MatMul", ["x", "a"], ["h"]), onnxNode("Tanh", ["h"], ["u"]), onnxNode("MatMul", ["u", "b"], ["v"]),
      onnxNode("Add", ["u", "v"], ["y"]),
    ])
    #expect(abs(try agreement(residual, batch: batch) - 1) < 0.01)
    let heads = try model([
      onnxNode("MatMul", ["x", "a"], ["h"]), onnxNode("MatMul", ["h", "b"], ["u"]),
      onnxNode("MatMul", ["h", "a"], ["v"]),
      onnxNode("Mul", ["u", "v"], ["y"]),
    ])
    #expect(abs(try agreement(heads, batch: batch) - 1) < 0.01)
  }

  @Test func `what only chooses has no gradient, and leaves none behind`() throws {
    let gate = try model([
      onnxNode("MatMul", ["x", "a"], ["h"]), onnxNode("MatMul", ["x", "b"], ["g"]), onnxNode("Mul", ["g", "g"], ["q"]),
      onnxNode("Greater", ["q", "t"], ["c"]), onnxNode("Where", ["c", "h", "x"], ["y"]),
    ])
    #expect(gate.parameters.map(\.isTrained) == [true, false])
    #expect(abs(try agreement(gate, batch: 8) - 1) < 0.01)
  }

  /// Widths that are no whole vectors, and enough rows for a turned copy of the weights: what lies behind a row must stay zero, or
  /// a bound on the gradient's length measures memory.
  @Test func `a bound measures gradients alone, whatever lay in memory before`() throws {
    func tensor(_ name: String, _ shape: [Int64]) -> Proto {
      var stream = Seed(4).stream(name)
      let count = Int(shape.reduce(1, *))
      return onnxTensor(name, shape).content(9, rawFloats((0..<count).map { _ in Float(stream.unit() - 0.5) }))
    }
    let file = ONNXDraft().with {
      $0.nodes = [
        onnxNode("MatMul", ["x", "a"], ["h"]), onnxNode("MatMul", ["h", "b"], ["v"]),
        onnxNode("MatMul", ["v", "c"], ["y"]),
      ]
      $0.initializers = [tensor("a", [13, 21]), tensor("b", [21, 19]), tensor("c", [19, 5])]
      $0.inputs = [onnxValue("x", 1, [Proto().text(2, "batch"), Proto().int(1, 13)])]
    }
    var declaration = ModelDeclaration()
    declaration.graph = file.bytes
    declaration.loss = .squared
    let model = try Model(declaration)
    func samples(_ size: Float) throws -> Samples {
      var stream = Seed(8).stream("x")
      return try Dataset(
        features: .floats((0..<520).map { _ in size * Float(2 * stream.unit() - 1) }),
        targets: .values((0..<200).map { _ in size * Float(stream.unit()) }, per: 5), shape: [13]
      ).chunk(rows: 0..<40)
    }
    var optimizer = Optimizer()
    optimizer.clipNorm = 0.01
    let recipe = TrainingRecipe(learningRate: 0.1, optimizer: optimizer, batch: 40)
    let start = try #require(try model.fileWeights())
    let inspection = try Inspection(model, recipe, seed: Seed(1))
    let rows = Array(0..<40)
    inspection.load(start)
    inspection.soil(1e6)
    _ = try inspection.gradient(samples(1), rows)
    let gradient = inspection.gradients().values
    let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    inspection.load(start)
    inspection.soil(1e6)
    _ = try inspection.step(samples(1), rows)
    let scale = min(1, 0.01 / (norm + 1e-6))
    for (index, value) in inspection.weights().values.enumerated() {
      #expect(abs(Double(value) - (Double(start.values[index]) - 0.1 * scale * Double(gradient[index]))) < 1e-7)
    }
  }

  @Test func `one number for each sample is a column`() throws {
    let column = try model([
      onnxNode("MatMul", ["x", "a"], ["h"]),
      onnxNode(
        "ReduceMean", ["h"], ["y"], [onnxAttribute("axes", 7).int(8, 1), onnxAttribute("keepdims", 2).int(3, 0)]),
    ])
    #expect(column.output == [1])
    #expect(abs(try agreement(column, batch: 8) - 1) < 0.01)
  }
}

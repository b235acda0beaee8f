import Glibc
import Runtime
import Testing

@testable import Learn

@Suite struct LooseAuditTests {
  private let model: Model
  private let samples: Samples
  private let start: Weights
  private let recipe = TrainingRecipe(learningRate: 0.05, batch: 8, epochs: 2, shuffle: true)
  private let own: TrainingOutcome

  init() throws {
    model = try Model(ModelDeclaration(input: [12], layers: [.dense(32), .relu, .dense(5)]))
    samples = try Self.chunk(0)
    start = model.initialWeights(seed: Seed(2))
    own = try model.train(from: start, on: samples, recipe: recipe, seed: Seed(3))
  }
  /// Chunks of one dataset: samples of the same kind.
  private static func chunk(_ number: Int) throws -> Samples {
    let data = try Blobs.dataset(samples: 400, features: 12, classes: 5, spread: 2, seed: Seed(1))
    return try data.chunk(rows: (80 * number)..<(80 * number + 80))
  }

  private func judge(_ claimed: Weights) throws -> LooseAudit.Verdict {
    try #require(LooseAudit(steps: own.steps, optimizer: .sgd)).judge(
      claimed, own: own.weights, from: start, on: samples, model: model)
  }
  /// What a claim would be that is made of the honest update, weight by weight.
  private func claim(_ make: (Int, Float) -> Float) -> Weights {
    let values = zip(start.values, own.weights.values).enumerated().map { index, pair in
      pair.0 + make(index, pair.1 - pair.0)
    }
    return Weights(values: values, for: model)
  }
  private var length: Double {
    zip(start.values, own.weights.values).reduce(0) { $0 + Double($1.1 - $1.0) * Double($1.1 - $1.0) }.squareRoot()
  }

  /// The same training by other arithmetic: plain loops, sums from the end, the C library's exponential.
  private func otherEngine() -> Weights {
    var w = start.values
    let offsets = model.parameters.map(\.offset)
    let (inputs, hidden, classes) = (12, 32, 5)
    var row = [Float](repeating: 0, count: inputs)
    for order in recipe.orders(count: samples.count, seed: Seed(3)) {
      for first in stride(from: 0, to: order.count, by: recipe.batch) {
        let rows = order[first..<min(order.count, first + recipe.batch)]
        var slope = [Float](repeating: 0, count: w.count)
        for index in rows.reversed() {
          row.withUnsafeMutableBufferPointer { samples.load(index, into: $0.baseAddress!, model.kernels.pointee) }
          var middle = [Float](repeating: 0, count: hidden)
          for unit in 0..<hidden {
            for feature in (0..<inputs).reversed() {
              middle[unit] += w[offsets[0] + unit * inputs + feature] * row[feature]
            }
            middle[unit] = max(0, middle[unit] + w[offsets[1] + unit])
          }
          var scores = [Float](repeating: 0, count: classes)
          for label in 0..<classes {
            for unit in (0..<hidden).reversed() {
              scores[label] += w[offsets[2] + label * hidden + unit] * middle[unit]
            }
            scores[label] = expf(scores[label] + w[offsets[3] + label])
          }
          let sum = scores.reversed().reduce(0, +)
          var back = [Float](repeating: 0, count: hidden)
          for label in 0..<classes {
            let error = (scores[label] / sum - (label == samples.label(index) ? 1 : 0)) / Float(rows.count)
            slope[offsets[3] + label] += error
            for unit in 0..<hidden {
              slope[offsets[2] + label * hidden + unit] += error * middle[unit]
              back[unit] += error * w[offsets[2] + label * hidden + unit]
            }
          }
          for unit in 0..<hidden where middle[unit] > 0 {
            slope[offsets[1] + unit] += back[unit]
            for feature in 0..<inputs { slope[offsets[0] + unit * inputs + feature] += back[unit] * row[feature] }
          }
        }
        for index in w.indices { w[index] -= 0.05 * slope[index] }
      }
    }
    return Weights(values: w, for: model)
  }

  @Test func `the same bits and another engine's rounding are accepted`() throws {
    let same = try judge(own.weights)
    #expect(same.isAccepted && same.distance == 0 && same.length == 1)
    let other = otherEngine()
    #expect(other != own.weights)
    let verdict = try judge(other)
    #expect(verdict.isAccepted, "\(verdict.words)")
    #expect(verdict.distance > 0 && verdict.distance < 1e-4)
    // What it grows to on the way.
    var stream = Seed(5).stream
    let drifted = claim { _, move in move * (1 + 0.1 * Float(2 * stream.unit() - 1)) }
    #expect(try judge(drifted).isAccepted)
  }

  @Test func `no update at all is refused`() throws {
    let verdict = try judge(start)
    #expect(!verdict.isAccepted && verdict.distance == 1 && verdict.length == 0)
  }

  @Test(arguments: [-1, 0.5, 0.9, 0.97, 1.03, 1.1, 2, 100] as [Float])
  func `a scaled update is refused`(_ factor: Float) throws {
    let verdict = try judge(claim { _, move in move * factor })
    #expect(!verdict.isAccepted, "\(verdict.words)")
  }

  @Test func `noise of the right length is refused`() throws {
    var stream = Seed(6).stream
    let noise = (0..<model.parameterCount).map { _ in Float(2 * stream.unit() - 1) }
    let scale = Float(length / noise.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot())
    let verdict = try judge(claim { index, _ in noise[index] * scale })
    #expect(!verdict.isAccepted)
    #expect(abs(verdict.length - 1) < 0.01 && verdict.distance > 1)
  }

  @Test func `the update of another chunk, of fewer steps or of another order is refused`() throws {
    for number in 1..<5 {
      let other = try model.train(from: start, on: Self.chunk(number), recipe: recipe, seed: Seed(3))
      let verdict = try judge(other.weights)
      #expect(!verdict.isAccepted && verdict.distance > 0.35, "\(verdict)")
    }
    var shorter = recipe
    shorter.epochs = 1
    #expect(!(try judge(model.train(from: start, on: samples, recipe: shorter, seed: Seed(3)).weights).isAccepted))
    var longer = recipe
    longer.batch = 16
    #expect(!(try judge(model.train(from: start, on: samples, recipe: longer, seed: Seed(3)).weights).isAccepted))
  }

  @Test func `with Adam too, another chunk and a scaled update are refused, and rounding is accepted`() throws {
    var optimizer = Optimizer()
    optimizer.kind = .adam
    let recipe = TrainingRecipe(learningRate: 0.002, optimizer: optimizer, batch: 8, epochs: 2, shuffle: true)
    let honest = try model.train(from: start, on: samples, recipe: recipe, seed: Seed(3))
    let audit = try #require(LooseAudit(steps: honest.steps, optimizer: .adam))
    func isAccepted(_ claimed: Weights) throws -> Bool {
      try audit.judge(claimed, own: honest.weights, from: start, on: samples, model: model).isAccepted
    }
    var stream = Seed(5).stream
    let near = zip(start.values, honest.weights.values).map {
      $0 + ($1 - $0) * (1 + 0.1 * Float(2 * stream.unit() - 1))
    }
    #expect(try isAccepted(Weights(values: near, for: model)))
    let scaled = zip(start.values, honest.weights.values).map { $0 + ($1 - $0) * 1.1 }
    #expect(!(try isAccepted(Weights(values: scaled, for: model))))
    #expect(!(try isAccepted(start)))
    for number in 1..<5 {
      let other = try model.train(from: start, on: Self.chunk(number), recipe: recipe, seed: Seed(3))
      #expect(!(try isAccepted(other.weights)))
    }
  }

  @Test func `one tensor that was left alone or bent is refused by its name`() throws {
    for parameter in model.parameters {
      let range = parameter.offset..<(parameter.offset + parameter.count)
      let verdict = try judge(claim { index, move in range.contains(index) ? -move : move })
      #expect(!verdict.isAccepted, "\(parameter.name)")
    }
    let bias = model.parameters[3]
    let range = bias.offset..<(bias.offset + bias.count)
    let share = Float(length) * 0.08
    // Less than a whole update may be apart, and more than this tensor may.
    let verdict = try judge(
      claim { index, move in range.contains(index) ? move + (index % 2 == 0 ? share : -share) / 2 : move })
    #expect(!verdict.isAccepted)
    #expect(verdict.words.contains(bias.name), "\(verdict.words)")
  }

  @Test func `thresholds are wider for longer trainings and never wide open`() throws {
    let audits = [1, 20, 21, 100].compactMap { LooseAudit(steps: $0, optimizer: .sgd) }
    #expect(audits.count == 4 && LooseAudit(steps: 101, optimizer: .adam) == nil)
    for (a, b) in zip(audits, audits.dropFirst()) {
      #expect(a.distance <= b.distance && a.length <= b.length && a.loss <= b.loss)
    }
    #expect(audits.allSatisfy { $0.distance < 0.5 && $0.length < 0.1 })
  }

  @Test func `where nothing moved, nothing may be claimed`() throws {
    let audit = try #require(LooseAudit(steps: 1, optimizer: .sgd))
    let still = try audit.judge(start, own: start, from: start, on: samples, model: model)
    #expect(still.isAccepted)
    let moved = try audit.judge(own.weights, own: start, from: start, on: samples, model: model)
    #expect(!moved.isAccepted && moved.distance == .infinity)
  }

  @Test func `running statistics are looked at too`() throws {
    let path = #filePath.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/Fixtures/cnn-training.onnx"
    let bytes = try Blob.read(path)
    var declaration = ModelDeclaration()
    declaration.graph = try ONNXModel(bytes: bytes, named: "a net").stripped(of: [])
    let net = try Model(unbounded: declaration)
    let statistics = net.parameters.filter { !$0.isTrained }
    #expect(!statistics.isEmpty)
    let begin = try #require(try net.fileWeights())
    let data = try Blobs.dataset(samples: 16, features: net.features, classes: net.classes, seed: Seed(1))
    let chunk = try data.chunk(rows: 0..<16)
    let recipe = TrainingRecipe(learningRate: 0.01, batch: 8)
    let honest = try net.train(from: begin, on: chunk, recipe: recipe, seed: Seed(1)).weights
    let audit = try #require(LooseAudit(steps: 2, optimizer: .sgd))
    #expect(try audit.judge(honest, own: honest, from: begin, on: chunk, model: net).isAccepted)
    for parameter in statistics {
      var values = honest.values
      for index in parameter.offset..<(parameter.offset + parameter.count) { values[index] *= 1.5 }
      let bent = Weights(values: values, for: net)
      let verdict = try audit.judge(bent, own: honest, from: begin, on: chunk, model: net)
      #expect(!verdict.isAccepted && verdict.words.contains(parameter.name), "\(verdict.words)")
    }
  }

  private enum Blob {
    static func read(_ path: String) throws -> [UInt8] {
      let file = try #require(fopen(path, "rb"))
      defer { fclose(file) }
      var bytes: [UInt8] = []
      var block = [UInt8](repeating: 0, count: 1 << 16)
      while case let got = fread(&block, 1, block.count, file), got > 0 { bytes += block[..<got] }
      return bytes
    }
  }
}

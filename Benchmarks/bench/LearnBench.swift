import ArgumentParser
import Foundation
import Learn
import Runtime

/// Training steps of one model, one thread, one line of JSON.
struct LearnBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "learn-bench", abstract: "Measure training steps of an ONNX model on rows made at random.")

  @Argument(help: "The model's file.") var model: String
  @Option(help: "Samples of a step.") var batch: Int = 32
  @Option(help: "For how long.") var seconds: Double = 2
  @Option(help: "avx512, avx2 or plain; without it the best there is.") var instructionSet: String?
  @Option(help: "softmax_cross_entropy, bce_with_logits, bce or mse.") var loss: String = "softmax_cross_entropy"
  @Option(help: "The largest whole number that the model's tables take, for models of tokens.") var tokens: Int?

  @Option(help: "A folder of Fashion-MNIST, whose first 64 batches are learned instead of rows made at random.")
  var fashion: String?

  struct Line: Encodable {
    var samples_per_second: Double
    var flops_share: Double
    var peak_gflops: Double
    var loss: Double
  }

  func run() throws {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: model)))
    let file = try ONNXModel(bytes: bytes, named: model)
    var declaration = ModelDeclaration()
    declaration.graph = bytes
    declaration.loss =
      switch loss {
      case "mse": .squared
      case "bce": .binaryShares
      case "bce_with_logits": .binaryLogits
      default: .crossEntropy
      }
    let learned = try Model(unbounded: declaration, instructionSet: instructionSet)
    guard let start = try learned.fileWeights() else { throw ValidationError("\(model) has no weights") }
    let takesTokens = file.inputs.first?.element == .int64
    let samples: Samples
    if let fashion {
      let images = try IDX.fashionMNIST(train: true, folder: fashion)
      samples = try images.chunk(rows: 0..<(64 * batch))
    } else {
      samples = try RandomRows.samples(learned, batch: batch, takesTokens ? tokens ?? learned.classes : nil)
    }
    let batches = samples.count / batch
    let steps = try Steps(learned, TrainingRecipe(learningRate: 1e-3, batch: batch), from: start)
    let order = Array(0..<samples.count)
    var taken = 0
    var last = 0.0
    func go() throws {
      let from = taken % batches * batch
      last = try steps.take(samples, order[from..<(from + batch)])
      taken += 1
    }
    for _ in 0..<3 { try go() }
    let peak = Peak.gflops(instructionSet)
    taken = 0
    let began = Spent.now
    while (Spent.now - began).wall < seconds { for _ in 0..<2 { try go() } }
    let spent = (Spent.now - began).wall
    let rate = Double(taken * batch) / spent
    let line = Line(
      samples_per_second: rate, flops_share: rate * Double(learned.flopsPerSample) / (peak * 1e9), peak_gflops: peak,
      loss: last)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    print(String(decoding: try encoder.encode(line), as: UTF8.self))
  }
}

/// Samples of chance for any model.
enum RandomRows {
  static func samples(_ model: Model, batch: Int, _ tokens: Int?) throws -> Samples {
    var stream = Seed(5).stream("rows")
    let count = 4 * batch
    var features: [Float] = []
    for _ in 0..<(count * model.features) {
      features.append(tokens.map { Float(stream.below($0)) } ?? Float(2 * stream.unit() - 1))
    }
    let targets: Dataset.Targets
    if model.loss == .crossEntropy {
      targets = .classes(
        (0..<(count * model.targets)).map { _ in stream.below(model.classes) }, per: model.targets, of: model.classes)
    } else {
      targets = .values((0..<(count * model.targets)).map { _ in Float(stream.below(2)) }, per: model.targets)
    }
    return try Dataset(features: .floats(features), targets: targets, shape: [model.features])
      .chunk(rows: 0..<count)
  }
}

/// The rate of multiplications and additions that one core sustains on matrices in its first-level cache.
enum Peak {
  static func gflops(_ instructionSet: String?) -> Double {
    var best = 0.0
    for _ in 0..<5 {
      let began = Spent.now
      let flops = ArithmeticRate.work(instructionSet, rounds: 400)
      let spent = (Spent.now - began).wall
      if spent > 0 { best = max(best, flops / spent / 1e9) }
    }
    return max(best, 0.001)
  }
}

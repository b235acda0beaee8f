import ArgumentParser
import Foundation
import Learn
import Runtime

/// Trains graphs on every instruction set and by several workers, and compares the weights in every bit.
struct BitsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "learn-bits", abstract: "Train graphs everywhere this processor can, and compare every bit.")

  @Argument(help: "A folder of graphs without weights.") var graphs: String
  @Option(help: "Graphs, with commas between them.") var only: String = "cnn,resnet,gpt"
  @Option(help: "Steps of seven samples, the last of each epoch of fewer.") var steps: Int = 20
  @Flag(help: "Only one set, the best, and one worker: for comparison with another build.") var alone = false
  @Flag(help: "Train the cnn for a whole epoch of Fashion-MNIST too, on the two fastest sets.") var epoch = false
  @Option(help: "Where Fashion-MNIST lies.") var fashion: String = "/usr/share/datasets/fashion-mnist"

  func run() async throws {
    var isSame = true
    for name in only.split(separator: ",").map(String.init) {
      var declaration = ModelDeclaration()
      declaration.graph = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(graphs)/\(name).onnx")))
      // Eighteen samples: steps of 7, 7 and 4.
      let epochs = max(1, (steps + 2) / 3)
      for optimizer in [Optimizer.sgd(momentum: 0.9), adam] {
        let recipe = TrainingRecipe(learningRate: 0.01, optimizer: optimizer, batch: 7, epochs: epochs, shuffle: true)
        var digests: [String: Digest] = [:]
        for set in alone ? [] : ["avx512", "avx2", "plain"] {
          guard let model = try? Model(declaration, instructionSet: set) else { continue }
          digests[set] = try train(model, samples(model, 18), recipe)
        }
        let model = try Model(declaration)
        let chunk = try samples(model, 18)
        for workers in alone ? [1] : [1, 2, 4] {
          let found = await withTaskGroup(of: Digest?.self) { group in
            for _ in 0..<workers { group.addTask { try? train(model, chunk, recipe) } }
            var found: [Digest?] = []
            for await digest in group { found.append(digest) }
            return found
          }
          for (index, digest) in found.enumerated() { digests["worker \(index + 1) of \(workers)"] = digest }
        }
        isSame = tell("\(name), \(epochs * 3) steps of \(optimizer.kind)", digests) && isSame
      }
    }
    if epoch { isSame = try wholeEpoch() && isSame }
    if !isSame { throw ExitCode(1) }
  }

  private var adam: Optimizer {
    var optimizer = Optimizer()
    optimizer.kind = .adam
    return optimizer
  }

  private func wholeEpoch() throws -> Bool {
    var declaration = ModelDeclaration()
    declaration.graph = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(graphs)/cnn.onnx")))
    let images = try IDX.fashionMNIST(train: true, folder: fashion)
    let chunk = try images.chunk(rows: 0..<images.count)
    var digests: [String: Digest] = [:]
    for set in ["avx512", "avx2"] {
      guard let model = try? Model(declaration, instructionSet: set) else { continue }
      digests[set] = try train(model, chunk, TrainingRecipe(learningRate: 0.05, batch: 32, shuffle: true))
    }
    return tell("cnn, an epoch of \(images.count) samples", digests)
  }

  private func train(_ model: Model, _ chunk: Samples, _ recipe: TrainingRecipe) throws -> Digest {
    try model.train(from: model.initialWeights(seed: Seed(1)), on: chunk, recipe: recipe, seed: Seed(2)).weights.digest
  }

  /// One line: the digest that all have, or who has which.
  private func tell(_ what: String, _ digests: [String: Digest]) -> Bool {
    if let first = digests.values.first, digests.values.allSatisfy({ $0 == first }) {
      print("\(what): \(first.hex)")
      return true
    }
    print("\(what): NOT THE SAME")
    for (name, digest) in digests.sorted(by: { $0.key < $1.key }) { print("  \(name): \(digest.hex)") }
    return false
  }

  private func samples(_ model: Model, _ count: Int) throws -> Samples {
    var stream = Seed(3).stream("rows")
    let isTokens = model.targets > 1 && model.features == model.targets
    let features = (0..<(count * model.features)).map { _ in
      isTokens ? Float(stream.below(model.classes)) : Float(2 * stream.unit() - 1)
    }
    let classes = (0..<(count * model.targets)).map { _ in stream.below(model.classes) }
    return try Dataset(
      features: .floats(features), targets: .classes(classes, per: model.targets, of: model.classes),
      shape: [model.features]
    ).chunk(rows: 0..<count)
  }
}

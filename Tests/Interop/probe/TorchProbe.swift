import Foundation
import Learn
import Runtime
import TorchWorker

extension Probe {
  /// Trains by our engine and by the torch worker, with the rows in an order drawn from a seed. Gives for every parameter its
  /// values before (`start.`) and after (`native.`, `torch.`) and its first gradient; the losses of both; and what a loose audit
  /// says: accepted or not, distance, length.
  static func byTorch(
    _ model: Model, _ start: Weights, _ samples: Samples, _ recipe: TrainingRecipe, steps: Int,
    _ options: [String: String]
  ) async throws -> [(name: String, shape: [Int], values: [Float])] {
    guard let python = options["--python"], let script = options["--script"] else {
      throw Trouble("--engine torch needs --python and --script")
    }
    var recipe = recipe
    recipe.shuffle = true
    recipe.epochs = max(1, steps / max(1, (samples.count + recipe.batch - 1) / recipe.batch))
    let seed = Seed(options["--seed"].flatMap { UInt64($0) } ?? 1)
    var settings = TorchWorker.Settings()
    settings.threads = 1
    settings.device = options["--device"] ?? "cpu"
    let worker = TorchWorker(python: python, script: script, settings: settings)
    let torch = try await worker.train(model: model, from: start, on: samples, recipe: recipe, seed: seed)
    let native = try model.train(from: start, on: samples, recipe: recipe, seed: seed)
    // A second training in the same process begins at rest.
    let again = try await worker.train(model: model, from: start, on: samples, recipe: recipe, seed: seed)
    guard again.weights == torch.weights || model.declaration.hasNoDropout == false else {
      throw Trouble("a second training of the same worker gave other weights")
    }
    guard torch.steps == native.steps, !torch.isVerifiable else { throw Trouble("\(torch.steps) steps") }
    let inspection = try Inspection(model, recipe, seed: seed)
    inspection.load(start)
    let first = Array(recipe.orders(count: samples.count, seed: seed))[0].prefix(recipe.batch)
    _ = try inspection.gradient(samples, Array(first))
    let gradients = inspection.gradients().values
    let verdict = try
      (LooseAudit(steps: native.steps, optimizer: recipe.optimizer.kind)
      ?? LooseAudit(distance: 1, length: 0.1, loss: 0.1)).judge(
        torch.weights, own: native.weights, from: start, on: samples, model: model)
    FileHandle.standardError.write(Data("audit: \(verdict.words)\n".utf8))
    var tensors: [(name: String, shape: [Int], values: [Float])] = [
      ("losses", [2], [Float(native.loss), Float(torch.loss)]),
      ("audit", [3], [verdict.isAccepted ? 1 : 0, Float(verdict.distance), Float(verdict.length)]),
    ]
    for (name, values) in [
      ("start", start.values), ("native", native.weights.values), ("torch", torch.weights.values),
      ("gradient", gradients),
    ] {
      for parameter in model.parameters where name != "gradient" || parameter.isTrained {
        let range = parameter.offset..<(parameter.offset + parameter.count)
        tensors.append(("\(name).\(parameter.name)", parameter.shape, Array(values[range])))
      }
    }
    return tensors
  }
}

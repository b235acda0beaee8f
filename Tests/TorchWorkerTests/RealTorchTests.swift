import Glibc
import Learn
import Runtime
import Testing

@testable import TorchWorker

/// With PyTorch itself, where PEERMILL_TORCH_PYTHON names an interpreter that has it.
@Suite struct RealTorchTests {
  static let python = getenv("PEERMILL_TORCH_PYTHON").map { String(cString: $0) }

  @Test(.enabled(if: python != nil))
  func `layers on bytes come near to the engine's weights, and a loose audit accepts them`()
    async throws
  {
    let model = try Model(
      ModelDeclaration(
        input: [1, 8, 8],
        layers: [.convolution(channels: 4, kernel: 3), .relu, .maxPool, .dense(16), .relu, .dense(3)]))
    var stream = Seed(4).stream
    let bytes = (0..<(30 * 64)).map { _ in UInt8(stream.below(256)) }
    let data = try Dataset(
      features: .bytes(bytes, divisor: 255), targets: .classes((0..<30).map { $0 % 3 }, per: 1, of: 3),
      shape: [1, 8, 8])
    let samples = try data.chunk(rows: 0..<30)
    let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
    var settings = TorchWorker.Settings()
    settings.device = "cpu"
    settings.threads = 1
    let worker = TorchWorker(
      python: try #require(Self.python), script: "\(root)/python/peermill_torch.py", settings: settings)
    let start = model.initialWeights(seed: Seed(1))
    // 30 is no multiple of 8: the last batch of an epoch is smaller.
    let recipe = TrainingRecipe(learningRate: 0.1, momentum: 0.5, batch: 8, epochs: 3, shuffle: true)
    let native = try model.train(from: start, on: samples, recipe: recipe, seed: Seed(2))
    let torch = try await worker.train(model: model, from: start, on: samples, recipe: recipe, seed: Seed(2))
    #expect(torch.steps == native.steps)
    #expect(abs(torch.loss - native.loss) < 1e-5 * native.loss)
    for (a, b) in zip(native.weights.values, torch.weights.values) { #expect(abs(a - b) < 2e-5) }
    let audit = try #require(LooseAudit(steps: native.steps, optimizer: .sgd))
    #expect(try audit.judge(torch.weights, own: native.weights, from: start, on: samples, model: model).isAccepted)
    // A divergence is told in words, and the worker goes on.
    var wild = TrainingRecipe(learningRate: 1_000, batch: 1, epochs: 20)
    wild.optimizer.weightDecay = 1_000
    let pid = worker.pid
    let error = await #expect(throws: TorchError.self) {
      try await worker.train(model: model, from: start, on: samples, recipe: wild, seed: Seed(2))
    }
    #expect("\(error, default: "")".contains("it diverged") && worker.pid == pid)
    let again = try await worker.train(model: model, from: start, on: samples, recipe: recipe, seed: Seed(2))
    #expect(again.weights == torch.weights)
  }
}

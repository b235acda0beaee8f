import ArgumentParser
import Foundation
import Glibc
import Learn
import Runtime
import RuntimeLive

@main
struct NodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peermill-node",
    abstract: "A peer on a real network.",
    discussion: """
      What is here: keys, and a look at this machine. The roles on a real network (trainer, coordinator, auditor, bootstrap) are
      not in this build: they need the libp2p, Hedera and S3 adapters. Rehearse a job with `scenario` meanwhile.

      Examples:
        peermill-node keygen --out trainer.key     make a key and show its peer id
        peermill-node doctor                       is this machine fit to train, and how fast is it?
      """,
    subcommands: [Keygen.self, Doctor.self])
}

struct Keygen: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make an Ed25519 key, readable by its owner alone, and show its peer id.")
  @Option(help: "The file to write; it must not exist.") var out: String

  func run() throws {
    var chance = SystemRandomNumberGenerator()
    let secret = (0..<32).map { _ in UInt8.random(in: 0...255, using: &chance) }
    guard let key = SigningKey(secret: secret) else { throw ValidationError("no key could be made") }
    let file = open(out, O_WRONLY | O_CREAT | O_EXCL, 0o600)
    guard file >= 0 else {
      throw ValidationError("\(out) exists, or cannot be written: \(String(cString: strerror(errno)))")
    }
    defer { close(file) }
    let text = Array("peermill-key-1 \(secret.hex)\n".utf8)
    guard write(file, text, text.count) == text.count, fsync(file) == 0 else {
      throw ValidationError("\(out) could not be written: \(String(cString: strerror(errno)))")
    }
    print("\(key.publicKey)")
  }
}

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Look at this machine: its kernels, whether they agree bit by bit, its speed, its clock.")

  func run() throws {
    let declaration = ModelDeclaration(
      input: [1, 12, 12],
      layers: [.convolution(channels: 8, kernel: 3), .relu, .maxPool, .dense(32), .relu, .dense(4)])
    let data = try Blobs.dataset(samples: 256, features: 144, classes: 4, seed: Seed(1))
    let chunk = try data.chunk(rows: 0..<256)
    let recipe = TrainingRecipe(learningRate: 0.01, momentum: 0.9, batch: 16, epochs: 2, shuffle: true)
    var digests: [(String, Digest)] = []
    for name in ["avx512", "avx2", "plain"] {
      guard let model = try? Model(declaration, instructionSet: name) else {
        print("kernels    \(name): not on this processor")
        continue
      }
      let outcome = try model.train(from: model.initialWeights(seed: Seed(1)), on: chunk, recipe: recipe, seed: Seed(1))
      digests.append((name, outcome.weights.digest))
      print("kernels    \(name): \(outcome.weights.digest.short)")
    }
    let agree = Set(digests.map(\.1)).count == 1
    print(
      agree
        ? "           they agree in every bit" : "           THEY DIFFER: do not train with this machine, and report it"
    )
    try measure()
    let (loop, time) = Loop.live(seed: Seed(1), workers: 1)
    let actor = loop.executor("doctor")
    loop.schedule(after: .milliseconds(20), on: actor) { loop.stop() }
    loop.run()
    loop.pool?.shutdown()
    let late = Double(time.elapsed()) / 1e6 - 20
    print("clock      a wait of 20 ms was \(Int(late.rounded())) ms late")
    if !agree { throw ExitCode(1) }
  }

  /// Softmax regression over 784 features: what one core trains in half a second.
  private func measure() throws {
    let model = try Model(ModelDeclaration(input: [784], layers: [.dense(10)]))
    let data = try Blobs.dataset(samples: 600, features: 784, classes: 10, seed: Seed(2))
    let chunk = try data.chunk(rows: 0..<600)
    let weights = model.initialWeights(seed: Seed(2))
    let time = MonotonicTime()
    var samples = 0
    while time.elapsed() < 500_000_000 {
      _ = try model.train(
        from: weights, on: chunk, recipe: TrainingRecipe(learningRate: 0.05, batch: 32), seed: Seed(1))
      samples += 600
    }
    let perSecond = Double(samples) / (Double(time.elapsed()) / 1e9)
    print("speed      \(model.instructionSet): \(Int(perSecond)) samples/s of softmax regression on one core,")
    print("           \(Int(perSecond * Double(model.flopsPerSample) / 1e6)) MFLOP/s")
  }
}

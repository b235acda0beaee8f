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

  /// What a core sustains, and what it is expected to make of two models, with what it makes of them.
  private func measure() throws {
    let machine = try MachineProfile.calibrate { Self.seconds }
    func giga(_ rate: Double) -> String { rate < 10e9 ? String(format: "%.1f", rate / 1e9) : "\(Int(rate / 1e9))" }
    func products(_ rows: Int, _ bytes: Int) -> String { giga(machine.productRate(rows: rows, weightBytes: bytes)) }
    func stream(_ bytes: Int) -> String { giga(machine.streamRate(bytes: bytes)) }
    print("products   \(products(64, 1 << 20)) GFLOP/s for many rows on one core (\(machine.instructionSet));")
    print("           for 8 rows \(products(8, 1 << 14)) by 16 KiB of weights, \(products(8, 1 << 19)) by 512 KiB,")
    print("           \(products(8, 1 << 25)) by 32 MiB")
    print(
      "elements   \(stream(1 << 14)) GB/s within 16 KiB, \(stream(1 << 19)) within 512 KiB, \(stream(1 << 25)) within 32 MiB;"
    )
    print("           \(giga(machine.tanhRate)) billion tanh a second")
    try compare(
      "softmax regression of 784 features", ModelDeclaration(input: [784], layers: [.dense(10)]), samples: 640,
      machine)
    try compare(
      "two convolutions on 28x28",
      ModelDeclaration(
        input: [1, 28, 28],
        layers: [
          .convolution(channels: 16, kernel: 5), .relu, .maxPool, .convolution(channels: 32, kernel: 5), .relu,
          .maxPool,
          .dense(64), .relu, .dense(10),
        ]), samples: 64, machine)
  }

  /// The time that this thread has had a core: what else the machine does is not this trainer's speed.
  private static var seconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private func compare(
    _ name: String, _ declaration: ModelDeclaration, samples: Int, _ machine: MachineProfile
  ) throws {
    let model = try Model(declaration)
    let recipe = TrainingRecipe(learningRate: 0.05, batch: 32)
    let cost = try model.cost(recipe: recipe, samples: samples)
    let chunk = try Blobs.dataset(samples: samples, features: model.features, classes: 10, seed: Seed(2))
      .chunk(rows: 0..<samples)
    let weights = model.initialWeights(seed: Seed(2))
    var least = Double.infinity
    let time = MonotonicTime()
    while time.elapsed() < 400_000_000 {
      let began = Self.seconds
      _ = try model.train(from: weights, on: chunk, recipe: recipe, seed: Seed(1))
      least = min(least, Self.seconds - began)
    }
    let expected = cost.seconds(on: machine)
    print(
      "expected   \(name): \(Int(Double(samples) / expected)) samples/s, and it makes \(Int(Double(samples) / least));")
    print(
      "           \(giga(cost.flops / least)) GFLOP/s, \(cost.peakBytes >> 10) KiB at the most for \(samples) samples")
  }
  private func giga(_ rate: Double) -> String { String(format: "%.1f", rate / 1e9) }
}

import Actors
import ArgumentParser
import Chain
import Foundation
import Learn
import ObjectStore
import Runtime
import Simulator

/// The whole flow on a workload: mesh, store, ledger, journal, real hashes, seals and signatures; audits off.
struct FlowBench: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "flow", abstract: "The whole flow, audits off.")
  @Argument var workload: String
  @Option var workers = 1
  @Option(name: .customLong("repeat")) var times = 1
  @Flag var json = false

  func run() throws {
    keepFreedMemory()
    let data = try BenchData(workload)
    let rounds = data.workload.rounds * times
    let initial = data.workload.initialWeights(data.model)
    let draws = (0..<rounds).map { ListedDraw(chunks: data.workload.clients(inRound: $0)) }
    let scenario = story(data.workload, rounds)
    let source = try ScenarioData(scenario, folder: ".", fashionFolder: "")
    let world = try World(scenario, data: source, workers: workers) { job, jobData in
      job.model = data.workload.declaration
      job.recipe = data.workload.recipe
      job.chunkCount = data.workload.clients
      job.rounds = rounds
      job.roundsPerLease = rounds
      job.chunksPerRound = data.workload.perRound
      job.listedDraws = draws
      job.startingWeights = initial.digest
      jobData = JobData(chunks: { _ throws(LearnError) in data.chunks }, test: nil, start: initial.bytes)
    }
    let clock = RoundClock()
    world.watcher = { entry in
      if entry.milestone.kind == .roundClosed { clock.mark(world.journalled) }
    }
    world.run()
    let record = Recorder(world: world).record()
    guard record.isDelivered, record.invariantsBroken.isEmpty, clock.marks.count == rounds else {
      let last = record.milestones.suffix(5).map(\.words).joined(separator: "; ")
      throw ValidationError("the flow did not end: \(record.stopReason), \(record.invariantsBroken); at last: \(last)")
    }
    let spent = clock.marks[rounds - 1] - clock.marks[0]
    let updates = (1..<rounds).reduce(0) { $0 + data.workload.clients(inRound: $1).count }
    let samples = (1..<rounds).reduce(0) { $0 + data.samples(inRound: $1) }
    let weights = try Weights(bytes: world.delivered ?? [], for: data.model)
    let score = try data.model.evaluate(weights, on: data.test, rows: 0..<data.test.count)
    try Figures(
      system: "peermill-flow", workload: workload, workers: workers, rounds: rounds,
      rounds_per_s: Double(rounds - 1) / spent.wall, client_updates_per_s: Double(updates) / spent.wall,
      samples_per_s: Double(samples) / spent.wall, test_accuracy: score.accuracy, test_loss: score.loss,
      peak_mib: Spent.peakMiB,
      core_us_per_update: try parts(data, weights, clock, updates: updates, cpu: spent.cpu)
    ).show(json: json)
  }

  private func story(_ workload: Workload, _ rounds: Int) -> Scenario {
    var scenario = Scenario()
    scenario.name = workload.name
    scenario.job.data = .blobs(samples: 40, features: 4, classes: 2)
    scenario.job.testShare = 0.5
    scenario.job.chunks = 1
    scenario.job.perRound = 1
    scenario.job.rounds = 1
    scenario.job.auditRate = 0
    scenario.job.isAuction = false
    scenario.job.deadline = .seconds(86_400)
    let bar = Amount(tinybars: Amount.tinybarsPerHbar) ?? .zero
    scenario.job.ceiling = bar
    scenario.job.stake = bar
    scenario.job.bond = bar
    scenario.job.budget = bar.times(10_000_000) ?? .zero
    scenario.ledger.funds = bar.times(100_000) ?? .zero
    scenario.peers.auditors = 0
    var trainer = TrainerClass()
    trainer.count = min(100, workload.clients)
    trainer.slots = (workload.clients + trainer.count - 1) / trainer.count
    // Slow enough in virtual time that the work of a round's trainers overlaps, as it does on machines of their own.
    trainer.flops = 1e9
    trainer.sealing = 2e6
    scenario.peers.coordinatorSealing = 2e6
    scenario.ledger.delay = .seconds(3)...(.seconds(3))
    trainer.price = bar...bar
    trainer.link = .server
    scenario.peers.trainers = [trainer]
    scenario.timeLimit = .seconds(20_000)
    return scenario
  }

  /// Where the core-microseconds of an update go: each part measured by itself on this workload's sizes, the queue and the rest
  /// as what is left of the whole.
  private func parts(
    _ data: BenchData, _ weights: Weights, _ clock: RoundClock, updates: Int, cpu: Double
  ) throws -> [String: Double] {
    func measure(_ body: () throws -> Void) rethrows -> Double {
      var times = 0
      let start = Spent.now
      while (Spent.now - start).wall < 0.1 {
        try body()
        times += 1
      }
      return (Spent.now - start).cpu * 1e6 / Double(times)
    }
    let clients = data.workload.clients(inRound: 1)
    var next = 0
    let train = try measure {
      let chunk = data.chunks[clients[next % clients.count]]
      next += 1
      _ = try data.model.train(from: weights, on: chunk, recipe: data.workload.recipe, seed: Seed(0))
    }
    // The update's digest at both ends, and the checkpoint's once a trainer.
    let hash = measure { _ = weights.digest } * 3
    guard let key = SecretKey(bytes: Array(0..<32)) else { return [:] }
    let sealed = Seal.seal(weights.bytes, key: key, counter: 1, context: [])
    let seal =
      measure { _ = Seal.seal(weights.bytes, key: key, counter: 1, context: []) }
      + measure { _ = try? Seal.open(sealed, key: key, context: []) } * 2
    let base = weights
    let sum = try RoundSum(model: data.model, base: base, clip: 1_000, fractionBits: 32, totalSamples: 1)
    let aggregate = try measure { try sum.add(weights, samples: 1) }
    var stream = Seed(1).stream
    let signer = SigningKey(drawnFrom: &stream)
    let message = stream.bytes(100)
    let signature = signer.sign(message)
    let sign = measure { _ = signer.sign(message) } + measure { _ = signer.publicKey.verifies(signature, of: message) }
    let journal = MemoryJournal()
    let count = clock.journalled.last!.records - clock.journalled[0].records
    let bytes = clock.journalled.last!.bytes - clock.journalled[0].bytes
    let body = stream.bytes(max(1, bytes / max(1, count) - 17))
    let records = Double(count) / Double(max(1, updates))
    let write = measure { journal.append(JournalRecord(kind: 1, at: .zero, body: body)) } * records
    let whole = cpu * 1e6 / Double(updates)
    let rest = whole - train - hash - seal - aggregate - sign - write
    return [
      "train": train, "hash": hash, "seal": seal, "sum": aggregate, "sign": sign, "journal": write,
      "queue and rest": rest,
      "all": whole,
    ]
  }
}

private final class RoundClock: @unchecked Sendable {
  private(set) var marks: [Spent] = []
  private(set) var journalled: [(records: Int, bytes: Int)] = []
  func mark(_ written: (records: Int, bytes: Int)) {
    marks.append(Spent.now)
    journalled.append(written)
  }
}

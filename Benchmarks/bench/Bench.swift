import ArgumentParser
import Foundation
import Glibc
import Learn
import Runtime

@main
struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure.",
    subcommands: [
      EngineBench.self, FlowBench.self, RuntimeBench.self, LearnBench.self, CostBench.self, BitsCommand.self,
      DumpCommand.self,
    ])
}

/// What a machine spent.
struct Spent {
  var wall: Double
  var cpu: Double
  static var now: Spent {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let cpu =
      Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
      / 1e6
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Spent(wall: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9, cpu: cpu)
  }
  static func - (a: Spent, b: Spent) -> Spent { Spent(wall: a.wall - b.wall, cpu: a.cpu - b.cpu) }
  static var peakMiB: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1_024
  }
}

/// One line of figures, the same fields as other systems' scripts print.
struct Figures: Codable {
  var system: String
  var workload: String
  var workers: Int
  var rounds: Int
  var rounds_per_s: Double
  var client_updates_per_s: Double
  var samples_per_s: Double
  var test_accuracy: Double
  var test_loss: Double
  var peak_mib: Double
  var core_us_per_update: [String: Double]?

  func show(json: Bool) throws {
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      print(String(decoding: try encoder.encode(self), as: UTF8.self))
      return
    }
    func f(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
    print(
      "\(system) \(workload): \(f(rounds_per_s, rounds_per_s < 10 ? 3 : 1)) rounds/s, \(f(client_updates_per_s, 0)) updates/s, "
        + "\(f(samples_per_s, 0)) samples/s; accuracy \(f(test_accuracy, 4)), loss \(f(test_loss, 4)); peak \(f(peak_mib, 0)) MiB"
    )
    if let parts = core_us_per_update {
      let order = parts.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
      print("    core-µs an update: " + order.map { "\($0.key) \(f($0.value, 1))" }.joined(separator: ", "))
    }
  }
}

struct BenchData {
  let workload: Workload
  let model: Model
  let train: Dataset
  let test: Samples
  let chunks: [Samples]
  static var folder: String {
    ProcessInfo.processInfo.environment["FASHION_MNIST_DIR"] ?? "/usr/share/datasets/fashion-mnist"
  }

  init(_ name: String) throws {
    guard let workload = Workload.all.first(where: { $0.name == name }) else {
      throw ValidationError("workloads are w1, w2, w3, w4 and w4-10k")
    }
    let folder = Self.folder
    self.workload = workload
    model = try Model(workload.declaration)
    train = try IDX.fashionMNIST(train: true, folder: folder)
    let held = try IDX.fashionMNIST(train: false, folder: folder)
    test = try held.chunk(rows: 0..<held.count)
    let data = train
    chunks = try workload.partition(train.labels).map { try data.chunk(rows: $0) }
  }

  func samples(inRound round: Int) -> Int {
    workload.clients(inRound: round).reduce(0) { $0 + chunks[$1].count }
  }
}

/// Training alone: no mesh, no ledger, no hash.
struct EngineBench: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "engine", abstract: "The training engine alone.")
  @Argument var workload: String
  @Option var workers = 2
  /// The workload's rounds, so many times.
  @Option(name: .customLong("repeat")) var times = 1
  @Flag var json = false

  func run() throws {
    keepFreedMemory()
    let data = try BenchData(workload)
    let pool = WorkerPool(workers: workers - 1)
    var weights = data.workload.initialWeights(data.model)
    let rounds = data.workload.rounds * times
    var steady = Spent.now
    var updates = 0
    var samples = 0
    var scored = weights
    for round in 0..<rounds {
      if round == 1 {
        steady = Spent.now
        updates = 0
        samples = 0
      }
      let clients = data.workload.clients(inRound: round)
      let total = data.samples(inRound: round)
      let sum = try RoundSum(model: data.model, base: weights, clip: 1_000, fractionBits: 32, totalSamples: total)
      let base = weights
      // The longest first, so that no worker is left with it at the end.
      let tickets = clients.sorted { data.chunks[$0].count > data.chunks[$1].count }.enumerated().map { place, client in
        pool.submit(deadline: Instant(nanoseconds: UInt64(place))) {
          let chunk = data.chunks[client]
          guard
            let outcome = try? data.model.train(from: base, on: chunk, recipe: data.workload.recipe, seed: Seed(0)),
            (try? sum.add(outcome.weights, samples: chunk.count)) != nil
          else { fatalError("training of client \(client) failed") }
        }
      }
      for ticket in tickets { pool.await(ticket) }
      weights = sum.finish()
      updates += clients.count
      samples += total
      if round == data.workload.rounds - 1 { scored = weights }
    }
    let spent = Spent.now - steady
    let score = try data.model.evaluate(scored, on: data.test, rows: 0..<data.test.count)
    pool.shutdown()
    try Figures(
      system: "peermill-engine", workload: workload, workers: workers, rounds: rounds,
      rounds_per_s: Double(rounds - 1) / spent.wall, client_updates_per_s: Double(updates) / spent.wall,
      samples_per_s: Double(samples) / spent.wall, test_accuracy: score.accuracy, test_loss: score.loss,
      peak_mib: Spent.peakMiB, core_us_per_update: nil
    ).show(json: json)
  }
}

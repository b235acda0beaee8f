import Foundation
import Learn
import Runtime

/// The workloads that federated learning systems are compared on: Fashion-MNIST, plain descent at rate 0.05, one local epoch,
/// batches in the client's stored order, the mean of client models weighted by samples. All chance is SplitMix64, so that any
/// program can rebuild the same partition, schedule and initial weights.
struct Workload {
  var name: String
  var declaration: ModelDeclaration
  var clients: Int
  var perRound: Int
  var rounds: Int
  var batch: Int
  var split: Split
  enum Split { case iid, dirichlet, small }

  static let all: [Workload] = [
    Workload(
      name: "w1", declaration: softmax, clients: 100, perRound: 10, rounds: 20, batch: 32, split: .iid),
    Workload(
      name: "w2",
      declaration: ModelDeclaration(input: [784], layers: [.dense(200), .relu, .dense(200), .relu, .dense(10)]),
      clients: 100, perRound: 10, rounds: 20, batch: 10, split: .dirichlet),
    Workload(
      name: "w3",
      declaration: ModelDeclaration(
        input: [1, 28, 28],
        layers: [
          .convolution(channels: 32, kernel: 5), .relu, .maxPool, .convolution(channels: 64, kernel: 5), .relu,
          .maxPool,
          .dense(512), .relu, .dense(10),
        ]), clients: 100, perRound: 10, rounds: 5, batch: 32, split: .iid),
    Workload(
      name: "w4", declaration: softmax, clients: 1_000, perRound: 100, rounds: 10, batch: 32, split: .small),
    Workload(
      name: "w4-10k", declaration: softmax, clients: 10_000, perRound: 100, rounds: 10, batch: 32, split: .small),
  ]
  static let softmax = ModelDeclaration(input: [784], layers: [.dense(10)])

  var recipe: TrainingRecipe { TrainingRecipe(learningRate: 0.05, batch: batch) }

  /// Rows of each client, in the order in which it visits them.
  func partition(_ labels: [Int]) -> [[Int]] {
    switch split {
    case .iid:
      let order = Chance.shuffled(Array(0..<labels.count), 1)
      // numpy.array_split: the first of them one longer where it does not divide.
      let base = labels.count / clients
      let extra = labels.count % clients
      var start = 0
      return (0..<clients).map { client in
        let count = base + (client < extra ? 1 : 0)
        defer { start += count }
        return Array(order[start..<(start + count)])
      }
    case .dirichlet:
      var parts: [[Int]] = Array(repeating: [], count: clients)
      for label in 0..<10 {
        let rows = Chance.shuffled(labels.indices.filter { labels[$0] == label }, 1_000 + UInt64(label))
        let draws = (0..<clients).map { Chance.gamma(0.3, 100_000 + 1_000 * UInt64(label) + UInt64($0)) }
        let total = draws.reduce(0, +)
        var share = 0.0
        var low = 0
        for client in 0..<clients {
          share += draws[client] / total
          let high = client == clients - 1 ? rows.count : Int((share * Double(rows.count) + 1e-9).rounded(.down))
          parts[client] += rows[low..<high]
          low = high
        }
      }
      return parts.enumerated().map { Chance.shuffled($0.element, 2_000 + UInt64($0.offset)) }
    case .small:
      return (0..<clients).map { client in
        let seed = 0x4000_0000 + UInt64(client)
        let count = 6 + Chance.below(Chance.value(seed, 1), 55)
        return (0..<count).map { Chance.below(Chance.value(seed, $0 + 2), labels.count) }
      }
    }
  }

  /// The clients of a round; rounds beyond the workload's own begin again.
  func clients(inRound round: Int) -> [Int] {
    let seed = 5_000 + UInt64(round % rounds)
    var pool = Array(0..<clients)
    for index in 0..<perRound {
      pool.swapAt(index, index + Chance.below(Chance.value(seed, index + 1), clients - index))
    }
    return Array(pool.prefix(perRound))
  }

  func initialWeights(_ model: Model) -> Weights {
    var values: [Float] = []
    for (number, parameter) in model.parameters.enumerated() {
      let bound = 1 / Double(parameter.fanIn).squareRoot()
      for index in 0..<parameter.count {
        let unit = Double(Chance.value(9_000 + UInt64(number), index + 1) >> 11) * 0x1p-53
        values.append(Float((2 * unit - 1) * bound))
      }
    }
    return Weights(values: values, for: model)
  }
}

/// SplitMix64 by position: value i, from 1, of stream s is mix(s + i * gamma).
enum Chance {
  static func value(_ seed: UInt64, _ index: Int) -> UInt64 {
    // `splitMix64` adds the increment itself.
    splitMix64(seed &+ (UInt64(index) &- 1) &* 0x9E37_79B9_7F4A_7C15)
  }
  static func below(_ value: UInt64, _ bound: Int) -> Int { Int(((value >> 32) &* UInt64(bound)) >> 32) }

  static func shuffled(_ items: [Int], _ seed: UInt64) -> [Int] {
    var order = items
    var draw = 1
    for index in stride(from: items.count - 1, to: 0, by: -1) {
      order.swapAt(index, below(value(seed, draw), index + 1))
      draw += 1
    }
    return order
  }

  /// Marsaglia and Tsang, with the library's functions, as the workload defines it.
  static func gamma(_ alpha: Double, _ seed: UInt64) -> Double {
    var place = 0
    func unit() -> Double {
      place += 1
      return Double(value(seed, place) >> 11) * 0x1p-53
    }
    let boost = pow(1 - unit(), 1 / alpha)
    let d = alpha + 1 - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let u1 = 1 - unit()
      let u2 = unit()
      let x = (-2 * log(u1)).squareRoot() * cos(2 * Double.pi * u2)
      let v = (1 + c * x) * (1 + c * x) * (1 + c * x)
      if v <= 0 {
        _ = unit()
        continue
      }
      if log(1 - unit()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v * boost }
    }
  }
}

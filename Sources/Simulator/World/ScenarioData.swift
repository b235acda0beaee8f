import Actors
import Foundation
import Learn
import Runtime

/// A scenario's data, loaded and checked before anything runs.
public struct ScenarioData: Sendable {
  public let train: Dataset
  public let test: Samples
  public let input: [Int]
  public let start: [UInt8]?

  /// - Parameters:
  ///   - folder: where relative paths begin: the scenario's own.
  ///   - fashionFolder: where Fashion-MNIST lies.
  public init(_ scenario: Scenario, folder: String, fashionFolder: String) throws {
    let part = scenario.job
    func read(_ path: String) throws -> [UInt8] {
      let full = path.hasPrefix("/") ? path : folder + "/" + path
      guard let data = FileManager.default.contents(atPath: full) else {
        throw ScenarioError(file: scenario.file, message: "\(full) is not there or cannot be read")
      }
      return [UInt8](data)
    }
    let all: Dataset
    var held: Dataset?
    switch part.data {
    case .fashionMNIST(let trainCount, let testCount):
      all = try IDX.fashionMNIST(train: true, folder: fashionFolder).prefix(trainCount)
      held = try IDX.fashionMNIST(train: false, folder: fashionFolder).prefix(testCount)
    case .idx(let images, let labels, let testImages, let testLabels):
      all = try IDX.dataset(images: read(images), labels: read(labels), named: images)
      held = try IDX.dataset(images: read(testImages), labels: read(testLabels), named: testImages)
    case .csv(let path, let label, _, let scaling):
      all = try CSV.dataset(read(path), label: label, scaling: scaling, named: path)
    case .blobs(let samples, let features, let classes, _):
      all = try Blobs.dataset(
        samples: samples, features: features, classes: classes,
        seed: Seed(scenario.jobSeed ?? scenario.seed).child("blobs"))
    }
    if let held {
      train = all
      test = try held.chunk(rows: 0..<held.count)
    } else {
      // Rows that nobody trains on are drawn from the job's seed.
      let share =
        switch part.data {
        case .csv(_, _, let share, _), .blobs(_, _, _, let share): share
        case .fashionMNIST, .idx: 0.2
        }
      var order = Array(0..<all.count)
      var stream = Seed(scenario.jobSeed ?? scenario.seed).stream("test split")
      stream.shuffle(&order)
      let count = max(1, min(all.count - 1, Int(Double(all.count) * share)))
      test = try all.chunk(rows: order.prefix(count))
      train = try all.choosing(order.dropFirst(count))
    }
    guard test.features == train.featureCount else {
      throw ScenarioError(
        file: scenario.file,
        message: "the test samples have \(test.features) features each, and those to train on \(train.featureCount)")
    }
    if case .dirichlet(_, let least) = part.partition, part.chunks <= train.count, least * part.chunks > train.count {
      throw ScenarioError(
        file: scenario.file,
        message: "\(part.chunks) chunks of at least \(least) samples need more than the \(train.count) there are")
    }
    let side = Int(Double(train.featureCount).squareRoot().rounded())
    let isImage: Bool
    switch part.data {
    case .fashionMNIST, .idx: isImage = side * side == train.featureCount
    case .csv, .blobs: isImage = false
    }
    var needsImage = part.layers == .named("cnn")
    if case .listed(let layers) = part.layers, layers.first?.kind == .convolution { needsImage = true }
    if needsImage && !isImage {
      throw ScenarioError(
        file: scenario.file, message: "the model begins with a convolution, and the data are not images")
    }
    input = needsImage ? [1, side, side] : [train.featureCount]
    start = try part.resume.map { try read($0.checkpoint) }
  }

  public var classes: Int { max(train.classes, test.classes) }

  /// The model in full: its words made layers.
  public func declaration(_ layers: JobPart.Layers) -> ModelDeclaration {
    switch layers {
    case .listed(let layers): ModelDeclaration(input: input, layers: layers)
    case .named("mlp"):
      ModelDeclaration(input: input, layers: [.dense(200), .relu, .dense(200), .relu, .dense(classes)])
    case .named("cnn"):
      ModelDeclaration(
        input: input,
        layers: [
          .convolution(channels: 32, kernel: 5), .relu, .maxPool, .convolution(channels: 64, kernel: 5), .relu,
          .maxPool,
          .dense(512), .relu, .dense(classes),
        ])
    case .named: ModelDeclaration(input: input, layers: [.dense(classes)])
    }
  }

  /// The chunks of a job, by the partition that the scenario asks for, from the job's seed.
  public func chunks(_ partition: Partition, _ job: Job) throws(LearnError) -> [Samples] {
    var chunks: [Samples] = []
    for rows in try partition.rows(train, chunks: job.chunkCount, seed: Seed(job.seed).child("partition")) {
      chunks.append(try train.chunk(rows: rows))
    }
    return chunks
  }
}

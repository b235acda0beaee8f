import Actors
import Learn
import Runtime

/// A scenario's data, loaded and checked before anything runs.
public struct ScenarioData: Sendable {
  public let train: Dataset
  public let test: Samples
  public let input: [Int]
  /// The weights to begin with, a safetensors file: a checkpoint's, or those of the model's own file.
  public let start: [UInt8]?
  /// The model in full: its words made layers, or its file without weights.
  public let declaration: ModelDeclaration
  /// The file that the model came from.
  public let file: ONNXModel?
  /// Found on the samples that are trained on, and applied to those of the test as well.
  public let normalisation: Normalisation?
  /// What was done that the scenario does not say, a line each.
  public let notes: [String]

  /// - Parameters:
  ///   - folder: where relative paths begin: the scenario's own.
  ///   - fashionFolder: where Fashion-MNIST lies.
  public init(_ scenario: Scenario, folder: String, fashionFolder: String) throws {
    let part = scenario.job
    let files = try ScenarioFiles(scenario, folder: folder, fashionFolder: fashionFolder)
    let seed = Seed(scenario.jobSeed ?? scenario.seed)
    if let held = files.held {
      let found = try Self.normalisation(part.scaling, files) { _ in true }
      normalisation = found
      train = try found?.applied(to: files.all) ?? files.all
      let normal = try found?.applied(to: held) ?? held
      test = try normal.chunk(rows: 0..<held.count)
    } else {
      // Rows that nobody trains on are drawn from the job's seed.
      let (order, count) = try Split.draw(count: files.all.count, testShare: part.testShare, seed: seed)
      var isTrained = [Bool](repeating: true, count: files.all.count)
      for row in order.prefix(count) { isTrained[Int(row)] = false }
      let found = try Self.normalisation(part.scaling, files) { isTrained[$0] }
      normalisation = found
      let all = try found?.applied(to: files.all) ?? files.all
      test = try all.chunk(rows: order.prefix(count).map(Int.init))
      train = try all.choosing(order.dropFirst(count).map(Int.init))
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
    var needsImage = part.layers == .named("cnn")
    if case .listed(let layers) = part.layers, layers.first?.kind == .convolution { needsImage = true }
    if needsImage && train.shape.count < 2 {
      throw ScenarioError(
        file: scenario.file, message: "the model begins with a convolution, and the data are not images")
    }
    // A picture without channels has one.
    let picture = train.shape.count == 2 ? [1] + train.shape : train.shape
    input = needsImage ? picture : [train.featureCount]
    func full(_ path: String) -> String { path.hasPrefix("/") ? path : folder + "/" + path }
    let checkpoint = try part.resume.map { try FileReader.all(path: full($0.checkpoint), limit: 1 << 31) }
    if case .file(let model) = part.layers {
      let read = try ModelFileReader(model, path: full(model.path))
      (declaration, file) = (read.declaration, read.file)
      start = checkpoint ?? read.weights
      notes = files.notes + read.notes
    } else {
      declaration = Self.declaration(part.layers, input, classes: max(train.classes, test.classes))
      file = nil
      start = checkpoint
      notes = files.notes
    }
  }

  private static func normalisation(
    _ scaling: Normalisation.Scaling, _ files: ScenarioFiles, _ isTrained: (Int) -> Bool
  ) throws(LearnError) -> Normalisation? {
    guard let groups = try scaling.groups(shape: files.all.shape) else { return nil }
    return try Normalisation(fitting: files.all, groups: groups, leaving: files.leaving, rows: isTrained)
  }

  public var classes: Int { max(train.classes, test.classes) }

  private static func declaration(_ layers: JobPart.Layers, _ input: [Int], classes: Int) -> ModelDeclaration {
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
    case .named, .file: ModelDeclaration(input: input, layers: [.dense(classes)])
    }
  }

  /// The chunks of a job, by the partition that the scenario asks for, from the job's seed.
  public func chunks(_ partition: Partition, _ job: Job) throws(LearnError) -> [Samples] {
    var chunks: [Samples] = []
    for rows in try partition.rows(train, chunks: job.chunkCount, seed: Split.partitionSeed(Seed(job.seed))) {
      chunks.append(try train.chunk(rows: rows))
    }
    return chunks
  }
}

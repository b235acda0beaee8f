import Actors
import Chain
import Learn
import Runtime

/// A story told to its end: from a file to a record.
public final class Rehearsal {
  public let world: World
  /// What was done to the data that the scenario does not say, a line each.
  public let notes: [String]
  private let workers: Int

  /// - Parameters:
  ///   - folder: where the scenario's relative paths begin.
  ///   - fashionFolder: where Fashion-MNIST lies.
  /// - Throws: `ScenarioError` or `LearnError`, before anything is written.
  public init(
    _ scenario: Scenario, folder: String, fashionFolder: String, workers: Int, schedule: Schedule = .inOrder
  ) throws {
    let data: ScenarioData
    do {
      data = try ScenarioData(scenario, folder: folder, fashionFolder: fashionFolder)
    } catch let error as LearnError {
      throw ScenarioError(file: scenario.file, message: "\(error)")
    }
    guard scenario.job.chunks <= data.train.count else {
      throw ScenarioError(
        file: scenario.file, message: "\(data.train.count) samples cannot be cut into \(scenario.job.chunks) chunks")
    }
    world = try World(scenario, data: data, workers: workers, schedule: schedule)
    notes = data.notes
    file = data.file
    normalisation = data.normalisation
    self.workers = workers
  }

  /// - Parameter progress: told of every milestone, with the world as it stands.
  public func run(progress: ((RunProgress) -> Void)? = nil) -> RunRecord {
    if let progress {
      var current = RunProgress(rounds: world.job.rounds, trainers: world.peers.count { $0.role == .trainer })
      world.watcher = { [unowned world] entry in
        switch entry.milestone.kind {
        case .roundClosed, .evaluated, .escrowOpened, .jobStopped, .deliveryOpened, .jobClosed:
          current.update(entry.milestone, world)
          progress(current)
        default: break
        }
      }
    }
    world.run()
    var record = Recorder(world: world).record()
    record.wall.workers = workers
    return record
  }

  /// What the owner got: a safetensors file.
  public var deliveredWeights: [UInt8]? { world.ownerRole?.weights }
  /// The file that the model came from, with the weights that were delivered; nil where there is none of either.
  public func deliveredModel() throws -> [UInt8]? {
    guard let file, let weights = deliveredWeights else { return nil }
    let model = try Model(world.job.model)
    return try file.forUse(model.named(try Weights(bytes: weights, for: model)))
  }
  /// The file that the model came from.
  public let file: ONNXModel?
  public let normalisation: Normalisation?

  /// Every peer's journal, by its name.
  public var journals: [(name: String, bytes: [UInt8])] {
    world.peers.compactMap { $0.journal.count > 0 ? ($0.name, $0.journal.bytes) : nil }
  }
}

/// Where a run stands, for whoever waits.
public struct RunProgress: Sendable, Equatable {
  public var rounds: Int
  public var trainers: Int
  public var roundsClosed = 0
  public var accuracy: Double?
  public var trainersUp = 0
  public var virtualSeconds = 0.0
  public var paid: Int64 = 0
  public var locked: Int64 = 0
  public var phase = "preparing"

  init(rounds: Int, trainers: Int) {
    self.rounds = rounds
    self.trainers = trainers
  }

  mutating func update(_ milestone: Milestone, _ world: World) {
    switch milestone.kind {
    case .roundClosed:
      roundsClosed = milestone.round + 1
      phase = "training"
    case .evaluated:
      let test = world.testCount
      if test > 0, world.job.model.loss != .squared { accuracy = Double(milestone.count) / Double(test) }
    case .escrowOpened: phase = "offering"
    case .jobStopped: phase = "settling"
    case .deliveryOpened: phase = "delivered"
    case .jobClosed: phase = "closed"
    default: break
    }
    trainersUp = world.peersUp
    virtualSeconds = world.loop.now.seconds
    locked = world.ledger.state.holdings.locked
    paid = world.ledger.state.jobs[world.preparedJob]?.paidOut.tinybars ?? 0
  }
}

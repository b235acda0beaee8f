import Chain
import Learn
import ObjectStore
import Runtime
import Transport

/// What a trainer decides: what to bid for, what to train next, when to commit, upload, reveal, and ask for its pay.
///
/// The stages stand in the order of the flow, each in a file of its own: market, work, pay.
public struct TrainerMachine: Machine {
  public struct Settings: Sendable {
    public var key: SigningKey
    /// Secret, for salts: whoever knows it could open a commitment early.
    public var secret: Digest
    public var sealingKey: [UInt8]
    /// What it asks for one (chunk, round).
    public var price: Amount
    /// Slots that it takes at most.
    public var slots: Int
    /// Training speed in MFLOP/s, measured or, in a rehearsal, its class's.
    public var megaflops: Int
    /// What it puts into the escrow for its stakes when it first comes up.
    public var deposit: Amount
    /// Weights and chunks larger than this are not worked on, in bytes.
    public var memoryBytes: Int
    public init(
      key: SigningKey, secret: Digest, sealingKey: [UInt8], price: Amount, slots: Int, megaflops: Int, deposit: Amount,
      memoryBytes: Int
    ) {
      self.key = key
      self.secret = secret
      self.sealingKey = sealingKey
      self.price = price
      self.slots = slots
      self.megaflops = megaflops
      self.deposit = deposit
      self.memoryBytes = memoryBytes
    }
  }

  typealias Effects = [Effect<TrainerWork>]
  static let tick = Duration.seconds(7)
  /// How long an answer is waited for before the question is put again.
  static let patience = Duration.seconds(20)
  /// Jobs that are looked after at once.
  static let jobLimit = 16
  enum Timer: Int { case tick = 1 }

  let settings: Settings
  /// In the order in which they were first heard of.
  public internal(set) var jobs: [JobDesk] = []
  var tickRuns = false
  /// What is on the device at the moment: one step at a time.
  var training: StepName?

  public init(_ settings: Settings) { self.settings = settings }

  var me: PublicKey { settings.key.publicKey }

  public mutating func handle(_ input: Input, at now: Timestamp) -> [Effect<TrainerWork>] {
    var effects: Effects
    switch input {
    case .started(let again): effects = again ? resume(at: now) : [.transact(.deposit(settings.deposit))]
    case .message(let message, let sender): effects = handle(message, from: sender, at: now)
    case .heard(let message): effects = hear(message, at: now)
    case .ledger(let event): effects = handle(event, at: now)
    case .timer:
      tickRuns = false
      effects = look(at: now)
    case .outcome(let outcome): effects = handle(outcome, at: now)
    }
    return effects + keepTicking()
  }

  private mutating func handle(_ message: Message, from sender: PublicKey, at now: Timestamp) -> Effects {
    switch message {
    case .bidsClosed(let closed): return reveal(closed, from: sender)
    case .grants(let grants): return take(grants, from: sender, at: now)
    case .task(let task): return take(task, from: sender, at: now)
    case .answer(let answer): return take(answer, from: sender, at: now)
    case .receipts(let receipts): return take(receipts, from: sender)
    default: return []
    }
  }

  private mutating func handle(_ outcome: Outcome, at now: Timestamp) -> Effects {
    switch TrainerWork.Kind(rawValue: outcome.kind) {
    case .chunkFetched: return chunkFetched(outcome, at: now)
    case .checkpointFetched: return checkpointFetched(outcome, at: now)
    case .trained: return trained(outcome, at: now)
    case .uploaded: return uploaded(outcome, at: now)
    case nil: return []
    }
  }

  private mutating func resume(at now: Timestamp) -> Effects {
    tickRuns = false
    training = nil
    var effects: Effects = []
    for index in jobs.indices where !jobs[index].isOver {
      jobs[index].forgetBytes()
      effects.append(.send(.resume(JobReference(job: jobs[index].digest)), to: jobs[index].coordinator))
    }
    return effects
  }

  func index(ofJob digest: Digest) -> Int? { jobs.firstIndex { $0.digest == digest } }

  /// Whether anything is owed to or by this trainer, so that time has to be watched.
  private mutating func keepTicking() -> Effects {
    if tickRuns || !jobs.contains(where: \.needsAttention) { return [] }
    tickRuns = true
    return [.wake(after: Self.tick, timer: Timer.tick.rawValue)]
  }
}

public enum TrainerWork: Equatable, Sendable {
  enum Kind: Int { case chunkFetched = 1, checkpointFetched, trained, uploaded }

  /// Get the sealed chunk of a granted slot, open it, compare it with the manifest.
  case fetchChunk(job: Digest, slot: Int)
  case fetchCheckpoint(job: Digest, round: Int, digest: Digest)
  case train(StepName, chunk: Int, checkpoint: Digest)
  case upload(StepName)
  /// A round's bytes are not needed any more.
  case forgetRound(job: Digest, round: Int)
  /// Nor is anything of this slot.
  case forgetSlot(job: Digest, slot: Int)
}

/// One (slot, round) of a job.
public struct StepName: Hashable, Sendable {
  public var job: Digest
  public var slot: Int
  public var round: Int
}

/// A job in a trainer's books.
public struct JobDesk: Equatable, Sendable {
  public var digest: Digest
  public var coordinator: PublicKey
  var offer: Offer
  var bid: Bid?
  var salt = Digest.zero
  var isRevealed = false
  /// In the order in which they were granted.
  public var leases: [HeldLease] = []
  public var steps: [StepDesk] = []
  var checkpoint: CheckpointDesk?
  var claims: [TrainerClaim] = []
  var isOver = false

  init(digest: Digest, coordinator: PublicKey, offer: Offer) {
    self.digest = digest
    self.coordinator = coordinator
    self.offer = offer
  }

  func lease(_ slot: Int) -> Int? { leases.firstIndex { $0.slot == slot } }

  var needsAttention: Bool {
    steps.contains { $0.stage != .answered } || claims.contains { !$0.isPaid }
      || leases.contains { $0.state == .requested || ($0.state == .active && $0.chunk != .ready) }
      || (checkpoint.map { $0.state != .ready } ?? false)
  }

  /// What was in memory is gone: the steps under way begin again, to the same bits.
  mutating func forgetBytes() {
    for index in leases.indices { leases[index].chunk = .absent }
    checkpoint = nil
    steps.removeAll { $0.stage != .answered }
  }
}

public struct HeldLease: Equatable, Sendable {
  public enum State: Equatable, Sendable { case requested, active }
  public enum Chunk: Equatable, Sendable { case absent, fetching, ready }
  public var slot: Int
  public var chunkIndex: Int
  public var price: Amount
  public var nonce: UInt64
  public var state = State.requested
  public var chunk = Chunk.absent
  public var mentioned: Timestamp
}

struct CheckpointDesk: Equatable, Sendable {
  enum State: Equatable, Sendable { case absent, fetching, ready }
  var round: Int
  var digest: Digest
  var state = State.absent
  var mentioned: Timestamp
}

public struct StepDesk: Equatable, Sendable {
  public enum Stage: Equatable, Sendable {
    case waiting, training, trained, committing, committed, uploading, revealed, answered
  }
  public var name: StepName
  public var stage = Stage.waiting
  public var update = Digest.zero
  var mentioned: Timestamp
}

struct TrainerClaim: Equatable, Sendable {
  var claim: Int
  var payableFrom: Timestamp
  var mentioned: Timestamp
  var isPaid = false
}

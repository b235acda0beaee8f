import Chain
import Learn
import ObjectStore
import Runtime
import Transport

/// Another round of work on the same data costs time and money, but who does it never changes a bit: what a coordinator
/// decides, from the owner's request to the last refund.
///
/// The stages stand in the order of the flow, each in a file of its own: `prepare`, `market`, `rounds`, `audits`, `settle`.
public struct Coordination: Machine {
  public enum Phase: Int, Sendable, Equatable {
    case idle, preparing, awaitingEscrow, offering, revealing, running, delivering, settling, ended
  }

  /// What a coordinator is told by whoever runs it.
  public struct Settings: Sendable {
    public var key: SigningKey
    /// The auditors it trusts to be somebody: each checks the other.
    public var auditors: [AuditorContact]
    /// What is known of trainers from earlier jobs.
    public var standings: [PublicKey: Standing]
    public init(key: SigningKey, auditors: [AuditorContact], standings: [PublicKey: Standing] = [:]) {
      self.key = key
      self.auditors = auditors
      self.standings = standings
    }
  }
  public struct AuditorContact: Sendable, Equatable {
    public var peer: PublicKey
    public var sealingKey: [UInt8]
    public init(peer: PublicKey, sealingKey: [UInt8]) {
      self.peer = peer
      self.sealingKey = sealingKey
    }
  }

  typealias Effects = [Effect<CoordinatorWork>]

  /// How often everything that is outstanding is looked at.
  static let tick = Duration.seconds(5)
  enum Timer: Int { case tick = 1, bidsClose, revealsClose }

  let key: SigningKey
  let auditors: [AuditorContact]
  public internal(set) var phase = Phase.idle
  var tickRuns = false

  // job
  var owner = PublicKey.none
  public internal(set) var job = Job()
  public internal(set) var jobDigest = Digest.zero
  var declaration: [UInt8] = []
  var manifest = Manifest()
  var tree = MerkleTree(leaves: [])
  var plans: [SlotPlan] = []
  var flopsPerSample = 0
  var weightBytes = 0
  var opened = Timestamp.zero

  // market
  var bids = BidDesk()
  var standings: [PublicKey: Standing]

  // rounds
  public internal(set) var slots: [SlotDesk] = []
  public internal(set) var round: RoundDesk?
  public internal(set) var history: [RoundSummary] = []
  var checkpoint = Digest.zero
  var best: RoundSummary?
  var lastOffer = Timestamp.zero
  var completionTimes: [Int64] = []
  public internal(set) var stop = StopReason.none

  // audits
  var auditCounts: [PublicKey: Int] = [:]
  var disputes: [Int: DisputeDesk] = [:]

  // settlement
  var unreceipted: [UnreceiptedDesk] = []
  var receipted: [ReceiptDesk] = []
  var openClaims: [Int: ClaimDesk] = [:]
  var deliveredAt: Timestamp?
  var delivery: Delivered?
  var isClosed = false
  var refundableFrom = Timestamp.zero
  var isRefunded = false
  var deliveryResends = 0

  public init(_ settings: Settings) {
    key = settings.key
    auditors = settings.auditors
    standings = settings.standings
  }

  var me: PublicKey { key.publicKey }

  // MARK: what comes in

  public mutating func handle(_ input: Input, at now: Timestamp) -> [Effect<CoordinatorWork>] {
    switch input {
    case .started(let again): return again ? resume(at: now) : []
    case .message(let message, let sender): return handle(message, from: sender, at: now)
    case .heard: return []
    case .ledger(let event): return handle(event, at: now)
    case .timer(let number): return ring(Timer(rawValue: number), at: now)
    case .outcome(let outcome): return handle(outcome, at: now)
    }
  }

  private mutating func handle(_ message: Message, from sender: PublicKey, at now: Timestamp) -> Effects {
    switch message {
    case .jobRequest(let request): return prepare(request, from: sender)
    case .sealedBid(let bid): return take(bid, from: sender, at: now)
    case .bidReveal(let reveal): return take(reveal, from: sender, at: now)
    case .reveal(let reveal): return take(reveal, from: sender, at: now)
    case .auditReport(let report): return take(report, from: sender, at: now)
    case .resume(let reference): return remind(sender, of: reference, at: now)
    case .cancel(let reference): return cancel(reference, from: sender, at: now)
    default: return []
    }
  }

  private mutating func handle(_ outcome: Outcome, at now: Timestamp) -> Effects {
    switch CoordinatorWork.Kind(rawValue: outcome.kind) {
    case .prepared: return prepared(outcome)
    case .checked: return checked(outcome, at: now)
    case .aggregated: return aggregated(outcome, at: now)
    case .evaluated: return evaluated(outcome, at: now)
    case .sealed: return sealed(outcome, at: now)
    case nil: return []
    }
  }

  private mutating func ring(_ timer: Timer?, at now: Timestamp) -> Effects {
    switch timer {
    case .bidsClose: return closeBids(at: now)
    case .revealsClose: return closeReveals(at: now)
    case .tick:
      tickRuns = false
      return look(at: now)
    case nil: return []
    }
  }

  /// Everything that is outstanding, looked at once a tick: whoever is late is reminded, called, replaced.
  private mutating func look(at now: Timestamp) -> Effects {
    var effects: Effects = []
    switch phase {
    case .offering, .revealing: effects += lookAtMarket(at: now)
    case .running:
      effects += lookAtDeadline(at: now)
      if phase == .running { effects += lookAtRound(at: now) }
    case .delivering, .settling: effects += lookAtSettlement(at: now)
    case .idle, .preparing, .awaitingEscrow, .ended: break
    }
    return effects + keepTicking()
  }

  mutating func keepTicking() -> Effects {
    let isBusy: Bool
    switch phase {
    case .offering, .revealing, .running, .delivering, .settling: isBusy = true
    case .idle, .preparing, .awaitingEscrow, .ended: isBusy = false
    }
    if !isBusy || tickRuns { return [] }
    tickRuns = true
    return [.wake(after: Self.tick, timer: Timer.tick.rawValue)]
  }

  /// After a crash: everything that was under way is begun again. What the ledger said meanwhile comes as events.
  private mutating func resume(at now: Timestamp) -> Effects {
    tickRuns = false
    var effects: Effects = declaration.isEmpty ? [] : [.work(.adopt(declaration))]
    switch phase {
    case .preparing: effects.append(.work(.prepare(job)))
    case .offering: effects += closeBids(at: now)
    case .revealing: effects.append(.wake(after: .seconds(1), timer: Timer.revealsClose.rawValue))
    case .running: effects += resumeRound(at: now)
    case .delivering: effects.append(deliverWork())
    case .idle, .awaitingEscrow, .settling, .ended: break
    }
    effects.append(.note(Milestone(.restarted, peer: me)))
    return effects + keepTicking()
  }
}

/// Why a job ended.
public enum StopReason: Int, Sendable, CaseIterable {
  case none = 0
  case allRounds, target, patience, deadline, cancelled, unplaced, refused

  public var words: String {
    switch self {
    case .none: "running"
    case .allRounds: "all rounds are done"
    case .target: "the target accuracy was reached"
    case .patience: "no better accuracy for as many rounds as the owner's patience"
    case .deadline: "the deadline passed"
    case .cancelled: "the owner cancelled it"
    case .unplaced: "a chunk could not be placed before the deadline"
    case .refused: "the job could not be prepared"
    }
  }
}

/// What a coordinator asks to be done outside its head.
public enum CoordinatorWork: Equatable, Sendable {
  enum Kind: Int { case prepared = 1, checked, aggregated, evaluated, sealed }

  /// Split the data, seal the chunks, store them.
  case prepare(Job)
  /// After a crash: this is the job that the machine remembers.
  case adopt([UInt8])
  /// Wrap keys for a trainer and send its grants.
  case grant(Grants, to: PublicKey, sealingKey: [UInt8])
  /// Wrap keys for an auditor and send its task.
  case audit(AuditTask, to: PublicKey, sealingKey: [UInt8])
  /// Fetch an update, open it, compare it with its commitment, add it to the round's sum.
  case check(UpdateReference, round: Int, base: Digest)
  /// Make the next global weights out of exactly these updates, and store them.
  case aggregate(round: Int, base: Digest, updates: [UpdateReference])
  case evaluate(round: Int, weights: Digest)
  /// Store bytes that anybody may read, by their digest.
  case publish(name: String, bytes: [UInt8])
  /// Seal the weights to the owner and store them.
  case deliver(round: Int, weights: Digest)
  /// A round is over: its updates are deleted, and checkpoints but the newest and this one.
  case forget(round: Int, keep: Digest)
}

/// Where an update is and what it must be.
public struct UpdateReference: Equatable, Sendable {
  public var slot: Int
  public var trainer: PublicKey
  public var nonce: UInt64
  public var digest: Digest
  public var samples: Int
}

public struct RoundSummary: Equatable, Sendable {
  public var round: Int
  public var checkpoint: Digest
  public var closed: Timestamp
  public var accepted: Int
  public var audited: Int
  public var correct = -1
  public var evaluated = 0
  public var loss = 0.0
  public var accuracy: Double { evaluated > 0 ? Double(correct) / Double(evaluated) : 0 }
}

import Chain
import ObjectStore
import Runtime

/// What an auditor decides: it trains again what it is asked to, commits to what it found before it learns what the trainer
/// found, and brings a lie before the ledger. As the arbiter of another's dispute it finds out for itself.
public struct AuditorMachine: Machine {
  public struct Settings: Sendable {
    public var key: SigningKey
    public var secret: Digest
    /// For its bonds.
    public var deposit: Amount
    public init(key: SigningKey, secret: Digest, deposit: Amount) {
      self.key = key
      self.secret = secret
      self.deposit = deposit
    }
  }

  typealias Effects = [Effect<AuditorWork>]
  static let tick = Duration.seconds(11)
  static let patience = Duration.seconds(30)
  /// Cases at once; more are refused by silence, and another auditor is asked.
  static let caseLimit = 4_096
  /// Commitments of trainers that are remembered.
  static let commitmentLimit = 65_536

  let settings: Settings
  public internal(set) var cases: [AuditCase] = []
  /// What trainers promised on the topics of the jobs this auditor may be asked about; the oldest are forgotten first.
  private var commitments: [CommitmentName: Digest] = [:]
  private var commitmentOrder: [CommitmentName] = []
  private var disputes: [Int: DisputeOpened] = [:]
  private var tickRuns = false

  public init(_ settings: Settings) { self.settings = settings }
  var me: PublicKey { settings.key.publicKey }

  public mutating func handle(_ input: Input, at now: Timestamp) -> [Effect<AuditorWork>] {
    var effects: Effects = []
    switch input {
    case .started(let again):
      tickRuns = false
      // What was under way is asked for again, with fresh URLs, when the coordinator misses the report.
      if again { cases.removeAll { $0.stage == .working } } else { effects = [.transact(.deposit(settings.deposit))] }
    case .message(.auditTask(let task), let sender): effects = take(task, from: sender, at: now)
    case .message(.auditOutcome(let outcome), let sender): effects = take(outcome, from: sender)
    case .message(.auditPay(let pay), _): effects = [.transact(.payAudits(pay.receipt))]
    case .message, .heard: break
    case .ledger(let event): effects = handle(event, at: now)
    case .timer:
      tickRuns = false
      effects = look(at: now)
    case .outcome(let outcome): effects = handle(outcome, at: now)
    }
    return effects + keepTicking()
  }

  // MARK: training again

  private mutating func take(_ task: AuditTask, from sender: PublicKey, at now: Timestamp) -> Effects {
    guard let job = try? Job(wireBytes: task.declaration), job.digest == task.job, task.proof.index == task.chunk,
      task.proof.proves(task.entry.leaf, under: job.manifest)
    else { return [] }
    let name = AuditName(
      job: task.job, slot: task.slot, round: task.round, trainer: task.trainer, dispute: task.dispute)
    if let index = cases.firstIndex(where: { $0.name == name }) {
      return cases[index].stage == .reported && task.dispute == 0 ? [report(cases[index])] : []
    }
    cases.removeAll { $0.stage == .reported && $0.name.round + 4 < task.round }
    guard cases.count < Self.caseLimit else { return [] }
    cases.append(AuditCase(name: name, coordinator: sender, chunk: task.chunk, mentioned: now))
    return [
      .work(.retrain(name, chunk: task.chunk, checkpoint: task.checkpoint)),
      .note(Milestone(.auditBegan, peer: me, round: task.round, slot: task.slot)),
    ]
  }

  private mutating func handle(_ outcome: Outcome, at now: Timestamp) -> Effects {
    let name = AuditName(
      job: outcome.job, slot: outcome.slot, round: outcome.round, trainer: outcome.peer, dispute: outcome.count)
    guard let index = cases.firstIndex(where: { $0.name == name && $0.stage == .working }) else { return [] }
    let ended = Effect<AuditorWork>.note(Milestone(.auditEnded, peer: me, round: name.round, slot: name.slot))
    guard outcome.code == 0 else {
      // Nothing found out, nothing said: the coordinator asks again, or asks another.
      cases.remove(at: index)
      return [ended]
    }
    cases[index].update = outcome.digest
    cases[index].mentioned = now
    if name.dispute > 0 {
      cases[index].stage = .reported
      return [ended] + rule(cases[index])
    }
    cases[index].stage = .committing
    let commitment = Commitment.digest(
      job: name.job, chunk: cases[index].chunk, round: name.round, by: me, salt: salt(name), update: outcome.digest)
    let post = CommitmentPost(
      job: name.job, round: name.round, entries: [.init(slot: name.slot, commitment: commitment)])
    return [ended, .transact(.post(topic: name.job, message: post.wireBytes))]
  }

  private func salt(_ name: AuditName) -> Digest {
    Digest(of: [
      settings.secret.bytes, Array("audit \(name.slot) \(name.round)".utf8), name.job.bytes, name.trainer.bytes,
    ])
  }

  private func report(_ audit: AuditCase) -> Effect<AuditorWork> {
    var report = AuditReport()
    report.job = audit.name.job
    report.round = audit.name.round
    report.slot = audit.name.slot
    report.trainer = audit.name.trainer
    report.update = audit.update
    report.salt = salt(audit.name)
    return .send(.auditReport(report), to: audit.coordinator)
  }

  // MARK: what the ledger says

  private mutating func handle(_ event: LedgerEvent, at now: Timestamp) -> Effects {
    switch event.kind {
    case .jobOpened(let terms) where terms.arbiters.contains(me): return [.follow(job: terms.job)]
    case .posted(let post):
      guard let commitments = try? CommitmentPost(wireBytes: post.message), commitments.job == post.topic else {
        return []
      }
      return post.sender == me ? promised(commitments) : remember(commitments, by: post.sender)
    case .disputeOpened(let opened) where opened.arbiter == me:
      disputes[opened.dispute] = opened
      return []
    case .disputeEnded(let ended):
      disputes[ended.dispute] = nil
      return []
    case .paid, .rejected: return []
    case .auditsPaid(let paid) where paid.auditor == me: return [.transact(.withdraw(paid.amount))]
    default: return []
    }
  }

  /// Our own promise is final: now the report may be opened.
  private mutating func promised(_ post: CommitmentPost) -> Effects {
    var effects: Effects = []
    for entry in post.entries {
      for index in cases.indices
      where cases[index].stage == .committing && cases[index].name.slot == entry.slot
        && cases[index].name.round == post.round && cases[index].name.job == post.job
      {
        cases[index].stage = .reported
        effects.append(report(cases[index]))
      }
    }
    return effects
  }

  private mutating func remember(_ post: CommitmentPost, by trainer: PublicKey) -> Effects {
    for entry in post.entries {
      let name = CommitmentName(job: post.job, slot: entry.slot, round: post.round, trainer: trainer)
      // The first promise holds.
      if commitments[name] != nil { continue }
      commitments[name] = entry.commitment
      commitmentOrder.append(name)
    }
    if commitmentOrder.count > Self.commitmentLimit {
      let forgotten = commitmentOrder.prefix(Self.commitmentLimit / 2)
      for name in forgotten { commitments[name] = nil }
      commitmentOrder.removeFirst(forgotten.count)
    }
    return []
  }

  /// Whether this is what the trainer promised on the ledger.
  private func isPromised(_ update: Digest, salt: Digest, chunk: Int, _ name: AuditName) -> Bool {
    let promised = commitments[CommitmentName(job: name.job, slot: name.slot, round: name.round, trainer: name.trainer)]
    return promised
      == Commitment.digest(
        job: name.job, chunk: chunk, round: name.round, by: name.trainer, salt: salt, update: update)
  }

  // MARK: a lie

  /// What the trainer had promised. Where it differs from what was found, the ledger hears of it.
  private mutating func take(_ outcome: AuditOutcome, from sender: PublicKey) -> Effects {
    let name = AuditName(
      job: outcome.job, slot: outcome.slot, round: outcome.round, trainer: outcome.trainer, dispute: 0)
    guard let index = cases.firstIndex(where: { $0.name == name && $0.stage == .reported }),
      cases[index].coordinator == sender, !cases[index].isDisputed, cases[index].update != outcome.update,
      isPromised(outcome.update, salt: outcome.salt, chunk: cases[index].chunk, name)
    else { return [] }
    cases[index].isDisputed = true
    var dispute = Dispute()
    dispute.job = name.job
    dispute.slot = name.slot
    dispute.trainer = name.trainer
    dispute.round = name.round
    dispute.found = cases[index].update
    dispute.promised = outcome.update
    dispute.salt = outcome.salt
    return [
      .transact(.dispute(dispute)),
      .note(Milestone(.auditMismatch, peer: name.trainer, round: name.round, slot: name.slot)),
    ]
  }

  /// The arbiter's word: a lie only if the trainer promised what the reporter says, and this is not what comes out.
  private mutating func rule(_ audit: AuditCase) -> Effects {
    guard let opened = disputes[audit.name.dispute - 1], opened.trainer == audit.name.trainer else { return [] }
    // Whoever lost its memory has not seen what was promised, and says nothing: the dispute lapses.
    let name = CommitmentName(
      job: audit.name.job, slot: audit.name.slot, round: audit.name.round, trainer: audit.name.trainer)
    guard commitments[name] != nil else { return [] }
    let isLie =
      isPromised(opened.promised, salt: opened.salt, chunk: audit.chunk, audit.name) && audit.update != opened.promised
    return [
      .transact(.rule(job: audit.name.job, dispute: opened.dispute, isUpheld: isLie, evidence: audit.update))
    ]
  }

  private mutating func look(at now: Timestamp) -> Effects {
    var effects: Effects = []
    for index in cases.indices where cases[index].stage == .reported && cases[index].name.dispute == 0 {
      guard now - cases[index].mentioned > Self.patience, cases[index].reminders < 3 else { continue }
      cases[index].mentioned = now
      cases[index].reminders += 1
      effects.append(report(cases[index]))
    }
    return effects
  }

  private mutating func keepTicking() -> Effects {
    guard !tickRuns, cases.contains(where: { $0.stage == .reported && $0.name.dispute == 0 && $0.reminders < 3 }) else {
      return []
    }
    tickRuns = true
    return [.wake(after: Self.tick, timer: 1)]
  }
}

public enum AuditorWork: Equatable, Sendable {
  case retrain(AuditName, chunk: Int, checkpoint: Digest)
}

public struct AuditName: Hashable, Sendable {
  public var job: Digest
  public var slot: Int
  public var round: Int
  public var trainer: PublicKey
  /// The ledger's dispute plus 1; 0 for an ordinary audit.
  public var dispute: Int
}

struct CommitmentName: Hashable {
  var job: Digest
  var slot: Int
  var round: Int
  var trainer: PublicKey
}

public struct AuditCase: Equatable, Sendable {
  public enum Stage: Equatable, Sendable { case working, committing, reported }
  public var name: AuditName
  var coordinator: PublicKey
  var chunk: Int
  public var stage = Stage.working
  public var update = Digest.zero
  var mentioned: Timestamp
  var reminders = 0
  var isDisputed = false
}

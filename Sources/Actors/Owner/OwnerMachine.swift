import Chain
import ObjectStore
import Runtime

/// What a job's owner decides: what it asks for, whether the terms are what it asked for, when it pays, and when it is done.
public struct OwnerMachine: Machine {
  public struct Settings: Sendable {
    public var key: SigningKey
    public var coordinator: PublicKey
    public var job: Job
    public var arbiters: [PublicKey]
    /// What it puts into the escrow when it comes up: at least the job's deposit.
    public var deposit: Amount
    public init(key: SigningKey, coordinator: PublicKey, job: Job, arbiters: [PublicKey], deposit: Amount) {
      self.key = key
      self.coordinator = coordinator
      self.job = job
      self.arbiters = arbiters
      self.deposit = deposit
    }
  }
  public enum Stage: Int, Sendable, Equatable { case asking, paying, waiting, opening, closing, done, refused }
  static let retry = Duration.seconds(20)
  /// How often a coordinator that is at work is asked whether it has delivered.
  static let watch = Duration.seconds(120)
  static let askTimer = 1
  static let refundTimer = 2
  static let cancelTimer = 3
  static let closeTimer = 4
  /// How often the coordinator is told that the job is cancelled before the owner closes it on the ledger.
  static let cancelAttempts = 6

  let settings: Settings
  public private(set) var stage = Stage.asking
  public private(set) var job = Digest.zero
  public private(set) var delivered: Delivered?
  private var isClosed = false
  private var isSettled = false
  /// How often the coordinator was told that the owner wants no more; nil where the owner does.
  private var cancellations: Int?

  public init(_ settings: Settings) { self.settings = settings }

  public mutating func handle(_ input: Input, at now: Timestamp) -> [Effect<OwnerWork>] {
    switch input {
    case .started(let again):
      return (again ? [] : [.transact(.deposit(settings.deposit))]) + ask() + cancel()
    case .message(.jobPrepared(let prepared), let sender) where sender == settings.coordinator:
      return check(prepared, at: now)
    case .message(.delivered(let delivered), let sender) where sender == settings.coordinator:
      return open(delivered)
    case .message(.cancel, let sender) where sender == settings.key.publicKey:
      // The owner's own word, from its own machine.
      if cancellations != nil { return [] }
      cancellations = 0
      return cancel()
    case .ledger(let event): return handle(event, at: now)
    case .timer(Self.cancelTimer): return cancel()
    // Whatever became of the coordinator: what nobody can earn any more comes back.
    case .timer(Self.closeTimer): return isClosed ? [] : [.transact(.close(job: job))]
    case .timer(Self.refundTimer): return isClosed && stage != .done ? [.transact(.refund(job: job))] : []
    case .timer: return ask()
    case .outcome(let outcome): return opened(outcome)
    case .message, .heard: return []
    }
  }

  /// The owner wants no more: the coordinator is told until it delivers what there is; one that stays silent is told by the
  /// ledger, where the owner closes the job and no coordinator can prevent it.
  private mutating func cancel() -> [Effect<OwnerWork>] {
    guard stage == .waiting, !isClosed, let told = cancellations else { return [] }
    cancellations = told + 1
    if told == Self.cancelAttempts { return [.transact(.close(job: job))] }
    if told > Self.cancelAttempts { return [] }
    return [
      .send(.cancel(JobReference(job: job)), to: settings.coordinator),
      .wake(after: Self.retry, timer: Self.cancelTimer),
    ]
  }

  /// Asks until the coordinator answers; then watches, so that a delivery that was missed is told again.
  private func ask() -> [Effect<OwnerWork>] {
    guard stage == .asking || stage == .paying || stage == .waiting else { return [] }
    return [
      .send(.jobRequest(JobRequest(declaration: settings.job.wireBytes)), to: settings.coordinator),
      .wake(after: stage == .asking ? Self.retry : Self.watch, timer: Self.askTimer),
    ]
  }

  /// Pays only for what it asked for: everything but the manifest is its own word, and the deposit fits the budget.
  private mutating func check(_ prepared: JobPrepared, at now: Timestamp) -> [Effect<OwnerWork>] {
    guard stage == .asking, let job = try? Job(wireBytes: prepared.declaration) else { return [] }
    var asked = settings.job
    asked.manifest = job.manifest
    guard asked == job, prepared.manifest.root == job.manifest, prepared.manifest.entries.count == job.chunkCount else {
      return []
    }
    self.job = job.digest
    let terms = JobTerms(
      for: job, digest: job.digest, owner: settings.key.publicKey, coordinator: settings.coordinator,
      arbiters: settings.arbiters, finalDeadline: now + job.stop.deadline + job.market.unreceiptedWindow * 2,
      manifest: prepared.manifest)
    guard let deposit = terms.deposit, deposit <= job.market.budget else {
      stage = .refused
      return [.note(Milestone(.jobStopped, peer: settings.key.publicKey, count: StopReason.refused.rawValue))]
    }
    stage = .paying
    return [.follow(job: job.digest), .transact(.openJob(terms))]
  }

  private mutating func handle(_ event: LedgerEvent, at now: Timestamp) -> [Effect<OwnerWork>] {
    switch event.kind {
    case .jobOpened(let terms) where terms.job == job:
      if stage == .paying { stage = .waiting }
      return cancel() + [.wake(after: terms.finalDeadline - now + .seconds(30), timer: Self.closeTimer)]
    case .jobClosed(let closed) where closed.job == job:
      isClosed = true
      return [.wake(after: closed.refundableFrom - now + .seconds(6), timer: Self.refundTimer)]
    case .refunded(let refund) where refund.job == job && refund.owner == settings.key.publicKey:
      if refund.isLast { isSettled = true }
      // Weights that have not come yet are still asked for.
      if isSettled && stage == .closing { stage = .done }
      if refund.amount == .zero { return [] }
      return [.transact(.withdraw(refund.amount))]
    case .rejected(let rejection) where rejection.sender == settings.key.publicKey:
      // Opened in an earlier life that was forgotten.
      if rejection.code == .jobExists && stage == .paying { stage = .waiting }
      return [.note(Milestone(.transactionRefused, peer: settings.key.publicKey, count: rejection.code.number))]
    default: return []
    }
  }

  private mutating func open(_ delivered: Delivered) -> [Effect<OwnerWork>] {
    guard delivered.job == job, stage == .waiting else { return [] }
    stage = .opening
    self.delivered = delivered
    return [.work(.open(delivered))]
  }

  private mutating func opened(_ outcome: Outcome) -> [Effect<OwnerWork>] {
    guard stage == .opening else { return [] }
    guard outcome.code == 0 else {
      // Not what was promised, or not to be had: the coordinator says it again.
      stage = .waiting
      return []
    }
    stage = isSettled ? .done : .closing
    let opened = Milestone(
      .deliveryOpened, peer: settings.key.publicKey, round: delivered?.round ?? 0, digest: outcome.digest)
    return (isClosed ? [] : [.transact(.close(job: job))]) + [.note(opened)]
  }
}

public enum OwnerWork: Equatable, Sendable {
  /// Get the envelope, open it, compare the weights with what was promised.
  case open(Delivered)
}

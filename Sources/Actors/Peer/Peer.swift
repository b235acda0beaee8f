import Chain
import Runtime
import Transport

/// What makes a trainer a trainer: who decides for it, and who does the work that was decided. Used by its peer alone.
public protocol PeerRole: AnyObject, Sendable {
  associatedtype Decider: Machine
  static var role: Role { get }
  /// Whoever decides, at the beginning; its state is the fold of the journal over it.
  func makeMachine() -> Decider
  /// Begins a piece of work; its outcome is handed to `done`, later, as the peer.
  func perform(_ work: Decider.Work, done: @escaping @Sendable (Outcome) -> Void)
  /// URLs that go with a message, in the order its documentation tells.
  func hints(for message: Message, to peer: PublicKey) -> [String]
  /// Takes the URLs that came with a message.
  func take(hints: [String], of message: Message, from peer: PublicKey)
}

extension PeerRole {
  public func hints(for message: Message, to peer: PublicKey) -> [String] { [] }
  public func take(hints: [String], of message: Message, from peer: PublicKey) {}
}

/// What a host hands to a peer.
public enum Arrival: Sendable {
  case frame(Frame, from: PublicKey)
  case ledger(LedgerEvent)
}

/// A peer: it writes down what comes in, asks its machine what to do, and sees that it is done. Short on purpose.
public actor Peer<R: PeerRole> {
  public let key: SigningKey
  private let executor: ActorExecutor
  private let host: any Host
  private let journal: any Journal
  private let role: R
  private var machine: R.Decider
  private var mesh: Mesh
  private var outbox = Outbox()
  private var topicSequence: UInt64 = 0
  private var lastLedgerSequence: UInt64 = 0
  private var outboxTimerRuns = false
  private var followed: [Digest] = []

  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// - Parameters:
  ///   - journal: what this peer wrote before, if it ran before.
  ///   - bootstraps: whom to ask for neighbours.
  public init(
    key: SigningKey, role: R, executor: ActorExecutor, host: any Host, journal: any Journal, bootstraps: [PublicKey]
  ) {
    self.key = key
    self.executor = executor
    self.host = host
    self.journal = journal
    machine = role.makeMachine()
    self.role = role
    mesh = Mesh(me: key.publicKey, role: R.role, bootstraps: bootstraps)
  }

  /// Enters the actor from its loop.
  public nonisolated func start() throws(JournalError) {
    let failure: JournalError? = assumeIsolated { me in
      do throws(JournalError) {
        try me.comeUp()
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
  }
  public nonisolated func receive(_ arrival: Arrival) { assumeIsolated { $0.take(arrival) } }
  /// What the machine is at this moment, for tests and reports.
  public nonisolated func withMachine<T: Sendable>(_ body: @Sendable (R.Decider) -> T) -> T {
    assumeIsolated { body($0.machine) }
  }

  // MARK: coming up

  private func comeUp() throws(JournalError) {
    let records = try journal.records()
    for record in records { refold(record) }
    topicSequence = host.now.nanoseconds
    if lastLedgerSequence > 0 || !records.isEmpty {
      for job in followed { host.follow(job: job, after: lastLedgerSequence) }
      for transaction in outbox.all { host.submit(transaction) }
    }
    seekNeighbours()
    decide(.started(again: !records.isEmpty))
    keepOutboxMoving()
  }

  /// Puts one record of an earlier life back in place. Its effects were carried out then, but for transactions whose outcome
  /// is not known.
  private func refold(_ record: JournalRecord) {
    // A record that this build cannot read was written by another; what it decided is lost, what follows is not.
    guard let input = try? Input(record: record) else { return }
    if case .ledger(let event) = input { noteLedger(event, at: record.at) }
    for effect in machine.handle(input, at: record.at) {
      switch effect {
      case .transact(let operation): _ = outbox.add(operation, by: key, at: record.at)
      case .follow(let job): followed.append(job)
      default: break
      }
    }
  }

  private func seekNeighbours() {
    guard mesh.seeks else { return }
    carryOut(mesh.seek())
    host.wake(after: mesh.pause) { [weak self] in self?.assumeIsolated { $0.seekNeighbours() } }
  }

  // MARK: taking things in

  private func take(_ arrival: Arrival) {
    switch arrival {
    case .frame(let frame, let sender):
      guard frame.body.count <= Frame.bodyLimit, frame.hints.count <= Frame.hintLimit + 1,
        let message = try? Message(wireBytes: frame.body)
      else { return }
      if let steps = mesh.handle(message, from: sender) {
        carryOut(steps)
        return
      }
      role.take(hints: frame.hints, of: message, from: sender)
      decide(.message(message, from: sender), hints: frame.hints)
    case .ledger(let event):
      guard event.sequence > lastLedgerSequence else { return }
      if let again = noteLedger(event, at: host.now) { host.submit(again) }
      decide(.ledger(event))
    }
  }

  @discardableResult
  private func noteLedger(_ event: LedgerEvent, at now: Timestamp) -> SignedTransaction? {
    lastLedgerSequence = max(lastLedgerSequence, event.sequence)
    return outbox.resolve(event, by: key, at: now)
  }

  private func carryOut(_ steps: [Mesh.Step]) {
    for step in steps {
      switch step {
      case .send(let message, let peer): host.send(Frame(body: message.wireBytes), to: peer)
      case .heard(let message): decide(.heard(message))
      }
    }
  }

  // MARK: deciding and doing

  /// Journal before action: the input is written down before its first effect.
  private func decide(_ input: Input, hints: [String] = []) {
    let now = host.now
    journal.append(input.record(at: now, hints: hints))
    for effect in machine.handle(input, at: now) { carryOut(effect, at: now) }
  }

  private func carryOut(_ effect: Effect<R.Decider.Work>, at now: Timestamp) {
    switch effect {
    case .send(let message, let peer):
      host.send(Frame(body: message.wireBytes, hints: role.hints(for: message, to: peer)), to: peer)
    case .publish(let topic, let body):
      topicSequence += 1
      carryOut(mesh.publish(TopicMessage(topic: topic, publisher: key, sequence: topicSequence, body: body)))
    case .transact(let operation):
      host.submit(outbox.add(operation, by: key, at: now))
      keepOutboxMoving()
    case .follow(let job):
      followed.append(job)
      host.follow(job: job, after: lastLedgerSequence)
    case .wake(let delay, let timer):
      host.wake(after: delay) { [weak self] in self?.assumeIsolated { $0.decide(.timer(timer)) } }
    case .work(let work):
      role.perform(work) { [weak self] outcome in self?.assumeIsolated { $0.decide(.outcome(outcome)) } }
    case .note(let milestone): host.note(milestone)
    }
  }

  private func keepOutboxMoving() {
    if outbox.isEmpty || outboxTimerRuns { return }
    outboxTimerRuns = true
    host.wake(after: Outbox.patience) { [weak self] in
      self?.assumeIsolated { me in
        me.outboxTimerRuns = false
        for transaction in me.outbox.overdue(at: me.host.now) { me.host.submit(transaction) }
        me.keepOutboxMoving()
      }
    }
  }
}

import Actors
import Chain
import Learn
import ObjectStore
import Runtime
import Synchronization
import Transport

/// One world in one thread: peers, network, ledger and store, all from one seed.
public final class World: @unchecked Sendable {
  public let scenario: Scenario
  public let seed: Seed
  public let loop: Loop
  public let job: Job
  public let chronicle = Chronicle()
  let epoch = Timestamp.rehearsalEpoch
  var peers: [SimulatedPeer] = []
  /// Where a peer stands, by its key. Looked up, never walked through.
  var places: [PublicKey: Int] = [:]
  private(set) var network: SimulatedNetwork!
  private(set) var ledger: SimulatedLedger!
  private(set) var store: SimulatedStore!
  let invariants = Invariants()
  let narrator: ActorExecutor
  let coordinatorSecret: Digest

  /// Whatever no journal may hold.
  private(set) var secrets: [[UInt8]] = []
  private let shelf = ModelShelf()
  private let data: JobData
  private var coordinatorSettings: Coordination.Settings?
  /// The machines at the end, for reports.
  private(set) var coordination: Coordination?
  private(set) var ownerRole: OwnerRole?
  public private(set) var liars: [Int] = []
  /// What is drawn over time, taken every so often.
  private(set) var samples: [WorldSample] = []
  private var isJobClosed = false
  private var isDeliveryOpened = false
  public private(set) var startFailure: String?
  /// The run was ended from outside before its story was over.
  public private(set) var isInterrupted = false
  var ownerKey: SigningKey { peers[0].key }

  /// - Parameters:
  ///   - workers: threads beside the loop's own.
  ///   - ownJob: another job than the scenario's, with its chunks: for benchmarks.
  public init(
    _ scenario: Scenario, data: ScenarioData, workers: Int, schedule: Schedule = .inOrder,
    ownJob: ((inout Job, inout JobData) -> Void)? = nil
  ) throws {
    self.scenario = scenario
    seed = Seed(scenario.seed)
    loop = Loop(seed: seed.child("loop"), schedule: schedule, pool: WorkerPool(workers: workers))
    narrator = loop.executor("story")
    var keyStream = seed.stream("keys")
    var secrets: [[UInt8]] = []
    func secret() -> [UInt8] {
      let bytes = keyStream.bytes(32)
      secrets.append(bytes)
      return bytes
    }
    guard let ownerSealing = SealingKey(secret: secret()), let coordinatorSecret = Digest(bytes: secret()) else {
      preconditionFailure("32 bytes are a key")
    }
    self.coordinatorSecret = coordinatorSecret
    var job = try scenario.job(data, ownerSealingKey: ownerSealing.publicKey)
    let partition = scenario.job.partition
    var jobData = JobData(
      chunks: { job throws(LearnError) in try data.chunks(partition, job) }, test: data.test, start: data.start,
      normalisation: data.normalisation)
    ownJob?(&job, &jobData)
    self.job = job
    self.data = jobData

    network = SimulatedNetwork(world: self)
    var storeStream = seed.stream("store")
    store = SimulatedStore(world: self, secret: storeStream.bytes(32))
    build(ownerSealing, secret)
    self.secrets = secrets
    scheduleFaults()
  }

  var timestamp: Timestamp { Timestamp(nanoseconds: epoch.nanoseconds + loop.now.nanoseconds) }

  // MARK: building

  private func build(_ ownerSealing: SealingKey, _ secret: () -> [UInt8]) {
    func key() -> SigningKey {
      guard let key = SigningKey(secret: secret()) else { preconditionFailure("32 bytes are a key") }
      return key
    }
    let part = scenario.peers
    let owner = add("owner", .owner, "owner", key(), .server)
    let coordinator = add("coordinator", .coordinator, "coordinator", key(), part.coordinatorLink)
    let bootstraps = (1...max(1, part.bootstraps)).map {
      add("bootstrap-\($0)", .bootstrap, "bootstrap", key(), .server)
    }
    let auditors =
      part.auditors == 0
      ? [] : (1...part.auditors).map { add("auditor-\($0)", .auditor, "auditor", key(), part.auditorLink) }
    let bootstrapKeys = bootstraps.map(\.key.publicKey)
    var contacts: [Coordination.AuditorContact] = []
    for auditor in auditors { contacts.append(makeAuditor(auditor, bootstrapKeys, secret)) }
    for bootstrap in bootstraps { makeBootstrap(bootstrap) }
    var standings: [PublicKey: Standing] = [:]
    var trainers: [(SimulatedPeer, TrainerClass)] = []
    for trainerClass in part.trainers {
      for number in 0..<trainerClass.count {
        let peer = add(
          "\(trainerClass.name)-\(number + 1)", .trainer, trainerClass.name, key(), trainerClass.link, trainerClass.skew
        )
        if trainerClass.standing > 0 { standings[peer.key.publicKey] = Standing(cleanAudits: trainerClass.standing) }
        makeTrainer(peer, trainerClass, bootstrapKeys, secret)
        trainers.append((peer, trainerClass))
      }
    }
    makeCoordinator(coordinator, contacts, standings, bootstrapKeys)
    makeOwner(owner, coordinator.key.publicKey, contacts.map(\.peer), ownerSealing, bootstrapKeys)
    let genesis = peers.map { peer in
      (peer.key.publicKey, peer.role == .owner ? ownerFunds : scenario.ledger.funds)
    }
    ledger = SimulatedLedger(
      world: self, state: EmbeddedLedger(genesis: genesis, seed: seed.child("ledger")))
    ledger.check = { [invariants] state, events in invariants.check(state, events) }
    var arrivals = seed.stream("arrivals")
    for peer in [coordinator] + bootstraps + auditors + [owner] { arrive(peer, at: .zero) }
    for (peer, trainerClass) in trainers {
      let span = trainerClass.arrive
      arrive(peer, at: span.lowerBound + arrivals.duration(below: span.upperBound - span.lowerBound + .nanoseconds(1)))
    }
  }

  var ownerFundsTinybars: Int64 { ownerFunds.tinybars }
  /// Answers that an evaluation gives: samples, or positions of sequences.
  var testCount: Int {
    guard let test = data.test else { return 0 }
    return test.targetKind == .classes ? test.count * test.targetCount : test.count
  }
  private var ownerFunds: Amount { scenario.ledger.funds.adding(job.market.budget) ?? scenario.ledger.funds }

  private func add(
    _ name: String, _ role: Role, _ className: String, _ key: SigningKey, _ link: LinkPart,
    _ skew: ClosedRange<Duration> = .zero ... .zero
  ) -> SimulatedPeer {
    var chance = seed.child("peer", peers.count).stream
    let drift = skew.lowerBound + chance.duration(below: skew.upperBound - skew.lowerBound + .nanoseconds(1))
    let peer = SimulatedPeer(
      index: peers.count, name: name, role: role, className: className, key: key, link: link, skew: drift,
      executor: loop.executor(name), chance: chance)
    places[key.publicKey] = peers.count
    peers.append(peer)
    return peer
  }

  private func makeAuditor(
    _ peer: SimulatedPeer, _ bootstraps: [PublicKey], _ secret: () -> [UInt8]
  ) -> Coordination.AuditorContact {
    guard let sealing = SealingKey(secret: secret()), let salt = Digest(bytes: secret()) else {
      preconditionFailure("32 bytes are a key")
    }
    let settings = AuditorMachine.Settings(
      key: peer.key, secret: salt,
      deposit: job.market.bond.times(8).flatMap { $0.adding(LedgerFees.usual.call) } ?? .zero)
    let device = Device(flops: scenario.peers.auditorFlops)
    peer.make = { [unowned self, unowned peer] host in
      Auditor(
        key: peer.key,
        role: AuditorRole(settings: settings, sealingKey: sealing, device: device, host: host, shelf: shelf),
        executor: peer.executor, host: host, journal: peer.journal, bootstraps: bootstraps)
    }
    return Coordination.AuditorContact(peer: peer.key.publicKey, sealingKey: sealing.publicKey)
  }

  private func makeBootstrap(_ peer: SimulatedPeer) {
    let seed = self.seed.child(peer.name)
    peer.make = { [unowned peer] host in
      Bootstrap(
        key: peer.key, role: BootstrapRole(seed: seed), executor: peer.executor, host: host, journal: peer.journal,
        bootstraps: [])
    }
  }

  private func makeTrainer(
    _ peer: SimulatedPeer, _ trainerClass: TrainerClass, _ bootstraps: [PublicKey], _ secret: () -> [UInt8]
  ) {
    guard let sealing = SealingKey(secret: secret()), let salt = Digest(bytes: secret()) else {
      preconditionFailure("32 bytes are a key")
    }
    // What is left pays for transactions.
    let spendable = scenario.ledger.funds.share(basisPoints: 9_000)
    let span = trainerClass.price.upperBound.tinybars - trainerClass.price.lowerBound.tinybars
    let price =
      Amount(tinybars: trainerClass.price.lowerBound.tinybars + Int64(peer.chance.below(UInt64(span) + 1))) ?? .zero
    let settings = TrainerMachine.Settings(
      key: peer.key, secret: salt, sealingKey: sealing.publicKey, price: price, slots: trainerClass.slots,
      megaflops: Int(trainerClass.flops / 1e6),
      deposit: min(
        job.market.stakePerSlot.times(trainerClass.slots * 2).flatMap { $0.adding(LedgerFees.usual.call) } ?? spendable,
        spendable),
      memoryBytes: trainerClass.memory)
    let device = Device(flops: trainerClass.flops, bytes: trainerClass.sealing)
    let training = lie(of: peer).map { Lying.training($0, seed: seed.child(peer.name)) } ?? TrainerRole.honest
    if lie(of: peer) != nil { liars.append(peer.index) }
    peer.make = { [unowned self, unowned peer] host in
      Trainer(
        key: peer.key,
        role: TrainerRole(
          settings: settings, sealingKey: sealing, device: device, host: host, shelf: shelf, training: training),
        executor: peer.executor, host: host, journal: peer.journal, bootstraps: bootstraps)
    }
  }

  private func lie(of peer: SimulatedPeer) -> Lie? {
    for fault in scenario.faults {
      if case .liar(let selector, let lie) = fault.what, selector.matches(peer.name, isTrainer: true) { return lie }
    }
    return nil
  }

  private func makeCoordinator(
    _ peer: SimulatedPeer, _ auditors: [Coordination.AuditorContact], _ standings: [PublicKey: Standing],
    _ bootstraps: [PublicKey]
  ) {
    let settings = Coordination.Settings(key: peer.key, auditors: auditors, standings: standings)
    coordinatorSettings = settings
    let device = Device(flops: scenario.peers.coordinatorFlops, bytes: scenario.peers.coordinatorSealing)
    let sealer = RehearsalSealer(stream: seed.stream("sealer"))
    let life = scenario.store.urlLife
    let secret = coordinatorSecret
    peer.make = { [unowned self, unowned peer] host in
      Coordinator(
        key: peer.key,
        role: CoordinatorRole(
          settings: settings, secret: secret, data: data, device: device, host: host, store: host, sealer: sealer,
          shelf: shelf, urlLife: life),
        executor: peer.executor, host: host, journal: peer.journal, bootstraps: bootstraps)
    }
  }

  private func makeOwner(
    _ peer: SimulatedPeer, _ coordinator: PublicKey, _ arbiters: [PublicKey], _ sealing: SealingKey,
    _ bootstraps: [PublicKey]
  ) {
    let settings = OwnerMachine.Settings(
      key: peer.key, coordinator: coordinator, job: job, arbiters: arbiters, deposit: job.market.budget)
    peer.make = { [unowned self, unowned peer] host in
      let role = OwnerRole(settings: settings, sealingKey: sealing, host: host)
      ownerRole = role
      return Owner(
        key: peer.key, role: role, executor: peer.executor, host: host, journal: peer.journal, bootstraps: bootstraps)
    }
  }

  // MARK: lives

  private func arrive(_ peer: SimulatedPeer, at delay: Duration) {
    peer.downSpans.append((.start, nil))
    loop.schedule(after: delay, on: peer.executor) { [unowned self, unowned peer] in start(peer) }
  }

  /// A new life, with whatever its journal holds.
  func start(_ peer: SimulatedPeer) {
    guard peer.life == nil, let make = peer.make else { return }
    if let last = peer.downSpans.indices.last, peer.downSpans[last].to == nil { peer.downSpans[last].to = loop.now }
    let host = SimulatedHost(world: self, peer: peer)
    peer.life = host
    let living = make(host)
    peer.living = living
    do throws(JournalError) {
      try living.start()
    } catch {
      startFailure = "\(peer.name): \(error)"
      loop.stop()
    }
    ledger.flush(to: peer)
  }

  /// The peer is gone from one moment to the next; its journal stays, unless it loses that too.
  func crash(_ peer: SimulatedPeer, keepsMemory: Bool) {
    if !keepsMemory {
      peer.journal.erase()
      peer.ledgerInbox = []
    }
    guard peer.life != nil else { return }
    peer.life = nil
    peer.living = nil
    peer.held = []
    peer.pauses = 0
    peer.downSpans.append((loop.now, nil))
  }

  // MARK: running

  /// Runs until the job is over and settled, or the time limit.
  public func run() {
    chronicle.watcher = { [unowned self] entry in
      watcher?(entry)
      let kind = entry.milestone.kind
      if kind == .jobClosed { isJobClosed = true }
      if kind == .deliveryOpened { isDeliveryOpened = true }
      // An owner that was away when its job ended is waited for.
      if (kind == .jobClosed || kind == .deliveryOpened) && isJobClosed && isDeliveryOpened
        || (kind == .jobStopped && entry.milestone.count == StopReason.refused.rawValue)
      {
        loop.schedule(after: .seconds(30), on: narrator) { [unowned self] in loop.stop() }
      }
    }
    if let interruption { loop.shouldEnd = interruption }
    takeSample()
    loop.run(until: Instant.start.advanced(by: scenario.timeLimit))
    for peer in peers {
      if let coordinator = peer.living as? Coordinator {
        loop.inspect(peer.executor) { coordination = coordinator.withMachine { $0 } }
      }
    }
    isInterrupted = interruption?() ?? false
    loop.pool?.shutdown()
  }
  /// Asked now and then; true ends the run where it stands.
  public var interruption: (() -> Bool)?

  /// What the coordinator decided, folded out of its journal: the milestones of its life, from the journal alone.
  public func retold(_ journal: [UInt8]) throws(JournalError) -> [(at: Timestamp, milestone: Milestone)] {
    guard let settings = coordinatorSettings else { return [] }
    var machine = Coordination(settings)
    var told: [(Timestamp, Milestone)] = []
    for record in try MemoryJournal.read(journal) {
      guard let input = try? Input(record: record) else { continue }
      for effect in machine.handle(input, at: record.at) {
        if case .note(let milestone) = effect { told.append((record.at, milestone)) }
      }
    }
    return told
  }
  /// Records and bytes in all journals so far.
  public var journalled: (records: Int, bytes: Int) {
    peers.reduce((0, 0)) { ($0.0 + $1.journal.count, $0.1 + $1.journal.bytes.count) }
  }
  /// What the owner got: a safetensors file.
  public var delivered: [UInt8]? { ownerRole?.weights }
  public func name(of key: PublicKey) -> String { places[key].map { peers[$0].name } ?? "\(key)" }
  public var peerNames: [String] { peers.map(\.name) }
  public static let epochStart = Timestamp.rehearsalEpoch
  /// Every few virtual seconds; the more time has passed, the rarer.
  private func takeSample() {
    let holdings = ledger.state.holdings
    samples.append(
      WorldSample(
        at: loop.now.seconds, peersUp: peersUp, bytes: Double(store.bytesUp + store.bytesDown),
        linkBytes: Double(network.bytes), locked: holdings.locked,
        paid: ledger.state.jobs.values.reduce(0) { $0 + $1.paidOut.tinybars }, fees: holdings.fees))
    let pause: Duration = samples.count < 500 ? .seconds(2) : .seconds(20)
    loop.schedule(after: pause, on: narrator) { [unowned self] in takeSample() }
  }

  public var watcher: ((Chronicle.Entry) -> Void)?

  var peersUp: Int { peers.reduce(0) { $0 + ($1.isUp && $1.role == .trainer ? 1 : 0) } }
}

struct WorldSample {
  var at: Double
  var peersUp: Int
  var bytes: Double
  var linkBytes: Double
  var locked: Int64
  var paid: Int64
  var fees: Int64
}

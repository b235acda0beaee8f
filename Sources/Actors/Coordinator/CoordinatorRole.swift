import Chain
import Learn
import ObjectStore
import Runtime
import Transport

public typealias Coordinator = Peer<CoordinatorRole>

/// What an owner hands to a coordinator that it runs: chunks in the order of their indices, and test samples that nobody
/// trains on.
public struct JobData: Sendable {
  /// Makes the chunks of a job; called on the pool.
  public var chunks: @Sendable (Job) throws(LearnError) -> [Samples]
  public var test: Samples?
  /// A checkpoint to begin from, if the job names one: a safetensors file.
  public var start: [UInt8]?
  /// What was done to all features beforehand.
  public var normalisation: Normalisation?
  public init(
    chunks: @escaping @Sendable (Job) throws(LearnError) -> [Samples], test: Samples?, start: [UInt8]? = nil,
    normalisation: Normalisation? = nil
  ) {
    self.normalisation = normalisation
    self.chunks = chunks
    self.test = test
    self.start = start
  }
}

/// A coordinator's hands: it splits and seals data, wraps keys, checks updates, sums them, and keeps checkpoints in the store.
/// What it has in memory can all be had again from the store and its secret.
public final class CoordinatorRole: PeerRole, @unchecked Sendable {
  public static let role = Role.coordinator
  /// Rows of an evaluation that go to the pool as one piece.
  static let evaluationPiece = 1_000

  let settings: Coordination.Settings
  let secret: Digest
  let data: JobData
  let device: Device
  let host: any Host
  let store: any StoreHost
  let sealer: any Sealer
  let shelf: ModelShelf
  let urlLife: Duration

  var job = Job()
  var jobDigest = Digest.zero
  var keys: JobKeys?
  var model: Model?
  /// Weights that were used lately, newest last.
  var weights: [(digest: Digest, weights: Weights)] = []
  var sum: OpenSum?
  var uploads: [Int: [ObjectKey]] = [:]

  /// The round's sum, and what is in it.
  struct OpenSum {
    var round: Int
    var base: Digest
    var sum: RoundSum
    var added: [UpdateReference] = []
  }

  public init(
    settings: Coordination.Settings, secret: Digest, data: JobData, device: Device, host: any Host,
    store: any StoreHost,
    sealer: any Sealer, shelf: ModelShelf, urlLife: Duration
  ) {
    self.settings = settings
    self.secret = secret
    self.data = data
    self.device = device
    self.host = host
    self.store = store
    self.sealer = sealer
    self.shelf = shelf
    self.urlLife = urlLife
  }

  public func makeMachine() -> Coordination { Coordination(settings) }

  public func perform(_ work: CoordinatorWork, done: @escaping @Sendable (Outcome) -> Void) {
    switch work {
    case .prepare(let job): prepare(job, done)
    case .adopt(let declaration): adopt(declaration)
    case .grant(let grants, let peer, let sealingKey): send(grants, to: peer, sealingKey)
    case .audit(let task, let peer, let sealingKey): send(task, to: peer, sealingKey)
    case .check(let reference, let round, let base): check(reference, round, base, done)
    case .aggregate(let round, let base, let updates): aggregate(round, base, updates, done)
    case .evaluate(let round, let digest): evaluate(round, digest, done)
    case .deliver(let round, let digest): deliver(round, digest, done)
    case .forget(let round, let keep): forget(round, keep)
    case .publish(let name, let bytes):
      if let keys { store.put(keys.publicObject(name), bytes) { _ in } }
    }
  }

  /// The job that this is all about.
  func adopt(_ declaration: [UInt8]) {
    guard keys == nil, let job = try? Job(wireBytes: declaration) else { return }
    self.job = job
    jobDigest = job.digest
    keys = JobKeys(secret: secret, job: job)
    model = try? shelf.model(job.model)
  }

  // MARK: split, seal, store

  private struct Prepared: Sendable {
    var manifest: Manifest
    var sealed: [[UInt8]]
    var initial: Weights
    var sealedInitial: [UInt8]
    var flopsPerSample: Int
  }

  private func prepare(_ job: Job, _ done: @escaping @Sendable (Outcome) -> Void) {
    let kind = CoordinatorWork.Kind.prepared.rawValue
    let keys = JobKeys(secret: secret, job: job)
    let data = self.data
    let shelf = self.shelf
    host.offload(cost: .seconds(2)) { () -> Prepared? in
      try? Self.prepare(job, keys, data, shelf)
    } then: { [self] prepared in
      guard let prepared, prepared.manifest.entries.count == job.chunkCount else {
        done(Outcome(kind: kind, code: Reason.wrongShape.rawValue))
        return
      }
      var ready = job
      ready.manifest = prepared.manifest.root
      adopt(ready.wireBytes)
      remember(prepared.initial.digest, prepared.initial)
      var objects = prepared.sealed.enumerated().map { (keys.chunkObject($0.offset), $0.element) }
      objects.append((keys.checkpointObject(prepared.initial.digest), prepared.sealedInitial))
      store(objects[...]) {
        done(
          Outcome(
            kind: kind, digest: prepared.initial.digest, count: prepared.initial.bytes.count,
            value: Double(prepared.flopsPerSample), bytes: prepared.manifest.wireBytes))
      }
    }
  }

  private static func prepare(_ job: Job, _ keys: JobKeys, _ data: JobData, _ shelf: ModelShelf) throws -> Prepared {
    let model = try shelf.model(job.model)
    let chunks = try data.chunks(job)
    var manifest = Manifest()
    var sealed: [[UInt8]] = []
    for (index, samples) in chunks.enumerated() {
      let entry = ManifestEntry(digest: Digest(of: samples.bytes), samples: samples.count, length: samples.bytes.count)
      manifest.entries.append(entry)
      sealed.append(
        Seal.seal(samples.bytes, key: keys.chunk(index), counter: 0, context: SealContext.chunk(entry)))
    }
    manifest.normalisation = data.normalisation?.wireBytes ?? []
    try job.recipe.check()
    try RoundSum.check(clip: job.clip, fractionBits: job.fractionBits, totalSamples: manifest.samples)
    let initial: Weights
    if let start = data.start {
      initial = try Weights(safetensors: start, for: model)
      guard initial.digest == job.startingWeights else {
        throw LearnError.weights("the checkpoint is not the one that the job names")
      }
    } else {
      initial = model.initialWeights(seed: job.initialSeed)
    }
    return Prepared(
      manifest: manifest, sealed: sealed, initial: initial,
      sealedInitial: seal(initial, round: job.firstRound, keys), flopsPerSample: model.flopsPerSample)
  }

  /// A checkpoint's nonce counter is the round that begins with it.
  static func seal(_ weights: Weights, round: Int, _ keys: JobKeys) -> [UInt8] {
    Seal.seal(
      weights.bytes, key: keys.checkpoints, counter: UInt64(round), context: SealContext.checkpoint(weights.digest))
  }

  /// Stores one after the other, each until it is there.
  private func store(_ objects: ArraySlice<(ObjectKey, [UInt8])>, then: @escaping @Sendable () -> Void) {
    guard let (key, bytes) = objects.first else {
      then()
      return
    }
    let rest = objects.dropFirst()
    store.put(key, bytes) { [self] result in
      switch result {
      case .success: store(rest, then: then)
      case .failure: host.wake(after: .seconds(5)) { [self] in store(objects, then: then) }
      }
    }
  }

  func put(_ key: ObjectKey, _ bytes: [UInt8], then: @escaping @Sendable () -> Void) {
    store([(key, bytes)][...], then: then)
  }

  // MARK: keys and capabilities go out

  private func send(_ grants: Grants, to peer: PublicKey, _ sealingKey: [UInt8]) {
    guard let keys else { return }
    var message = grants
    var hints: [String] = []
    for index in message.grants.indices {
      let lease = message.grants[index].lease.lease
      let secrets =
        keys.chunk(message.grants[index].chunk).bytes + keys.lease(slot: lease.slot, nonce: lease.nonce).bytes
        + keys.checkpoints.bytes
      guard
        let wrapped = try? sealer.wrap(
          secrets, for: sealingKey, info: SealContext.keys(job: grants.job, slot: lease.slot))
      else { return }
      message.grants[index].keys = wrapped
      hints.append(presign(.get, keys.chunkObject(message.grants[index].chunk)))
    }
    host.send(Frame(body: Message.grants(message).wireBytes, hints: hints), to: peer)
  }

  private func send(_ task: AuditTask, to peer: PublicKey, _ sealingKey: [UInt8]) {
    guard let keys else { return }
    var message = task
    let secrets = keys.chunk(task.chunk).bytes + keys.checkpoints.bytes
    guard
      let wrapped = try? sealer.wrap(secrets, for: sealingKey, info: SealContext.keys(job: task.job, slot: task.slot))
    else { return }
    message.keys = wrapped
    let hints = [
      presign(.get, keys.chunkObject(task.chunk)), presign(.get, keys.checkpointObject(task.checkpoint)),
    ]
    host.send(Frame(body: Message.auditTask(message).wireBytes, hints: hints), to: peer)
  }

  public func hints(for message: Message, to peer: PublicKey) -> [String] {
    guard let keys, let model else { return [] }
    switch message {
    case .task(let task):
      return [presign(.get, keys.checkpointObject(task.checkpoint))]
        + zip(task.slots, task.nonces).map { slot, nonce in
          let key = keys.updateObject(round: task.round, slot: slot, nonce: nonce)
          uploads[task.round, default: []].append(key)
          return presign(.put, key, limit: model.weightBytes + Seal.overhead)
        }
    case .delivered: return [presign(.get, keys.resultObject)]
    default: return []
    }
  }

  private func presign(_ method: HTTPMethod, _ key: ObjectKey, limit: Int = 0) -> String {
    store.presign(method, key, for: urlLife, limit: limit).text
  }

  private func forget(_ round: Int, _ keep: Digest) {
    for key in uploads.removeValue(forKey: round) ?? [] { store.delete(key) }
    while weights.count > 3, let oldest = weights.first {
      weights.removeFirst()
      if oldest.digest == keep {
        weights.insert(oldest, at: weights.count - 1)
        if weights.count <= 3 { break }
        continue
      }
      if let keys { store.delete(keys.checkpointObject(oldest.digest)) }
    }
  }
}

import Chain
import Learn
import ObjectStore
import Runtime
import Transport

public typealias Trainer = Peer<TrainerRole>

/// What computes an update. A rehearsal's liars bring another.
public typealias Training =
  @Sendable (Model, Weights, Samples, TrainingRecipe, Seed) throws(LearnError) -> TrainingOutcome

/// A trainer's hands: transfers, opening and sealing, training.
public final class TrainerRole: PeerRole, @unchecked Sendable {
  public static let role = Role.trainer
  public static let honest: Training = { model, weights, samples, recipe, seed throws(LearnError) in
    try model.train(from: weights, on: samples, recipe: recipe, seed: seed)
  }

  private let settings: TrainerMachine.Settings
  private let sealingKey: SealingKey
  private let device: Device
  private let host: any Host
  private let shelf: ModelShelf
  private let training: Training
  private var kits: [Digest: JobKit] = [:]

  /// What a trainer has in memory of a job; all of it can be had again.
  private struct JobKit {
    var job: Job
    var model: Model?
    var slots: [Int: SlotKit] = [:]
    var checkpointURL: PresignedURL?
    var checkpointKey: SecretKey?
    var checkpoint: (round: Int, weights: Weights)?
    var updates: [StepName: [UInt8]] = [:]
    var uploadURLs: [StepName: PresignedURL] = [:]
  }
  private struct SlotKit {
    var entry: ManifestEntry
    var chunkKey: SecretKey
    var leaseKey: SecretKey
    var url: PresignedURL
    var samples: Samples?
  }

  public init(
    settings: TrainerMachine.Settings, sealingKey: SealingKey, device: Device, host: any Host, shelf: ModelShelf,
    training: @escaping Training = TrainerRole.honest
  ) {
    self.settings = settings
    self.sealingKey = sealingKey
    self.device = device
    self.host = host
    self.shelf = shelf
    self.training = training
  }

  public func makeMachine() -> TrainerMachine { TrainerMachine(settings) }

  // MARK: capabilities come in

  public func take(hints: [String], of message: Message, from peer: PublicKey) {
    switch message {
    case .grants(let grants):
      guard grants.grants.count == hints.count, let job = try? Job(wireBytes: grants.declaration),
        job.digest == grants.job
      else { return }
      var kit = kits[grants.job] ?? JobKit(job: job)
      for (grant, hint) in zip(grants.grants, hints) where grant.lease.lease.trainer == settings.key.publicKey {
        let slot = grant.lease.lease.slot
        guard
          let keys = try? sealingKey.unwrap(grant.keys, info: SealContext.keys(job: grants.job, slot: slot)),
          keys.count == 96, let chunk = SecretKey(bytes: Array(keys[..<32])),
          let lease = SecretKey(bytes: Array(keys[32..<64])), let checkpoint = SecretKey(bytes: Array(keys[64...]))
        else { continue }
        let samples = kit.slots[slot].flatMap { $0.entry == grant.entry ? $0.samples : nil }
        kit.slots[slot] = SlotKit(
          entry: grant.entry, chunkKey: chunk, leaseKey: lease, url: PresignedURL(text: hint), samples: samples)
        kit.checkpointKey = checkpoint
      }
      kits[grants.job] = kit
    case .task(let task):
      guard hints.count == task.slots.count + 1 else { return }
      kits[task.job]?.checkpointURL = PresignedURL(text: hints[0])
      for (slot, hint) in zip(task.slots, hints.dropFirst()) {
        kits[task.job]?.uploadURLs[StepName(job: task.job, slot: slot, round: task.round)] = PresignedURL(text: hint)
      }
    default: break
    }
  }

  // MARK: work

  public func perform(_ work: TrainerWork, done: @escaping @Sendable (Outcome) -> Void) {
    switch work {
    case .fetchChunk(let job, let slot): fetchChunk(job, slot, done)
    case .fetchCheckpoint(let job, let round, let digest): fetchCheckpoint(job, round, digest, done)
    case .train(let name, let chunk, _): train(name, chunk, done)
    case .upload(let name): upload(name, done)
    case .forgetRound(let job, let round):
      change(job) { kit in
        if let checkpoint = kit.checkpoint, checkpoint.round <= round { kit.checkpoint = nil }
        kit.updates = kit.updates.filter { $0.key.round > round }
        kit.uploadURLs = kit.uploadURLs.filter { $0.key.round > round }
      }
    case .forgetSlot(let job, let slot):
      change(job) { kit in
        kit.slots[slot] = nil
        kit.updates = kit.updates.filter { $0.key.slot != slot }
      }
    }
  }

  /// Changes a kit where it lies, without a copy.
  private func change(_ job: Digest, _ body: (inout JobKit) -> Void) {
    guard var kit = kits.removeValue(forKey: job) else { return }
    body(&kit)
    kits[job] = kit
  }

  private func fetchChunk(_ job: Digest, _ slot: Int, _ done: @escaping @Sendable (Outcome) -> Void) {
    let kind = TrainerWork.Kind.chunkFetched.rawValue
    guard let kit = kits[job], let slotKit = kit.slots[slot] else {
      later { done(Outcome(kind: kind, job: job, slot: slot, code: ObjectStoreError.notFound.rawValue)) }
      return
    }
    guard kit.job.numerics == numericsVersion, let model = try? kit.model ?? shelf.model(kit.job.model) else {
      later { done(Outcome(kind: kind, job: job, slot: slot, code: Reason.wrongShape.rawValue)) }
      return
    }
    kits[job]?.model = model
    host.get(slotKit.url) { [self] result in
      switch result {
      case .failure(let error): done(Outcome(kind: kind, job: job, slot: slot, code: error.rawValue))
      case .success(let sealed):
        host.offload(cost: device.cost(bytes: sealed.count)) {
          Self.openChunk(sealed, slotKit.entry, slotKit.chunkKey)
        } then: { [self] opened in
          switch opened {
          case .success(let samples):
            kits[job]?.slots[slot]?.samples = samples
            done(Outcome(kind: kind, job: job, slot: slot))
          case .failure(let reason): done(Outcome(kind: kind, job: job, slot: slot, code: reason.rawValue))
          }
        }
      }
    }
  }

  /// A chunk is what the manifest says, or it is not used.
  static func openChunk(_ sealed: [UInt8], _ entry: ManifestEntry, _ key: SecretKey) -> Result<Samples, OpenFailure> {
    guard let plain = try? Seal.open(sealed, key: key, context: SealContext.chunk(entry)) else {
      return .failure(.broken)
    }
    guard Digest(of: plain) == entry.digest, let samples = try? Samples(bytes: plain), samples.count == entry.samples
    else {
      return .failure(.wrong)
    }
    return .success(samples)
  }

  private func fetchCheckpoint(
    _ job: Digest, _ round: Int, _ digest: Digest, _ done: @escaping @Sendable (Outcome) -> Void
  ) {
    let kind = TrainerWork.Kind.checkpointFetched.rawValue
    guard let kit = kits[job], let url = kit.checkpointURL, let key = kit.checkpointKey,
      let model = try? kit.model ?? shelf.model(kit.job.model)
    else {
      later { done(Outcome(kind: kind, job: job, round: round, code: ObjectStoreError.notFound.rawValue)) }
      return
    }
    host.get(url) { [self] result in
      switch result {
      case .failure(let error): done(Outcome(kind: kind, job: job, round: round, code: error.rawValue))
      case .success(let sealed):
        host.offload(cost: device.cost(bytes: sealed.count)) {
          Self.openCheckpoint(sealed, digest, key, model)
        } then: { [self] opened in
          switch opened {
          case .success(let weights):
            kits[job]?.checkpoint = (round, weights)
            done(Outcome(kind: kind, job: job, round: round))
          case .failure(let reason): done(Outcome(kind: kind, job: job, round: round, code: reason.rawValue))
          }
        }
      }
    }
  }

  static func openCheckpoint(
    _ sealed: [UInt8], _ digest: Digest, _ key: SecretKey, _ model: Model
  ) -> Result<Weights, OpenFailure> {
    guard let plain = try? Seal.open(sealed, key: key, context: SealContext.checkpoint(digest)) else {
      return .failure(.broken)
    }
    guard Digest(of: plain) == digest, let weights = try? Weights(bytes: plain, for: model) else {
      return .failure(.wrong)
    }
    return .success(weights)
  }

  private struct Trained: Sendable {
    var digest: Digest
    var sealed: [UInt8]
    var loss: Double
  }

  private func train(_ name: StepName, _ chunk: Int, _ done: @escaping @Sendable (Outcome) -> Void) {
    let kind = TrainerWork.Kind.trained.rawValue
    guard let kit = kits[name.job], let slot = kit.slots[name.slot], let samples = slot.samples,
      let checkpoint = kit.checkpoint, checkpoint.round == name.round, let model = kit.model
    else {
      later {
        done(
          Outcome(
            kind: kind, job: name.job, round: name.round, slot: name.slot, code: ObjectStoreError.notFound.rawValue))
      }
      return
    }
    let job = kit.job
    let flops = model.flopsPerSample * samples.count * job.recipe.epochs
    let training = self.training
    host.offload(cost: device.cost(flops: flops) + device.cost(bytes: job.recipe.storage.bytes(model) * 2)) {
      () -> Trained? in
      guard
        let outcome = try? training(
          model, checkpoint.weights, samples, job.recipe.at(round: name.round, of: job.rounds),
          job.trainingSeed(chunk: chunk, round: name.round))
      else { return nil }
      let sealed = Seal.seal(
        outcome.update, key: slot.leaseKey, counter: UInt64(name.round),
        context: SealContext.update(job: name.job, round: name.round, slot: name.slot))
      return Trained(digest: outcome.weights.digest, sealed: sealed, loss: outcome.loss)
    } then: { [self] trained in
      guard let trained else {
        done(Outcome(kind: kind, job: name.job, round: name.round, slot: name.slot, code: Reason.notFinite.rawValue))
        return
      }
      kits[name.job]?.updates[name] = trained.sealed
      done(
        Outcome(
          kind: kind, job: name.job, round: name.round, slot: name.slot, digest: trained.digest, value: trained.loss))
    }
  }

  private func upload(_ name: StepName, _ done: @escaping @Sendable (Outcome) -> Void) {
    let kind = TrainerWork.Kind.uploaded.rawValue
    guard let kit = kits[name.job], let bytes = kit.updates[name], let url = kit.uploadURLs[name] else {
      later {
        done(
          Outcome(
            kind: kind, job: name.job, round: name.round, slot: name.slot, code: ObjectStoreError.notFound.rawValue))
      }
      return
    }
    host.put(url, bytes) { result in
      var code = 0
      if case .failure(let error) = result { code = error.rawValue }
      done(Outcome(kind: kind, job: name.job, round: name.round, slot: name.slot, code: code))
    }
  }

  /// Never inside the call that asked.
  private func later(_ body: @escaping @Sendable () -> Void) { host.wake(after: .zero, body) }
}

/// Why bytes could not be used.
enum OpenFailure: Int, Error {
  case broken = 14
  case wrong = 10
}

import Chain
import Learn
import ObjectStore
import Runtime
import Transport

public typealias Auditor = Peer<AuditorRole>

/// An auditor's hands: it fetches, opens and trains as a trainer does, and keeps nothing.
public final class AuditorRole: PeerRole, @unchecked Sendable {
  public static let role = Role.auditor

  private let settings: AuditorMachine.Settings
  private let sealingKey: SealingKey
  private let device: Device
  private let host: any Host
  private let shelf: ModelShelf
  private var kits: [AuditName: AuditKit] = [:]
  /// One device: audits wait for each other.
  private var queue: [(AuditName, @Sendable (Outcome) -> Void)] = []
  private var isBusy = false

  private struct AuditKit {
    var job: Job
    var entry: ManifestEntry
    var chunkKey: SecretKey
    var checkpointKey: SecretKey
    var chunkURL: PresignedURL
    var checkpointURL: PresignedURL
    var chunk: Int
    var checkpoint: Digest
  }

  public init(
    settings: AuditorMachine.Settings, sealingKey: SealingKey, device: Device, host: any Host, shelf: ModelShelf
  ) {
    self.settings = settings
    self.sealingKey = sealingKey
    self.device = device
    self.host = host
    self.shelf = shelf
  }

  public func makeMachine() -> AuditorMachine { AuditorMachine(settings) }

  public func take(hints: [String], of message: Message, from peer: PublicKey) {
    guard case .auditTask(let task) = message, hints.count == 2, let job = try? Job(wireBytes: task.declaration),
      job.digest == task.job,
      let keys = try? sealingKey.unwrap(task.keys, info: SealContext.keys(job: task.job, slot: task.slot)),
      keys.count == 64,
      let chunkKey = SecretKey(bytes: Array(keys[..<32])), let checkpointKey = SecretKey(bytes: Array(keys[32...]))
    else { return }
    let name = AuditName(
      job: task.job, slot: task.slot, round: task.round, trainer: task.trainer, dispute: task.dispute)
    kits[name] = AuditKit(
      job: job, entry: task.entry, chunkKey: chunkKey, checkpointKey: checkpointKey,
      chunkURL: PresignedURL(text: hints[0]),
      checkpointURL: PresignedURL(text: hints[1]), chunk: task.chunk, checkpoint: task.checkpoint)
  }

  public func perform(_ work: AuditorWork, done: @escaping @Sendable (Outcome) -> Void) {
    switch work {
    case .retrain(let name, _, _):
      queue.append((name, done))
      next()
    }
  }

  private func next() {
    guard !isBusy, !queue.isEmpty else { return }
    isBusy = true
    let (name, done) = queue.removeFirst()
    let finish: @Sendable (Int, Digest) -> Void = { [self] code, digest in
      kits[name] = nil
      isBusy = false
      done(
        Outcome(
          kind: 1, job: name.job, round: name.round, slot: name.slot, peer: name.trainer, code: code, digest: digest,
          count: name.dispute))
      next()
    }
    guard let kit = kits[name], let model = try? shelf.model(kit.job.model), kit.job.numerics == numericsVersion else {
      host.wake(after: .zero) { finish(Reason.wrongShape.rawValue, .zero) }
      return
    }
    host.get(kit.chunkURL) { [self] chunk in
      host.get(kit.checkpointURL) { [self] checkpoint in
        guard case .success(let sealedChunk) = chunk, case .success(let sealedCheckpoint) = checkpoint else {
          finish(ObjectStoreError.unavailable.rawValue, .zero)
          return
        }
        let flops = model.flopsPerSample * kit.entry.samples * kit.job.recipe.epochs
        let bytes = sealedChunk.count + sealedCheckpoint.count + model.weightBytes
        host.offload(cost: device.cost(flops: flops) + device.cost(bytes: bytes)) {
          Self.retrain(sealedChunk, sealedCheckpoint, kit.entry, kit, name.round, model)
        } then: { digest in
          finish(digest == nil ? Reason.wrongShape.rawValue : 0, digest ?? .zero)
        }
      }
    }
  }

  private static func retrain(
    _ sealedChunk: [UInt8], _ sealedCheckpoint: [UInt8], _ entry: ManifestEntry, _ kit: AuditKit, _ round: Int,
    _ model: Model
  ) -> Digest? {
    guard case .success(let samples) = TrainerRole.openChunk(sealedChunk, entry, kit.chunkKey),
      case .success(let weights) = TrainerRole.openCheckpoint(
        sealedCheckpoint, kit.checkpoint, kit.checkpointKey, model),
      let outcome = try? model.train(
        from: weights, on: samples, recipe: kit.job.recipe.at(round: round, of: kit.job.rounds),
        seed: kit.job.trainingSeed(chunk: kit.chunk, round: round))
    else { return nil }
    return outcome.weights.digest
  }
}

import Learn
import ObjectStore
import Runtime

extension CoordinatorRole {
  func remember(_ digest: Digest, _ weights: Weights) {
    self.weights.removeAll { $0.digest == digest }
    self.weights.append((digest, weights))
  }

  /// Weights from memory, or from the store; nil where they cannot be had now.
  private func weights(_ digest: Digest, then: @escaping @Sendable (Weights?) -> Void) {
    if let known = weights.first(where: { $0.digest == digest }) {
      then(known.weights)
      return
    }
    guard let keys, let model else {
      then(nil)
      return
    }
    store.get(keys.checkpointObject(digest)) { [self] result in
      guard case .success(let sealed) = result else {
        then(nil)
        return
      }
      host.offload(cost: device.cost(bytes: sealed.count)) {
        TrainerRole.openCheckpoint(sealed, digest, keys.checkpoints, model)
      } then: { [self] opened in
        guard case .success(let weights) = opened else {
          then(nil)
          return
        }
        remember(digest, weights)
        then(weights)
      }
    }
  }

  // MARK: one update

  func check(_ reference: UpdateReference, _ round: Int, _ base: Digest, _ done: @escaping @Sendable (Outcome) -> Void)
  {
    let kind = CoordinatorWork.Kind.checked.rawValue
    let finish: @Sendable (Int) -> Void = { code in
      done(Outcome(kind: kind, round: round, slot: reference.slot, peer: reference.trainer, code: code))
    }
    guard let keys else {
      host.wake(after: .zero) { finish(Reason.blobMissing.rawValue) }
      return
    }
    store.get(keys.updateObject(round: round, slot: reference.slot, nonce: reference.nonce)) { [self] result in
      guard case .success(let sealed) = result else {
        finish(Reason.blobMissing.rawValue)
        return
      }
      weights(base) { [self] origin in
        guard let origin, let model, let open = openSum(round, base, origin, model) else {
          finish(Reason.blobMissing.rawValue)
          return
        }
        let key = keys.lease(slot: reference.slot, nonce: reference.nonce)
        let context = SealContext.update(job: jobDigest, round: round, slot: reference.slot)
        let storage = job.recipe.storage
        host.offload(cost: device.cost(bytes: sealed.count * 2)) {
          Self.add(sealed, reference, key, context, model, storage, to: open.sum)
        } then: { [self] reason in
          if reason == .none, sum?.sum === open.sum { sum?.added.append(reference) }
          finish(reason.rawValue)
        }
      }
    }
  }

  /// The sum of this round, begun if it is not yet.
  private func openSum(_ round: Int, _ base: Digest, _ origin: Weights, _ model: Model) -> OpenSum? {
    if let sum, sum.round == round, sum.base == base { return sum }
    sum = fresh(round, base, origin, model)
    return sum
  }

  private func fresh(_ round: Int, _ base: Digest, _ weights: Weights, _ model: Model) -> OpenSum? {
    guard
      let sum = try? RoundSum(
        model: model, base: weights, clip: job.clip, fractionBits: job.fractionBits, totalSamples: 1)
    else { return nil }
    return OpenSum(round: round, base: base, sum: sum)
  }

  /// An update is opened, compared with what was promised, and added; or there is one reason why not.
  private static func add(
    _ sealed: [UInt8], _ reference: UpdateReference, _ key: SecretKey, _ context: [UInt8], _ model: Model,
    _ storage: UpdateStorage, to sum: RoundSum
  ) -> Reason {
    guard let plain = try? Seal.open(sealed, key: key, context: context) else { return .sealBroken }
    guard plain.count == storage.bytes(model) else { return .wrongShape }
    do {
      let update = try storage.decode(plain, base: sum.base, model)
      guard update.digest == reference.digest else { return .wrongDigest }
      try sum.add(update, samples: reference.samples)
      return .none
    } catch {
      switch error {
      case .aggregation: return .clipExceeded
      case .weights: return .notFinite
      case .model, .data, .training, .onnx: return .wrongShape
      }
    }
  }

  // MARK: the round's sum

  func aggregate(
    _ round: Int, _ base: Digest, _ updates: [UpdateReference], _ done: @escaping @Sendable (Outcome) -> Void
  ) {
    let kind = CoordinatorWork.Kind.aggregated.rawValue
    if let open = sum, open.round == round, open.base == base,
      Set(open.added.map(\.digestOfUse)) == Set(updates.map(\.digestOfUse)),
      open.added.count == updates.count
    {
      close(open, updates, done)
      return
    }
    // A crash, or an update that turned out a lie: the sum is made again from what the store has.
    weights(base) { [self] weights in
      guard let weights, let model, let open = fresh(round, base, weights, model) else {
        host.wake(after: .seconds(5)) { done(Outcome(kind: kind, round: round, code: Reason.blobMissing.rawValue)) }
        return
      }
      sum = open
      refill(round, updates[...], open) { [self] isWhole in
        guard isWhole, let whole = sum, whole.sum === open.sum else {
          host.wake(after: .seconds(5)) { done(Outcome(kind: kind, round: round, code: Reason.blobMissing.rawValue)) }
          return
        }
        close(whole, updates, done)
      }
    }
  }

  private func refill(
    _ round: Int, _ updates: ArraySlice<UpdateReference>, _ open: OpenSum, then: @escaping @Sendable (Bool) -> Void
  ) {
    guard let reference = updates.first else {
      then(true)
      return
    }
    guard let keys, let model else {
      then(false)
      return
    }
    store.get(keys.updateObject(round: round, slot: reference.slot, nonce: reference.nonce)) { [self] result in
      guard case .success(let sealed) = result else {
        then(false)
        return
      }
      let key = keys.lease(slot: reference.slot, nonce: reference.nonce)
      let context = SealContext.update(job: jobDigest, round: round, slot: reference.slot)
      let storage = job.recipe.storage
      host.offload(cost: device.cost(bytes: sealed.count * 2)) {
        Self.add(sealed, reference, key, context, model, storage, to: open.sum)
      } then: { [self] reason in
        guard reason == .none else {
          then(false)
          return
        }
        if sum?.sum === open.sum { sum?.added.append(reference) }
        refill(round, updates.dropFirst(), open, then: then)
      }
    }
  }

  private func close(_ open: OpenSum, _ updates: [UpdateReference], _ done: @escaping @Sendable (Outcome) -> Void) {
    guard let keys, let model else { return }
    let round = open.round
    let samples = updates.reduce(0) { $0 + $1.samples }
    let isBounded =
      (try? RoundSum.check(clip: job.clip, fractionBits: job.fractionBits, totalSamples: samples)) != nil
    precondition(isBounded, "a job whose sums could overflow is refused before it begins")
    sum = nil
    host.offload(cost: device.cost(bytes: model.weightBytes * 4)) { () -> (Weights, Digest, [UInt8]) in
      let next = open.sum.finish()
      return (next, next.digest, Self.seal(next, round: round + 1, keys))
    } then: { [self] next, digest, sealed in
      remember(digest, next)
      put(keys.checkpointObject(digest), sealed) {
        done(
          Outcome(
            kind: CoordinatorWork.Kind.aggregated.rawValue, round: round, digest: digest, count: updates.count))
      }
    }
  }

  // MARK: evaluation and delivery

  func evaluate(_ round: Int, _ digest: Digest, _ done: @escaping @Sendable (Outcome) -> Void) {
    let kind = CoordinatorWork.Kind.evaluated.rawValue
    guard let test = data.test, let model else {
      host.wake(after: .zero) { done(Outcome(kind: kind, round: round, digest: digest)) }
      return
    }
    weights(digest) { [self] weights in
      guard let weights else {
        host.wake(after: .seconds(5)) { [self] in evaluate(round, digest, done) }
        return
      }
      let pieces = EvaluationPieces(
        stride(from: 0, to: test.count, by: Self.evaluationPiece).map {
          $0..<min(test.count, $0 + Self.evaluationPiece)
        })
      for index in pieces.ranges.indices {
        let range = pieces.ranges[index]
        let cost = device.cost(flops: model.forwardFlopsPerSample * test.count)
        host.offload(cost: cost) {
          (try? model.evaluate(weights, on: test, rows: range)) ?? Evaluation()
        } then: { part in
          guard let whole = pieces.put(part, at: index) else { return }
          done(
            Outcome(
              kind: kind, round: round, digest: digest, count: whole.count, part: whole.correct, value: whole.loss))
        }
      }
    }
  }

  func deliver(_ round: Int, _ digest: Digest, _ done: @escaping @Sendable (Outcome) -> Void) {
    let kind = CoordinatorWork.Kind.sealed.rawValue
    weights(digest) { [self] weights in
      guard let weights, let keys,
        let envelope = try? Envelope.seal(
          weights.bytes, for: job.ownerSealingKey, freshKey: keys.result, info: SealContext.result(job: jobDigest),
          sealer: sealer)
      else {
        host.wake(after: .seconds(5)) { done(Outcome(kind: kind, round: round, code: Reason.blobMissing.rawValue)) }
        return
      }
      let bytes = envelope.wireBytes
      put(keys.resultObject, bytes) { done(Outcome(kind: kind, round: round, digest: Digest(of: bytes))) }
    }
  }
}

/// Parts of an evaluation, added in the order of their rows once all are there. Used by one thread.
private final class EvaluationPieces: @unchecked Sendable {
  let ranges: [Range<Int>]
  private var parts: [Evaluation?]
  init(_ ranges: [Range<Int>]) {
    self.ranges = ranges
    parts = ranges.map { _ in nil }
  }
  func put(_ part: Evaluation, at index: Int) -> Evaluation? {
    parts[index] = part
    guard parts.allSatisfy({ $0 != nil }) else { return nil }
    var whole = Evaluation()
    for part in parts { if let part { whole.add(part) } }
    return whole
  }
}

extension UpdateReference {
  /// What makes two references the same piece of a sum.
  fileprivate var digestOfUse: Digest {
    Digest(of: digest.bytes + trainer.bytes + Array("\(slot) \(nonce) \(samples)".utf8))
  }
}

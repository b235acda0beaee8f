import Chain
import Learn
import ObjectStore
import Runtime
import Transport

extension Coordination {
  /// An owner asks: split the data, seal it, store it.
  mutating func prepare(_ request: JobRequest, from sender: PublicKey) -> Effects {
    if sender == owner, !declaration.isEmpty {
      // Asked again, by an owner that was away or forgot: told what there is to tell, after the end as well.
      return [.send(prepared(), to: owner)] + (delivery.map { [.send(.delivered($0), to: owner)] } ?? [])
    }
    guard phase == .idle, let job = try? Job(wireBytes: request.declaration) else { return [] }
    owner = sender
    self.job = job
    phase = .preparing
    return [.work(.prepare(job))]
  }

  mutating func prepared(_ outcome: Outcome) -> Effects {
    guard phase == .preparing else { return [] }
    guard outcome.code == 0, let manifest = try? Manifest(wireBytes: outcome.bytes) else {
      stop = .refused
      phase = .ended
      return [.note(Milestone(.jobStopped, count: stop.rawValue))]
    }
    self.manifest = manifest
    tree = manifest.tree
    job.manifest = manifest.root
    checkpoint = outcome.digest
    weightBytes = outcome.count
    flopsPerSample = Int(outcome.value)
    declaration = job.wireBytes
    jobDigest = job.digest
    plans = job.slots()
    slots = plans.map { SlotDesk(plan: $0) }
    phase = .awaitingEscrow
    return [
      .follow(job: jobDigest),
      .send(prepared(), to: owner),
      .note(Milestone(.jobPrepared, peer: owner, digest: jobDigest, count: manifest.entries.count)),
    ]
  }

  private func prepared() -> Message {
    var message = JobPrepared()
    message.declaration = declaration
    message.manifest = manifest
    return .jobPrepared(message)
  }

  /// The escrow is there: the market hears of the job.
  mutating func escrowOpened(_ terms: JobTerms, at now: Timestamp) -> Effects {
    guard phase == .awaitingEscrow,
      terms
        == JobTerms(
          for: job, digest: jobDigest, owner: owner, coordinator: me,
          arbiters: auditors.map(\.peer), finalDeadline: terms.finalDeadline, manifest: manifest)
    else { return [] }
    opened = now
    phase = .offering
    bids.closes = now + job.market.offerWindow
    return [
      .note(Milestone(.escrowOpened, peer: owner, amount: terms.deposit ?? .zero, digest: jobDigest)),
      .publish(.market, offer().wireBytes),
      .note(Milestone(.offered, peer: me, amount: job.market.ceiling, count: slots.count)),
      .wake(after: job.market.offerWindow, timer: Timer.bidsClose.rawValue),
    ] + keepTicking()
  }

  func offer() -> Offer {
    var offer = Offer()
    offer.job = jobDigest
    offer.coordinator = me
    offer.name = job.name
    offer.slots = slots.count
    offer.flopsPerRound = flopsPerSample * manifest.samples / max(1, manifest.entries.count) * job.recipe.epochs
    offer.chunkBytes = manifest.entries.map(\.length).max() ?? 0
    offer.weightBytes = weightBytes
    offer.ceiling = job.market.ceiling
    offer.stakePerSlot = job.market.stakePerSlot
    offer.closes = bids.closes
    return offer
  }
}

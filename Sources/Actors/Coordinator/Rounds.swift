import Chain
import Runtime

extension Coordination {
  // MARK: a round begins

  mutating func begin(round number: Int, at now: Timestamp) -> Effects {
    guard number < job.rounds else { return finish(.allRounds, at: now) }
    var slotOfChunk: [Int: Int] = [:]
    for slot in slots.indices where slots[slot].plan.rounds.contains(number) {
      slotOfChunk[slots[slot].plan.chunk] = slot
    }
    let works = job.chunks(inRound: number).compactMap { chunk in
      slotOfChunk[chunk].map { WorkDesk(slot: $0, chunk: chunk, since: now, mentioned: now) }
    }
    round = RoundDesk(number: number, began: now, works: works)
    return place(at: now) + sendTasks(at: now)
  }

  /// Every trainer that holds a drawn slot is told once, of all its slots.
  mutating func sendTasks(to only: PublicKey? = nil, at now: Timestamp) -> Effects {
    guard var desk = round else { return [] }
    var order: [PublicKey] = []
    var slotsOf: [PublicKey: [Int]] = [:]
    for index in desk.works.indices where desk.works[index].stage == .unplaced {
      guard case .leased(let lease) = slots[desk.works[index].slot].state, only == nil || only == lease.trainer else {
        continue
      }
      desk.works[index].stage = .training
      desk.works[index].trainer = lease.trainer
      desk.works[index].nonce = lease.nonce
      desk.works[index].since = now
      desk.works[index].mentioned = now
      desk.works[index].isSummoned = false
      desk.works[index].calls = 0
      if slotsOf[lease.trainer] == nil { order.append(lease.trainer) }
      slotsOf[lease.trainer, default: []].append(desk.works[index].slot)
    }
    round = desk
    return order.flatMap { trainer in task(for: trainer, slots: slotsOf[trainer] ?? []) }
  }

  func task(for trainer: PublicKey, slots: [Int]) -> Effects {
    guard let round else { return [] }
    return stride(from: 0, to: slots.count, by: Grants.limit).flatMap { start -> Effects in
      var task = RoundTask()
      task.job = jobDigest
      task.round = round.number
      task.checkpoint = checkpoint
      task.slots = Array(slots[start..<min(start + Grants.limit, slots.count)])
      task.nonces = task.slots.map { self.slots[$0].nonce }
      return [
        .send(.task(task), to: trainer),
        .note(Milestone(.taskSent, peer: trainer, round: round.number, count: task.slots.count)),
      ]
    }
  }

  // MARK: commitments and updates come in

  mutating func committed(_ posted: CommitmentPost, by trainer: PublicKey, at now: Timestamp) -> Effects {
    guard var desk = round, desk.number == posted.round else { return [] }
    for entry in posted.entries {
      guard let index = desk.index(ofSlot: entry.slot) else { continue }
      // The first promise holds: whoever was drawn for an audit cannot make another.
      if desk.works[index].commitments[trainer] == nil { desk.works[index].commitments[trainer] = entry.commitment }
      if desk.works[index].trainer == trainer && desk.works[index].stage == .training {
        desk.works[index].stage = .committed
        desk.works[index].since = now
        desk.works[index].mentioned = now
        desk.works[index].isSummoned = false
      }
    }
    round = desk
    return []
  }

  mutating func take(_ reveal: Reveal, from sender: PublicKey, at now: Timestamp) -> Effects {
    guard reveal.job == jobDigest, phase == .running, let desk = round else { return [] }
    func answer(_ reason: Reason) -> Effects {
      [.send(.answer(Answer(job: reveal.job, round: reveal.round, slot: reveal.slot, reason: reason)), to: sender)]
    }
    guard reveal.round == desk.number, let index = desk.index(ofSlot: reveal.slot) else {
      let isDone = slots.indices.contains(reveal.slot) && slots[reveal.slot].doneRounds.contains(reveal.round)
      return answer(isDone ? .none : .superseded)
    }
    let work = desk.works[index]
    guard work.trainer == sender else { return answer(.superseded) }
    switch work.stage {
    case .accepted, .auditing, .clean: return answer(.none)
    case .unplaced, .checking: return []
    case .training, .committed: break
    }
    guard let commitment = work.commitments[sender] else { return answer(.notCommitted) }
    let promised = Commitment.digest(
      job: jobDigest, chunk: work.chunk, round: reveal.round, by: sender, salt: reveal.salt, update: reveal.update)
    guard promised == commitment else { return refuse(index, .wrongDigest, at: now) }
    round?.works[index].stage = .checking
    round?.works[index].since = now
    round?.works[index].update = reveal.update
    round?.works[index].commitment = commitment
    round?.works[index].salt = reveal.salt
    return [check(index)].compactMap { $0 }
  }

  func check(_ index: Int) -> Effect<CoordinatorWork>? {
    guard let round else { return nil }
    return .work(.check(reference(round.works[index]), round: round.number, base: checkpoint))
  }

  func reference(_ work: WorkDesk) -> UpdateReference {
    UpdateReference(
      slot: work.slot, trainer: work.trainer, nonce: work.nonce, digest: work.update,
      samples: manifest.entries[work.chunk].samples)
  }

  mutating func checked(_ outcome: Outcome, at now: Timestamp) -> Effects {
    guard phase == .running, let desk = round, desk.number == outcome.round,
      let index = desk.index(ofSlot: outcome.slot),
      desk.works[index].stage == .checking, desk.works[index].trainer == outcome.peer
    else { return [] }
    let work = desk.works[index]
    if outcome.code == Reason.blobMissing.rawValue {
      // Not there yet, or the store is down: the trainer says it again until its time is over.
      round?.works[index].stage = .committed
      return []
    }
    guard outcome.code == 0 else { return refuse(index, Reason(rawValue: outcome.code) ?? .wrongShape, at: now) }
    completionTimes.append((now - desk.began).nanoseconds)
    if completionTimes.count > 512 { completionTimes.removeFirst(256) }
    slots[work.slot].state.accept(AcceptedRound(round: desk.number, commitment: work.commitment))
    round?.works[index].stage = job.audit.isOff ? .clean : .accepted
    round?.works[index].since = now
    var effects: Effects = [
      .send(.answer(Answer(job: jobDigest, round: desk.number, slot: work.slot, reason: .none)), to: work.trainer),
      .note(Milestone(.updateAccepted, peer: work.trainer, round: desk.number, slot: work.slot, digest: work.update)),
    ]
    effects += drawAudits(at: now)
    effects += closeIfComplete(at: now)
    return effects
  }

  /// An update that is not what it should be: the trainer is told why, loses the lease, and is not asked again.
  mutating func refuse(_ index: Int, _ reason: Reason, at now: Timestamp) -> Effects {
    guard let desk = round else { return [] }
    return refuse(index, reason, of: desk.works[index], at: now)
  }

  mutating func refuse(_ index: Int, _ reason: Reason, of work: WorkDesk, at now: Timestamp) -> Effects {
    guard let desk = round else { return [] }
    round?.refused += 1
    var effects: Effects = [
      .send(.answer(Answer(job: jobDigest, round: desk.number, slot: work.slot, reason: reason)), to: work.trainer),
      .note(Milestone(.updateRefused, peer: work.trainer, round: desk.number, slot: work.slot, reason: reason)),
    ]
    effects += end(slot: work.slot, blaming: reason, at: now)
    return effects
  }

  /// Takes a slot away from whoever holds it: its stake goes back, its accepted rounds are paid.
  mutating func end(slot: Int, blaming reason: Reason, at now: Timestamp) -> Effects {
    guard case .leased(let lease) = slots[slot].state else { return [] }
    bids.blame(lease.trainer, forLie: reason != .tooSlow, at: now)
    standings[lease.trainer, default: Standing()].note(good: false)
    slots[slot].state = .ending(lease)
    return [
      .transact(.revoke(job: jobDigest, slot: slot)),
      .note(Milestone(.leaseLost, peer: lease.trainer, slot: slot, reason: reason)),
    ]
  }

  // MARK: whoever is late

  /// What a round's work may take: four times the median so far, and some grace for the ledger; before there is a median, a
  /// generous guess.
  var allowance: Duration {
    guard completionTimes.count >= 8 else { return .seconds(180) }
    let median = completionTimes.sorted()[completionTimes.count / 2]
    return .seconds(25) + .nanoseconds(median) * 3
  }

  mutating func lookAtRound(at now: Timestamp) -> Effects {
    guard let desk = round, !desk.isAggregating else { return [] }
    var effects: Effects = []
    let allowance = self.allowance
    for slot in slots.indices {
      guard case .granted(let lease) = slots[slot].state, now - lease.since > max(.seconds(30), bids.pace * 3)
      else { continue }
      // Never taken up. The grant is void: a later acceptance finds another nonce on the ledger and is ended there.
      bids.blame(lease.trainer, forLie: false, at: now)
      freeSlot(slot)
      effects.append(.note(Milestone(.leaseLost, peer: lease.trainer, slot: slot, reason: .leaseNotAccepted)))
    }
    var reminded: [PublicKey: [Int]] = [:]
    var order: [PublicKey] = []
    for index in desk.works.indices {
      let work = desk.works[index]
      let waited = now - work.since
      switch work.stage {
      case .unplaced, .accepted, .clean: break
      case .training, .committed:
        if waited > allowance && !work.isSummoned {
          round?.works[index].isSummoned = true
          round?.works[index].mentioned = now
          effects += work.calls == 0 ? summon(work) : end(slot: work.slot, blaming: .tooSlow, at: now)
        } else if now - work.mentioned > allowance / 2 && !work.isSummoned {
          round?.works[index].mentioned = now
          if reminded[work.trainer] == nil { order.append(work.trainer) }
          reminded[work.trainer, default: []].append(work.slot)
        } else if work.isSummoned, now - work.mentioned > job.market.answerWindow + .seconds(10) {
          round?.works[index].mentioned = now
          effects.append(.transact(.expire(job: jobDigest, slot: work.slot)))
        }
      case .checking:
        if waited > .seconds(120) {
          round?.works[index].since = now
          effects += [check(index)].compactMap { $0 }
        }
      case .auditing(let audit): effects += lookAtAudit(index, audit, at: now)
      }
    }
    for trainer in order { effects += task(for: trainer, slots: reminded[trainer] ?? []) }
    effects += lookAtDisputes(at: now)
    effects += place(at: now)
    if now - lastOffer > .seconds(60), slots.contains(where: { $0.state == .free && !$0.isDone }) {
      lastOffer = now
      effects.append(.publish(.market, offer().wireBytes))
    }
    return effects
  }

  private func summon(_ work: WorkDesk) -> Effects {
    [
      .transact(.summon(job: jobDigest, slot: work.slot)),
      .note(Milestone(.summoned, peer: work.trainer, round: round?.number ?? 0, slot: work.slot)),
    ]
  }

  /// A trainer that was away asks what it is to do.
  mutating func remind(_ trainer: PublicKey, of reference: JobReference, at now: Timestamp) -> Effects {
    guard reference.job == jobDigest else { return [] }
    var grants: [Grant] = []
    for slot in slots.indices {
      switch slots[slot].state {
      case .granted(let lease) where lease.trainer == trainer, .leased(let lease) where lease.trainer == trainer:
        grants.append(grant(slot, lease))
      default: break
      }
    }
    var effects = send(grants, to: trainer)
    if let desk = round, phase == .running {
      let slots = desk.works.filter {
        $0.trainer == trainer && ($0.stage == .training || $0.stage == .committed)
      }.map(\.slot)
      if !slots.isEmpty { effects += task(for: trainer, slots: slots) }
    }
    return effects + receiptsAgain(for: trainer)
  }

  // MARK: a round ends

  /// A round closes only when every drawn chunk has an accepted update and every drawn audit is in.
  mutating func closeIfComplete(at now: Timestamp) -> Effects {
    guard phase == .running, let desk = round, !desk.isAggregating, desk.works.allSatisfy(\.isClean) else { return [] }
    round?.isAggregating = true
    return [aggregateWork()]
  }

  func aggregateWork() -> Effect<CoordinatorWork> {
    .work(.aggregate(round: round?.number ?? 0, base: checkpoint, updates: (round?.works ?? []).map(reference)))
  }

  mutating func aggregated(_ outcome: Outcome, at now: Timestamp) -> Effects {
    guard phase == .running, let desk = round, desk.isAggregating, desk.number == outcome.round else { return [] }
    guard outcome.code == 0 else {
      // The store did not give everything back: the next look tries again.
      return [.work(.aggregate(round: desk.number, base: checkpoint, updates: desk.works.map(reference)))]
    }
    checkpoint = outcome.digest
    for work in desk.works { slots[work.slot].doneRounds.append(desk.number) }
    let summary = RoundSummary(
      round: desk.number, checkpoint: checkpoint, closed: now, accepted: desk.works.count, audited: desk.auditsDrawn)
    history.append(summary)
    let tree = MerkleTree(leaves: desk.works.map(\.commitment))
    var effects: Effects = [
      .transact(
        .post(
          topic: jobDigest,
          message: JobPost.roundClosed(.init(round: desk.number, accepted: tree.root, checkpoint: checkpoint)).wireBytes
        )),
      .note(Milestone(.roundClosed, peer: me, round: desk.number, digest: checkpoint, count: desk.works.count)),
      .work(.forget(round: desk.number, keep: best?.checkpoint ?? checkpoint)),
      .work(.evaluate(round: desk.number, weights: checkpoint)),
    ]
    effects += receiptsForFinishedSlots(at: now)
    if desk.number + 1 >= job.rounds {
      // The job ends with the evaluation of its last round.
      round = nil
      return effects
    }
    if job.stop.needEvaluation {
      round = nil
      return effects
    }
    return effects + begin(round: desk.number + 1, at: now)
  }

  mutating func evaluated(_ outcome: Outcome, at now: Timestamp) -> Effects {
    guard let index = history.firstIndex(where: { $0.round == outcome.round }) else { return [] }
    history[index].correct = outcome.code == 0 ? outcome.part : 0
    history[index].evaluated = outcome.count
    history[index].loss = outcome.value
    let summary = history[index]
    let isBetter = best.map { job.model.loss == .squared ? summary.loss < $0.loss : summary.accuracy > $0.accuracy }
    if isBetter ?? true { best = summary }
    var effects: Effects = [
      .note(
        Milestone(
          .evaluated, peer: me, round: summary.round, count: summary.correct, value: summary.loss))
    ]
    guard phase == .running, round == nil, summary.round == history.last?.round else { return effects }
    let millionths = summary.evaluated > 0 ? summary.correct * 1_000_000 / summary.evaluated : 0
    if job.stop.targetMillionths > 0 && millionths >= job.stop.targetMillionths {
      effects += finish(.target, at: now)
    } else if summary.round + 1 >= job.rounds {
      effects += finish(.allRounds, at: now)
    } else if job.stop.patience > 0, let best, summary.round - best.round >= job.stop.patience {
      effects += finish(.patience, at: now)
    } else {
      effects += begin(round: summary.round + 1, at: now)
    }
    return effects
  }

  mutating func resumeRound(at now: Timestamp) -> Effects {
    guard let desk = round else {
      guard let last = history.last else { return begin(round: job.firstRound, at: now) }
      return [.work(.evaluate(round: last.round, weights: last.checkpoint))]
    }
    if desk.isAggregating { return [aggregateWork()] }
    var effects: Effects = []
    var slotsOf: [PublicKey: [Int]] = [:]
    var order: [PublicKey] = []
    for index in desk.works.indices {
      switch desk.works[index].stage {
      case .checking: effects += [check(index)].compactMap { $0 }
      case .training, .committed:
        let work = desk.works[index]
        round?.works[index].since = now
        round?.works[index].mentioned = now
        if slotsOf[work.trainer] == nil { order.append(work.trainer) }
        slotsOf[work.trainer, default: []].append(work.slot)
      case .auditing(let audit):
        effects += ask(audit.auditor, index, attempt: audit.attempt, at: now)
      case .unplaced, .accepted, .clean: break
      }
    }
    for trainer in order { effects += task(for: trainer, slots: slotsOf[trainer] ?? []) }
    if let last = history.last, last.evaluated == 0 {
      effects.append(.work(.evaluate(round: last.round, weights: last.checkpoint)))
    }
    return effects + place(at: now)
  }
}

extension SlotDesk.State {
  mutating func accept(_ accepted: AcceptedRound) {
    switch self {
    case .leased(var lease):
      lease.accepted.append(accepted)
      self = .leased(lease)
    case .ending(var lease):
      lease.accepted.append(accepted)
      self = .ending(lease)
    case .free, .granted, .finished: break
    }
  }

  mutating func replace(_ lease: LeaseDesk) {
    switch self {
    case .leased: self = .leased(lease)
    case .ending: self = .ending(lease)
    case .free, .granted, .finished: break
    }
  }
}

import Chain
import ObjectStore
import Runtime

extension TrainerMachine {
  /// A round has begun, or its task is told again with fresh URLs.
  mutating func take(_ task: RoundTask, from sender: PublicKey, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: task.job), jobs[index].coordinator == sender else { return [] }
    var effects: Effects = []
    if jobs[index].checkpoint?.round != task.round {
      if let old = jobs[index].checkpoint, old.round < task.round {
        effects.append(.work(.forgetRound(job: task.job, round: old.round)))
      }
      jobs[index].steps.removeAll { $0.name.round < task.round && $0.stage == .answered }
      jobs[index].checkpoint = CheckpointDesk(round: task.round, digest: task.checkpoint, mentioned: now)
    }
    if jobs[index].checkpoint?.state == .absent {
      jobs[index].checkpoint?.state = .fetching
      effects.append(.work(.fetchCheckpoint(job: task.job, round: task.round, digest: task.checkpoint)))
    }
    for slot in task.slots {
      let name = StepName(job: task.job, slot: slot, round: task.round)
      if let step = jobs[index].steps.firstIndex(where: { $0.name == name }) {
        effects += urge(index, step, at: now)
      } else if jobs[index].lease(slot) != nil {
        jobs[index].steps.append(StepDesk(name: name, mentioned: now))
      }
    }
    return effects + trainNext(at: now)
  }

  /// Asked for again: whatever is done already is said again.
  private mutating func urge(_ index: Int, _ step: Int, at now: Timestamp) -> Effects {
    let desk = jobs[index].steps[step]
    switch desk.stage {
    case .committed:
      jobs[index].steps[step].stage = .uploading
      return [.work(.upload(desk.name))]
    case .revealed, .answered: return [.send(revealMessage(desk), to: jobs[index].coordinator)]
    case .waiting, .training, .trained, .committing, .uploading: return []
    }
  }

  mutating func chunkFetched(_ outcome: Outcome, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: outcome.job), let lease = jobs[index].lease(outcome.slot) else { return [] }
    if outcome.code == 0 {
      jobs[index].leases[lease].chunk = .ready
      return trainNext(at: now)
    }
    if outcome.code == Reason.wrongShape.rawValue {
      // A job that this trainer cannot compute, or a chunk that is not what the manifest says: handed back.
      return [.transact(.release(job: outcome.job, slot: outcome.slot))]
    }
    // Left absent: the next look asks for fresh URLs.
    jobs[index].leases[lease].chunk = .absent
    jobs[index].leases[lease].mentioned = now
    return []
  }

  mutating func checkpointFetched(_ outcome: Outcome, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: outcome.job), jobs[index].checkpoint?.round == outcome.round else { return [] }
    if outcome.code == 0 {
      jobs[index].checkpoint?.state = .ready
      return trainNext(at: now)
    }
    jobs[index].checkpoint?.state = .absent
    jobs[index].checkpoint?.mentioned = now
    return []
  }

  /// The device is given the next step whose bytes are there, if it is free.
  mutating func trainNext(at now: Timestamp) -> Effects {
    guard training == nil else { return [] }
    for index in jobs.indices {
      guard let checkpoint = jobs[index].checkpoint, checkpoint.state == .ready else { continue }
      for step in jobs[index].steps.indices where jobs[index].steps[step].stage == .waiting {
        let name = jobs[index].steps[step].name
        guard name.round == checkpoint.round, let lease = jobs[index].lease(name.slot),
          jobs[index].leases[lease].state == .active, jobs[index].leases[lease].chunk == .ready
        else { continue }
        jobs[index].steps[step].stage = .training
        training = name
        return [
          .work(.train(name, chunk: jobs[index].leases[lease].chunkIndex, checkpoint: checkpoint.digest)),
          .note(Milestone(.trainingBegan, peer: me, round: name.round, slot: name.slot)),
        ]
      }
    }
    return []
  }

  mutating func trained(_ outcome: Outcome, at now: Timestamp) -> Effects {
    training = nil
    var effects: Effects = []
    if let index = index(ofJob: outcome.job), let step = step(index, outcome),
      jobs[index].steps[step].stage == .training
    {
      effects.append(
        .note(Milestone(.trainingEnded, peer: me, round: outcome.round, slot: outcome.slot, value: outcome.value)))
      if outcome.code == 0 {
        jobs[index].steps[step].stage = .trained
        jobs[index].steps[step].update = outcome.digest
        effects += commit(index, round: outcome.round, at: now)
      } else {
        // A job that cannot be computed is handed back rather than held.
        jobs[index].steps.remove(at: step)
        effects.append(.transact(.release(job: outcome.job, slot: outcome.slot)))
      }
    }
    return effects + trainNext(at: now)
  }

  /// Posts the round's commitments once nothing of it is left to train, or a message is full.
  private mutating func commit(_ index: Int, round: Int, at now: Timestamp) -> Effects {
    let ofRound = jobs[index].steps.indices.filter { jobs[index].steps[$0].name.round == round }
    let ready = ofRound.filter { jobs[index].steps[$0].stage == .trained }
    let isMore = ofRound.contains {
      let step = jobs[index].steps[$0]
      return step.stage == .waiting || step.stage == .training
    }
    guard !ready.isEmpty, !isMore || ready.count >= CommitmentPost.entryLimit else { return [] }
    var entries: [CommitmentPost.Entry] = []
    for step in ready.prefix(CommitmentPost.entryLimit) {
      jobs[index].steps[step].stage = .committing
      jobs[index].steps[step].mentioned = now
      entries.append(.init(slot: jobs[index].steps[step].name.slot, commitment: commitment(index, step)))
    }
    let post = CommitmentPost(job: jobs[index].digest, round: round, entries: entries)
    return [.transact(.post(topic: jobs[index].digest, message: post.wireBytes))]
  }

  private func salt(_ name: StepName) -> Digest {
    Digest(of: [
      settings.secret.bytes, Array("update \(name.slot) \(name.round)".utf8), name.job.bytes,
    ])
  }

  private func commitment(_ index: Int, _ step: Int) -> Digest {
    let desk = jobs[index].steps[step]
    let chunk = jobs[index].lease(desk.name.slot).map { jobs[index].leases[$0].chunkIndex } ?? 0
    return Commitment.digest(
      job: desk.name.job, chunk: chunk, round: desk.name.round, by: me, salt: salt(desk.name), update: desk.update)
  }

  /// The ledger has our commitments: now, and not before, others may see the updates.
  mutating func committed(_ post: CommitmentPost, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: post.job) else { return [] }
    var effects: Effects = []
    for entry in post.entries {
      let name = StepName(job: post.job, slot: entry.slot, round: post.round)
      guard let step = jobs[index].steps.firstIndex(where: { $0.name == name && $0.stage == .committing }) else {
        continue
      }
      jobs[index].steps[step].stage = .uploading
      jobs[index].steps[step].mentioned = now
      effects.append(.note(Milestone(.committed, peer: me, round: post.round, slot: entry.slot)))
      effects.append(.work(.upload(name)))
    }
    return effects
  }

  mutating func uploaded(_ outcome: Outcome, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: outcome.job), let step = step(index, outcome),
      jobs[index].steps[step].stage == .uploading
    else { return [] }
    jobs[index].steps[step].mentioned = now
    guard outcome.code == 0 else {
      jobs[index].steps[step].stage = .committed
      return []
    }
    jobs[index].steps[step].stage = .revealed
    return [
      .send(revealMessage(jobs[index].steps[step]), to: jobs[index].coordinator),
      .note(Milestone(.uploaded, peer: me, round: outcome.round, slot: outcome.slot)),
    ]
  }

  func revealMessage(_ step: StepDesk) -> Message {
    var reveal = Reveal()
    reveal.job = step.name.job
    reveal.round = step.name.round
    reveal.slot = step.name.slot
    reveal.salt = salt(step.name)
    reveal.update = step.update
    return .reveal(reveal)
  }

  mutating func take(_ answer: Answer, from sender: PublicKey, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: answer.job), jobs[index].coordinator == sender else { return [] }
    let name = StepName(job: answer.job, slot: answer.slot, round: answer.round)
    guard let step = jobs[index].steps.firstIndex(where: { $0.name == name }) else { return [] }
    jobs[index].steps[step].stage = .answered
    guard jobs[index].steps.allSatisfy({ $0.stage == .answered }), let round = jobs[index].checkpoint?.round else {
      return []
    }
    // Nothing of this round is needed any more; should a slot of it come again, its bytes are fetched again.
    jobs[index].checkpoint = nil
    return [.work(.forgetRound(job: answer.job, round: round))]
  }

  private func step(_ index: Int, _ outcome: Outcome) -> Int? {
    let name = StepName(job: outcome.job, slot: outcome.slot, round: outcome.round)
    return jobs[index].steps.firstIndex { $0.name == name }
  }

  /// Whatever has waited too long is tried or said again.
  mutating func look(at now: Timestamp) -> Effects {
    var effects: Effects = []
    for index in jobs.indices where !jobs[index].isOver {
      var needsURLs = false
      for lease in jobs[index].leases.indices
      where jobs[index].leases[lease].state == .active && jobs[index].leases[lease].chunk == .absent
        && now - jobs[index].leases[lease].mentioned >= Self.patience
      {
        jobs[index].leases[lease].mentioned = now
        needsURLs = true
      }
      if let checkpoint = jobs[index].checkpoint, checkpoint.state == .absent,
        now - checkpoint.mentioned >= Self.patience
      {
        jobs[index].checkpoint?.mentioned = now
        needsURLs = true
      }
      for step in jobs[index].steps.indices where now - jobs[index].steps[step].mentioned >= Self.patience {
        switch jobs[index].steps[step].stage {
        case .committed: needsURLs = true
        case .revealed: effects.append(.send(revealMessage(jobs[index].steps[step]), to: jobs[index].coordinator))
        case .waiting, .training, .trained, .committing, .uploading, .answered: continue
        }
        jobs[index].steps[step].mentioned = now
      }
      if needsURLs {
        effects.append(.send(.resume(JobReference(job: jobs[index].digest)), to: jobs[index].coordinator))
      }
      effects += lookAtClaims(index, at: now)
    }
    return effects
  }
}

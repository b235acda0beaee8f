import Chain
import Runtime

extension Coordination {
  /// Once nothing is being trained or checked, ledger randomness is drawn for all updates that were accepted since the last
  /// time; it did not exist when they were committed.
  mutating func drawAudits(at now: Timestamp) -> Effects {
    guard !job.audit.isOff, let desk = round, !desk.isDrawing, desk.works.contains(where: { $0.stage == .accepted }),
      desk.works.allSatisfy({ $0.isPastChecking })
    else { return [] }
    round?.isDrawing = true
    round?.draws += 1
    return [.transact(.drawBeacon(topic: jobDigest, label: Self.auditLabel(round: desk.number, draw: desk.draws + 1)))]
  }

  static func auditLabel(round: Int, draw: Int) -> UInt64 { UInt64(round + 1) << 20 | UInt64(draw) }

  mutating func beaconDrawn(_ label: UInt64, _ value: Digest, at now: Timestamp) -> Effects {
    if label == Self.auctionLabel {
      guard bids.beacon == nil else { return [] }
      bids.beacon = value
      bids.pace = now - bids.closed
      return closeReveals(at: now)
    }
    guard let desk = round, desk.isDrawing, label == Self.auditLabel(round: desk.number, draw: desk.draws) else {
      return []
    }
    round?.isDrawing = false
    var effects: Effects = []
    for index in desk.works.indices where desk.works[index].stage == .accepted {
      let work = desk.works[index]
      let standing = standings[work.trainer] ?? Standing()
      if !auditors.isEmpty && job.audit.draws(standing, slot: work.slot, round: desk.number, beacon: value) {
        round?.auditsDrawn += 1
        let first = Int((value.leadingBits ^ splitMix64(UInt64(work.slot))) % UInt64(auditors.count))
        effects += ask(auditors[first].peer, index, attempt: 0, at: now)
        effects.append(.note(Milestone(.auditDrawn, peer: work.trainer, round: desk.number, slot: work.slot)))
      } else {
        round?.works[index].stage = .clean
        standings[work.trainer, default: Standing()].note(good: true)
      }
    }
    return effects + closeIfComplete(at: now)
  }

  mutating func ask(_ auditor: PublicKey, _ index: Int, attempt: Int, at now: Timestamp) -> Effects {
    round?.works[index].stage = .auditing(AuditDesk(auditor: auditor, attempt: attempt, since: now, mismatch: nil))
    guard let desk = round else { return [] }
    return auditTask(desk.works[index], for: auditor, dispute: 0)
  }

  private func auditTask(_ work: WorkDesk, for auditor: PublicKey, dispute: Int) -> Effects {
    guard let contact = auditors.first(where: { $0.peer == auditor }), let round else { return [] }
    var task = AuditTask()
    task.job = jobDigest
    task.declaration = declaration
    task.round = round.number
    task.slot = work.slot
    task.chunk = work.chunk
    task.trainer = work.trainer
    task.entry = manifest.entries[work.chunk]
    task.proof = tree.path(at: work.chunk)
    task.checkpoint = checkpoint
    task.dispute = dispute
    return [.work(.audit(task, to: auditor, sealingKey: contact.sealingKey))]
  }

  mutating func take(_ report: AuditReport, from sender: PublicKey, at now: Timestamp) -> Effects {
    guard report.job == jobDigest, let desk = round, desk.number == report.round,
      let index = desk.index(ofSlot: report.slot), desk.works[index].trainer == report.trainer,
      case .auditing(var audit) = desk.works[index].stage, audit.auditor == sender
    else { return [] }
    let work = desk.works[index]
    // An auditor commits before it is told anything, like a trainer.
    let promised = Commitment.digest(
      job: jobDigest, chunk: work.chunk, round: report.round, by: sender, salt: report.salt, update: report.update)
    guard work.commitments[sender] == promised else { return [] }
    if audit.mismatch == nil { auditCounts[sender, default: 0] += 1 }
    var outcome = AuditOutcome()
    outcome.job = jobDigest
    outcome.round = report.round
    outcome.slot = report.slot
    outcome.trainer = report.trainer
    outcome.update = work.update
    outcome.salt = work.salt
    if report.update == work.update {
      round?.works[index].stage = .clean
      standings[work.trainer, default: Standing()].passedAudit()
      return [
        .send(.auditOutcome(outcome), to: sender),
        .note(Milestone(.auditClean, peer: work.trainer, round: desk.number, slot: work.slot)),
      ] + closeIfComplete(at: now)
    }
    audit.mismatch = report.update
    round?.works[index].stage = .auditing(audit)
    let found = Effect<CoordinatorWork>.note(
      Milestone(.auditMismatch, peer: work.trainer, round: desk.number, slot: work.slot, digest: report.update))
    if canBeDisputed(work) { return [.send(.auditOutcome(outcome), to: sender), found] }
    // Nobody else could rule, or there is no stake any more: not slashed, but neither used, paid nor asked again.
    takeBack(index, at: now)
    bids.blame(work.trainer, forLie: true, at: now)
    return [found] + refuse(index, .auditMismatch, of: work, at: now)
  }

  private func canBeDisputed(_ work: WorkDesk) -> Bool {
    guard auditors.count > 1, case .leased(let lease) = slots[work.slot].state else { return false }
    return lease.trainer == work.trainer && lease.nonce == work.nonce
  }

  /// An auditor that is silent is not waited for: another is asked.
  mutating func lookAtAudit(_ index: Int, _ audit: AuditDesk, at now: Timestamp) -> Effects {
    guard let desk = round, now - audit.since > allowance + .seconds(60) else { return [] }
    let work = desk.works[index]
    if disputes.values.contains(where: { $0.slot == work.slot && $0.round == desk.number }) { return [] }
    guard let current = auditors.firstIndex(where: { $0.peer == audit.auditor }) else { return [] }
    return ask(auditors[(current + 1) % auditors.count].peer, index, attempt: audit.attempt + 1, at: now)
  }

  // MARK: disputes

  mutating func disputeOpened(_ opened: DisputeOpened, at now: Timestamp) -> Effects {
    disputes[opened.dispute] = DisputeDesk(
      slot: opened.slot, round: opened.round, trainer: opened.trainer, arbiter: opened.arbiter,
      deadline: opened.rulingBy,
      mentioned: now)
    guard let desk = round, let index = desk.index(ofSlot: opened.slot), desk.works[index].trainer == opened.trainer,
      desk.number == opened.round
    else { return [] }
    return auditTask(desk.works[index], for: opened.arbiter, dispute: opened.dispute + 1)
  }

  mutating func lookAtDisputes(at now: Timestamp) -> Effects {
    var effects: Effects = []
    for dispute in disputes.keys.sorted() {
      guard let desk = disputes[dispute], now - desk.mentioned > .seconds(60) else { continue }
      disputes[dispute]?.mentioned = now
      if now > desk.deadline {
        effects.append(.transact(.lapse(job: jobDigest, dispute: dispute)))
      } else if let round, let index = round.index(ofSlot: desk.slot), round.works[index].trainer == desk.trainer {
        effects += auditTask(round.works[index], for: desk.arbiter, dispute: dispute + 1)
      }
    }
    return effects
  }

  /// The arbiter has spoken, or its time is over.
  mutating func disputeEnded(_ ended: DisputeEnded, at now: Timestamp) -> Effects {
    guard let dispute = disputes.removeValue(forKey: ended.dispute) else { return [] }
    if ended.isUpheld {
      bids.blame(dispute.trainer, forLie: true, at: now)
      standings[dispute.trainer] = Standing()
      standings[dispute.trainer]?.note(good: false)
      auditCounts[dispute.arbiter, default: 0] += 1
      var effects: Effects = [
        .note(
          Milestone(
            .slashed, peer: dispute.trainer, round: dispute.round, slot: dispute.slot, amount: ended.slashed,
            reason: .auditMismatch))
      ]
      if let index = round?.index(ofSlot: dispute.slot), round?.works[index].trainer == dispute.trainer,
        round?.number == dispute.round
      {
        round?.refused += 1
        reopen(index, at: now)
      }
      effects += endOtherLeases(of: dispute.trainer, at: now)
      return effects + place(at: now)
    }
    guard let desk = round, let index = desk.index(ofSlot: dispute.slot), desk.number == dispute.round,
      desk.works[index].trainer == dispute.trainer
    else { return [] }
    guard ended.isRuled else {
      // The arbiter was silent, which says nothing of the update: it is audited afresh, by another.
      guard let current = auditors.firstIndex(where: { $0.peer != dispute.arbiter }) else { return [] }
      return ask(auditors[current].peer, index, attempt: desk.draws + 1, at: now)
    }
    round?.works[index].stage = .clean
    auditCounts[dispute.arbiter, default: 0] += 1
    return [.note(Milestone(.disputeFailed, peer: dispute.trainer, round: desk.number, slot: dispute.slot))]
      + closeIfComplete(at: now)
  }

  /// Work that has to be done again, by another.
  mutating func reopen(_ index: Int, at now: Timestamp) {
    round?.works[index].stage = .unplaced
    // Promises about work that was thrown away bind nobody: its auditor may be asked about the next.
    round?.works[index].commitments = [:]
    round?.works[index].trainer = .none
    round?.works[index].update = .zero
    round?.works[index].since = now
  }

  /// Whoever lied once holds nothing else of this job.
  private mutating func endOtherLeases(of trainer: PublicKey, at now: Timestamp) -> Effects {
    var effects: Effects = []
    for slot in slots.indices {
      if case .leased(let lease) = slots[slot].state, lease.trainer == trainer {
        if let index = round?.index(ofSlot: slot), round?.works[index].trainer == trainer { takeBack(index, at: now) }
        effects += end(slot: slot, blaming: .auditMismatch, at: now)
      }
    }
    return effects
  }

  /// An accepted update that was not found right is neither used nor paid; the work is done again, by another.
  private mutating func takeBack(_ index: Int, at now: Timestamp) {
    guard let desk = round else { return }
    let work = desk.works[index]
    switch work.stage {
    case .accepted, .auditing: break
    case .unplaced, .training, .committed, .checking, .clean: return
    }
    if var lease = slots[work.slot].lease, lease.trainer == work.trainer, lease.nonce == work.nonce {
      lease.accepted.removeAll { $0.round == desk.number }
      slots[work.slot].state.replace(lease)
    }
    for place in unreceipted.indices
    where unreceipted[place].slot == work.slot && unreceipted[place].lease.nonce == work.nonce {
      unreceipted[place].lease.accepted.removeAll { $0.round == desk.number }
    }
    reopen(index, at: now)
  }
}

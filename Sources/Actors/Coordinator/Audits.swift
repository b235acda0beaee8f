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
    return [
      .send(.auditOutcome(outcome), to: sender),
      .note(Milestone(.auditMismatch, peer: work.trainer, round: desk.number, slot: work.slot, digest: report.update)),
    ]
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
      bids.lines[dispute.trainer]?.isBlamed = true
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
      effects += endOtherLeases(of: dispute.trainer)
      return effects + place(at: now)
    }
    guard let desk = round, let index = desk.index(ofSlot: dispute.slot), desk.number == dispute.round,
      desk.works[index].trainer == dispute.trainer
    else { return [] }
    round?.works[index].stage = .clean
    if ended.isRuled { auditCounts[dispute.arbiter, default: 0] += 1 }
    return [.note(Milestone(.disputeFailed, peer: dispute.trainer, round: desk.number, slot: dispute.slot))]
      + closeIfComplete(at: now)
  }

  /// Work that has to be done again, by another.
  mutating func reopen(_ index: Int, at now: Timestamp) {
    round?.works[index].stage = .unplaced
    round?.works[index].trainer = .none
    round?.works[index].update = .zero
    round?.works[index].since = now
  }

  /// Whoever lied once holds nothing else of this job.
  private mutating func endOtherLeases(of trainer: PublicKey) -> Effects {
    var effects: Effects = []
    for slot in slots.indices {
      if case .leased(let lease) = slots[slot].state, lease.trainer == trainer {
        effects += end(slot: slot, blaming: .auditMismatch)
      }
    }
    return effects
  }
}

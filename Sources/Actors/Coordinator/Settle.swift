import Chain
import Runtime

extension Coordination {
  // MARK: the end of a job

  mutating func lookAtDeadline(at now: Timestamp) -> Effects {
    guard now > opened + job.stop.deadline else { return [] }
    let isUnplaced = round?.works.contains { $0.stage == .unplaced } ?? false
    return finish(isUnplaced ? .unplaced : .deadline, at: now)
  }

  mutating func cancel(_ reference: JobReference, from sender: PublicKey, at now: Timestamp) -> Effects {
    guard reference.job == jobDigest, sender == owner else { return [] }
    switch phase {
    case .offering, .revealing, .running: return finish(.cancelled, at: now)
    default: return []
    }
  }

  /// However a job ends: accepted work is receipted, the rest is handed back, and the last complete checkpoint, or the best,
  /// is delivered.
  mutating func finish(_ reason: StopReason, at now: Timestamp) -> Effects {
    stop = reason
    phase = .delivering
    var effects: Effects = [
      .note(Milestone(.jobStopped, peer: me, round: history.last?.round ?? -1, count: reason.rawValue))
    ]
    dropUnproven()
    round = nil
    for slot in slots.indices {
      switch slots[slot].state {
      case .granted: freeSlot(slot)
      case .leased(let lease):
        if lease.accepted.isEmpty {
          slots[slot].state = .ending(lease)
          effects.append(.transact(.revoke(job: jobDigest, slot: slot)))
        } else {
          slots[slot].state = .ending(lease)
          unreceipted.append(UnreceiptedDesk(slot: slot, lease: lease))
        }
      case .free, .ending, .finished: break
      }
    }
    effects += giveReceipts(at: now)
    effects += payAuditors()
    effects.append(deliverWork())
    return effects + keepTicking()
  }

  /// The round at hand was not closed: an update of a trainer that must be audited, or whose audit was drawn, has no evidence for
  /// it, and is not paid.
  private mutating func dropUnproven() {
    guard let desk = round, !job.audit.isOff, !auditors.isEmpty else { return }
    for work in desk.works {
      switch work.stage {
      case .auditing: break
      case .accepted: if (standings[work.trainer] ?? Standing()).cleanAudits >= job.audit.newcomerAudits { continue }
      case .unplaced, .training, .committed, .checking, .clean: continue
      }
      if var lease = slots[work.slot].lease, lease.nonce == work.nonce {
        lease.accepted.removeAll { $0.round == desk.number }
        slots[work.slot].state.replace(lease)
      }
      for place in unreceipted.indices
      where unreceipted[place].slot == work.slot && unreceipted[place].lease.nonce == work.nonce {
        unreceipted[place].lease.accepted.removeAll { $0.round == desk.number }
      }
    }
    unreceipted.removeAll { $0.lease.accepted.isEmpty }
  }

  private var chosen: RoundSummary? { job.stop.deliversBest ? best ?? history.last : history.last }

  func deliverWork() -> Effect<CoordinatorWork> {
    .work(.deliver(round: chosen?.round ?? job.firstRound, weights: chosen?.checkpoint ?? checkpoint))
  }

  mutating func sealed(_ outcome: Outcome, at now: Timestamp) -> Effects {
    guard phase == .delivering else { return [] }
    guard outcome.code == 0 else { return [deliverWork()] }
    var delivered = Delivered()
    delivered.job = jobDigest
    delivered.round = outcome.round
    delivered.weights = chosen?.checkpoint ?? checkpoint
    delivered.envelope = outcome.digest
    delivered.accuracyMillionths = chosen.map { $0.evaluated > 0 ? $0.correct * 1_000_000 / $0.evaluated : 0 } ?? 0
    delivered.stop = stop.rawValue
    delivery = delivered
    deliveredAt = now
    phase = .settling
    return [
      .send(.delivered(delivered), to: owner),
      .note(Milestone(.delivered, peer: owner, round: delivered.round, digest: delivered.weights)),
    ] + keepTicking()
  }

  // MARK: receipts

  /// Slots whose last round is over are receipted; their trainers are free to claim.
  mutating func receiptsForFinishedSlots(at now: Timestamp) -> Effects {
    for slot in slots.indices {
      guard case .leased(let lease) = slots[slot].state, slots[slot].isDone, !lease.accepted.isEmpty else { continue }
      slots[slot].state = .ending(lease)
      unreceipted.append(UnreceiptedDesk(slot: slot, lease: lease))
    }
    return giveReceipts(at: now)
  }

  /// One signature over all receipts that are due, each with its path to the root.
  mutating func giveReceipts(at now: Timestamp) -> Effects {
    let due = unreceipted.filter { desk in
      !disputes.values.contains { $0.slot == desk.slot } && !desk.lease.accepted.isEmpty && !isUnderAudit(desk)
    }
    unreceipted.removeAll { desk in due.contains(desk) }
    if due.isEmpty { return [] }
    let receipts = due.map { desk in
      var receipt = Receipt()
      receipt.job = jobDigest
      receipt.slot = desk.slot
      receipt.trainer = desk.lease.trainer
      receipt.price = desk.lease.price
      receipt.nonce = desk.lease.nonce
      receipt.rounds = desk.lease.accepted.map(\.round)
      receipt.commitmentsRoot = MerkleTree(leaves: desk.lease.accepted.map(\.commitment)).root
      return receipt
    }
    let proofs = ReceiptProof.batch(receipts, signedBy: key)
    var order: [PublicKey] = []
    var ofTrainer: [PublicKey: [ReceiptProof]] = [:]
    for proof in proofs {
      let trainer = proof.receipt.trainer
      if ofTrainer[trainer] == nil { order.append(trainer) }
      ofTrainer[trainer, default: []].append(proof)
      receipted.append(ReceiptDesk(proof: proof, given: now, mentioned: now))
    }
    var effects: Effects = []
    for trainer in order {
      let list = ofTrainer[trainer] ?? []
      effects += send(list, to: trainer)
      effects.append(
        .note(Milestone(.receiptGiven, peer: trainer, count: list.reduce(0) { $0 + $1.receipt.rounds.count })))
    }
    return effects
  }

  private func isUnderAudit(_ desk: UnreceiptedDesk) -> Bool {
    guard let round, let index = round.index(ofSlot: desk.slot) else { return false }
    let work = round.works[index]
    return work.nonce == desk.lease.nonce && work.trainer == desk.lease.trainer && !work.isClean && work.isPastChecking
  }

  private func send(_ proofs: [ReceiptProof], to trainer: PublicKey) -> Effects {
    stride(from: 0, to: proofs.count, by: Grants.limit).map { start in
      var message = Receipts()
      message.job = jobDigest
      message.proofs = Array(proofs[start..<min(start + Grants.limit, proofs.count)])
      return .send(.receipts(message), to: trainer)
    }
  }

  func receiptsAgain(for trainer: PublicKey) -> Effects {
    send(receipted.filter { !$0.isClaimed && $0.proof.receipt.trainer == trainer }.map(\.proof), to: trainer)
  }

  private func payAuditors() -> Effects {
    auditors.compactMap { contact in
      guard let count = auditCounts[contact.peer], count > 0 else { return nil }
      var receipt = AuditReceipt()
      receipt.job = jobDigest
      receipt.auditor = contact.peer
      receipt.audits = count
      return .send(.auditPay(AuditPay(receipt: receipt.signed(by: key))), to: contact.peer)
    }
  }

  // MARK: settling

  /// A trainer that cannot claim is claimed for, a claim that nobody settles is settled, an owner that is silent has the job
  /// closed: no money waits for anybody's goodwill.
  mutating func lookAtSettlement(at now: Timestamp) -> Effects {
    var effects: Effects = []
    deliveryResends += 1
    if let delivery, !isClosed, let deliveredAt {
      if deliveryResends % 6 == 0 { effects.append(.send(.delivered(delivery), to: owner)) }
      if deliveryResends % 3 == 0 { effects += payAuditors() }
      if now - deliveredAt > .seconds(180), deliveryResends % 12 == 0 {
        effects.append(.transact(.close(job: jobDigest)))
      }
    }
    var claims: [SlotClaim] = []
    for index in receipted.indices where !receipted[index].isClaimed && now - receipted[index].mentioned > .seconds(45)
    {
      guard claims.count < Grants.limit else { break }
      receipted[index].mentioned = now
      claims.append(SlotClaim(proof: receipted[index].proof))
    }
    if !claims.isEmpty { effects.append(.transact(.submit(job: jobDigest, claims: claims))) }
    var due: [Int] = []
    for claim in openClaims.keys.sorted() where due.count < 32 {
      guard let desk = openClaims[claim], now - desk.payableFrom > .seconds(45), now - desk.swept > .seconds(45) else {
        continue
      }
      openClaims[claim]?.swept = now
      due.append(claim)
    }
    if !due.isEmpty { effects.append(.transact(.settle(job: jobDigest, claims: due))) }
    for slot in slots.indices where deliveryResends % 12 == 11 {
      // A lease that was revoked, and whose end the ledger has not told: asked again once its deadline is past.
      if case .ending(let lease) = slots[slot].state, lease.accepted.isEmpty, now > lease.deadline {
        effects.append(.transact(.expire(job: jobDigest, slot: slot)))
      }
    }
    effects += giveReceipts(at: now)
    effects += lookAtDisputes(at: now)
    if isClosed, !isRefunded, now - refundableFrom > .seconds(60), deliveryResends % 12 == 5 {
      effects.append(.transact(.refund(job: jobDigest)))
    }
    if isRefunded, phase == .settling, openClaims.isEmpty, disputes.isEmpty, unreceipted.isEmpty,
      receipted.allSatisfy(\.isClaimed),
      slots.allSatisfy({ $0.lease == nil })
    {
      phase = .ended
      effects.append(.note(Milestone(.jobClosed, peer: owner)))
    }
    return effects
  }
}

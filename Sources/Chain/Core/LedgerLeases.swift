import Runtime

extension EmbeddedLedger {
  mutating func openJob(_ terms: JobTerms, by sender: AccountID) throws(Rejection) {
    guard terms.owner == sender else { throw .notOwner }
    guard jobs[terms.job] == nil else { throw .jobExists }
    if let fault = terms.fault { throw fault }
    guard terms.finalDeadline > now else { throw .tooLate }
    guard let deposit = terms.deposit else { throw .tooMuch }
    try debit(deposit, from: sender)
    holdings.escrow += deposit.tinybars
    jobs[terms.job] = JobState(terms: terms, deposit: deposit)
    emit(.jobOpened(terms))
  }

  mutating func acceptLease(_ signed: SignedLease, by sender: AccountID) throws(Rejection) {
    let lease = signed.lease
    guard let job = jobs[lease.job] else { throw .unknownJob }
    guard !job.isClosed else { throw .jobClosed }
    guard now <= job.terms.finalDeadline else { throw .tooLate }
    guard lease.trainer == sender else { throw .notTrainer }
    guard job.slots.indices.contains(lease.slot) else { throw .unknownSlot }
    let slot = job.slots[lease.slot]
    guard slot.lease == nil else { throw .slotTaken }
    guard lease.nonce > slot.lastNonce else { throw .staleLease }
    guard lease.price > .zero, lease.price <= job.terms.slots[lease.slot].ceiling else { throw .priceAboveCeiling }
    guard lease.deadline > now, lease.deadline <= now + job.terms.leaseLimit, lease.deadline <= job.terms.finalDeadline
    else {
      throw .badDeadline
    }
    guard signed.isSigned(by: job.terms.coordinator) else { throw .badSignature }
    try debit(job.terms.stakePerSlot, from: sender)
    holdings.stakes += job.terms.stakePerSlot.tinybars
    let reserve = job.unclaimedWorth(lease.slot)
    jobs[lease.job]?.slots[lease.slot].lease = LeaseState(lease: lease, stake: job.terms.stakePerSlot, reserve: reserve)
    jobs[lease.job]?.slots[lease.slot].lastNonce = lease.nonce
    changeReserve(of: lease.job, by: reserve.tinybars)
    emit(.leaseAccepted(lease))
  }

  mutating func release(_ job: Digest, _ slot: Int, by sender: AccountID) throws(Rejection) {
    let lease = try undisputedLease(job, slot)
    guard lease.lease.trainer == sender else { throw .notTrainer }
    // An overdue answer cannot be dodged by handing back.
    if let answerBy = lease.answerBy, now > answerBy {
      try expire(job, slot)
      return
    }
    endLease(job, slot, cause: .released, forfeited: .zero)
  }

  mutating func summon(_ job: Digest, _ slot: Int, by sender: AccountID) throws(Rejection) {
    let lease = try undisputedLease(job, slot)
    guard let terms = jobs[job]?.terms, terms.coordinator == sender else { throw .notCoordinator }
    let answerBy = lease.answerBy ?? now + terms.answerWindow
    jobs[job]?.slots[slot].lease?.answerBy = answerBy
    emit(.summoned(summons(job, slot, lease.lease.trainer, answerBy)))
  }

  mutating func answer(_ job: Digest, _ slot: Int, by sender: AccountID) throws(Rejection) {
    let lease = try undisputedLease(job, slot)
    guard lease.lease.trainer == sender else { throw .notTrainer }
    guard let answerBy = lease.answerBy else { throw .notSummoned }
    jobs[job]?.slots[slot].lease?.answerBy = nil
    emit(.answered(summons(job, slot, sender, answerBy)))
  }

  private func summons(_ job: Digest, _ slot: Int, _ trainer: AccountID, _ answerBy: Timestamp) -> Summons {
    var summons = Summons()
    summons.job = job
    summons.slot = slot
    summons.trainer = trainer
    summons.answerBy = answerBy
    return summons
  }

  mutating func revoke(_ job: Digest, _ slot: Int, by sender: AccountID) throws(Rejection) {
    _ = try undisputedLease(job, slot)
    guard jobs[job]?.terms.coordinator == sender else { throw .notCoordinator }
    endLease(job, slot, cause: .revoked, forfeited: .zero)
  }

  /// Anybody may end a lease that is overdue: a stated share of the stake goes to the owner, the rest back.
  mutating func expire(_ job: Digest, _ slot: Int) throws(Rejection) {
    let lease = try undisputedLease(job, slot)
    let isOverdue = now > lease.lease.deadline || lease.answerBy.map { now > $0 } ?? false
    guard isOverdue, let terms = jobs[job]?.terms else { throw .notOverdue }
    endLease(job, slot, cause: .expired, forfeited: lease.stake.share(basisPoints: terms.forfeitBasisPoints))
  }

  private func undisputedLease(_ job: Digest, _ slot: Int) throws(Rejection) -> LeaseState {
    guard let state = jobs[job] else { throw .unknownJob }
    guard state.slots.indices.contains(slot) else { throw .unknownSlot }
    guard let lease = state.slots[slot].lease else { throw .slotNotLeased }
    guard lease.dispute == nil else { throw .leaseDisputed }
    return lease
  }

  /// Ends a lease and sends its stake where it belongs; what was set aside for it is free again.
  ///
  /// - Parameter keepingStake: the stake has gone elsewhere already.
  mutating func endLease(
    _ job: Digest, _ slot: Int, cause: LeaseEnd.Cause, forfeited: Amount, keepingStake: Bool = false
  ) {
    guard let state = jobs[job], let lease = state.slots[slot].lease else {
      preconditionFailure("a lease is ended once")
    }
    jobs[job]?.slots[slot].lease = nil
    changeReserve(of: job, by: -lease.reserve.tinybars)
    var end = LeaseEnd()
    end.job = job
    end.slot = slot
    end.trainer = lease.lease.trainer
    end.nonce = lease.lease.nonce
    end.cause = cause
    if !keepingStake {
      guard let returned = lease.stake.subtracting(forfeited) else {
        preconditionFailure("no more is forfeited than was staked")
      }
      holdings.stakes -= lease.stake.tinybars
      credit(returned, to: lease.lease.trainer)
      credit(forfeited, to: state.terms.owner)
      end.returned = returned
      end.forfeited = forfeited
    }
    emit(.leaseEnded(end))
    refundRest(of: job)
  }

  /// What leases and claims may still take of the escrow.
  mutating func changeReserve(of job: Digest, by tinybars: Int64) {
    guard let before = jobs[job]?.reserved, let after = Amount(tinybars: before.tinybars + tinybars) else {
      preconditionFailure("a reserve is not negative")
    }
    jobs[job]?.reserved = after
  }
}

import Runtime

extension EmbeddedLedger {
  /// Anybody may post the bond and demand an arbiter, against a running lease or a claim in its window.
  mutating func open(_ dispute: Dispute, by reporter: AccountID) throws(Rejection) {
    guard let state = jobs[dispute.job] else { throw .unknownJob }
    guard state.slots.indices.contains(dispute.slot) else { throw .unknownSlot }
    let arbiters = state.terms.arbiters.filter { $0 != reporter && $0 != dispute.trainer }
    guard !arbiters.isEmpty else { throw .noArbiter }
    let claim = state.claims.keys.sorted().first { number in
      guard let claim = state.claims[number] else { return false }
      return claim.slot == dispute.slot && claim.trainer == dispute.trainer && claim.dispute == nil
        && now <= claim.payableFrom && claim.rounds.contains(dispute.round)
    }
    let isLeased =
      state.slots[dispute.slot].lease.map { $0.lease.trainer == dispute.trainer && $0.dispute == nil } ?? false
    guard isLeased || claim != nil else { throw .nothingToDispute }
    try debit(state.terms.bond, from: reporter)
    holdings.bonds += state.terms.bond.tinybars
    let number = state.nextDispute
    let drawn = arbiters[Int(drawRandomness().leadingBits % UInt64(arbiters.count))]
    let rulingBy = now + state.terms.rulingWindow
    jobs[dispute.job]?.nextDispute += 1
    jobs[dispute.job]?.disputes[number] = DisputeState(
      about: dispute, claim: isLeased ? nil : claim, reporter: reporter, arbiter: drawn, bond: state.terms.bond,
      rulingBy: rulingBy)
    if isLeased {
      jobs[dispute.job]?.slots[dispute.slot].lease?.dispute = number
    } else if let claim {
      jobs[dispute.job]?.claims[claim]?.dispute = number
    }
    var opened = DisputeOpened()
    opened.job = dispute.job
    opened.dispute = number
    opened.slot = dispute.slot
    opened.round = dispute.round
    opened.trainer = dispute.trainer
    opened.reporter = reporter
    opened.arbiter = drawn
    opened.rulingBy = rulingBy
    opened.found = dispute.found
    opened.promised = dispute.promised
    opened.salt = dispute.salt
    emit(.disputeOpened(opened))
  }

  /// The drawn arbiter's word. Upheld: the stake is slashed. Not: the bond is the trainer's.
  mutating func rule(_ job: Digest, _ number: Int, _ isUpheld: Bool, by sender: AccountID) throws(Rejection) {
    guard let state = jobs[job] else { throw .unknownJob }
    guard let dispute = state.disputes[number] else { throw .unknownDispute }
    guard dispute.arbiter == sender else { throw .notArbiter }
    guard now <= dispute.rulingBy else { throw .rulingOver }
    end(dispute, number, job, isRuled: true)
    holdings.bonds -= dispute.bond.tinybars
    var slashed = Amount.zero
    var reward = Amount.zero
    if isUpheld {
      credit(dispute.bond, to: dispute.reporter)
      slashed = slash(dispute, job)
      reward = slashed.share(basisPoints: state.terms.slashRewardBasisPoints)
      holdings.stakes -= slashed.tinybars
      credit(reward, to: dispute.reporter)
      credit(slashed.subtracting(reward) ?? .zero, to: state.terms.owner)
    } else {
      credit(dispute.bond, to: dispute.about.trainer)
    }
    emit(
      .disputeEnded(ended(dispute, number, job, isUpheld: isUpheld, isRuled: true, slashed: slashed, reward: reward)))
    refundRest(of: job)
  }

  /// A silent arbiter locks nothing: the bond goes back, and the lease or claim goes on.
  mutating func lapse(_ job: Digest, _ number: Int) throws(Rejection) {
    guard let state = jobs[job] else { throw .unknownJob }
    guard let dispute = state.disputes[number] else { throw .unknownDispute }
    guard now > dispute.rulingBy else { throw .rulingOpen }
    end(dispute, number, job, isRuled: false)
    holdings.bonds -= dispute.bond.tinybars
    credit(dispute.bond, to: dispute.reporter)
    emit(.disputeEnded(ended(dispute, number, job, isUpheld: false, isRuled: false, slashed: .zero, reward: .zero)))
    refundRest(of: job)
  }

  private mutating func end(_ dispute: DisputeState, _ number: Int, _ job: Digest, isRuled: Bool) {
    jobs[job]?.disputes[number] = nil
    if let claim = dispute.claim {
      jobs[job]?.claims[claim]?.dispute = nil
    } else {
      jobs[job]?.slots[dispute.about.slot].lease?.dispute = nil
    }
  }

  /// Voids what was disputed; its rounds may be claimed by others. Returns the stake, which is still counted as staked.
  private mutating func slash(_ dispute: DisputeState, _ job: Digest) -> Amount {
    if let number = dispute.claim, let claim = jobs[job]?.claims.removeValue(forKey: number) {
      mark(job, claim.slot, claim.rounds, taken: false)
      changeReserve(of: job, by: -claim.pay.tinybars)
      if let lease = jobs[job]?.slots[claim.slot].lease {
        let worth = jobs[job]?.unclaimedWorth(claim.slot) ?? lease.reserve
        changeReserve(of: job, by: worth.tinybars - lease.reserve.tinybars)
        jobs[job]?.slots[claim.slot].lease?.reserve = worth
      }
      return claim.stake
    }
    guard let lease = jobs[job]?.slots[dispute.about.slot].lease else { return .zero }
    endLease(job, dispute.about.slot, cause: .slashed, forfeited: .zero, keepingStake: true)
    return lease.stake
  }

  private func ended(
    _ dispute: DisputeState, _ number: Int, _ job: Digest, isUpheld: Bool, isRuled: Bool, slashed: Amount,
    reward: Amount
  ) -> DisputeEnded {
    var ended = DisputeEnded()
    ended.job = job
    ended.dispute = number
    ended.slot = dispute.about.slot
    ended.trainer = dispute.about.trainer
    ended.reporter = dispute.reporter
    ended.arbiter = dispute.arbiter
    ended.isUpheld = isUpheld
    ended.isRuled = isRuled
    ended.slashed = slashed
    ended.reward = reward
    return ended
  }
}

import Runtime

extension EmbeddedLedger {
  /// Claims are all taken or all refused. Whoever holds a receipt may claim; the money goes to the trainer it names.
  mutating func submit(_ job: Digest, _ claims: [SlotClaim], by sender: AccountID) throws(Rejection) {
    guard let state = jobs[job] else { throw .unknownJob }
    guard !claims.isEmpty else { throw .noClaims }
    guard !state.isRefunded else { throw .jobClosed }
    var drafts: [ClaimDraft] = []
    var seen: Set<[Int]> = []
    for claim in claims {
      let draft = try draft(claim, job, state, by: sender)
      for round in draft.rounds where !seen.insert([draft.slot, round]).inserted { throw .roundAlreadyClaimed }
      drafts.append(draft)
    }
    for draft in drafts { take(draft, job) }
  }

  private struct ClaimDraft {
    var slot: Int
    var trainer: AccountID
    var nonce: UInt64
    var rounds: [Int]
    var price: Amount
    var window: Duration
  }

  private mutating func draft(
    _ claim: SlotClaim, _ job: Digest, _ state: JobState, by sender: AccountID
  ) throws(Rejection) -> ClaimDraft {
    let draft: ClaimDraft
    if let proof = claim.proof {
      let receipt = proof.receipt
      guard receipt.job == job, proof.leadsToRoot else { throw .badReceipt }
      if jobs[job]?.knownRoots.contains(proof.root) != true {
        guard proof.isSigned(by: state.terms.coordinator) else { throw .badSignature }
        jobs[job]?.knownRoots.insert(proof.root)
      }
      draft = ClaimDraft(
        slot: receipt.slot, trainer: receipt.trainer, nonce: receipt.nonce, rounds: receipt.rounds,
        price: receipt.price,
        window: state.terms.challengeWindow)
    } else {
      guard state.slots.indices.contains(claim.slot) else { throw .unknownSlot }
      guard let lease = state.slots[claim.slot].lease, lease.lease.trainer == sender else { throw .notTrainer }
      draft = ClaimDraft(
        slot: claim.slot, trainer: sender, nonce: lease.lease.nonce, rounds: claim.rounds, price: lease.lease.price,
        window: state.terms.unreceiptedWindow)
    }
    guard state.slots.indices.contains(draft.slot) else { throw .unknownSlot }
    guard draft.price > .zero, draft.price <= state.terms.slots[draft.slot].ceiling else { throw .priceAboveCeiling }
    guard !draft.rounds.isEmpty, zip(draft.rounds, draft.rounds.dropFirst()).allSatisfy({ $0 < $1 }) else {
      throw .badRounds
    }
    let slot = state.slots[draft.slot]
    if let lease = slot.lease, lease.lease.nonce == draft.nonce, lease.dispute != nil { throw .leaseDisputed }
    for round in draft.rounds {
      guard let place = state.terms.slots[draft.slot].rounds.firstIndex(of: round) else { throw .badRounds }
      if slot.taken[place] { throw .roundAlreadyClaimed }
    }
    return draft
  }

  /// The lease under which the work was done, if it still runs, ends with its claim, and its stake goes along.
  private mutating func take(_ draft: ClaimDraft, _ job: Digest) {
    guard let state = jobs[job], let pay = draft.price.times(draft.rounds.count) else {
      preconditionFailure("a drafted claim is worth no more than its slot")
    }
    var stake = Amount.zero
    if let lease = state.slots[draft.slot].lease, lease.lease.nonce == draft.nonce, lease.lease.trainer == draft.trainer
    {
      stake = lease.stake
      // The claim's pay is set aside before the lease's reserve is given up, so that nothing can be refunded in between.
      changeReserve(of: job, by: pay.tinybars)
      mark(job, draft.slot, draft.rounds, taken: true)
      endLease(job, draft.slot, cause: .claimed, forfeited: .zero, keepingStake: true)
    } else {
      changeReserve(of: job, by: pay.tinybars)
      mark(job, draft.slot, draft.rounds, taken: true)
      if let other = jobs[job]?.slots[draft.slot].lease {
        // Another trainer holds the slot for its other rounds: what is set aside for that lease shrinks with them.
        let left = jobs[job]?.unclaimedWorth(draft.slot) ?? .zero
        changeReserve(of: job, by: left.tinybars - other.reserve.tinybars)
        jobs[job]?.slots[draft.slot].lease?.reserve = left
      }
    }
    let number = jobs[job]?.nextClaim ?? 0
    let payableFrom = now + draft.window
    jobs[job]?.nextClaim += 1
    jobs[job]?.claims[number] = ClaimState(
      slot: draft.slot, trainer: draft.trainer, nonce: draft.nonce, rounds: draft.rounds, pay: pay, stake: stake,
      payableFrom: payableFrom)
    var opened = ClaimOpened()
    opened.job = job
    opened.slot = draft.slot
    opened.trainer = draft.trainer
    opened.nonce = draft.nonce
    opened.claim = number
    opened.rounds = draft.rounds
    opened.amount = pay
    opened.payableFrom = payableFrom
    emit(.claimed(opened))
  }

  func place(of round: Int, in slot: SlotTerms) -> Int? { slot.rounds.firstIndex(of: round) }

  mutating func mark(_ job: Digest, _ slot: Int, _ rounds: [Int], taken: Bool) {
    guard let terms = jobs[job]?.terms.slots[slot] else { return }
    for round in rounds {
      if let place = place(of: round, in: terms) { jobs[job]?.slots[slot].taken[place] = taken }
    }
  }

  /// Anybody may have claims paid whose window is over. Those that are not due are an error, and nothing is paid.
  mutating func settle(_ job: Digest, _ claims: [Int]) throws(Rejection) {
    guard let state = jobs[job] else { throw .unknownJob }
    guard !claims.isEmpty else { throw .noClaims }
    // What is settled already is no error: two may sweep at once.
    var due: [Int] = []
    for claim in claims where !due.contains(claim) {
      guard let open = state.claims[claim] else {
        if claim >= 0 && claim < state.nextClaim { continue }
        throw .unknownClaim
      }
      guard open.dispute == nil else { throw .claimDisputed }
      guard now > open.payableFrom else { throw .windowOpen }
      due.append(claim)
    }
    guard !due.isEmpty else { throw .unknownClaim }
    for claim in due { pay(claim, job) }
    refundRest(of: job)
  }

  private mutating func pay(_ number: Int, _ job: Digest) {
    guard let claim = jobs[job]?.claims.removeValue(forKey: number),
      let escrow = jobs[job]?.escrow.subtracting(claim.pay), let paid = jobs[job]?.paidOut.adding(claim.pay)
    else { preconditionFailure("a claim's pay is in the escrow") }
    jobs[job]?.escrow = escrow
    jobs[job]?.paidOut = paid
    changeReserve(of: job, by: -claim.pay.tinybars)
    holdings.escrow -= claim.pay.tinybars
    holdings.stakes -= claim.stake.tinybars
    credit(claim.pay, to: claim.trainer)
    credit(claim.stake, to: claim.trainer)
    var event = ClaimPaid()
    event.job = job
    event.slot = claim.slot
    event.trainer = claim.trainer
    event.claim = number
    event.rounds = claim.rounds
    event.amount = claim.pay
    event.stakeReturned = claim.stake
    emit(.paid(event))
  }

  mutating func payAudits(_ signed: SignedAuditReceipt) throws(Rejection) {
    let receipt = signed.receipt
    guard let state = jobs[receipt.job] else { throw .unknownJob }
    guard !state.isRefunded else { throw .jobClosed }
    guard state.terms.arbiters.contains(receipt.auditor) else { throw .notAuditor }
    guard signed.isSigned(by: state.terms.coordinator) else { throw .badSignature }
    let before = state.auditsPaid[receipt.auditor] ?? 0
    guard receipt.audits > before else { throw .nothingToPay }
    let affordable = state.terms.auditFee == .zero ? 0 : Int(state.auditFund.tinybars / state.terms.auditFee.tinybars)
    let count = min(receipt.audits - before, affordable)
    guard count > 0, let amount = state.terms.auditFee.times(count), let fund = state.auditFund.subtracting(amount),
      let escrow = state.escrow.subtracting(amount)
    else { throw .nothingToPay }
    jobs[receipt.job]?.auditsPaid[receipt.auditor] = before + count
    jobs[receipt.job]?.auditFund = fund
    jobs[receipt.job]?.escrow = escrow
    holdings.escrow -= amount.tinybars
    credit(amount, to: receipt.auditor)
    var event = AuditsPaid()
    event.job = receipt.job
    event.auditor = receipt.auditor
    event.audits = count
    event.amount = amount
    emit(.auditsPaid(event))
  }
}

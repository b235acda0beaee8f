import Chain
import Runtime

extension Coordination {
  /// What the ledger says is what holds: leases begin and end here.
  mutating func handle(_ event: LedgerEvent, at now: Timestamp) -> Effects {
    switch event.kind {
    case .jobOpened(let terms) where terms.job == jobDigest: return escrowOpened(terms, at: now)
    case .leaseAccepted(let lease) where lease.job == jobDigest: return leaseAccepted(lease, at: now)
    case .leaseEnded(let ended) where ended.job == jobDigest: return leaseEnded(ended, at: now)
    case .posted(let post) where post.topic == jobDigest:
      guard let commitments = try? CommitmentPost(wireBytes: post.message), commitments.job == jobDigest else {
        return []
      }
      return committed(commitments, by: post.sender, at: now)
    case .beacon(let beacon) where beacon.topic == jobDigest && beacon.sender == me:
      return beaconDrawn(beacon.label, beacon.value, at: now)
    case .answered(let summons) where summons.job == jobDigest: return answered(summons.slot, at: now)
    case .claimed(let claimed) where claimed.job == jobDigest: return claimOpened(claimed, at: now)
    case .paid(let paid) where paid.job == jobDigest:
      openClaims[paid.claim] = nil
      return [
        .note(Milestone(.paid, peer: paid.trainer, slot: paid.slot, amount: paid.amount, count: paid.rounds.count))
      ]
    case .auditsPaid(let paid) where paid.job == jobDigest:
      return [.note(Milestone(.paid, peer: paid.auditor, amount: paid.amount, count: paid.audits))]
    case .disputeOpened(let opened) where opened.job == jobDigest: return disputeOpened(opened, at: now)
    case .disputeEnded(let ended) where ended.job == jobDigest: return disputeEnded(ended, at: now)
    case .jobClosed(let closed) where closed.job == jobDigest:
      isClosed = true
      refundableFrom = closed.refundableFrom
      switch phase {
      case .offering, .revealing, .running: return finish(.cancelled, at: now)
      default: return []
      }
    case .refunded(let refund) where refund.job == jobDigest:
      isRefunded = true
      return []
    case .rejected(let rejection) where rejection.sender == me:
      return [.note(Milestone(.transactionRefused, peer: me, count: rejection.code.number))]
    default: return []
    }
  }

  private mutating func leaseAccepted(_ lease: Lease, at now: Timestamp) -> Effects {
    guard slots.indices.contains(lease.slot) else { return [] }
    if phase == .running, case .granted(var desk) = slots[lease.slot].state, desk.trainer == lease.trainer,
      desk.nonce == lease.nonce
    {
      desk.since = now
      slots[lease.slot].state = .leased(desk)
      return sendTasks(to: lease.trainer, at: now)
    }
    // Taken up after it was given up, or the job is over: it ends at once, and the stake goes back.
    return [.transact(.revoke(job: jobDigest, slot: lease.slot))]
  }

  private mutating func leaseEnded(_ ended: LeaseEnd, at now: Timestamp) -> Effects {
    guard slots.indices.contains(ended.slot), let lease = slots[ended.slot].lease, lease.trainer == ended.trainer,
      lease.nonce == ended.nonce
    else { return [] }
    var effects: Effects = []
    switch ended.cause {
    case .expired:
      bids.blame(ended.trainer, forLie: false, at: now)
      standings[ended.trainer, default: Standing()].note(good: false)
      effects.append(
        .note(Milestone(.leaseLost, peer: ended.trainer, slot: ended.slot, amount: ended.forfeited, reason: .vanished)))
    case .slashed: bids.blame(ended.trainer, forLie: true, at: now)
    case .released, .revoked, .claimed: break
    }
    // Whoever hands a lease back before its audit is in is audited all the same.
    if ended.cause != .slashed, ended.cause != .claimed, !lease.accepted.isEmpty,
      !unreceipted.contains(where: { $0.slot == ended.slot && $0.lease.nonce == lease.nonce }),
      !receipted.contains(where: { $0.proof.receipt.slot == ended.slot && $0.proof.receipt.nonce == lease.nonce })
    {
      unreceipted.append(UnreceiptedDesk(slot: ended.slot, lease: lease))
    }
    freeSlot(ended.slot)
    if slots[ended.slot].isDone || phase != .running { slots[ended.slot].state = .finished }
    // Work that the trainer had begun and that was not accepted is done again.
    if let index = round?.index(ofSlot: ended.slot), let work = round?.works[index], work.trainer == ended.trainer {
      switch work.stage {
      case .training, .committed, .checking: reopen(index, at: now)
      case .unplaced, .accepted, .auditing, .clean: break
      }
    }
    return effects + place(at: now)
  }

  /// Called, and there: it gets its time once more.
  private mutating func answered(_ slot: Int, at now: Timestamp) -> Effects {
    guard let index = round?.index(ofSlot: slot), round?.works[index].isSummoned == true else { return [] }
    round?.works[index].isSummoned = false
    round?.works[index].calls += 1
    round?.works[index].since = now
    round?.works[index].mentioned = now
    return []
  }

  private mutating func claimOpened(_ claimed: ClaimOpened, at now: Timestamp) -> Effects {
    openClaims[claimed.claim] = ClaimDesk(slot: claimed.slot, payableFrom: claimed.payableFrom, swept: now)
    for index in receipted.indices
    where receipted[index].proof.receipt.slot == claimed.slot
      && receipted[index].proof.receipt.trainer == claimed.trainer
      && receipted[index].proof.receipt.nonce == claimed.nonce
    {
      receipted[index].isClaimed = true
    }
    return [.note(Milestone(.claimed, peer: claimed.trainer, slot: claimed.slot, count: claimed.rounds.count))]
  }
}

import Chain
import Runtime

extension TrainerMachine {
  mutating func handle(_ event: LedgerEvent, at now: Timestamp) -> Effects {
    switch event.kind {
    case .leaseAccepted(let lease) where lease.trainer == me: return leaseTaken(lease, at: now)
    case .leaseEnded(let ended) where ended.trainer == me: return leaseEnded(ended)
    case .posted(let post) where post.sender == me:
      guard let commitments = try? CommitmentPost(wireBytes: post.message), commitments.job == post.topic else {
        return []
      }
      return committed(commitments, at: now)
    case .summoned(let summons) where summons.trainer == me: return answerSummons(summons, at: now)
    case .claimed(let claimed) where claimed.trainer == me: return claimTaken(claimed, at: now)
    case .paid(let paid) where paid.trainer == me: return claimPaid(paid)
    case .jobClosed(let closed): return jobClosed(closed.job)
    case .rejected(let rejection) where rejection.sender == me: return refused(rejection)
    default: return []
    }
  }

  private mutating func leaseTaken(_ lease: Lease, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: lease.job), let held = jobs[index].lease(lease.slot),
      jobs[index].leases[held].nonce == lease.nonce
    else { return [] }
    jobs[index].leases[held].state = .active
    jobs[index].leases[held].chunk = .fetching
    jobs[index].leases[held].mentioned = now
    return [
      .work(.fetchChunk(job: lease.job, slot: lease.slot)),
      .note(Milestone(.leaseTaken, peer: me, slot: lease.slot, amount: lease.price)),
    ]
  }

  private mutating func leaseEnded(_ ended: LeaseEnd) -> Effects {
    guard let index = index(ofJob: ended.job), let held = jobs[index].lease(ended.slot) else { return [] }
    jobs[index].leases.remove(at: held)
    jobs[index].steps.removeAll { $0.name.slot == ended.slot }
    return [.work(.forgetSlot(job: ended.job, slot: ended.slot))]
  }

  /// Called on the ledger: answer there, and take up what was missed.
  private mutating func answerSummons(_ summons: Summons, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: summons.job) else { return [] }
    return [
      .transact(.answer(job: summons.job, slot: summons.slot)),
      .send(.resume(JobReference(job: summons.job)), to: jobs[index].coordinator),
    ]
  }

  /// Receipts: the coordinator's signed word for accepted work, which the ledger pays on.
  mutating func take(_ receipts: Receipts, from sender: PublicKey) -> Effects {
    guard let index = index(ofJob: receipts.job), jobs[index].coordinator == sender else { return [] }
    let mine = receipts.proofs.filter { $0.receipt.trainer == me && $0.receipt.job == receipts.job }
    guard !mine.isEmpty else { return [] }
    return [.transact(.submit(job: receipts.job, claims: mine.map { SlotClaim(proof: $0) }))]
  }

  private mutating func claimTaken(_ claimed: ClaimOpened, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: claimed.job) else { return [] }
    jobs[index].claims.append(TrainerClaim(claim: claimed.claim, payableFrom: claimed.payableFrom, mentioned: now))
    var effects: Effects = [.note(Milestone(.claimed, peer: me, slot: claimed.slot, count: claimed.rounds.count))]
    if let held = jobs[index].lease(claimed.slot) {
      jobs[index].leases.remove(at: held)
      jobs[index].steps.removeAll { $0.name.slot == claimed.slot }
      effects.append(.work(.forgetSlot(job: claimed.job, slot: claimed.slot)))
    }
    return effects
  }

  /// Claims whose window is over are settled, a few at a time.
  mutating func lookAtClaims(_ index: Int, at now: Timestamp) -> Effects {
    var due: [Int] = []
    for claim in jobs[index].claims.indices
    where !jobs[index].claims[claim].isPaid && now > jobs[index].claims[claim].payableFrom
      && now - jobs[index].claims[claim].mentioned >= Self.patience && due.count < 32
    {
      jobs[index].claims[claim].mentioned = now
      due.append(jobs[index].claims[claim].claim)
    }
    return due.isEmpty ? [] : [.transact(.settle(job: jobs[index].digest, claims: due))]
  }

  /// Paid: what is owed is pulled at once.
  private mutating func claimPaid(_ paid: ClaimPaid) -> Effects {
    guard let index = index(ofJob: paid.job),
      let claim = jobs[index].claims.firstIndex(where: { $0.claim == paid.claim })
    else { return [] }
    jobs[index].claims[claim].isPaid = true
    return [.transact(.withdraw(paid.amount))]
  }

  private mutating func jobClosed(_ job: Digest) -> Effects {
    guard let index = index(ofJob: job) else { return [] }
    jobs[index].isOver = jobs[index].leases.isEmpty && jobs[index].claims.allSatisfy(\.isPaid)
    return []
  }

  /// A lease that the ledger did not give is not held.
  private mutating func refused(_ rejection: Rejected) -> Effects {
    [.note(Milestone(.transactionRefused, peer: me, count: rejection.code.number))]
  }
}

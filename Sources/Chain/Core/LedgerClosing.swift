import Runtime

extension EmbeddedLedger {
  /// No more leases. Claims are still taken for twice the challenge window, so that no owner can close on work that was done.
  mutating func close(_ job: Digest, by sender: AccountID) throws(Rejection) {
    guard let state = jobs[job] else { throw .unknownJob }
    guard !state.isClosed else { throw .jobClosed }
    guard sender == state.terms.owner || sender == state.terms.coordinator || now > state.terms.finalDeadline else {
      throw .notOwner
    }
    let refundableFrom = now + state.terms.challengeWindow + state.terms.challengeWindow
    jobs[job]?.refundableFrom = refundableFrom
    var closed = JobClosed()
    closed.job = job
    closed.owner = state.terms.owner
    closed.refundableFrom = refundableFrom
    emit(.jobClosed(closed))
  }

  /// Anybody may send the owner what nobody can claim any more. What leases and claims still hold follows as each ends.
  mutating func refund(_ job: Digest) throws(Rejection) {
    guard let state = jobs[job] else { throw .unknownJob }
    guard let from = state.refundableFrom, now > from else { throw .notFinal }
    guard !state.isRefunded else { throw .alreadyRefunded }
    jobs[job]?.isRefunded = true
    jobs[job]?.auditFund = .zero
    jobs[job]?.feeBound = .zero
    refundRest(of: job, always: true)
  }

  /// In a refunded job, sends the owner whatever has become free.
  mutating func refundRest(of job: Digest, always: Bool = false) {
    guard let state = jobs[job], state.isRefunded else { return }
    guard let free = state.escrow.subtracting(state.reserved) else {
      preconditionFailure("no more is reserved than is there")
    }
    guard free > .zero || always else { return }
    jobs[job]?.escrow = state.reserved
    holdings.escrow -= free.tinybars
    credit(free, to: state.terms.owner)
    var refund = Refund()
    refund.job = job
    refund.owner = state.terms.owner
    refund.amount = free
    refund.isLast = jobs[job]?.isSettled ?? false
    emit(.refunded(refund))
  }
}

import Runtime

/// The whole ledger as a value: accounts, escrow, topics and a beacon. It has no clock and no socket; whoever runs it gives
/// each transaction its consensus time. The same transactions at the same times give the same ledger.
///
/// A refused transaction changes nothing but the sender's fee and sequence number.
public struct EmbeddedLedger: Sendable {
  public private(set) var accounts: [AccountID: Account] = [:]
  public internal(set) var jobs: [Digest: JobState] = [:]
  public internal(set) var holdings: Holdings
  public let fees: LedgerFees
  public private(set) var eventCount: UInt64 = 0
  private var topics: [Digest: (number: UInt64, runningHash: Digest)] = [:]
  private var randomness: RandomStream

  // While one transaction is applied.
  var now = Timestamp.zero
  private var current = Digest.zero
  private var pending: [LedgerEvent] = []

  /// - Parameter genesis: what everybody's wallet holds at the beginning; accounts named twice add up.
  public init(genesis: [(AccountID, Amount)], fees: LedgerFees = .usual, seed: Seed) {
    var total: Int64 = 0
    for (account, amount) in genesis {
      let before = accounts[account, default: Account()].wallet
      guard let sum = before.adding(amount), let all = Amount(tinybars: total)?.adding(amount) else {
        preconditionFailure("genesis holds more than all the money there is")
      }
      accounts[account, default: Account()].wallet = sum
      total = all.tinybars
    }
    holdings = Holdings(genesis: total)
    self.fees = fees
    randomness = seed.stream("ledger beacon")
  }

  /// Applies a transaction at its consensus time.
  ///
  /// - Parameter authentic: whether the signature is the sender's; see `SignedTransaction.isAuthentic`.
  /// - Returns: one event or more; a single `rejected` where it was refused.
  public mutating func apply(_ signed: SignedTransaction, authentic: Bool, at consensus: Timestamp) -> [LedgerEvent] {
    precondition(consensus >= now, "consensus time does not go back")
    now = consensus
    current = signed.id
    pending = []
    let transaction = signed.transaction
    do throws(Rejection) {
      try admit(transaction, authentic: authentic)
      try perform(transaction.operation, by: transaction.sender)
    } catch {
      pending = []
      emit(.rejected(Rejected(sender: transaction.sender, job: transaction.operation.job ?? .zero, code: error)))
    }
    return pending
  }

  /// Who may ask at all: signature, sequence, fee. The fee is kept whatever comes of the rest.
  private mutating func admit(_ transaction: Transaction, authentic: Bool) throws(Rejection) {
    guard authentic else { throw .notAuthentic }
    guard let account = accounts[transaction.sender] else { throw .unknownAccount }
    guard transaction.sequence > account.lastSequence else { throw .staleSequence }
    let fee = fees.fee(for: transaction.operation)
    guard let rest = account.wallet.subtracting(fee) else { throw .insufficientWallet }
    accounts[transaction.sender]?.lastSequence = transaction.sequence
    accounts[transaction.sender]?.wallet = rest
    holdings.wallets -= fee.tinybars
    holdings.fees += fee.tinybars
    reimburse(fee, for: transaction)
  }

  /// A coordinator's fees for its job come out of the job's fee bound, as long as that lasts.
  private mutating func reimburse(_ fee: Amount, for transaction: Transaction) {
    guard let job = transaction.operation.job, let state = jobs[job], state.terms.coordinator == transaction.sender,
      let left = state.feeBound.subtracting(fee), let escrow = state.escrow.subtracting(fee), !state.isRefunded
    else { return }
    jobs[job]?.feeBound = left
    jobs[job]?.escrow = escrow
    holdings.escrow -= fee.tinybars
    give(fee, toWalletOf: transaction.sender)
  }

  private mutating func perform(_ operation: Operation, by sender: AccountID) throws(Rejection) {
    switch operation {
    case .deposit(let amount): try deposit(amount, by: sender)
    case .openJob(let terms): try openJob(terms, by: sender)
    case .acceptLease(let lease): try acceptLease(lease, by: sender)
    case .release(let job, let slot): try release(job, slot, by: sender)
    case .summon(let job, let slot): try summon(job, slot, by: sender)
    case .answer(let job, let slot): try answer(job, slot, by: sender)
    case .revoke(let job, let slot): try revoke(job, slot, by: sender)
    case .expire(let job, let slot): try expire(job, slot)
    case .submit(let job, let claims): try submit(job, claims, by: sender)
    case .settle(let job, let claims): try settle(job, claims)
    case .dispute(let dispute): try open(dispute, by: sender)
    case .rule(let job, let dispute, let isUpheld, _): try rule(job, dispute, isUpheld, by: sender)
    case .lapse(let job, let dispute): try lapse(job, dispute)
    case .payAudits(let receipt): try payAudits(receipt)
    case .close(let job): try close(job, by: sender)
    case .refund(let job): try refund(job)
    case .withdraw(let amount): try withdraw(amount, by: sender)
    case .post(let topic, let message): try post(topic, message, by: sender)
    case .drawBeacon(let topic, let label): drawBeacon(topic, label, by: sender)
    }
  }

  // MARK: money in and out of the escrow

  private mutating func deposit(_ amount: Amount, by sender: AccountID) throws(Rejection) {
    guard amount > .zero else { throw .zeroAmount }
    guard let rest = accounts[sender]?.wallet.subtracting(amount) else { throw .insufficientWallet }
    accounts[sender]?.wallet = rest
    holdings.wallets -= amount.tinybars
    credit(amount, to: sender)
    emit(.deposited(Movement(sender, amount)))
  }

  private mutating func withdraw(_ amount: Amount, by sender: AccountID) throws(Rejection) {
    guard amount > .zero else { throw .zeroAmount }
    try debit(amount, from: sender)
    give(amount, toWalletOf: sender)
    emit(.withdrawn(Movement(sender, amount)))
  }

  /// Takes credits; whoever calls puts them somewhere else.
  mutating func debit(_ amount: Amount, from account: AccountID) throws(Rejection) {
    guard let rest = accounts[account]?.credits.subtracting(amount) else { throw .insufficientCredits }
    accounts[account]?.credits = rest
    holdings.credits -= amount.tinybars
  }

  /// Gives credits that were taken from somewhere else.
  mutating func credit(_ amount: Amount, to account: AccountID) {
    guard let sum = accounts[account, default: Account()].credits.adding(amount) else {
      preconditionFailure("no account holds more than all the money there is")
    }
    accounts[account, default: Account()].credits = sum
    holdings.credits += amount.tinybars
  }

  private mutating func give(_ amount: Amount, toWalletOf account: AccountID) {
    guard let sum = accounts[account, default: Account()].wallet.adding(amount) else {
      preconditionFailure("no account holds more than all the money there is")
    }
    accounts[account, default: Account()].wallet = sum
    holdings.wallets += amount.tinybars
  }

  // MARK: topics and the beacon

  private mutating func post(_ topic: Digest, _ message: [UInt8], by sender: AccountID) throws(Rejection) {
    guard message.count <= Operation.messageLimit else { throw .messageTooLong }
    let before = topics[topic] ?? (0, .zero)
    var post = Post()
    post.topic = topic
    post.sender = sender
    post.message = message
    post.number = before.number + 1
    var bytes = before.runningHash.bytes
    for word in [post.number, now.nanoseconds] {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
      }
    }
    post.runningHash = Digest(of: [bytes, topic.bytes, sender.bytes, message])
    topics[topic] = (post.number, post.runningHash)
    emit(.posted(post))
  }

  private mutating func drawBeacon(_ topic: Digest, _ label: UInt64, by sender: AccountID) {
    var beacon = BeaconDrawn()
    beacon.topic = topic
    beacon.sender = sender
    beacon.label = label
    beacon.value = drawRandomness()
    emit(.beacon(beacon))
  }

  mutating func drawRandomness() -> Digest { Digest(of: randomness.bytes(32)) }

  mutating func emit(_ kind: LedgerEvent.Kind) {
    eventCount += 1
    pending.append(LedgerEvent(sequence: eventCount, at: now, transaction: current, kind: kind))
  }

  // MARK: looking

  /// Everything counted afresh from accounts and jobs, to be compared with `holdings`.
  public func recount() -> Holdings {
    var count = Holdings(genesis: holdings.genesis)
    count.wallets = accounts.values.reduce(0) { $0 + $1.wallet.tinybars }
    count.credits = accounts.values.reduce(0) { $0 + $1.credits.tinybars }
    count.escrow = jobs.values.reduce(0) { $0 + $1.escrow.tinybars }
    count.stakes = jobs.values.reduce(0) { sum, job in
      sum + job.slots.reduce(0) { $0 + ($1.lease?.stake.tinybars ?? 0) }
        + job.claims.values.reduce(0) { $0 + $1.stake.tinybars }
    }
    count.bonds = jobs.values.reduce(0) { $0 + $1.disputes.values.reduce(0) { $0 + $1.bond.tinybars } }
    count.fees = holdings.fees
    return count
  }
}

extension Movement {
  init(_ account: AccountID, _ amount: Amount) {
    self.init()
    self.account = account
    self.amount = amount
  }
}

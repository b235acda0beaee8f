import Chain
import Runtime

/// Transactions that were submitted and whose outcome is not known yet. Whatever is not heard of is submitted again: the
/// ledger takes each at most once, by its sequence number.
struct Outbox {
  static let patience = Duration.seconds(25)

  private struct Pending {
    var id: Digest
    var transaction: SignedTransaction
    var submitted: Timestamp
  }
  private var pending: [Pending] = []
  private var nextSequence: UInt64 = 1

  var isEmpty: Bool { pending.isEmpty }

  /// Signs an operation with the next sequence number: the time, or one more than the last, so that a peer that lost its memory
  /// does not begin again at numbers it has used.
  mutating func add(_ operation: Operation, by key: SigningKey, at now: Timestamp) -> SignedTransaction {
    nextSequence = max(nextSequence, now.nanoseconds)
    let transaction = Transaction(sender: key.publicKey, sequence: nextSequence, operation: operation).signed(by: key)
    nextSequence += 1
    pending.append(Pending(id: transaction.id, transaction: transaction, submitted: now))
    return transaction
  }

  /// The outcome of one is known. One that came too late for its sequence number is signed afresh and returned.
  mutating func resolve(_ event: LedgerEvent, by key: SigningKey, at now: Timestamp) -> SignedTransaction? {
    guard let index = pending.firstIndex(where: { $0.id == event.transaction }) else { return nil }
    let settled = pending.remove(at: index)
    guard case .rejected(let rejection) = event.kind, rejection.code == .staleSequence else { return nil }
    return add(settled.transaction.transaction.operation, by: key, at: now)
  }

  /// Those that have waited too long, oldest first, to be submitted again.
  mutating func overdue(at now: Timestamp) -> [SignedTransaction] {
    var due: [SignedTransaction] = []
    for index in pending.indices where now - pending[index].submitted >= Self.patience {
      pending[index].submitted = now
      due.append(pending[index].transaction)
    }
    return due
  }

  /// All of them, after a restart.
  var all: [SignedTransaction] { pending.map(\.transaction) }
}

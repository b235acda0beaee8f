import Chain
import Runtime

/// What must hold at every step of every run.
public final class Invariants: @unchecked Sendable {
  /// In words, the first of each kind.
  public private(set) var broken: [String] = []
  private var paid: Set<PaidRound> = []
  public private(set) var checks = 0

  private struct PaidRound: Hashable {
    var job: Digest
    var slot: Int
    var round: Int
  }

  func check(_ ledger: EmbeddedLedger, _ events: [LedgerEvent]) {
    checks += 1
    if !ledger.holdings.isConserved {
      note("money is not conserved: \(ledger.holdings.total) tinybars of \(ledger.holdings.genesis)")
    }
    for event in events {
      guard case .paid(let claim) = event.kind else { continue }
      for round in claim.rounds where !paid.insert(PaidRound(job: claim.job, slot: claim.slot, round: round)).inserted {
        note("slot \(claim.slot), round \(round) was paid twice")
      }
    }
  }

  func note(_ words: String) {
    if broken.count < 20 && !broken.contains(words) { broken.append(words) }
  }

  /// Looks for secrets in bytes that should hold none.
  static func findsSecret(_ secrets: Set<UInt64>, in bytes: [UInt8]) -> Bool {
    var window: UInt64 = 0
    for (index, byte) in bytes.enumerated() {
      window = window << 8 | UInt64(byte)
      if index >= 7 && secrets.contains(window) { return true }
    }
    return false
  }
  static func beginnings(_ secrets: [[UInt8]]) -> Set<UInt64> {
    Set(secrets.map { $0.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } })
  }
}

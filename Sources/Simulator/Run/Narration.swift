import Actors
import Chain
import Runtime

/// Milestones in words.
enum Narration {
  static func isTold(_ kind: Milestone.Kind) -> Bool {
    switch kind {
    case .trainingBegan, .trainingEnded, .committed, .uploaded, .updateAccepted, .taskSent, .auditBegan, .auditEnded,
      .auditDrawn,
      .auditClean, .bidSealed, .bidRevealed, .bidLost, .leaseTaken, .leaseGranted, .claimed, .receiptGiven:
      false
    default: true
    }
  }

  static func verb(_ kind: Milestone.Kind) -> String {
    switch kind {
    case .updateRefused: "update refused"
    case .leaseLost: "lease lost"
    case .bidLost: "no lease"
    case .slashed: "slashed"
    default: kind.rawValue
    }
  }

  static func words(_ milestone: Milestone, name: (PublicKey) -> String) -> String {
    let who = milestone.peer == .none ? "" : name(milestone.peer)
    let round = milestone.round >= 0 ? " in round \(milestone.round + 1)" : ""
    switch milestone.kind {
    case .jobPrepared: return "the job was split into \(counted(milestone.count, "chunk")), sealed and stored"
    case .escrowOpened: return "\(who) locked \(milestone.amount)"
    case .offered: return "\(counted(milestone.count, "slot")) offered at \(milestone.amount) a round at most"
    case .auctioned: return "\(counted(milestone.count, "bid")) taken"
    case .bidLost: return "\(who) won no lease: \(milestone.reason.words)"
    case .leaseLost:
      let forfeited = milestone.amount == .zero ? "" : " and forfeited \(milestone.amount)"
      return "\(who) lost slot \(milestone.slot)\(forfeited): \(milestone.reason.words)"
    case .updateRefused: return "an update of \(who) was refused\(round): \(milestone.reason.words)"
    case .auditMismatch: return "an audit of \(who) found other weights\(round)"
    case .slashed: return "\(who) was slashed \(milestone.amount)\(round): \(milestone.reason.words)"
    case .disputeFailed: return "a report against \(who) was not upheld"
    case .roundClosed: return "round \(milestone.round + 1) closed on \(counted(milestone.count, "update"))"
    case .evaluated: return "round \(milestone.round + 1): \(milestone.count) test samples right"
    case .paid:
      return "\(who) was paid \(milestone.amount) for "
        + counted(milestone.count, milestone.slot < 0 ? "audit" : "update")
    case .jobStopped: return "the job ended: \((StopReason(rawValue: milestone.count) ?? .none).words)"
    case .delivered: return "the weights of round \(milestone.round + 1) were sealed to \(who)"
    case .deliveryOpened: return "\(who) opened the delivery and found what was promised"
    case .jobClosed: return "the job is closed, everything is settled"
    case .summoned: return "\(who) was called on the ledger\(round)"
    case .transactionRefused:
      return
        "the ledger refused a transaction of \(who): \((Rejection(number: milestone.count) ?? .notAuthentic).words)"
    case .restarted: return "\(who) came back with its journal"
    default: return "\(milestone.kind.rawValue) \(who)\(round)"
    }
  }

  /// "1 update", "2 updates".
  static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  static func money(_ tinybars: Int64) -> String {
    let sign = tinybars < 0 ? "-" : ""
    return sign + (Amount(tinybars: tinybars < 0 ? -tinybars : tinybars).map { "\($0)" } ?? "\(tinybars) tinybar")
  }
  static func percent(_ share: Double) -> String { fixed(share * 100, 2) + "%" }

  /// A number with so many digits after the point, without a locale.
  static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = Int((abs(value) * scale).rounded())
    let sign = value < 0 && whole > 0 ? "-" : ""
    if digits == 0 { return sign + String(whole) }
    let rest = String(whole % Int(scale))
    return sign + "\(whole / Int(scale))." + String(repeating: "0", count: digits - rest.count) + rest
  }
  static func duration(_ seconds: Double) -> String {
    if seconds < 60 { return fixed(seconds, 1) + "s" }
    let whole = Int(seconds.rounded())
    if whole < 3_600 { return "\(whole / 60)m \(whole % 60)s" }
    return "\(whole / 3_600)h \(whole / 60 % 60)m"
  }
  static func bytes(_ count: Double) -> String {
    if count < 1_048_576 { return fixed(count / 1_024, 1) + " KiB" }
    if count < 1_073_741_824 { return fixed(count / 1_048_576, 1) + " MiB" }
    return fixed(count / 1_073_741_824, 2) + " GiB"
  }
}

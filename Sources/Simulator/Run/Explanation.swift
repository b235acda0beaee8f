import Actors
import Runtime

/// Who was paid, refused or slashed, and why: retold from a run's journals.
public struct Explanation {
  private let told: [(at: Timestamp, milestone: Milestone)]
  private let world: World

  /// - Parameter journal: the coordinator's.
  public init(world: World, journal: [UInt8]) throws(JournalError) {
    self.world = world
    told = try world.retold(journal)
  }

  /// The chain of causes for one peer, or for all that were paid or refused.
  public func lines(about peer: String?) -> [String] {
    var lines: [String] = []
    for entry in told {
      let name = entry.milestone.peer == .none ? "" : world.name(of: entry.milestone.peer)
      guard peer == nil ? isOutcome(entry.milestone.kind) : name == peer else { continue }
      let at = Narration.duration((entry.at - World.epochStart).inSeconds)
      lines.append("  " + at + String(repeating: " ", count: max(1, 10 - at.count)) + words(entry.milestone, name))
    }
    return lines
  }

  private func isOutcome(_ kind: Milestone.Kind) -> Bool {
    switch kind {
    case .paid, .bidLost, .updateRefused, .leaseLost, .slashed, .disputeFailed, .jobStopped, .delivered, .jobClosed:
      true
    default: false
    }
  }

  private func words(_ milestone: Milestone, _ name: String) -> String {
    let round = milestone.round >= 0 ? " of round \(milestone.round + 1)" : ""
    switch milestone.kind {
    case .leaseGranted:
      return "\(name) was granted \(Narration.counted(milestone.count, "slot")) at \(milestone.amount) a round"
    case .taskSent: return "\(name) was given \(Narration.counted(milestone.count, "slot"))\(round)"
    case .updateAccepted:
      return "the update of \(name) for slot \(milestone.slot)\(round) was accepted, \(milestone.digest.short)"
    case .auditDrawn: return "slot \(milestone.slot)\(round), trained by \(name), was drawn for an audit"
    case .auditClean: return "the audit of slot \(milestone.slot)\(round) computed the same bits as \(name)"
    case .receiptGiven: return "\(name) was given receipts for \(Narration.counted(milestone.count, "update"))"
    case .claimed: return "\(name) claimed \(Narration.counted(milestone.count, "update")) of slot \(milestone.slot)"
    default: return Narration.words(milestone, name: { world.name(of: $0) })
    }
  }
}

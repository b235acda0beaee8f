import Runtime

/// What is known of a trainer, from settled leases and audits only: a Beta reputation with forgetting (Jøsang and Ismail,
/// 2002), in thousandths so that it is the same everywhere.
public struct Standing: Wire, Equatable {
  /// Each new piece of evidence leaves so many thousandths of the old.
  static let memory = 950
  static let unit = 1_000

  public var good = 0
  public var bad = 0
  public var cleanAudits = 0

  public init() {}
  /// A trainer known from earlier jobs.
  public init(cleanAudits: Int) {
    for _ in 0..<min(cleanAudits, 1_000) {
      note(good: true)
      self.cleanAudits += 1
    }
  }

  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &good)
    try codec(2, &bad)
    try codec(3, &cleanAudits)
  }

  public mutating func note(good isGood: Bool) {
    good = good * Self.memory / Self.unit + (isGood ? Self.unit : 0)
    bad = bad * Self.memory / Self.unit + (isGood ? 0 : Self.unit)
  }
  public mutating func passedAudit() {
    cleanAudits += 1
    note(good: true)
  }

  /// The mean of the Beta distribution, in thousandths: 500 for a stranger.
  public var reliability: Int { (good + Self.unit) * Self.unit / (good + bad + 2 * Self.unit) }

  /// How a bid is weighed: reliability at most 0.3 either way of an average, speed at most 0.2. 500...1500.
  public func quality(megaflops: Int, typical: Int) -> Int {
    let speed = typical > 0 ? min(2_000, max(0, megaflops) * 1_000 / typical) : 1_000
    return 1_000 + (reliability - 500) * 600 / 1_000 + (speed - 1_000) * 200 / 1_000
  }
}

extension AuditRules {
  /// Whether an accepted update is trained again, decided by ledger randomness drawn after it was committed.
  public func draws(_ standing: Standing, slot: Int, round: Int, beacon: Digest) -> Bool {
    if isOff { return false }
    if standing.cleanAudits < newcomerAudits { return true }
    var stream = Seed(beacon.leadingBits).child("audit", round).child("slot", slot).stream
    return stream.below(1_000_000) < rateMillionths
  }
}

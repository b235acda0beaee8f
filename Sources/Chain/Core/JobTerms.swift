import Runtime

/// Who holds money. On the embedded ledger an account is its public key.
public typealias AccountID = PublicKey

/// What an owner locks and under which rules it is paid out or comes back.
public struct JobTerms: Wire, Equatable {
  // Bounds, so that neither side can rob the other with an absurd term.
  public static let slotLimit = 200_000
  public static let arbiterLimit = 16
  public static let windows = Duration.seconds(5)...Duration.seconds(30 * 86_400)
  public static let forfeitLimit = 5_000
  public static let rewardLimit = 10_000

  public var job = Digest.zero
  public var owner = AccountID.none
  public var coordinator = AccountID.none
  /// The auditors; the ledger draws the arbiter of a dispute among them.
  public var arbiters: [AccountID] = []
  public var slots: [SlotTerms] = []
  public var stakePerSlot = Amount.zero
  public var auditFund = Amount.zero
  public var auditFee = Amount.zero
  /// Out of which the coordinator gets back the fees of its transactions for this job.
  public var feeBound = Amount.zero
  /// What a stranger puts up to demand an arbiter.
  public var bond = Amount.zero
  /// Share of a stake that is lost when a lease expires.
  public var forfeitBasisPoints = 0
  /// Share of a slashed stake that goes to whoever reported the lie.
  public var slashRewardBasisPoints = 0
  /// Between a claim with the coordinator's receipt and its pay; and between one without and its pay.
  public var challengeWindow = Duration.zero
  public var unreceiptedWindow = Duration.zero
  public var rulingWindow = Duration.zero
  /// How long a trainer has to answer a summons.
  public var answerWindow = Duration.zero
  /// The longest that a lease may run.
  public var leaseLimit = Duration.zero
  /// After which anybody may close the job.
  public var finalDeadline = Timestamp.zero

  public init() {}

  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &owner)
    try codec(3, &coordinator)
    try codec(4, repeated: &arbiters, limit: Self.arbiterLimit)
    try codec(5, &slots, limit: Self.slotLimit)
    try codec(6, &stakePerSlot)
    try codec(7, &auditFund)
    try codec(8, &auditFee)
    try codec(9, &feeBound)
    try codec(10, &bond)
    try codec(11, &forfeitBasisPoints)
    try codec(12, &slashRewardBasisPoints)
    try codec(13, &challengeWindow)
    try codec(14, &unreceiptedWindow)
    try codec(15, &rulingWindow)
    try codec(16, &answerWindow)
    try codec(17, &leaseLimit)
    try codec(18, &finalDeadline)
  }

  /// Σ slot ceilings + audit fund + fee bound; nil beyond the whole supply.
  public var deposit: Amount? {
    var sum = auditFund.adding(feeBound)
    for slot in slots { sum = slot.worth.flatMap { sum?.adding($0) } }
    return sum
  }

  /// What is wrong with these terms, if anything.
  var fault: Rejection? {
    if slots.isEmpty || slots.contains(where: { $0.rounds.isEmpty || $0.ceiling == .zero }) { return .emptySlot }
    if slots.contains(where: { !$0.isAscending }) { return .roundsNotAscending }
    if ![challengeWindow, unreceiptedWindow, rulingWindow, answerWindow, leaseLimit].allSatisfy(Self.windows.contains) {
      return .absurdWindow
    }
    if forfeitBasisPoints > Self.forfeitLimit || slashRewardBasisPoints > Self.rewardLimit { return .absurdShare }
    if arbiters.contains(coordinator) || Set(arbiters).count != arbiters.count { return .badArbiter }
    return deposit == nil ? .tooMuch : nil
  }
}

/// One chunk for a span of rounds.
public struct SlotTerms: Wire, Equatable {
  public static let roundLimit = 100_000
  public var chunk = Digest.zero
  /// Ascending: those in which the chunk is drawn.
  public var rounds: [Int] = []
  /// For each of them.
  public var ceiling = Amount.zero

  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &chunk)
    try codec(2, repeated: &rounds, limit: Self.roundLimit)
    try codec(3, &ceiling)
  }
  public var worth: Amount? { ceiling.times(rounds.count) }
  var isAscending: Bool { zip(rounds, rounds.dropFirst()).allSatisfy { $0 < $1 } }
}

import Chain
import Learn
import Runtime

/// What an owner asks for. Its digest names the job for ever, and everything that decides a bit of the result is in it.
public struct Job: Wire, Equatable {
  public static let chunkLimit = 100_000
  public static let roundLimit = 100_000

  public var name = ""
  /// Of the partition, the draws, the shuffles and the initial weights.
  public var seed: UInt64 = 0
  /// Only equal versions of the arithmetic are compared.
  public var numerics = 0
  public var model = ModelDeclaration()
  public var recipe = TrainingRecipe()
  /// Root of the manifest over the chunks, and how many there are.
  public var manifest = Digest.zero
  public var chunkCount = 0
  /// The first round to run: 0, or where the checkpoint stands that this job resumes from.
  public var firstRound = 0
  /// One past the last round.
  public var rounds = 0
  public var chunksPerRound = 0
  /// The rounds of one slot.
  public var roundsPerLease = 0
  /// A draw given by the owner, chunk indices round by round, instead of one made from the seed.
  public var listedDraws: [ListedDraw] = []
  /// The weights to begin with, or zero for weights drawn from the seed.
  public var startingWeights = Digest.zero
  /// Bound on how far any weight may move in one update.
  public var clip = 0.0
  public var fractionBits = 0
  public var stop = StopRules()
  public var audit = AuditRules()
  public var market = MarketRules()
  /// To whom results are sealed: the owner's X25519 key, 32 bytes.
  public var ownerSealingKey: [UInt8] = []

  public init() {}

  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &name)
    try codec(2, &seed)
    try codec(3, &numerics)
    try codec(4, &model)
    try codec(5, &recipe)
    try codec(6, &manifest)
    try codec(7, &chunkCount)
    try codec(8, &firstRound)
    try codec(9, &rounds)
    try codec(10, &chunksPerRound)
    try codec(11, &roundsPerLease)
    try codec(12, &listedDraws, limit: Self.roundLimit)
    try codec(13, &startingWeights)
    try codec(14, &clip)
    try codec(15, &fractionBits)
    try codec(16, &stop)
    try codec(17, &audit)
    try codec(18, &market)
    try codec(19, &ownerSealingKey, limit: 32)
  }

  public var digest: Digest { Digest(of: Array("peermill job 1:".utf8) + wireBytes) }
}

/// The chunks of one round, in the owner's order.
public struct ListedDraw: Wire, Equatable {
  public var chunks: [Int] = []
  public init() {}
  public init(chunks: [Int]) { self.chunks = chunks }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, repeated: &chunks, limit: Job.chunkLimit)
  }
}

/// When a job ends before its last round.
public struct StopRules: Wire, Equatable {
  /// Test accuracy in millionths at which the job is done; 0 for never.
  public var targetMillionths = 0
  /// Rounds without a better accuracy after which it is done; 0 for never.
  public var patience = 0
  /// From the opening of the escrow.
  public var deadline = Duration.zero
  /// Whether the best checkpoint is delivered rather than the last.
  public var deliversBest = false

  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &targetMillionths)
    try codec(2, &patience)
    try codec(3, &deadline)
    try codec(4, &deliversBest)
  }
  /// Whether the next round waits for the evaluation of the last.
  public var needEvaluation: Bool { targetMillionths > 0 || patience > 0 }
}

/// How often work is done again by an auditor.
public struct AuditRules: Wire, Equatable {
  /// The rate among trainers with standing, in millionths; 0 switches audits off.
  public var rateMillionths = 0
  /// Clean audits that a trainer needs before that rate applies; until then it is always audited.
  public var newcomerAudits = 0

  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &rateMillionths)
    try codec(2, &newcomerAudits)
  }
  public var isOff: Bool { rateMillionths == 0 }
}

/// What the owner pays and demands.
public struct MarketRules: Wire, Equatable {
  public var isAuction = false
  /// The most that is paid for one (chunk, round).
  public var ceiling = Amount.zero
  public var stakePerSlot = Amount.zero
  public var bond = Amount.zero
  public var auditFee = Amount.zero
  public var auditFund = Amount.zero
  public var feeBound = Amount.zero
  /// The most the owner locks in all.
  public var budget = Amount.zero
  public var forfeitBasisPoints = 0
  public var slashRewardBasisPoints = 0
  /// How long sealed bids are taken, and then how long reveals are.
  public var offerWindow = Duration.zero
  public var revealWindow = Duration.zero
  public var challengeWindow = Duration.zero
  public var unreceiptedWindow = Duration.zero
  public var rulingWindow = Duration.zero
  /// How long a trainer has to answer when it is called on the ledger.
  public var answerWindow = Duration.zero

  public init() {}
  /// What an owner would usually ask for, but for the money.
  public static var usual: MarketRules {
    var rules = MarketRules()
    rules.isAuction = true
    rules.forfeitBasisPoints = 2_000
    rules.slashRewardBasisPoints = 3_000
    rules.offerWindow = .seconds(10)
    rules.revealWindow = .seconds(5)
    rules.challengeWindow = .seconds(60)
    rules.unreceiptedWindow = .seconds(600)
    rules.rulingWindow = .seconds(600)
    rules.answerWindow = .seconds(20)
    return rules
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &isAuction)
    try codec(2, &ceiling)
    try codec(3, &stakePerSlot)
    try codec(4, &bond)
    try codec(5, &auditFee)
    try codec(6, &auditFund)
    try codec(7, &feeBound)
    try codec(8, &budget)
    try codec(9, &forfeitBasisPoints)
    try codec(10, &slashRewardBasisPoints)
    try codec(11, &offerWindow)
    try codec(12, &revealWindow)
    try codec(13, &challengeWindow)
    try codec(14, &unreceiptedWindow)
    try codec(15, &rulingWindow)
    try codec(16, &answerWindow)
  }
}

import Chain
import Runtime

/// A slot in the coordinator's books: who holds it, and what has come of it.
public struct SlotDesk: Equatable, Sendable {
  public internal(set) var plan: SlotPlan
  public internal(set) var state = State.free
  /// Rounds whose update was accepted under any lease.
  public internal(set) var doneRounds: [Int] = []
  /// How many leases this slot has had; names the next one.
  public internal(set) var nonce: UInt64 = 0

  public enum State: Equatable, Sendable {
    case free
    /// Granted, and not yet taken up on the ledger.
    case granted(LeaseDesk)
    case leased(LeaseDesk)
    /// Handed back, expired, slashed or done, and not yet free on the ledger.
    case ending(LeaseDesk)
    case finished
  }

  /// Whether every round of this slot is done.
  var isDone: Bool { doneRounds.count >= plan.rounds.count }

  var lease: LeaseDesk? {
    switch state {
    case .granted(let lease), .leased(let lease), .ending(let lease): lease
    case .free, .finished: nil
    }
  }
}

public struct LeaseDesk: Equatable, Sendable {
  public var trainer: PublicKey
  public var price: Amount
  public var nonce: UInt64
  public var since: Timestamp
  public var deadline: Timestamp
  /// (round, commitment) of every accepted update, ascending.
  public var accepted: [AcceptedRound] = []
}

public struct AcceptedRound: Equatable, Sendable {
  public var round: Int
  public var commitment: Digest
}

/// The round at hand.
public struct RoundDesk: Equatable, Sendable {
  public var number: Int
  public var began: Timestamp
  /// In the order of the draw.
  public var works: [WorkDesk]
  public var isAggregating = false
  /// A beacon has been asked for, the n-th of this round.
  var isDrawing = false
  var draws = 0
  public var auditsDrawn = 0
  public var refused = 0

  func index(ofSlot slot: Int) -> Int? { works.firstIndex { $0.slot == slot } }
}

/// One (chunk, round).
public struct WorkDesk: Equatable, Sendable {
  public var slot: Int
  public var chunk: Int
  public var stage = Stage.unplaced
  /// When the stage began, and when it was last mentioned to whoever must act.
  public var since = Timestamp.zero
  public var mentioned = Timestamp.zero
  public var isSummoned = false
  /// How often the trainer answered when it was called on the ledger.
  var calls = 0
  /// Commitments seen on the ledger for this work, the newest of each trainer.
  public var commitments: [PublicKey: Digest] = [:]
  public var update = Digest.zero
  public var commitment = Digest.zero
  var salt = Digest.zero
  public var trainer = PublicKey.none
  public var nonce: UInt64 = 0

  public enum Stage: Equatable, Sendable {
    case unplaced
    case training
    case committed
    case checking
    /// The update is in the round's sum; whether it is audited is not drawn yet.
    case accepted
    case auditing(AuditDesk)
    case clean
  }
  var isClean: Bool { stage == .clean }
  var isPastChecking: Bool {
    switch stage {
    case .accepted, .auditing, .clean: true
    case .unplaced, .training, .committed, .checking: false
    }
  }
}

public struct AuditDesk: Equatable, Sendable {
  public var auditor: PublicKey
  public var attempt: Int
  public var since: Timestamp
  public var mismatch: Digest?
}

struct DisputeDesk: Equatable, Sendable {
  var slot: Int
  var round: Int
  var trainer: PublicKey
  var arbiter: PublicKey
  var deadline: Timestamp
  var mentioned: Timestamp
}

/// A lease that ended with accepted work and has no receipt yet.
struct UnreceiptedDesk: Equatable, Sendable {
  var slot: Int
  var lease: LeaseDesk
}

struct ReceiptDesk: Equatable, Sendable {
  var proof: ReceiptProof
  var given: Timestamp
  var mentioned: Timestamp
  var isClaimed = false
}

struct ClaimDesk: Equatable, Sendable {
  var slot: Int
  var payableFrom: Timestamp
  var swept: Timestamp
}

/// Bids, in the order in which they came.
struct BidDesk: Equatable, Sendable {
  static let limit = 200_000
  struct Line: Equatable, Sendable {
    var seal: Digest?
    var bid: Bid?
    var salt = Digest.zero
    var isStanding = false
    /// Has not been heard since it was blamed.
    var isAway = false
    /// Not asked before; for ever after a lie.
    var blamedUntil = Timestamp.zero
    var blames = 0
    /// Slots granted to or held by this bidder.
    var held = 0
  }
  static let never = Timestamp(nanoseconds: .max)
  var order: [PublicKey] = []
  var lines: [PublicKey: Line] = [:]

  /// Whoever let a lease slip is asked again when some time has passed and it has spoken up, a liar is not.
  mutating func blame(_ bidder: PublicKey, forLie isLie: Bool, at now: Timestamp) {
    guard var line = lines[bidder], line.blamedUntil != Self.never else { return }
    line.blamedUntil = isLie ? Self.never : now + .seconds(45 << Int64(min(line.blames, 5)))
    line.blames += 1
    line.isAway = true
    lines[bidder] = line
  }
  var beacon: Digest?
  var closes = Timestamp.zero
  var revealBy = Timestamp.zero
  var closed = Timestamp.zero
  /// What the ledger took for the first thing that was asked of it.
  var pace = Duration.zero
  var isSettled = false
  /// Price per (chunk, round) that the auction gave its winners.
  var prices: [PublicKey: Amount] = [:]
}

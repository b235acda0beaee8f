import Chain
import Runtime

/// What a trainer asks for: a price for one (chunk, round), and how much of it it can take.
public struct Bid: Wire, Equatable {
  public static let slotLimit = 256

  public var job = Digest.zero
  public var bidder = PublicKey.none
  public var price = Amount.zero
  /// Slots that it would take at most.
  public var slots = 0
  /// Training speed in MFLOP/s, as the bidder measured it.
  public var megaflops = 0
  /// For whom keys are wrapped: X25519, 32 bytes.
  public var sealingKey: [UInt8] = []

  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &bidder)
    try codec(3, &price)
    try codec(4, &slots)
    try codec(5, &megaflops)
    try codec(6, &sealingKey, limit: 32)
  }

  /// What is sent while bids are sealed.
  public func sealed(salt: Digest) -> Digest {
    Digest(of: Array("peermill sealed bid 1:".utf8) + salt.bytes + wireBytes)
  }
}

/// A sealed reverse auction: many like slots, bids scored on price, reliability and speed, every winner paid the price at
/// which the first loser would have tied, so that telling the truth pays. Whole numbers throughout, so that every bidder can
/// recompute the published result.
public struct Auction: Sendable {
  public struct Entry: Equatable, Sendable {
    public var bid: Bid
    /// 500...1500, 1000 for an average bidder: see `Standing.quality`.
    public var quality: Int
    public init(bid: Bid, quality: Int) {
      self.bid = bid
      self.quality = quality
    }
  }

  public struct Award: Equatable, Sendable {
    public var bidder: PublicKey
    public var slots: Int
    /// For each (chunk, round).
    public var price: Amount
  }

  public struct Outcome: Equatable, Sendable {
    /// Best first.
    public var awards: [Award]
    public var losers: [PublicKey]
    public var tooDear: [PublicKey]
    /// In the auction's order, winners and losers alike: who is asked next when a lease falls free.
    public var ranking: [PublicKey]
  }

  public static let qualityUnit = 1_000

  public var slots: Int
  public var ceiling: Amount
  /// Ledger randomness that nobody could know when bidding; breaks ties.
  public var beacon: Digest
  /// A posted price pays the ceiling to all.
  public var isPosted: Bool

  public init(slots: Int, ceiling: Amount, beacon: Digest, isPosted: Bool = false) {
    self.slots = slots
    self.ceiling = ceiling
    self.beacon = beacon
    self.isPosted = isPosted
  }

  /// Price per thousandth of quality: what bids are ranked by.
  static func score(_ price: Amount, quality: Int) -> Int64 {
    let (scaled, overflow) = price.tinybars.multipliedReportingOverflow(by: Int64(Auction.qualityUnit))
    return overflow ? .max : scaled / Int64(quality)
  }

  public func run(_ entries: [Entry]) -> Outcome {
    struct Ranked {
      var entry: Entry
      var score: Int64
      var tie: Digest
    }
    var tooDear: [PublicKey] = []
    var ranked: [Ranked] = []
    for entry in entries {
      if entry.bid.price > ceiling {
        tooDear.append(entry.bid.bidder)
        continue
      }
      ranked.append(
        Ranked(
          entry: entry, score: Self.score(isPosted ? ceiling : entry.bid.price, quality: entry.quality),
          tie: Digest(of: beacon.bytes + entry.bid.bidder.bytes)))
    }
    ranked.sort { $0.score != $1.score ? $0.score < $1.score : $0.tie < $1.tie }

    var left = slots
    var won: [(Ranked, Int)] = []
    var losers: [PublicKey] = []
    var losingScore: Int64?
    for candidate in ranked {
      let taken = min(left, max(0, candidate.entry.bid.slots))
      if taken > 0 {
        won.append((candidate, taken))
        left -= taken
      } else {
        losers.append(candidate.entry.bid.bidder)
        if losingScore == nil { losingScore = candidate.score }
      }
    }
    let awards = won.map { candidate, taken in
      Award(
        bidder: candidate.entry.bid.bidder, slots: taken, price: price(of: candidate.entry, losingScore: losingScore))
    }
    return Outcome(awards: awards, losers: losers, tooDear: tooDear, ranking: ranked.map(\.entry.bid.bidder))
  }

  /// The price at which this bidder would have tied with the first loser; the ceiling where nobody lost.
  private func price(of entry: Entry, losingScore: Int64?) -> Amount {
    guard !isPosted, let losingScore else { return ceiling }
    let (scaled, overflow) = losingScore.multipliedReportingOverflow(by: Int64(entry.quality))
    let tied = overflow ? ceiling.tinybars : scaled / Int64(Self.qualityUnit)
    return Amount(tinybars: max(entry.bid.price.tinybars, min(tied, ceiling.tinybars))) ?? ceiling
  }
}

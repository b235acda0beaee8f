import Chain
import Runtime

/// Published on the market: there is work, this is what it takes and what it pays at most.
public struct Offer: Wire, Equatable {
  public var job = Digest.zero
  public var coordinator = PublicKey.none
  public var name = ""
  public var slots = 0
  /// Floating-point operations of one (chunk, round) of average size.
  public var flopsPerRound = 0
  public var chunkBytes = 0
  public var weightBytes = 0
  public var ceiling = Amount.zero
  public var stakePerSlot = Amount.zero
  /// Bids are taken until then.
  public var closes = Timestamp.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &coordinator)
    try codec(3, &name)
    try codec(4, &slots)
    try codec(5, &flopsPerRound)
    try codec(6, &chunkBytes)
    try codec(7, &weightBytes)
    try codec(8, &ceiling)
    try codec(9, &stakePerSlot)
    try codec(10, &closes)
  }
}

/// A bid nobody can read yet.
public struct SealedBid: Wire, Equatable {
  public var job = Digest.zero
  public var seal = Digest.zero
  public init() {}
  public init(job: Digest, seal: Digest) {
    self.job = job
    self.seal = seal
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &seal)
  }
}

/// No more bids are taken; what was sealed is to be revealed by then.
public struct BidsClosed: Wire, Equatable {
  public var job = Digest.zero
  public var revealBy = Timestamp.zero
  public init() {}
  public init(job: Digest, revealBy: Timestamp) {
    self.job = job
    self.revealBy = revealBy
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &revealBy)
  }
}

public struct BidReveal: Wire, Equatable {
  public var bid = Bid()
  public var salt = Digest.zero
  public init() {}
  public init(bid: Bid, salt: Digest) {
    self.bid = bid
    self.salt = salt
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &bid)
    try codec(2, &salt)
  }
}

/// How a bid ended: slots won, or the reason why none.
public struct BidResult: Wire, Equatable {
  public var job = Digest.zero
  public var slots = 0
  public var price = Amount.zero
  public var reason = 0
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &slots)
    try codec(3, &price)
    try codec(4, &reason)
  }
}

/// Every bid and the beacon, so that whoever bid can recompute the result. A public blob, its digest on the job's topic.
public struct BidBook: Wire, Equatable {
  public var job = Digest.zero
  public var beacon = Digest.zero
  public var entries: [Line] = []
  public struct Line: Wire, Equatable {
    public var bid = Bid()
    public var salt = Digest.zero
    public var quality = 0
    public init() {}
    public mutating func fields(_ codec: inout Codec) throws(WireError) {
      try codec(1, &bid)
      try codec(2, &salt)
      try codec(3, &quality)
    }
  }
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &beacon)
    try codec(3, &entries, limit: 200_000)
  }
}

import Runtime

/// A salted promise of an update, posted before anybody sees it: nobody can echo another's, and nobody can change their own.
public enum Commitment {
  /// H(job, chunk, round, trainer, salt, update digest), each of fixed length.
  public static func digest(
    job: Digest, chunk: Int, round: Int, by author: PublicKey, salt: Digest, update: Digest
  ) -> Digest {
    var bytes = Array("peermill commitment 1:".utf8)
    bytes += job.bytes
    for number in [chunk, round] {
      for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }
    bytes += author.bytes
    bytes += salt.bytes
    bytes += update.bytes
    return Digest(of: bytes)
  }
}

/// What a trainer or an auditor posts on the job's ledger topic: its promises for one round.
public struct CommitmentPost: Wire, Equatable {
  /// So many fit into the 1,024 bytes of one ledger message.
  public static let entryLimit = 20

  public var job = Digest.zero
  public var round = 0
  public var entries: [Entry] = []

  public struct Entry: Wire, Equatable {
    public var slot = 0
    public var commitment = Digest.zero
    public init() {}
    public init(slot: Int, commitment: Digest) {
      self.slot = slot
      self.commitment = commitment
    }
    public mutating func fields(_ codec: inout Codec) throws(WireError) {
      try codec(1, &slot)
      try codec(2, &commitment)
    }
  }

  public init() {}
  public init(job: Digest, round: Int, entries: [Entry]) {
    self.job = job
    self.round = round
    self.entries = entries
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &round)
    try codec(3, &entries, limit: Self.entryLimit)
  }
}

import Runtime

/// What a coordinator posts on its job's ledger topic: digests only, bodies are in the store.
public enum JobPost: Wire, Equatable {
  case bidBook(Digest)
  case roundClosed(RoundClosed)

  public struct RoundClosed: Wire, Equatable {
    public var round = 0
    /// Root over the commitments of the accepted updates.
    public var accepted = Digest.zero
    public var checkpoint = Digest.zero
    public init() {}
    public init(round: Int, accepted: Digest, checkpoint: Digest) {
      self.round = round
      self.accepted = accepted
      self.checkpoint = checkpoint
    }
    public mutating func fields(_ codec: inout Codec) throws(WireError) {
      try codec(1, &round)
      try codec(2, &accepted)
      try codec(3, &checkpoint)
    }
  }

  private struct Reference: Wire {
    var digest = Digest.zero
    init() {}
    init(_ digest: Digest) { self.digest = digest }
    mutating func fields(_ codec: inout Codec) throws(WireError) { try codec(1, &digest) }
  }

  public init() { self = .bidBook(.zero) }

  // Numbers begin at 16, so that no post of a coordinator reads as a trainer's commitments.
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    let current =
      switch self {
      case .bidBook: 16
      case .roundClosed: 17
      }
    switch try codec.choice(current: current) {
    case 16:
      var book = Reference()
      if case .bidBook(let digest) = self { book = Reference(digest) }
      self = .bidBook(try codec.payload(16, book).digest)
    case 17:
      var closed: RoundClosed?
      if case .roundClosed(let value) = self { closed = value }
      self = .roundClosed(try codec.payload(17, codec.isReading ? nil : closed))
    case let other: throw .unknownField(other)
    }
  }
}

import Chain
import ObjectStore
import Runtime

/// Leases for a trainer, with everything it needs to work on them. Hints: one URL a grant, to get the sealed chunk.
public struct Grants: Wire, Equatable {
  public static let limit = 64
  public var job = Digest.zero
  /// The job itself, so that a trainer knows what it computes; its digest is checked.
  public var declaration: [UInt8] = []
  public var grants: [Grant] = []
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &declaration, limit: 1 << 19)
    try codec(3, &grants, limit: Self.limit)
  }
}

public struct Grant: Wire, Equatable {
  public var lease = SignedLease()
  public var chunk = 0
  public var entry = ManifestEntry()
  public var proof = MerklePath()
  public var rounds: [Int] = []
  /// The chunk's key, the lease's key and the key of the job's checkpoints, 96 bytes, wrapped for the trainer alone.
  public var keys = WrappedKey()
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &lease)
    try codec(2, &chunk)
    try codec(3, &entry)
    try codec(4, &proof)
    try codec(5, repeated: &rounds, limit: Job.roundLimit)
    try codec(6, &keys)
  }
}

/// A round has begun. Hints: a URL to get the sealed checkpoint, then one a slot to put the sealed update.
public struct RoundTask: Wire, Equatable {
  public var job = Digest.zero
  public var round = 0
  /// Digest of the global weights.
  public var checkpoint = Digest.zero
  public var slots: [Int] = []
  /// Of the leases under which they are held.
  public var nonces: [UInt64] = []
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &round)
    try codec(3, &checkpoint)
    try codec(4, repeated: &slots, limit: Grants.limit)
    try codec(5, repeated: &nonces, limit: Grants.limit)
  }
}

/// After the commitment is final and the upload is done: what was committed to.
public struct Reveal: Wire, Equatable {
  public var job = Digest.zero
  public var round = 0
  public var slot = 0
  public var salt = Digest.zero
  public var update = Digest.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &round)
    try codec(3, &slot)
    try codec(4, &salt)
    try codec(5, &update)
  }
}

/// What became of an update: accepted where the reason is 0.
public struct Answer: Wire, Equatable {
  public var job = Digest.zero
  public var round = 0
  public var slot = 0
  public var reason = 0
  public init() {}
  public init(job: Digest, round: Int, slot: Int, reason: Reason) {
    self.job = job
    self.round = round
    self.slot = slot
    self.reason = reason.rawValue
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &round)
    try codec(3, &slot)
    try codec(4, &reason)
  }
}

/// Evidence of accepted work, for the ledger.
public struct Receipts: Wire, Equatable {
  public var job = Digest.zero
  public var proofs: [ReceiptProof] = []
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &proofs, limit: Grants.limit)
  }
}

/// The result, sealed to the owner. Hint: a URL to get it.
public struct Delivered: Wire, Equatable {
  public var job = Digest.zero
  public var round = 0
  /// Of the plain weights.
  public var weights = Digest.zero
  /// Of the envelope's bytes.
  public var envelope = Digest.zero
  public var accuracyMillionths = 0
  public var stop = 0
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &round)
    try codec(3, &weights)
    try codec(4, &envelope)
    try codec(5, &accuracyMillionths)
    try codec(6, &stop)
  }
}

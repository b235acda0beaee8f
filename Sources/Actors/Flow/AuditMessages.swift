import Chain
import ObjectStore
import Runtime

/// Train this once more. Hints: URLs to get the sealed chunk and the sealed checkpoint.
public struct AuditTask: Wire, Equatable {
  public var job = Digest.zero
  public var declaration: [UInt8] = []
  public var round = 0
  public var slot = 0
  public var chunk = 0
  public var trainer = PublicKey.none
  public var entry = ManifestEntry()
  public var proof = MerklePath()
  public var checkpoint = Digest.zero
  /// The chunk's key and the key of the job's checkpoints, 64 bytes, wrapped for the auditor alone.
  public var keys = WrappedKey()
  /// The dispute on the ledger that this settles, plus 1; 0 for an ordinary audit.
  public var dispute = 0
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &declaration, limit: 1 << 19)
    try codec(3, &round)
    try codec(4, &slot)
    try codec(5, &chunk)
    try codec(6, &trainer)
    try codec(7, &entry)
    try codec(8, &proof)
    try codec(9, &checkpoint)
    try codec(10, &keys)
    try codec(11, &dispute)
  }
}

/// What an auditor computed, opened after its own commitment is final.
public struct AuditReport: Wire, Equatable {
  public var job = Digest.zero
  public var round = 0
  public var slot = 0
  public var trainer = PublicKey.none
  public var update = Digest.zero
  public var salt = Digest.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &round)
    try codec(3, &slot)
    try codec(4, &trainer)
    try codec(5, &update)
    try codec(6, &salt)
  }
}

/// What the trainer had committed to, told to the auditor only after its own report.
public struct AuditOutcome: Wire, Equatable {
  public var job = Digest.zero
  public var round = 0
  public var slot = 0
  public var trainer = PublicKey.none
  public var update = Digest.zero
  /// With which the trainer's commitment on the ledger opens.
  public var salt = Digest.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &round)
    try codec(3, &slot)
    try codec(4, &trainer)
    try codec(5, &update)
    try codec(6, &salt)
  }
}

/// A coordinator's signed word that so many audits were done.
public struct AuditPay: Wire, Equatable {
  public var receipt = SignedAuditReceipt()
  public init() {}
  public init(receipt: SignedAuditReceipt) { self.receipt = receipt }
  public mutating func fields(_ codec: inout Codec) throws(WireError) { try codec(1, &receipt) }
}

/// An owner to a coordinator: prepare this job. The dataset is handed over where both run; see `Coordinator`.
public struct JobRequest: Wire, Equatable {
  public var declaration: [UInt8] = []
  public init() {}
  public init(declaration: [UInt8]) { self.declaration = declaration }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &declaration, limit: 1 << 19)
  }
}

/// The job with its manifest, and what it will lock: the owner checks both before it pays anything.
public struct JobPrepared: Wire, Equatable {
  public var declaration: [UInt8] = []
  public var manifest = Manifest()
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &declaration, limit: 1 << 19)
    try codec(2, &manifest)
  }
}

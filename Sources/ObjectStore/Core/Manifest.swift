import Runtime

/// What a dataset was split into: an entry a chunk, and a Merkle root over them. It speaks of plaintexts only, so that a job's
/// digest does not depend on keys.
public struct Manifest: Wire, Equatable {
  public static let limit = 200_000
  public static let normalisationLimit = 1 << 24
  public var entries: [ManifestEntry] = []
  /// How features were moved and stretched before they were cut into chunks, as whoever did it writes it down; empty where nothing
  /// was. Whoever uses the model must do the same to what it shows the model.
  public var normalisation: [UInt8] = []

  public init() {}
  public init(entries: [ManifestEntry]) { self.entries = entries }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &entries, limit: Self.limit)
    try codec(2, &normalisation, limit: Self.normalisationLimit)
  }

  /// A leaf for each chunk, and one behind them for the normalisation where there is one.
  public var tree: MerkleTree {
    let behind = normalisation.isEmpty ? [] : [Digest(of: Array("peermill normalisation 1:".utf8) + normalisation)]
    return MerkleTree(leaves: entries.map(\.leaf) + behind)
  }
  public var root: Digest { tree.root }
  public var samples: Int { entries.reduce(0) { $0 + $1.samples } }
}

public struct ManifestEntry: Wire, Equatable {
  /// SHA-256 of the chunk's plaintext.
  public var digest = Digest.zero
  public var samples = 0
  /// Of the plaintext, in bytes.
  public var length = 0

  public init() {}
  public init(digest: Digest, samples: Int, length: Int) {
    self.digest = digest
    self.samples = samples
    self.length = length
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &digest)
    try codec(2, &samples)
    try codec(3, &length)
  }
  public var leaf: Digest { Digest(of: Array("peermill chunk 1:".utf8) + wireBytes) }
}

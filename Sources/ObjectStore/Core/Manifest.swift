import Runtime

/// What a dataset was split into: an entry a chunk, and a Merkle root over them. It speaks of plaintexts only, so that a job's
/// digest does not depend on keys.
public struct Manifest: Wire, Equatable {
  public static let limit = 200_000
  public var entries: [ManifestEntry] = []

  public init() {}
  public init(entries: [ManifestEntry]) { self.entries = entries }
  public mutating func fields(_ codec: inout Codec) throws(WireError) { try codec(1, &entries, limit: Self.limit) }

  public var tree: MerkleTree { MerkleTree(leaves: entries.map(\.leaf)) }
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

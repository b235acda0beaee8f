/// A binary Merkle tree over digests, by RFC 6962 section 2.1: leaves and inner nodes are hashed under different
/// prefixes, so that no inner node can pass for a leaf, and a tree of n leaves splits at the largest power of two below n.
public struct MerkleTree: Sendable {
  public let leafCount: Int
  /// The root of no leaves is the digest of no bytes.
  public let root: Digest
  /// levels[0] are the hashed leaves; each level above pairs the one below and carries an odd last node up unchanged,
  /// which is RFC 6962's shape.
  private let levels: [[Digest]]

  public init(leaves: [Digest]) {
    var level = leaves.map(Self.leaf)
    var levels = [level]
    while level.count > 1 {
      var above: [Digest] = []
      above.reserveCapacity((level.count + 1) / 2)
      for left in stride(from: 0, to: level.count, by: 2) {
        above.append(left + 1 < level.count ? Self.node(level[left], level[left + 1]) : level[left])
      }
      level = above
      levels.append(level)
    }
    leafCount = leaves.count
    self.levels = levels
    root = level.first ?? Digest(of: [UInt8]())
  }

  /// The siblings from a leaf up to the root.
  public func path(at index: Int) -> MerklePath {
    precondition(index >= 0 && index < leafCount, "a path leads from a leaf that exists")
    var siblings: [Digest] = []
    var position = index
    for level in levels.dropLast() {
      let sibling = position ^ 1
      if sibling < level.count { siblings.append(level[sibling]) }
      position >>= 1
    }
    return MerklePath(index: index, leafCount: leafCount, siblings: siblings)
  }

  static func leaf(_ digest: Digest) -> Digest { Digest(of: [0x00] + digest.bytes) }
  static func node(_ left: Digest, _ right: Digest) -> Digest { Digest(of: [0x01] + left.bytes + right.bytes) }
}

/// Evidence that a leaf stands at one place under a root.
public struct MerklePath: Wire, Equatable {
  public var index: Int
  public var leafCount: Int
  public var siblings: [Digest]

  public init(index: Int, leafCount: Int, siblings: [Digest]) {
    self.index = index
    self.leafCount = leafCount
    self.siblings = siblings
  }
  public init() { self.init(index: 0, leafCount: 0, siblings: []) }

  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &index)
    try codec(2, &leafCount)
    try codec(3, repeated: &siblings, limit: 64)
  }

  /// The root to which this leaf leads, or nil where the path has not the length that its place demands.
  public func root(of leaf: Digest) -> Digest? {
    guard index >= 0, index < leafCount else { return nil }
    var position = index
    var width = leafCount
    var node = MerkleTree.leaf(leaf)
    var used = 0
    while width > 1 {
      if position ^ 1 < width {
        guard used < siblings.count else { return nil }
        node = position & 1 == 0 ? MerkleTree.node(node, siblings[used]) : MerkleTree.node(siblings[used], node)
        used += 1
      }
      position >>= 1
      width = (width + 1) >> 1
    }
    return used == siblings.count ? node : nil
  }

  public func proves(_ leaf: Digest, under root: Digest) -> Bool { self.root(of: leaf) == root }
}

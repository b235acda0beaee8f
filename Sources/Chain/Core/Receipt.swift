import Runtime

/// A coordinator's word that these rounds of a slot were accepted.
public struct Receipt: Wire, Equatable {
  public var job = Digest.zero
  public var slot = 0
  public var trainer = AccountID.none
  public var price = Amount.zero
  /// Of the lease under which the work was done.
  public var nonce: UInt64 = 0
  /// Ascending.
  public var rounds: [Int] = []
  /// Merkle root over the rounds' commitments.
  public var commitmentsRoot = Digest.zero

  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &slot)
    try codec(3, &trainer)
    try codec(4, &price)
    try codec(5, &nonce)
    try codec(6, repeated: &rounds, limit: SlotTerms.roundLimit)
    try codec(7, &commitmentsRoot)
  }
  var leaf: Digest { Digest(of: wireBytes) }
}

/// A receipt and its path to a root that the coordinator signed: one signature serves all receipts of a round.
public struct ReceiptProof: Wire, Equatable {
  public var receipt = Receipt()
  public var path = MerklePath()
  public var root = Digest.zero
  public var signature = Signature.none

  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &receipt)
    try codec(2, &path)
    try codec(3, &root)
    try codec(4, &signature)
  }

  /// Proofs for all of these, in their order, under one signature.
  public static func batch(_ receipts: [Receipt], signedBy key: SigningKey) -> [ReceiptProof] {
    let tree = MerkleTree(leaves: receipts.map(\.leaf))
    let signature = key.sign(signedBytes(tree.root))
    return receipts.indices.map { index in
      var proof = ReceiptProof()
      proof.receipt = receipts[index]
      proof.path = tree.path(at: index)
      proof.root = tree.root
      proof.signature = signature
      return proof
    }
  }
  static func signedBytes(_ root: Digest) -> [UInt8] { Array("peermill receipts 1:".utf8) + root.bytes }

  var leadsToRoot: Bool { path.proves(receipt.leaf, under: root) }
  func isSigned(by coordinator: AccountID) -> Bool { coordinator.verifies(signature, of: Self.signedBytes(root)) }
}

/// What a trainer asks to be paid for: with a receipt, or, where the coordinator is silent, on its own word and after a longer
/// window.
public struct SlotClaim: Wire, Equatable {
  public var proof: ReceiptProof?
  public var slot = 0
  public var rounds: [Int] = []
  public var commitmentsRoot = Digest.zero

  public init() {}
  public init(proof: ReceiptProof) { self.proof = proof }
  public init(slot: Int, rounds: [Int], commitmentsRoot: Digest) {
    self.slot = slot
    self.rounds = rounds
    self.commitmentsRoot = commitmentsRoot
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &proof)
    try codec(2, &slot)
    try codec(3, repeated: &rounds, limit: SlotTerms.roundLimit)
    try codec(4, &commitmentsRoot)
  }
}

/// A coordinator's word that an auditor has done so many audits of a job in all.
public struct AuditReceipt: Wire, Equatable {
  public var job = Digest.zero
  public var auditor = AccountID.none
  public var audits = 0
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &auditor)
    try codec(3, &audits)
  }
  var signedBytes: [UInt8] { Array("peermill audits 1:".utf8) + wireBytes }
  public func signed(by coordinator: SigningKey) -> SignedAuditReceipt {
    var signed = SignedAuditReceipt()
    signed.receipt = self
    signed.signature = coordinator.sign(signedBytes)
    return signed
  }
}

public struct SignedAuditReceipt: Wire, Equatable {
  public var receipt = AuditReceipt()
  public var signature = Signature.none
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &receipt)
    try codec(2, &signature)
  }
  func isSigned(by coordinator: AccountID) -> Bool { coordinator.verifies(signature, of: receipt.signedBytes) }
}

/// An auditor says that a trainer lied: what it found, what the trainer had promised, and the salt that opens that promise.
public struct Dispute: Wire, Equatable {
  public var job = Digest.zero
  public var slot = 0
  public var trainer = AccountID.none
  public var round = 0
  public var found = Digest.zero
  public var promised = Digest.zero
  public var salt = Digest.zero
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &slot)
    try codec(3, &trainer)
    try codec(4, &round)
    try codec(5, &found)
    try codec(6, &promised)
    try codec(7, &salt)
  }
}

import Runtime

/// A slot taken: one trainer, one price, one deadline.
public struct Lease: Wire, Equatable {
  public var job = Digest.zero
  public var slot = 0
  public var trainer = AccountID.none
  /// For each accepted (chunk, round).
  public var price = Amount.zero
  public var deadline = Timestamp.zero
  /// Rises with every lease of the slot.
  public var nonce: UInt64 = 0

  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &job)
    try codec(2, &slot)
    try codec(3, &trainer)
    try codec(4, &price)
    try codec(5, &deadline)
    try codec(6, &nonce)
  }

  var signedBytes: [UInt8] { Array("peermill lease 1:".utf8) + wireBytes }
  public func signed(by coordinator: SigningKey) -> SignedLease {
    var signed = SignedLease()
    signed.lease = self
    signed.signature = coordinator.sign(signedBytes)
    return signed
  }
}

/// A lease that a coordinator offers; it holds once the trainer has taken it to the ledger.
public struct SignedLease: Wire, Equatable {
  public var lease = Lease()
  public var signature = Signature.none
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &lease)
    try codec(2, &signature)
  }
  public func isSigned(by coordinator: AccountID) -> Bool { coordinator.verifies(signature, of: lease.signedBytes) }
}

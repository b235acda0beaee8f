import Runtime

/// An operation, who asks for it, and its place among all that this account asks for.
public struct Transaction: Wire, Equatable {
  public var sender = AccountID.none
  /// Higher than that of every transaction of this account before; gaps are allowed.
  public var sequence: UInt64 = 0
  public var operation = Operation()

  public init() {}
  public init(sender: AccountID, sequence: UInt64, operation: Operation) {
    self.sender = sender
    self.sequence = sequence
    self.operation = operation
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &sender)
    try codec(2, &sequence)
    try codec(3, &operation)
  }
  public func signed(by key: SigningKey) -> SignedTransaction {
    let bytes = Array("peermill transaction 1:".utf8) + wireBytes
    return SignedTransaction(transaction: self, signature: key.sign(bytes), signedBytes: bytes)
  }
}

public struct SignedTransaction: Equatable, Sendable {
  public let transaction: Transaction
  public let signature: Signature
  /// SHA-256 of what was signed: names the transaction.
  public let id: Digest
  private let signedBytes: [UInt8]

  init(transaction: Transaction, signature: Signature, signedBytes: [UInt8]) {
    self.transaction = transaction
    self.signature = signature
    self.signedBytes = signedBytes
    id = Digest(of: signedBytes)
  }
  /// A transaction that came over the wire.
  public init(transaction: Transaction, signature: Signature) {
    self.init(
      transaction: transaction, signature: signature,
      signedBytes: Array("peermill transaction 1:".utf8) + transaction.wireBytes)
  }
  /// Whether its sender signed it. Some 60 µs: worth a worker's time rather than the loop's.
  public var isAuthentic: Bool { transaction.sender.verifies(signature, of: signedBytes) }
  public var byteCount: Int { signedBytes.count + 64 }
}

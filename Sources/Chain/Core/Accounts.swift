import Runtime

/// What an account has: a wallet of its own, and credits inside the escrow, which it pulls out with `withdraw`.
public struct Account: Equatable, Sendable {
  public internal(set) var wallet = Amount.zero
  public internal(set) var credits = Amount.zero
  var lastSequence: UInt64 = 0
}

/// Where all money is at every moment. Every movement goes through here, so that nothing is made and nothing is lost.
public struct Holdings: Equatable, Sendable {
  public internal(set) var wallets: Int64 = 0
  public internal(set) var credits: Int64 = 0
  public internal(set) var escrow: Int64 = 0
  public internal(set) var stakes: Int64 = 0
  public internal(set) var bonds: Int64 = 0
  public internal(set) var fees: Int64 = 0
  public let genesis: Int64

  init(genesis: Int64) {
    self.genesis = genesis
    wallets = genesis
  }
  public var total: Int64 { wallets + credits + escrow + stakes + bonds + fees }
  public var isConserved: Bool {
    total == genesis && [wallets, credits, escrow, stakes, bonds, fees].allSatisfy { $0 >= 0 }
  }
  public var locked: Int64 { escrow + stakes + bonds }
}

/// What the network takes for a transaction, flat by kind.
public struct LedgerFees: Equatable, Sendable {
  public var message: Amount
  public var call: Amount
  public init(message: Amount, call: Amount) {
    self.message = message
    self.call = call
  }
  /// Near Hedera's: a message $0.0008, a contract call about $0.02, at 10 cents an hbar.
  public static let usual = LedgerFees(
    message: Amount(tinybars: 800_000) ?? .zero, call: Amount(tinybars: 20_000_000) ?? .zero)

  func fee(for operation: Operation) -> Amount {
    switch operation {
    case .post: message
    default: call
    }
  }
}

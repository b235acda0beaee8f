import Runtime

extension LedgerEvent {
  /// Fields 1 to 3 are the frame; the kind stands at its own number from 4 on.
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &sequence)
    try codec(2, &at)
    try codec(3, &transaction)
    switch try codec.choice(current: kind.number) {
    case 4: kind = .rejected(try codec.payload(4, codec.isReading ? nil : kind.asRejected))
    case 5: kind = .deposited(try codec.payload(5, codec.isReading ? nil : kind.asDeposited))
    case 6: kind = .withdrawn(try codec.payload(6, codec.isReading ? nil : kind.asWithdrawn))
    case 7: kind = .jobOpened(try codec.payload(7, codec.isReading ? nil : kind.asJobOpened))
    case 8: kind = .leaseAccepted(try codec.payload(8, codec.isReading ? nil : kind.asLeaseAccepted))
    case 9: kind = .leaseEnded(try codec.payload(9, codec.isReading ? nil : kind.asLeaseEnded))
    case 10: kind = .summoned(try codec.payload(10, codec.isReading ? nil : kind.asSummoned))
    case 11: kind = .answered(try codec.payload(11, codec.isReading ? nil : kind.asAnswered))
    case 12: kind = .claimed(try codec.payload(12, codec.isReading ? nil : kind.asClaimed))
    case 13: kind = .paid(try codec.payload(13, codec.isReading ? nil : kind.asPaid))
    case 14: kind = .disputeOpened(try codec.payload(14, codec.isReading ? nil : kind.asDisputeOpened))
    case 15: kind = .disputeEnded(try codec.payload(15, codec.isReading ? nil : kind.asDisputeEnded))
    case 16: kind = .auditsPaid(try codec.payload(16, codec.isReading ? nil : kind.asAuditsPaid))
    case 17: kind = .jobClosed(try codec.payload(17, codec.isReading ? nil : kind.asJobClosed))
    case 18: kind = .refunded(try codec.payload(18, codec.isReading ? nil : kind.asRefunded))
    case 19: kind = .posted(try codec.payload(19, codec.isReading ? nil : kind.asPosted))
    case 20: kind = .beacon(try codec.payload(20, codec.isReading ? nil : kind.asBeacon))
    case let other: throw .unknownField(other)
    }
  }
}

extension LedgerEvent.Kind {
  fileprivate var number: Int {
    switch self {
    case .rejected: 4
    case .deposited: 5
    case .withdrawn: 6
    case .jobOpened: 7
    case .leaseAccepted: 8
    case .leaseEnded: 9
    case .summoned: 10
    case .answered: 11
    case .claimed: 12
    case .paid: 13
    case .disputeOpened: 14
    case .disputeEnded: 15
    case .auditsPaid: 16
    case .jobClosed: 17
    case .refunded: 18
    case .posted: 19
    case .beacon: 20
    }
  }
  fileprivate var asRejected: Rejected? { if case .rejected(let value) = self { value } else { nil } }
  fileprivate var asDeposited: Movement? { if case .deposited(let value) = self { value } else { nil } }
  fileprivate var asWithdrawn: Movement? { if case .withdrawn(let value) = self { value } else { nil } }
  fileprivate var asJobOpened: JobTerms? { if case .jobOpened(let value) = self { value } else { nil } }
  fileprivate var asLeaseAccepted: Lease? { if case .leaseAccepted(let value) = self { value } else { nil } }
  fileprivate var asLeaseEnded: LeaseEnd? { if case .leaseEnded(let value) = self { value } else { nil } }
  fileprivate var asSummoned: Summons? { if case .summoned(let value) = self { value } else { nil } }
  fileprivate var asAnswered: Summons? { if case .answered(let value) = self { value } else { nil } }
  fileprivate var asClaimed: ClaimOpened? { if case .claimed(let value) = self { value } else { nil } }
  fileprivate var asPaid: ClaimPaid? { if case .paid(let value) = self { value } else { nil } }
  fileprivate var asDisputeOpened: DisputeOpened? { if case .disputeOpened(let value) = self { value } else { nil } }
  fileprivate var asDisputeEnded: DisputeEnded? { if case .disputeEnded(let value) = self { value } else { nil } }
  fileprivate var asAuditsPaid: AuditsPaid? { if case .auditsPaid(let value) = self { value } else { nil } }
  fileprivate var asJobClosed: JobClosed? { if case .jobClosed(let value) = self { value } else { nil } }
  fileprivate var asRefunded: Refund? { if case .refunded(let value) = self { value } else { nil } }
  fileprivate var asPosted: Post? { if case .posted(let value) = self { value } else { nil } }
  fileprivate var asBeacon: BeaconDrawn? { if case .beacon(let value) = self { value } else { nil } }
}

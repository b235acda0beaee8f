import Chain
import Learn
import ObjectStore
import Runtime

/// What peers say to each other on streams, in the order of the flow. The number of a case is its field on the wire.
public enum Message: Wire, Equatable {
  case hello(Hello)
  case neighbours(Neighbours)
  case link(Empty)
  case topic(TopicCarrier)
  case jobRequest(JobRequest)
  case jobPrepared(JobPrepared)
  case sealedBid(SealedBid)
  case bidsClosed(BidsClosed)
  case bidReveal(BidReveal)
  case bidResult(BidResult)
  case grants(Grants)
  case task(RoundTask)
  case reveal(Reveal)
  case answer(Answer)
  case resume(JobReference)
  case auditTask(AuditTask)
  case auditReport(AuditReport)
  case auditOutcome(AuditOutcome)
  case receipts(Receipts)
  case auditPay(AuditPay)
  case delivered(Delivered)
  case cancel(JobReference)

  public init() { self = .link(Empty()) }

  /// The field's number, and the word for it in traces.
  public var number: Int {
    switch self {
    case .hello: 1
    case .neighbours: 2
    case .link: 3
    case .topic: 4
    case .jobRequest: 5
    case .jobPrepared: 6
    case .sealedBid: 7
    case .bidsClosed: 8
    case .bidReveal: 9
    case .bidResult: 10
    case .grants: 11
    case .task: 12
    case .reveal: 13
    case .answer: 14
    case .resume: 15
    case .auditTask: 16
    case .auditReport: 17
    case .auditOutcome: 18
    case .receipts: 19
    case .auditPay: 20
    case .delivered: 21
    case .cancel: 22
    }
  }

  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    let number = try codec.choice(current: number)
    switch number {
    case 1: self = .hello(try codec.payload(1, if: { if case .hello(let m) = self { m } else { nil } }))
    case 2: self = .neighbours(try codec.payload(2, if: { if case .neighbours(let m) = self { m } else { nil } }))
    case 3: self = .link(try codec.payload(3, if: { if case .link(let m) = self { m } else { nil } }))
    case 4: self = .topic(try codec.payload(4, if: { if case .topic(let m) = self { m } else { nil } }))
    case 5: self = .jobRequest(try codec.payload(5, if: { if case .jobRequest(let m) = self { m } else { nil } }))
    case 6: self = .jobPrepared(try codec.payload(6, if: { if case .jobPrepared(let m) = self { m } else { nil } }))
    case 7: self = .sealedBid(try codec.payload(7, if: { if case .sealedBid(let m) = self { m } else { nil } }))
    case 8: self = .bidsClosed(try codec.payload(8, if: { if case .bidsClosed(let m) = self { m } else { nil } }))
    case 9: self = .bidReveal(try codec.payload(9, if: { if case .bidReveal(let m) = self { m } else { nil } }))
    case 10: self = .bidResult(try codec.payload(10, if: { if case .bidResult(let m) = self { m } else { nil } }))
    case 11: self = .grants(try codec.payload(11, if: { if case .grants(let m) = self { m } else { nil } }))
    case 12: self = .task(try codec.payload(12, if: { if case .task(let m) = self { m } else { nil } }))
    case 13: self = .reveal(try codec.payload(13, if: { if case .reveal(let m) = self { m } else { nil } }))
    case 14: self = .answer(try codec.payload(14, if: { if case .answer(let m) = self { m } else { nil } }))
    case 15: self = .resume(try codec.payload(15, if: { if case .resume(let m) = self { m } else { nil } }))
    case 16: self = .auditTask(try codec.payload(16, if: { if case .auditTask(let m) = self { m } else { nil } }))
    case 17: self = .auditReport(try codec.payload(17, if: { if case .auditReport(let m) = self { m } else { nil } }))
    case 18: self = .auditOutcome(try codec.payload(18, if: { if case .auditOutcome(let m) = self { m } else { nil } }))
    case 19: self = .receipts(try codec.payload(19, if: { if case .receipts(let m) = self { m } else { nil } }))
    case 20: self = .auditPay(try codec.payload(20, if: { if case .auditPay(let m) = self { m } else { nil } }))
    case 21: self = .delivered(try codec.payload(21, if: { if case .delivered(let m) = self { m } else { nil } }))
    case 22: self = .cancel(try codec.payload(22, if: { if case .cancel(let m) = self { m } else { nil } }))
    default: throw .unknownField(number)
    }
  }
}

extension Codec {
  fileprivate mutating func payload<T: Wire>(_ field: Int, if present: () -> T?) throws(WireError) -> T {
    try payload(field, isReading ? nil : present())
  }
}

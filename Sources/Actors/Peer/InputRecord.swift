import Chain
import Runtime
import Transport

/// Inputs as journal records. A frame's hints are capabilities and are not written; their digests are.
extension Input {
  enum Kind: UInt8 {
    case started = 1, restarted, message, heard, ledger, timer, outcome
  }

  func record(at now: Timestamp, hints: [String] = []) -> JournalRecord {
    switch self {
    case .started(let again):
      JournalRecord(kind: (again ? Kind.restarted : .started).rawValue, at: now, body: [])
    case .message(let message, let sender):
      JournalRecord(
        kind: Kind.message.rawValue, at: now,
        body: MessageRecord(sender: sender, message: message, hints: hints.map { Digest(of: Array($0.utf8)) }).wireBytes
      )
    case .heard(let message): JournalRecord(kind: Kind.heard.rawValue, at: now, body: message.wireBytes)
    case .ledger(let event): JournalRecord(kind: Kind.ledger.rawValue, at: now, body: event.wireBytes)
    case .timer(let number):
      JournalRecord(kind: Kind.timer.rawValue, at: now, body: TimerRecord(number: number).wireBytes)
    case .outcome(let outcome): JournalRecord(kind: Kind.outcome.rawValue, at: now, body: outcome.wireBytes)
    }
  }

  public init(record: JournalRecord) throws(WireError) {
    switch Kind(rawValue: record.kind) {
    case .started: self = .started(again: false)
    case .restarted: self = .started(again: true)
    case .message:
      let read = try MessageRecord(wireBytes: record.body)
      self = .message(read.message, from: read.sender)
    case .heard: self = .heard(try TopicMessage(wireBytes: record.body))
    case .ledger: self = .ledger(try LedgerEvent(wireBytes: record.body))
    case .timer: self = .timer(try TimerRecord(wireBytes: record.body).number)
    case .outcome: self = .outcome(try Outcome(wireBytes: record.body))
    case nil: throw .badValue(field: 0, "a record of kind \(record.kind)")
    }
  }
}

private struct MessageRecord: Wire {
  var sender = PublicKey.none
  var message = Message()
  var hints: [Digest] = []
  init() {}
  init(sender: PublicKey, message: Message, hints: [Digest]) {
    self.sender = sender
    self.message = message
    self.hints = hints
  }
  mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &sender)
    try codec(2, &message)
    try codec(3, repeated: &hints, limit: Frame.hintLimit + 1)
  }
}

private struct TimerRecord: Wire {
  var number = 0
  init() {}
  init(number: Int) { self.number = number }
  mutating func fields(_ codec: inout Codec) throws(WireError) { try codec(1, &number) }
}

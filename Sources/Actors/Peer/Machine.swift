import Chain
import ObjectStore
import Runtime
import Transport

/// What comes in to whoever decides: the only things a decision may depend on, and all of them journalled.
public enum Input: Sendable, Equatable {
  /// The peer has come up; `again` after a crash, with its journal.
  case started(again: Bool)
  case message(Message, from: PublicKey)
  case heard(TopicMessage)
  case ledger(LedgerEvent)
  case timer(Int)
  case outcome(Outcome)
}

/// What a piece of work gave back: digests and counts, never the bytes themselves.
public struct Outcome: Wire, Equatable {
  /// What was done, in the numbers of the role that asked for it.
  public var kind = 0
  public var job = Digest.zero
  public var round = 0
  public var slot = 0
  public var peer = PublicKey.none
  /// 0 where it went well, else a `Reason`'s or a store error's number.
  public var code = 0
  public var digest = Digest.zero
  public var count = 0
  /// Of `count`, where there is a part to tell: the correct answers of an evaluation.
  public var part = 0
  public var value = 0.0
  public var bytes: [UInt8] = []

  public init() {}
  public init(
    kind: Int, job: Digest = .zero, round: Int = 0, slot: Int = 0, peer: PublicKey = .none, code: Int = 0,
    digest: Digest = .zero, count: Int = 0, part: Int = 0, value: Double = 0, bytes: [UInt8] = []
  ) {
    self.kind = kind
    self.job = job
    self.round = round
    self.slot = slot
    self.peer = peer
    self.code = code
    self.digest = digest
    self.count = count
    self.part = part
    self.value = value
    self.bytes = bytes
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &kind)
    try codec(2, &job)
    try codec(3, &round)
    try codec(4, &slot)
    try codec(5, &peer)
    try codec(6, &code)
    try codec(7, &digest)
    try codec(8, &count)
    try codec(9, &part)
    try codec(10, &value)
    try codec(11, &bytes, limit: 1 << 24)
  }
}

/// What a decision asks of the world. Values, so that a test compares them.
public enum Effect<Work: Equatable & Sendable>: Equatable, Sendable {
  case send(Message, to: PublicKey)
  case publish(Topic, [UInt8])
  case transact(Operation)
  case follow(job: Digest)
  /// A timer with this number rings after so long.
  case wake(after: Duration, timer: Int)
  case work(Work)
  case note(Milestone)
}

/// Whoever decides: a value, with no clock, no socket and no waiting. The same inputs give the same effects, so a state is the
/// fold of a journal.
public protocol Machine: Sendable {
  associatedtype Work: Equatable & Sendable
  mutating func handle(_ input: Input, at now: Timestamp) -> [Effect<Work>]
}

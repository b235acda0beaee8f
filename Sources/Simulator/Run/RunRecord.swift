import Actors
import Chain
import Runtime

/// What a run came to, in plain values: the source of every report.
public struct RunRecord: Codable, Sendable, Equatable {
  public struct Verdict: Codable, Sendable, Equatable {
    public var words: String
    public var held: Bool
    public var detail: String
  }
  public struct Round: Codable, Sendable, Equatable {
    public var round: Int
    /// Virtual seconds since the run began.
    public var closed: Double
    public var accuracy: Double?
    public var loss: Double?
    public var accepted: Int
    public var audited: Int
    public var refused: Int
    /// In the object store, both ways, since the run began.
    public var bytes: Int
    public var checkpoint: String
  }
  public struct Peer: Codable, Sendable, Equatable {
    public var name: String
    public var role: String
    public var kind: String
    public var accepted: Int
    public var audits: Int
    /// In tinybars.
    public var paid: Int64
    public var stakeLost: Int64
    /// Earnings less what the ledger took in fees, and stakes lost.
    public var net: Int64
    public var reasons: [String]
    public var isLiar: Bool
  }
  public struct Payment: Codable, Sendable, Equatable {
    public var at: Double
    public var peer: String
    public var amount: Int64
    public var why: String
    public var slot: Int
    public var rounds: [Int]
  }
  public struct Refusal: Codable, Sendable, Equatable {
    public var at: Double
    public var peer: String
    public var what: String
    public var why: String
    public var round: Int
    public var slot: Int
  }
  public struct Point: Codable, Sendable, Equatable {
    public var at: Double
    public var values: [Double]
  }
  public struct Span: Codable, Sendable, Equatable {
    public var from: Double
    public var to: Double
    /// train, audit, transfer, wait, down
    public var what: String
  }
  public struct Lane: Codable, Sendable, Equatable {
    public var peer: String
    public var spans: [Span]
  }
  public struct Milestone: Codable, Sendable, Equatable {
    public var at: Double
    public var by: String
    public var kind: String
    public var words: String
  }

  public var scenario = ""
  public var file = ""
  public var story = ""
  public var seed: UInt64 = 0
  public var jobSeed: UInt64 = 0
  public var job = ""
  public var digest = ""
  public var scheduleDigest = ""
  public var numericDigest = ""
  public var weightsDigest = ""
  /// The name of a `StopReason`.
  public var stopReason = ""
  public var stopWords: String { StopReason.allCases.first { "\($0)" == stopReason }?.words ?? stopReason }
  public var isDelivered = false
  public var accuracy: Double?
  public var expectations: [Verdict] = []
  public var invariantsBroken: [String] = []
  public var invariantChecks = 0
  public var rounds: [Round] = []
  public var peers: [Peer] = []
  public var payments: [Payment] = []
  public var refusals: [Refusal] = []
  public var milestones: [Milestone] = []
  public var lanes: [Lane] = []
  /// Trainers up, by virtual time.
  public var peersUp: [Point] = []
  /// Bytes through the store and over links, in all, by virtual time.
  public var bytes: [Point] = []
  /// Tinybars locked, paid for work, and taken as fees, by virtual time.
  public var money: [Point] = []
  public var virtualSeconds = 0.0
  public var events = 0
  public var messages = 0
  public var transactions = 0
  public var journalRecords = 0
  public var journalBytes = 0
  public var repeatLine = ""
  /// What a clock on the wall said: different in every run, and no part of any digest.
  public var wall = Wall()
  public struct Wall: Codable, Sendable, Equatable {
    public var seconds = 0.0
    public var peakMiB = 0.0
    public var workers = 0
  }

  public var passed: Bool { invariantsBroken.isEmpty && expectations.allSatisfy(\.held) }
}

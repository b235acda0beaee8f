import Foundation

/// A run as files for other programs.
public struct RunFiles {
  let record: RunRecord
  public init(_ record: RunRecord) { self.record = record }

  /// Everything.
  public func json() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return [UInt8](try encoder.encode(record)) + [0x0A]
  }

  /// What a script wants to know, on one line.
  public func summary() throws -> String {
    struct Summary: Encodable {
      var digest: String
      var numeric_digest: String
      var schedule_digest: String
      var weights_digest: String
      var job: String
      var accuracy: Double?
      var rounds: Int
      var delivered: Bool
      var stopped: String
      var passed: Bool
      var expectations: [RunRecord.Verdict]
      var invariants_broken: [String]
      var payments: [RunRecord.Payment]
      var seconds: Double
      var virtual_seconds: Double
      var events: Int
      var messages: Int
      var peak_mib: Double
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let summary = Summary(
      digest: record.digest, numeric_digest: record.numericDigest, schedule_digest: record.scheduleDigest,
      weights_digest: record.weightsDigest, job: record.job, accuracy: record.accuracy, rounds: record.rounds.count,
      delivered: record.isDelivered, stopped: record.stopReason, passed: record.passed,
      expectations: record.expectations,
      invariants_broken: record.invariantsBroken, payments: record.payments, seconds: record.wall.seconds,
      virtual_seconds: record.virtualSeconds, events: record.events, messages: record.messages,
      peak_mib: record.wall.peakMiB)
    return String(decoding: try encoder.encode(summary), as: UTF8.self)
  }

  /// Name and content of every table.
  public var tables: [(name: String, text: String)] {
    [
      (
        "rounds.csv",
        table(
          ["round", "closed_s", "accuracy", "loss", "accepted", "audited", "refused", "bytes", "checkpoint"],
          record.rounds.map {
            [
              "\($0.round + 1)", "\($0.closed)", $0.accuracy.map { "\($0)" } ?? "", $0.loss.map { "\($0)" } ?? "",
              "\($0.accepted)", "\($0.audited)", "\($0.refused)", "\($0.bytes)", $0.checkpoint,
            ]
          })
      ),
      (
        "peers.csv",
        table(
          [
            "peer", "role", "class", "accepted", "audits", "paid_tinybar", "stake_lost_tinybar", "net_tinybar",
            "reasons",
          ],
          record.peers.map {
            [
              $0.name, $0.role, $0.kind, "\($0.accepted)", "\($0.audits)", "\($0.paid)", "\($0.stakeLost)", "\($0.net)",
              $0.reasons.joined(separator: "; "),
            ]
          })
      ),
      (
        "payments.csv",
        table(
          ["at_s", "peer", "tinybar", "why", "slot", "rounds"],
          record.payments.map {
            [
              "\($0.at)", $0.peer, "\($0.amount)", $0.why, "\($0.slot)",
              $0.rounds.map { "\($0 + 1)" }.joined(separator: " "),
            ]
          })
      ),
      (
        "refusals.csv",
        table(
          ["at_s", "peer", "what", "why", "round", "slot"],
          record.refusals.map { ["\($0.at)", $0.peer, $0.what, $0.why, "\($0.round + 1)", "\($0.slot)"] })
      ),
    ]
  }

  private func table(_ header: [String], _ rows: [[String]]) -> String {
    ([header] + rows).map { row in
      row.map { field in
        field.contains { $0 == "," || $0 == "\"" || $0 == "\n" }
          ? "\"" + field.replacing("\"", with: "\"\"") + "\"" : field
      }.joined(separator: ",") + "\n"
    }.joined()
  }
}

/// A run's outcome for somebody at a terminal.
public struct TerminalReport {
  let record: RunRecord
  let colours: Bool
  /// The most lines of payments and of refusals.
  static let listLimit = 12

  public init(_ record: RunRecord, colours: Bool) {
    self.record = record
    self.colours = colours
  }

  public func text(reportPath: String?) -> String {
    var lines: [String] = []
    lines.append("")
    lines.append(bold("Expectations"))
    for verdict in record.expectations { lines.append(mark(verdict.held) + " \(verdict.words): \(verdict.detail)") }
    let kept = record.invariantsBroken.isEmpty
    lines.append(mark(kept) + " invariants, asked after each of \(record.invariantChecks) transactions and at the end")
    for broken in record.invariantsBroken { lines.append("    " + broken) }
    lines += accuracyLines
    lines += paymentLines
    lines += refusalLines
    lines.append("")
    lines.append(bold("This run"))
    lines.append("  job        \(record.job)")
    lines.append("  digest     \(record.digest)")
    lines.append("  numbers    \(record.numericDigest)")
    lines.append("  weights    \(record.isDelivered ? record.weightsDigest : "not delivered: \(record.stopWords)")")
    lines.append(
      "  size       \(record.events) events, \(record.messages) messages, \(record.transactions) transactions, "
        + "\(Narration.duration(record.virtualSeconds)) of virtual time")
    lines.append(
      "  took       \(Narration.fixed(record.wall.seconds, 1)) s, at most \(Narration.fixed(record.wall.peakMiB, 0)) MiB"
    )
    let peers = Double(max(1, record.peers.count))
    lines.append(
      "  each       \(Narration.fixed(record.wall.seconds * 1e6 / Double(max(1, record.events)), 1)) µs an event, "
        + "\(Narration.fixed(Double(record.events) / peers, 0)) events and "
        + "\(Narration.fixed(record.wall.peakMiB * 1_024 / peers, 0)) KiB a peer"
    )
    if let reportPath { lines.append("  report     \(reportPath)") }
    lines.append("  again      \(record.repeatLine)")
    lines.append("")
    lines.append(record.passed ? green("The story held.") : red("The story did not hold."))
    return lines.joined(separator: "\n")
  }

  private var accuracyLines: [String] {
    var lines = ["", bold("Rounds"), "  round  at         accuracy  loss    updates  audited  refused"]
    let shown =
      record.rounds.count <= 24 ? record.rounds : Array(record.rounds.prefix(8)) + Array(record.rounds.suffix(16))
    for (place, round) in shown.enumerated() {
      if place == 8 && shown.count < record.rounds.count { lines.append("  …") }
      lines.append(
        "  " + pad("\(round.round + 1)", 5) + "  " + padRight(Narration.duration(round.closed), 9) + "  "
          + pad(round.accuracy.map(Narration.percent) ?? "-", 8) + "  "
          + pad(round.loss.map { Narration.fixed($0, 4) } ?? "-", 6)
          + "  " + pad("\(round.accepted)", 7) + "  " + pad("\(round.audited)", 7) + "  " + pad("\(round.refused)", 7))
    }
    return lines
  }

  private var paymentLines: [String] {
    let workers = record.peers.filter { $0.paid > 0 }.sorted {
      $0.paid != $1.paid ? $0.paid > $1.paid : $0.name < $1.name
    }
    var lines = ["", bold("Paid")]
    if workers.isEmpty { lines.append("  nobody") }
    for peer in workers.prefix(Self.listLimit) {
      let why =
        peer.role == "auditor"
        ? Narration.counted(peer.audits, "audit") : Narration.counted(peer.accepted, "accepted update")
      lines.append("  " + padRight(peer.name, 18) + pad(Narration.money(peer.paid), 22) + "  for \(why)")
    }
    if workers.count > Self.listLimit {
      let rest = workers.dropFirst(Self.listLimit)
      lines.append(
        "  and \(rest.count) more, \(Narration.money(rest.reduce(0) { $0 + $1.paid })) together; the report lists all")
    }
    return lines
  }

  private var refusalLines: [String] {
    let grave = record.refusals.filter { $0.what != "no lease" }
    var lines = ["", bold("Refused, forfeited, slashed")]
    if grave.isEmpty { lines.append("  nobody") }
    for refusal in grave.prefix(Self.listLimit) {
      lines.append("  " + padRight(refusal.peer, 18) + padRight(refusal.what, 22) + " " + refusal.why)
    }
    if grave.count > Self.listLimit { lines.append("  and \(grave.count - Self.listLimit) more; the report lists all") }
    let without = record.refusals.count - grave.count
    if without > 0 { lines.append("  \(Narration.counted(without, "bid")) won no lease") }
    return lines
  }

  private func pad(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
  private func padRight(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
  private func paint(_ code: String, _ text: String) -> String { colours ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
  private func bold(_ text: String) -> String { paint("1", text) }
  private func green(_ text: String) -> String { paint("32", text) }
  private func red(_ text: String) -> String { paint("31", text) }
  private func mark(_ held: Bool) -> String { held ? green("  ✓") : red("  ✗") }
}

extension RunProgress {
  /// One line: a bar, round, accuracy, trainers up, virtual time, money.
  public func line(width: Int = 16) -> String {
    let filled = rounds > 0 ? width * roundsClosed / rounds : 0
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    return "\(bar) \(words)"
  }
  public var words: String {
    let accuracy = accuracy.map(Narration.percent) ?? "-"
    return "\(phase): round \(roundsClosed)/\(rounds), accuracy \(accuracy), \(trainersUp)/\(trainers) up, "
      + "\(Narration.duration(virtualSeconds)), locked \(hbar(locked)), paid \(hbar(paid))"
  }
  private func hbar(_ tinybars: Int64) -> String { Narration.fixed(Double(tinybars) / 1e8, 1) + " hbar" }
}

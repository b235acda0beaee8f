/// A run as one page that needs nothing else: no script from outside, no font, no picture.
public struct HTMLReport {
  let record: RunRecord
  /// Lanes that are drawn; more trainers than this are told about and left out.
  static let laneLimit = 150
  static let rowLimit = 2_000

  public init(_ record: RunRecord) { self.record = record }

  public func page() -> String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(esc(record.scenario)) · Peermill</title><style>\(Self.style)</style></head><body><main>
    \(head)\(figures)\(expectations)\(charts)\(lanes)\(payments)\(refusals)\(milestones)\(digests)
    </main><script>\(Self.script)</script></body></html>

    """
  }

  private func esc(_ text: String) -> String { HTML.escape(text) }

  private var head: String {
    """
    <header><p class="mark">Peermill rehearsal</p><h1>\(esc(record.scenario)) <span class="verdict \(record.passed ? "good" : "bad")">\
    \(record.passed ? "the story held" : "the story did not hold")</span></h1><p class="story">\(esc(record.story))</p>
    <p class="again"><code id="again">\(esc(record.repeatLine))</code> <button onclick="copyLine()">copy</button></p></header>
    """
  }

  private var figures: String {
    let trainers = record.peers.filter { $0.role == "trainer" }
    let paid = record.payments.filter { $0.why == "accepted updates" }.reduce(0) { $0 + $1.amount }
    let cells: [(String, String)] = [
      ("accuracy", record.accuracy.map(Narration.percent) ?? "–"),
      ("rounds", "\(record.rounds.count)"),
      ("ended", record.stopWords),
      ("trainers", "\(trainers.count)"),
      ("updates accepted", "\(trainers.reduce(0) { $0 + $1.accepted })"),
      ("paid for work", Narration.fixed(Double(paid) / 1e8, 2) + " hbar"),
      ("virtual time", Narration.duration(record.virtualSeconds)),
      ("messages", "\(record.messages)"),
      ("ledger transactions", "\(record.transactions)"),
      ("events", "\(record.events)"),
    ]
    return "<section class=\"figures\">"
      + cells.map { "<div><b>\(esc($0.1))</b><span>\(esc($0.0))</span></div>" }.joined() + "</section>"
  }

  private var expectations: String {
    var rows = record.expectations.map { verdict in
      "<tr><td class=\"\(verdict.held ? "good" : "bad")\">\(verdict.held ? "✓" : "✗")</td><td>\(esc(verdict.words))</td><td>\(esc(verdict.detail))</td></tr>"
    }
    let kept = record.invariantsBroken.isEmpty
    rows.append(
      "<tr><td class=\"\(kept ? "good" : "bad")\">\(kept ? "✓" : "✗")</td><td>invariants</td><td>\(kept ? "held, asked after each of \(record.invariantChecks) transactions and at the end" : esc(record.invariantsBroken.joined(separator: "; ")))</td></tr>"
    )
    return "<section><h2>Expectations</h2><table>\(rows.joined())</table></section>"
  }

  private var charts: String {
    let scored = record.rounds.filter { $0.accuracy != nil }
    let byRound = scored.map { (x: Double($0.round + 1), y: $0.accuracy ?? 0) }
    let byTime = scored.map { (x: $0.closed, y: $0.accuracy ?? 0) }
    let lossByRound = scored.map { (x: Double($0.round + 1), y: $0.loss ?? 0) }
    let lossByTime = scored.map { (x: $0.closed, y: $0.loss ?? 0) }
    let whole: (Double) -> String = { Narration.fixed($0, 0) }
    let loss: (Double) -> String = { Narration.fixed($0, 2) }
    func series(_ points: [RunRecord.Point], _ index: Int) -> [(x: Double, y: Double)] {
      points.map { (x: $0.at, y: index < $0.values.count ? $0.values[index] : 0) }
    }
    let hbar: (Double) -> String = { Narration.fixed($0 / 1e8, 0) + " ħ" }
    let all = [
      Chart(
        title: "Accuracy by round", lines: [.init(name: "accuracy", style: "a", points: byRound)], xName: "round",
        yFormat: Narration.percent, xFormat: whole),
      Chart(
        title: "Loss by round", lines: [.init(name: "loss", style: "b", points: lossByRound)], xName: "round",
        yFormat: loss, xFormat: whole),
      Chart(
        title: "Accuracy by virtual time", lines: [.init(name: "accuracy", style: "a", points: byTime)],
        xName: "virtual time", yFormat: Narration.percent, xFormat: Narration.duration),
      Chart(
        title: "Loss by virtual time", lines: [.init(name: "loss", style: "b", points: lossByTime)],
        xName: "virtual time", yFormat: loss, xFormat: Narration.duration),
      Chart(
        title: "Trainers up", lines: [.init(name: "up", style: "c", points: series(record.peersUp, 0))],
        xName: "virtual time", yFormat: whole, xFormat: Narration.duration, least: 0, isStepped: true),
      Chart(
        title: "Bytes",
        lines: [
          .init(name: "through the store", style: "a", points: series(record.bytes, 0)),
          .init(name: "between peers", style: "d", points: series(record.bytes, 1)),
        ], xName: "virtual time", yFormat: Narration.bytes, xFormat: Narration.duration, least: 0),
      Chart(
        title: "Money",
        lines: [
          .init(name: "locked", style: "a", points: series(record.money, 0)),
          .init(name: "paid for work", style: "c", points: series(record.money, 1)),
          .init(name: "ledger fees", style: "b", points: series(record.money, 2)),
        ], xName: "virtual time", yFormat: hbar, xFormat: Narration.duration, least: 0, isStepped: true),
    ]
    return "<section><h2>What it came to</h2><div class=\"charts\">\(all.map { $0.svg() }.joined())</div></section>"
  }

  private var lanes: String {
    let shown = record.lanes.prefix(Self.laneLimit)
    guard !shown.isEmpty else { return "" }
    let end = max(1, record.virtualSeconds)
    let row = 11.0
    let left = 110.0
    let width = 1_080.0
    var body = ""
    for (index, lane) in shown.enumerated() {
      let top = Double(index) * row
      body +=
        "<text class=\"tick\" x=\"\(f(left - 6))\" y=\"\(f(top + 8.5))\" text-anchor=\"end\">\(esc(lane.peer))</text>"
      for span in lane.spans {
        let x = left + span.from / end * (width - left)
        let length = max(0.6, (span.to - span.from) / end * (width - left))
        body +=
          "<rect class=\"s-\(esc(span.what))\" x=\"\(f(x))\" y=\"\(f(top + 1))\" width=\"\(f(length))\" height=\"9\"><title>\(esc(lane.peer)): \(esc(span.what)) \(Narration.duration(span.from))–\(Narration.duration(span.to))</title></rect>"
      }
    }
    for part in 0...6 {
      let x = left + (width - left) * Double(part) / 6
      body += "<line class=\"grid\" x1=\"\(f(x))\" x2=\"\(f(x))\" y1=\"0\" y2=\"\(f(Double(shown.count) * row))\"/>"
      body +=
        "<text class=\"tick\" x=\"\(f(min(x, width - 20)))\" y=\"\(f(Double(shown.count) * row + 12))\" text-anchor=\"middle\">\(Narration.duration(end * Double(part) / 6))</text>"
    }
    let note =
      record.lanes.count > Self.laneLimit
      ? "<p class=\"note\">The first \(Self.laneLimit) of \(record.lanes.count) are drawn.</p>" : ""
    return """
      <section><h2>Who did what when</h2><p class="legend"><i class="s-train"></i>training <i class="s-audit"></i>auditing \
      <i class="s-transfer"></i>transferring <i class="s-wait"></i>holding a lease, waiting <i class="s-down"></i>down</p>\(note)
      <div class="scroll"><svg class="lanes" viewBox="0 0 \(f(width)) \(f(Double(shown.count) * row + 16))">\(body)</svg></div></section>
      """
  }

  private var payments: String {
    let peers = record.peers.filter { $0.paid > 0 || $0.accepted > 0 || $0.stakeLost > 0 || $0.audits > 0 }
      .sorted { $0.paid != $1.paid ? $0.paid > $1.paid : $0.name < $1.name }
    let rows = peers.prefix(Self.rowLimit).map { peer in
      "<tr><td>\(esc(peer.name))\(peer.isLiar ? " <em>liar</em>" : "")</td><td>\(esc(peer.kind))</td><td class=\"n\">\(peer.accepted)</td><td class=\"n\">\(peer.audits)</td><td class=\"n\">\(esc(Narration.money(peer.paid)))</td><td class=\"n\">\(peer.stakeLost > 0 ? esc(Narration.money(peer.stakeLost)) : "")</td><td class=\"n\">\(esc(Narration.money(peer.net)))</td></tr>"
    }
    let payments = record.payments.prefix(Self.rowLimit).map { payment in
      "<tr><td class=\"n\">\(Narration.duration(payment.at))</td><td>\(esc(payment.peer))</td><td class=\"n\">\(esc(Narration.money(payment.amount)))</td><td>\(esc(payment.why))\(payment.rounds.isEmpty ? "" : " of slot \(payment.slot), rounds \(payment.rounds.map { "\($0 + 1)" }.joined(separator: " "))")</td></tr>"
    }
    return """
      <section><h2>Who was paid, and for what</h2><div class="scroll"><table><tr><th>peer</th><th>class</th><th class="n">updates</th>\
      <th class="n">audits</th><th class="n">paid</th><th class="n">stake lost</th><th class="n">net of fees</th></tr>\(rows.joined())</table></div>
      <details><summary>Every payment (\(record.payments.count))</summary><div class="scroll"><table>\
      <tr><th class="n">at</th><th>to</th><th class="n">amount</th><th>why</th></tr>\(payments.joined())</table></div></details></section>
      """
  }

  private var refusals: String {
    let grave = record.refusals.filter { $0.what != "no lease" }
    let rows = grave.prefix(Self.rowLimit).map { refusal in
      "<tr><td class=\"n\">\(Narration.duration(refusal.at))</td><td>\(esc(refusal.peer))</td><td>\(esc(refusal.what))</td><td>\(esc(refusal.why))\(refusal.slot >= 0 ? " (slot \(refusal.slot)\(refusal.round >= 0 ? ", round \(refusal.round + 1)" : ""))" : "")</td></tr>"
    }
    let without = record.refusals.count - grave.count
    return """
      <section><h2>Who was refused or slashed, and why</h2><div class="scroll"><table>\
      <tr><th class="n">at</th><th>peer</th><th>what</th><th>why</th></tr>\
      \(rows.isEmpty ? "<tr><td colspan=\"4\">nobody</td></tr>" : rows.joined())</table></div><p class="note">\(Narration.counted(without, "bid")) won no lease.</p></section>
      """
  }

  private var milestones: String {
    let rows = record.milestones.prefix(Self.rowLimit).map { milestone in
      "<tr><td class=\"n\">\(Narration.duration(milestone.at))</td><td>\(esc(milestone.by))</td><td>\(esc(milestone.words))</td></tr>"
    }
    return """
      <section><details><summary>The story as it happened (\(record.milestones.count))</summary><div class="scroll"><table>\
      \(rows.joined())</table></div></details></section>
      """
  }

  private var digests: String {
    let rows: [(String, String)] = [
      ("job", record.job), ("run", record.digest), ("schedule", record.scheduleDigest),
      ("numbers", record.numericDigest),
      ("weights", record.weightsDigest), ("seed", "\(record.seed)"), ("job's seed", "\(record.jobSeed)"),
      ("journals", "\(record.journalRecords) records, \(Narration.bytes(Double(record.journalBytes)))"),
    ]
    let wall =
      "on this machine: \(Narration.fixed(record.wall.seconds, 1)) s, at most \(Narration.fixed(record.wall.peakMiB, 0)) MiB, \(record.wall.workers) workers"
    return "<section><h2>Digests</h2><div class=\"scroll\"><table>"
      + rows.map { "<tr><td>\(esc($0.0))</td><td><code>\(esc($0.1))</code></td></tr>" }.joined()
      + "</table></div><p class=\"note\">\(esc(wall)). All else on this page is the same in every run of this seed.</p></section>"
  }

  private func f(_ value: Double) -> String { Narration.fixed(value, 1) }
}

import Actors
import Chain
import Runtime

/// Makes the record of a run out of its world.
public struct Recorder {
  let world: World
  public init(world: World) { self.world = world }

  public func record() -> RunRecord {
    var record = RunRecord()
    let scenario = world.scenario
    record.scenario = scenario.name
    record.file = scenario.file
    record.story = scenario.story
    record.seed = scenario.seed
    record.jobSeed = world.job.seed
    record.virtualSeconds = world.loop.now.seconds
    record.events = world.loop.eventCount
    record.messages = world.network.sent
    record.transactions = world.ledger.transactions
    for peer in world.peers {
      record.journalRecords += peer.journal.count
      record.journalBytes += peer.journal.bytes.count
    }
    addJob(&record)
    addRounds(&record)
    addMoney(&record)
    addPeers(&record)
    addTimeline(&record)
    addDigests(&record)
    addInvariants(&record)
    for expectation in scenario.expectations { record.expectations.append(judge(expectation, record)) }
    record.repeatLine = "scenario run \(scenario.file) --seed \(scenario.seed)"
    if let jobSeed = scenario.jobSeed, jobSeed != scenario.seed { record.repeatLine += " --job-seed \(jobSeed)" }
    return record
  }

  // MARK: the job

  private func addJob(_ record: inout RunRecord) {
    let coordination = world.coordination
    record.job = coordination?.jobDigest.hex ?? ""
    record.stopReason = coordination.map { "\($0.stop)" } ?? "none"
    if let opened = world.chronicle.entries.last(where: { $0.milestone.kind == .deliveryOpened }) {
      record.isDelivered = true
      record.weightsDigest = opened.milestone.digest.hex
    }
    if let delivered = world.chronicle.entries.last(where: { $0.milestone.kind == .delivered }) {
      let round = delivered.milestone.round
      let hasAccuracy = world.job.model.loss != .squared
      record.accuracy = !hasAccuracy ? nil : coordination?.history.first { $0.round == round }.map(\.accuracy)
    }
  }

  private func addRounds(_ record: inout RunRecord) {
    guard let coordination = world.coordination else { return }
    for summary in coordination.history {
      let refused = world.chronicle.entries.reduce(0) {
        $0 + ($1.milestone.kind == .updateRefused && $1.milestone.round == summary.round ? 1 : 0)
      }
      record.rounds.append(
        RunRecord.Round(
          round: summary.round, closed: (summary.closed - world.epoch).inSeconds,
          accuracy: summary.evaluated > 0 && world.job.model.loss != .squared ? summary.accuracy : nil,
          loss: summary.evaluated > 0 ? summary.loss : nil,
          accepted: summary.accepted, audited: summary.audited, refused: refused,
          bytes: bytesAt(summary.closed - world.epoch),
          checkpoint: summary.checkpoint.hex))
    }
  }
  private func bytesAt(_ moment: Duration) -> Int {
    Int(world.samples.last { $0.at <= moment.inSeconds }?.bytes ?? 0)
  }

  // MARK: money

  private func addMoney(_ record: inout RunRecord) {
    for event in world.ledger.log {
      let at = (event.at - world.epoch).inSeconds
      switch event.kind {
      case .paid(let paid):
        record.payments.append(
          RunRecord.Payment(
            at: at, peer: name(paid.trainer), amount: paid.amount.tinybars, why: "accepted updates", slot: paid.slot,
            rounds: paid.rounds))
      case .auditsPaid(let paid):
        record.payments.append(
          RunRecord.Payment(
            at: at, peer: name(paid.auditor), amount: paid.amount.tinybars, why: "\(paid.audits) audits", slot: -1,
            rounds: []))
      case .disputeEnded(let ended) where ended.isUpheld:
        record.payments.append(
          RunRecord.Payment(
            at: at, peer: name(ended.reporter), amount: ended.reward.tinybars, why: "reported a lie", slot: ended.slot,
            rounds: []))
        record.refusals.append(
          RunRecord.Refusal(
            at: at, peer: name(ended.trainer), what: "slashed \(ended.slashed)", why: Reason.auditMismatch.words,
            round: -1,
            slot: ended.slot))
      case .leaseEnded(let ended) where ended.cause == .expired:
        record.refusals.append(
          RunRecord.Refusal(
            at: at, peer: name(ended.trainer), what: "forfeited \(ended.forfeited)", why: Reason.vanished.words,
            round: -1,
            slot: ended.slot))
      case .refunded(let refund):
        record.payments.append(
          RunRecord.Payment(
            at: at, peer: name(refund.owner), amount: refund.amount.tinybars, why: "refund of what was not spent",
            slot: -1,
            rounds: []))
      default: break
      }
    }
    for entry in world.chronicle.entries {
      let milestone = entry.milestone
      switch milestone.kind {
      case .updateRefused, .leaseLost, .bidLost:
        record.refusals.append(
          RunRecord.Refusal(
            at: entry.at.seconds, peer: name(milestone.peer), what: Narration.verb(milestone.kind),
            why: milestone.reason.words,
            round: milestone.round, slot: milestone.slot))
      default: break
      }
    }
    record.refusals.sort { $0.at != $1.at ? $0.at < $1.at : $0.peer < $1.peer }
  }

  func name(_ key: PublicKey) -> String { world.places[key].map { world.peers[$0].name } ?? String("\(key)".suffix(8)) }

  private func addPeers(_ record: inout RunRecord) {
    var accepted: [PublicKey: Int] = [:]
    var audits: [PublicKey: Int] = [:]
    var paid: [PublicKey: Int64] = [:]
    var lost: [PublicKey: Int64] = [:]
    for entry in world.chronicle.entries {
      if entry.milestone.kind == .updateAccepted { accepted[entry.milestone.peer, default: 0] += 1 }
      if entry.milestone.kind == .auditBegan { audits[entry.milestone.peer, default: 0] += 1 }
    }
    for event in world.ledger.log {
      switch event.kind {
      case .paid(let claim): paid[claim.trainer, default: 0] += claim.amount.tinybars
      case .auditsPaid(let claim): paid[claim.auditor, default: 0] += claim.amount.tinybars
      case .disputeEnded(let ended) where ended.isUpheld:
        lost[ended.trainer, default: 0] += ended.slashed.tinybars
        paid[ended.reporter, default: 0] += ended.reward.tinybars
      case .leaseEnded(let ended): lost[ended.trainer, default: 0] += ended.forfeited.tinybars
      default: break
      }
    }
    for peer in world.peers {
      let key = peer.key.publicKey
      var reasons: [String] = []
      for refusal in record.refusals where refusal.peer == peer.name && !reasons.contains(refusal.why) {
        reasons.append(refusal.why)
      }
      let account = world.ledger.state.accounts[key]
      let genesis = peer.role == .owner ? world.ownerFundsTinybars : world.scenario.ledger.funds.tinybars
      let net = (account.map { $0.wallet.tinybars + $0.credits.tinybars } ?? 0) - genesis
      record.peers.append(
        RunRecord.Peer(
          name: peer.name, role: "\(peer.role)", kind: peer.className, accepted: accepted[key] ?? 0,
          audits: audits[key] ?? 0,
          paid: paid[key] ?? 0, stakeLost: lost[key] ?? 0, net: net, reasons: reasons,
          isLiar: world.liars.contains(peer.index)))
    }
  }

  // MARK: what happened when

  private func addTimeline(_ record: inout RunRecord) {
    for sample in world.samples {
      record.peersUp.append(RunRecord.Point(at: sample.at, values: [Double(sample.peersUp)]))
      record.bytes.append(RunRecord.Point(at: sample.at, values: [sample.bytes, sample.linkBytes]))
      record.money.append(
        RunRecord.Point(at: sample.at, values: [Double(sample.locked), Double(sample.paid), Double(sample.fees)]))
    }
    for entry in world.chronicle.entries where Narration.isTold(entry.milestone.kind) {
      record.milestones.append(
        RunRecord.Milestone(
          at: entry.at.seconds, by: world.peers[entry.by].name, kind: entry.milestone.kind.rawValue,
          words: Narration.words(entry.milestone, name: name)))
    }
    addLanes(&record)
  }

  /// What each trainer did when, from its own milestones.
  private func addLanes(_ record: inout RunRecord) {
    var spans: [Int: [RunRecord.Span]] = [:]
    var open: [Int: (what: String, from: Double)] = [:]
    var audits: [Int: Int] = [:]
    func turn(_ peer: Int, to what: String?, at: Double) {
      if let running = open.removeValue(forKey: peer), at > running.from {
        spans[peer, default: []].append(RunRecord.Span(from: running.from, to: at, what: running.what))
      }
      if let what { open[peer] = (what, at) }
    }
    for entry in world.chronicle.entries
    where world.peers[entry.by].role == .trainer || world.peers[entry.by].role == .auditor {
      let at = entry.at.seconds
      switch entry.milestone.kind {
      case .leaseTaken: if open[entry.by] == nil { turn(entry.by, to: "wait", at: at) }
      case .trainingBegan: turn(entry.by, to: "train", at: at)
      case .trainingEnded: turn(entry.by, to: "wait", at: at)
      case .committed: turn(entry.by, to: "transfer", at: at)
      case .uploaded: turn(entry.by, to: "wait", at: at)
      case .auditBegan:
        audits[entry.by, default: 0] += 1
        turn(entry.by, to: "audit", at: at)
      case .auditEnded:
        audits[entry.by, default: 1] -= 1
        if audits[entry.by] == 0 { turn(entry.by, to: nil, at: at) }
      case .claimed: turn(entry.by, to: nil, at: at)
      default: break
      }
    }
    let end = world.loop.now.seconds
    for peer in world.peers where peer.role == .trainer || peer.role == .auditor {
      turn(peer.index, to: nil, at: end)
      var lane = spans[peer.index] ?? []
      for down in peer.downSpans {
        let from = down.from.seconds
        let to = down.to?.seconds ?? end
        guard to > from else { continue }
        // What it was doing when it went down ended there.
        lane = lane.flatMap { span -> [RunRecord.Span] in
          if span.to <= from || span.from >= to { return [span] }
          var pieces: [RunRecord.Span] = []
          if span.from < from { pieces.append(RunRecord.Span(from: span.from, to: from, what: span.what)) }
          if span.to > to { pieces.append(RunRecord.Span(from: to, to: span.to, what: span.what)) }
          return pieces
        }
        lane.append(RunRecord.Span(from: from, to: to, what: "down"))
      }
      lane.sort { $0.from < $1.from }
      record.lanes.append(RunRecord.Lane(peer: peer.name, spans: lane))
    }
  }

  // MARK: digests and promises

  private func addDigests(_ record: inout RunRecord) {
    record.scheduleDigest = world.loop.scheduleDigest.hex
    var numeric = Hash()
    for summary in world.coordination?.history ?? [] {
      numeric.update(Array("\(summary.round) \(summary.correct)".utf8))
      numeric.update(summary.checkpoint)
    }
    numeric.update(Array(record.weightsDigest.utf8))
    let numericDigest = numeric.finish()
    record.numericDigest = numericDigest.hex
    var whole = Hash()
    whole.update(world.loop.scheduleDigest)
    whole.update(numericDigest)
    for peer in world.peers { whole.update(peer.journal.digest) }
    whole.update(Array("\(world.ledger.state.eventCount)".utf8))
    record.digest = whole.finish().hex
  }

  private func addInvariants(_ record: inout RunRecord) {
    let invariants = world.invariants
    if !world.loop.violations.isEmpty { invariants.note("\(world.loop.violations)") }
    if let failure = world.startFailure { invariants.note("a journal could not be read: \(failure)") }
    let recount = world.ledger.state.recount()
    if recount != world.ledger.state.holdings { invariants.note("money counted afresh differs from what was kept") }
    var secrets = world.secrets
    if let coordination = world.coordination, coordination.job.chunkCount > 0 {
      secrets += JobSecrets.all(
        of: coordination.job, secret: world.coordinatorSecret, leases: coordination.slots.map(\.nonce))
    }
    let beginnings = Invariants.beginnings(secrets)
    for peer in world.peers where Invariants.findsSecret(beginnings, in: peer.journal.bytes) {
      invariants.note("a key stands in the clear in the journal of \(peer.name)")
    }
    if record.isDelivered, let job = world.ledger.state.jobs[world.coordination?.jobDigest ?? .zero], !job.isSettled {
      let limit = world.scenario.timeLimit
      let isGivenUp = world.loop.now.advanced(by: .seconds(60)) > Instant.start.advanced(by: limit)
      invariants.note(
        isGivenUp
          ? "the run was given up after \(Narration.duration(limit.inSeconds)) of virtual time, before the job was settled: "
            + "\(job.escrow) is still locked in it; raise limits.time"
          : "the job was delivered and \(job.escrow) is still locked in it")
    }
    record.invariantsBroken = invariants.broken
    record.invariantChecks = invariants.checks
  }

  private func judge(_ expectation: Expectation, _ record: RunRecord) -> RunRecord.Verdict {
    func verdict(_ words: String, _ held: Bool, _ detail: String) -> RunRecord.Verdict {
      RunRecord.Verdict(words: words, held: held, detail: detail)
    }
    switch expectation {
    case .delivered(let within):
      let at = world.chronicle.entries.last { $0.milestone.kind == .deliveryOpened }?.at.seconds
      let words = "delivered" + (within.map { " within \(Narration.duration($0.inSeconds))" } ?? "")
      guard let at else { return verdict(words, false, "nothing was delivered: \(record.stopWords)") }
      return verdict(words, within.map { at <= $0.inSeconds } ?? true, "at \(Narration.duration(at))")
    case .accuracy(let least):
      let reached = record.accuracy ?? 0
      return verdict("accuracy at least \(Narration.percent(least))", reached >= least, Narration.percent(reached))
    case .liarsCaught(let number):
      let slashed = Set(slashedTrainers)
      let caught = world.liars.filter { slashed.contains(world.peers[$0].key.publicKey) }.count
      let wanted = number ?? world.liars.count
      return verdict(
        "liars caught: \(number.map(String.init) ?? "all")", caught >= wanted, "\(caught) of \(world.liars.count)")
    case .honestSlashed(let most):
      let honest = Set(slashedTrainers).filter { key in
        world.places[key].map { !world.liars.contains($0) } ?? true
      }.count
      return verdict("honest trainers slashed: at most \(most)", honest <= most, "\(honest)")
    case .rounds(let least):
      return verdict("rounds at least \(least)", record.rounds.count >= least, "\(record.rounds.count)")
    case .stopped(let reason):
      return verdict("stopped: \(reason)", record.stopReason == "\(reason)", record.stopReason)
    case .paid(let least):
      let paid = record.payments.filter { $0.why == "accepted updates" }.reduce(0) { $0 + $1.amount }
      return verdict(
        "paid for work at least \(least)", paid >= least.tinybars, Narration.money(paid))
    }
  }

  private var slashedTrainers: [PublicKey] {
    world.ledger.log.compactMap { event in
      if case .disputeEnded(let ended) = event.kind, ended.isUpheld { ended.trainer } else { nil }
    }
  }
}

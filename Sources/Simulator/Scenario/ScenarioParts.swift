import Actors
import Chain
import Runtime
import Yams

extension PeersPart {
  init(_ reader: inout Reader) throws(ScenarioError) {
    self.init()
    bootstraps = try reader.count("bootstraps", 1...100) ?? bootstraps
    auditors = try reader.count("auditors", 0...JobTerms.arbiterLimit) ?? auditors
    if var coordinator = try reader.reader("coordinator") {
      coordinatorFlops = try coordinator.speed("speed") ?? coordinatorFlops
      coordinatorSealing = try coordinator.rate("sealing").map(Double.init) ?? coordinatorSealing
      if var link = try coordinator.reader("link") { coordinatorLink = try LinkPart(&link, coordinatorLink) }
      try coordinator.finish()
    }
    if var auditor = try reader.reader("auditor") {
      auditorFlops = try auditor.speed("speed") ?? auditorFlops
      if var link = try auditor.reader("link") { auditorLink = try LinkPart(&link, auditorLink) }
      try auditor.finish()
    }
    guard let classes = try reader.list("trainers") else { throw reader.lacks("trainers") }
    for node in classes {
      var trainer = try Reader(node, file: reader.file, place: "peers.trainers")
      trainers.append(try TrainerClass(&trainer))
    }
    guard trainers.reduce(0, { $0 + $1.count }) > 0 else {
      throw reader.error(at: "trainers", "peers.trainers has no trainers; a job needs at least one")
    }
    let names = trainers.map(\.name)
    if Set(names).count != names.count {
      throw reader.error(at: "trainers", "two classes of trainers have the same name")
    }
    try reader.finish()
  }

  /// Every peer's name, and whether it is a trainer.
  var names: [(name: String, isTrainer: Bool)] {
    var names = [("owner", false), ("coordinator", false)]
    for number in 0..<bootstraps { names.append(("bootstrap-\(number + 1)", false)) }
    for number in 0..<auditors { names.append(("auditor-\(number + 1)", false)) }
    for trainer in trainers {
      for number in 0..<trainer.count { names.append(("\(trainer.name)-\(number + 1)", true)) }
    }
    return names.map { (name: $0.0, isTrainer: $0.1) }
  }
}

extension TrainerClass {
  init(_ reader: inout Reader) throws(ScenarioError) {
    self.init()
    name = try reader.text("class") ?? name
    guard name.utf8.allSatisfy({ $0 >= 97 && $0 <= 122 || $0 >= 48 && $0 <= 57 || $0 == 45 }), name.utf8.count <= 40,
      !["owner", "coordinator", "auditor", "bootstrap"].contains(name)
    else {
      throw reader.error(at: "class", "a class is named by small letters, digits and '-', and not as a role: '\(name)'")
    }
    count = try reader.count("count", 0...100_000) ?? 1
    flops = try reader.speed("speed") ?? flops
    sealing = try reader.rate("sealing").map(Double.init) ?? sealing
    memory = try reader.size("memory") ?? memory
    slots = try reader.count("slots", 1...Bid.slotLimit) ?? 1
    standing = try reader.count("standing", 0...1_000) ?? 0
    guard let price = try reader.amounts("price") else { throw reader.lacks("price") }
    guard price.lowerBound > .zero else {
      throw reader.error(at: "price", "a price of nothing is no price: the ledger leases for more than 0 hbar")
    }
    self.price = price
    arrive = try reader.durations("arrive") ?? arrive
    skew = try reader.durations("clock-skew") ?? skew
    if var link = try reader.reader("link") { self.link = try LinkPart(&link, self.link) }
    try reader.finish()
  }
}

extension LinkPart {
  init(_ reader: inout Reader, _ usual: LinkPart) throws(ScenarioError) {
    self = usual
    latency = try reader.duration("latency", hours: 1) ?? latency
    jitter = try reader.duration("jitter", hours: 1) ?? jitter
    up = try reader.rate("up") ?? up
    down = try reader.rate("down") ?? down
    loss = try reader.share("loss") ?? loss
    guard loss <= 0.9 else { throw reader.error(at: "loss", "a link that loses more than 90% carries nothing") }
    try reader.finish()
  }
}

extension LedgerPart {
  init(_ reader: inout Reader) throws(ScenarioError) {
    self.init()
    delay = try reader.durations("delay", hours: 1) ?? delay
    funds = try reader.amount("funds") ?? funds
    try reader.finish()
  }
}

extension StorePart {
  init(_ reader: inout Reader) throws(ScenarioError) {
    self.init()
    latency = try reader.duration("latency", hours: 1) ?? latency
    rate = try reader.rate("rate") ?? rate
    urlLife = try reader.duration("url-life") ?? urlLife
    try reader.finish()
  }
}

extension Selector {
  init(_ node: Node, _ file: String, _ names: [(name: String, isTrainer: Bool)]) throws(ScenarioError) {
    var patterns: [String] = []
    if case .sequence(let sequence) = node {
      for item in sequence {
        guard let text = item.scalar?.string else { throw Reader.error(item, file, "a peer is selected by its name") }
        patterns.append(text)
      }
    } else if let text = node.scalar?.string {
      patterns = [text]
    }
    self.init(patterns)
    guard !patterns.isEmpty else { throw Reader.error(node, file, "peers are selected by a name or a list of names") }
    for pattern in patterns {
      let one = Selector([pattern])
      guard names.contains(where: { one.matches($0.name, isTrainer: $0.isTrainer) }) else {
        throw Reader.error(node, file, "'\(pattern)' selects no peer")
      }
    }
  }
}

extension Fault {
  init(_ reader: inout Reader, names: [(name: String, isTrainer: Bool)]) throws(ScenarioError) {
    func selector(_ node: Node) throws(ScenarioError) -> Selector { try Selector(node, reader.file, names) }
    if let node = reader.find("crash") {
      enum Memory: String, CaseIterable { case kept, lost }
      self.init(.crash(try selector(node), keepsMemory: try reader.choice("memory", Memory.self) != .lost))
    } else if let node = reader.find("pause") {
      self.init(.pause(try selector(node)))
    } else if let node = reader.find("partition") {
      self.init(.partition(try selector(node)))
    } else if let node = reader.find("liar") {
      guard let lie = try reader.choice("does", Lie.self) else { throw reader.lacks("does", ": noise or skip") }
      self.init(.liar(try selector(node), lie))
      guard case .liar(let who, _) = what, names.allSatisfy({ $0.isTrainer || !who.matches($0.name, isTrainer: false) })
      else { throw Reader.error(node, reader.file, "only trainers lie here: select them alone") }
      try reader.finish()
      return
    } else if let what = try reader.text("slow") {
      guard what == "store" else { throw reader.error(at: "slow", "'\(what)' cannot be slowed; 'store' can") }
      self.init(.slowStore(by: try reader.number("by", 1...10_000) ?? 10))
    } else if let what = try reader.text("stop") {
      guard what == "store" else { throw reader.error(at: "stop", "'\(what)' cannot be stopped; 'store' can") }
      self.init(.stopStore)
    } else if let what = try reader.text("stall") {
      guard what == "ledger" else { throw reader.error(at: "stall", "'\(what)' cannot be stalled; 'ledger' can") }
      self.init(.stallLedger)
    } else if let what = try reader.text("cancel") {
      guard what == "job" else { throw reader.error(at: "cancel", "'\(what)' cannot be cancelled; 'job' can") }
      self.init(.cancelJob)
    } else {
      throw reader.error("a fault is one of crash, pause, partition, slow, stop, stall, cancel, liar")
    }
    at = try reader.duration("at") ?? .zero
    lasts = try reader.duration("for")
    every = try reader.duration("every")
    until = try reader.duration("until")
    share = try reader.share("share") ?? 1
    if let every, every < .seconds(1) { throw reader.error(at: "every", "a fault comes at most every second") }
    if every != nil && until == nil { throw reader.error("a fault that comes 'every' so often needs 'until'") }
    try reader.finish()
  }
}

extension Expectation {
  init(_ reader: inout Reader) throws(ScenarioError) {
    func least<T>(_ text: String, _ read: (String) -> T?) -> T? {
      text.hasPrefix(">=") ? read(String(text.dropFirst(2).drop { $0 == " " })) : nil
    }
    if let isDelivered = try reader.flag("delivered") {
      guard isDelivered else {
        throw reader.error(at: "delivered", "a job is expected to be 'delivered: yes', or to be stopped for a reason")
      }
      self = .delivered(within: try reader.duration("within"))
    } else if let accuracy = try reader.value("accuracy", "'>= 0.80'", { least($0, Units.share) }) {
      self = .accuracy(atLeast: accuracy)
    } else if let rounds = try reader.value(
      "rounds", "'>= 10'", { least($0) { Int($0).flatMap { (0...Job.roundLimit).contains($0) ? $0 : nil } } })
    {
      self = .rounds(atLeast: rounds)
    } else if let caught = try reader.value(
      "liars-caught", "'all' or a number", { Int($0).flatMap { (0...100_000).contains($0) ? $0 : nil } }, isAll: "all")
    {
      self = .liarsCaught(caught)
    } else if let slashed = try reader.count("honest-slashed", 0...100_000) {
      self = .honestSlashed(atMost: slashed)
    } else if let reason = try reader.value(
      "stopped", "one of " + StopReason.allCases.map { "\($0)" }.joined(separator: ", "),
      { word in StopReason.allCases.first { "\($0)" == word } })
    {
      self = .stopped(reason)
    } else if let amount = try reader.value(
      "paid", "'>= 1 hbar'", { least($0) { Amount(parsing: $0) } })
    {
      self = .paid(atLeast: amount)
    } else {
      throw reader.error(
        "an expectation is one of delivered, accuracy, rounds, liars-caught, honest-slashed, stopped, paid")
    }
    try reader.finish()
  }
}

extension Reader {
  /// A number, or a word that stands for all.
  fileprivate mutating func value(
    _ key: String, _ what: String, _ read: (String) -> Int?, isAll word: String
  ) throws(ScenarioError) -> Int?? {
    try value(key, what) { text -> Int?? in
      if text == word { return .some(nil) }
      return read(text).map { .some($0) }
    }
  }
}

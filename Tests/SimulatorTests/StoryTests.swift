import Actors
import Chain
import Learn
import Runtime
import Testing

@testable import Simulator

enum Stories {
  static func scenario(
    rounds: Int = 4, trainers: Int = 6, faults: [Fault] = [], change: (inout Scenario) -> Void = { _ in }
  ) -> Scenario {
    var scenario = Scenario()
    scenario.name = "test"
    scenario.seed = 7
    scenario.job.data = .blobs(samples: 600, features: 8, classes: 3)
    scenario.job.chunks = 8
    scenario.job.partition = .dirichlet(alpha: 0.5, least: 5)
    scenario.job.recipe = TrainingRecipe(learningRate: 0.1, momentum: 0.5, batch: 16, shuffle: true)
    scenario.job.rounds = rounds
    scenario.job.perRound = 4
    scenario.job.budget = hbar(1_000)
    scenario.job.ceiling = hbar(2)
    scenario.job.stake = hbar(4)
    scenario.job.bond = hbar(4)
    scenario.job.auditFee = hbar(1)
    var laptops = TrainerClass()
    laptops.name = "laptop"
    laptops.count = trainers
    laptops.slots = 2
    laptops.price = hbar(1)...hbar(2)
    scenario.peers.trainers = [laptops]
    scenario.faults = faults
    change(&scenario)
    return scenario
  }
  static func hbar(_ count: Int64) -> Amount { Amount(tinybars: count * Amount.tinybarsPerHbar) ?? .zero }

  static func tell(_ scenario: Scenario, workers: Int = 1, schedule: Schedule = .inOrder) throws -> RunRecord {
    try Rehearsal(scenario, folder: ".", fashionFolder: "", workers: workers, schedule: schedule).run()
  }
}

@Suite struct StoryTests {
  @Test func `one seed gives one digest for any number of workers`() throws {
    let faults = [Fault(.crash(Selector(["trainer-*"]), keepsMemory: true), at: .seconds(30), lasts: .seconds(40))]
    let records = try [0, 1, 2, 3].map { try Stories.tell(Stories.scenario(faults: faults), workers: $0) }
    #expect(Set(records.map(\.digest)).count == 1)
    #expect(Set(records.map(\.weightsDigest)).count == 1)
    #expect(records[0].isDelivered && records[0].invariantsBroken.isEmpty)
  }

  @Test func `another seed gives another run; the same job's seed gives the same weights`() throws {
    let base = try Stories.tell(Stories.scenario())
    let other = try Stories.tell(Stories.scenario { $0.seed = 8 })
    let mixed = try Stories.tell(
      Stories.scenario {
        $0.seed = 8
        $0.jobSeed = 7
      })
    #expect(base.digest != other.digest && base.weightsDigest != other.weightsDigest)
    #expect(base.digest != mixed.digest && base.weightsDigest == mixed.weightsDigest)
    #expect(base.numericDigest == mixed.numericDigest)
  }

  static let troubles: [(String, [Fault])] = [
    ("churn", [churn(30), churn(55)]),
    (
      "lost memory",
      [Fault(.crash(Selector(["laptop-1", "laptop-2"]), keepsMemory: false), at: .seconds(31), lasts: .seconds(30))]
    ),
    ("pause", [Fault(.pause(Selector(["laptop-*"])), at: .seconds(32), lasts: .seconds(50))]),
    (
      "partition",
      [Fault(.partition(Selector(["laptop-1", "laptop-3", "auditor-1"])), at: .seconds(25), lasts: .seconds(60))]
    ),
    ("cut-off coordinator", [Fault(.partition(Selector(["coordinator"])), at: .seconds(35), lasts: .seconds(45))]),
    (
      "coordinator crash",
      [Fault(.crash(Selector(["coordinator"]), keepsMemory: true), at: .seconds(40), lasts: .seconds(20))]
    ),
    (
      "auditor crash",
      [Fault(.crash(Selector(["auditor-*"]), keepsMemory: true), at: .seconds(35), lasts: .seconds(60))]
    ),
    ("ledger stall", [Fault(.stallLedger, at: .seconds(30), lasts: .seconds(90))]),
    ("store outage", [Fault(.stopStore, at: .seconds(30), lasts: .seconds(60))]),
    ("slow store", [Fault(.slowStore(by: 5_000), at: .seconds(20), lasts: .seconds(60))]),
    ("bootstrap gone", [Fault(.crash(Selector(["bootstrap-1"]), keepsMemory: true), at: .seconds(6))]),
  ]
  static func churn(_ at: Int64) -> Fault {
    var fault = Fault(.crash(Selector(["trainer-*"]), keepsMemory: true), at: .seconds(at), lasts: .seconds(25))
    fault.share = 0.4
    return fault
  }

  @Test(arguments: troubles.map(\.0)) func `faults cost time and money, never bits`(_ trouble: String) throws {
    let faults = Self.troubles.first { $0.0 == trouble }?.1 ?? []
    let calm = try Stories.tell(Stories.scenario())
    let rough = try Stories.tell(Stories.scenario(faults: faults))
    #expect(rough.isDelivered, "\(rough.stopReason)")
    #expect(rough.weightsDigest == calm.weightsDigest)
    #expect(rough.rounds.map(\.checkpoint) == calm.rounds.map(\.checkpoint))
    #expect(rough.invariantsBroken == [])
    #expect(rough.digest != calm.digest || trouble == "bootstrap gone")
  }

  @Test func `a coordinator that crashes at any moment goes on where it was`() throws {
    let calm = try Stories.tell(Stories.scenario(rounds: 3))
    for second in stride(from: 3, through: 190, by: 7) {
      let crash = Fault(
        .crash(Selector(["coordinator"]), keepsMemory: true), at: .seconds(Int64(second)), lasts: .seconds(11))
      let record = try Stories.tell(Stories.scenario(rounds: 3, faults: [crash]))
      #expect(
        record.isDelivered && record.weightsDigest == calm.weightsDigest, "crash at \(second) s: \(record.stopReason)")
      #expect(record.invariantsBroken == [], "crash at \(second) s")
    }
  }

  @Test func `a permuted schedule changes the run and not the weights`() throws {
    let calm = try Stories.tell(Stories.scenario())
    for seed in 0..<10 {
      let record = try Stories.tell(
        Stories.scenario {
          $0.seed = UInt64(seed)
          $0.jobSeed = 7
        }, schedule: .permuted)
      #expect(record.isDelivered && record.weightsDigest == calm.weightsDigest && record.invariantsBroken == [])
    }
  }

  @Test func `over a hundred seeds liars are caught and nobody honest is slashed`() throws {
    var caught = 0
    var honest = 0
    for seed in 0..<100 {
      let record = try Stories.tell(
        Stories.scenario(
          rounds: 3, trainers: 5,
          faults: [Fault(.liar(Selector(["laptop-2"]), .noise)), Fault(.liar(Selector(["laptop-4"]), .skip))]
        ) { scenario in
          scenario.seed = UInt64(seed)
          scenario.job.data = .blobs(samples: 150, features: 4, classes: 3)
          scenario.job.partition = .dirichlet(alpha: 0.5, least: 2)
          // Everybody gets work, so that every lie is told.
          scenario.job.chunks = 10
          scenario.job.perRound = 10
          // Dearer ones stand by for what the liars lose.
          var servers = TrainerClass()
          servers.name = "server"
          servers.count = 2
          servers.slots = 10
          servers.price = Stories.hbar(2)...Stories.hbar(2)
          scenario.peers.trainers[0].price = Stories.hbar(1)...Stories.hbar(1)
          scenario.peers.trainers.append(servers)
          scenario.expectations = [.liarsCaught(nil), .honestSlashed(atMost: 0)]
        })
      #expect(record.isDelivered && record.invariantsBroken == [], "seed \(seed)")
      if record.expectations[0].held { caught += 1 }
      if !record.expectations[1].held { honest += 1 }
    }
    #expect(caught >= 95, "\(caught) of 100")
    #expect(honest == 0)
  }

  @Test func `a lie changes nothing in the weights where everything is audited`() throws {
    let calm = try Stories.tell(Stories.scenario())
    let lied = try Stories.tell(
      Stories.scenario(faults: [Fault(.liar(Selector(["laptop-2"]), .skip))]) { $0.job.auditRate = 1 })
    #expect(lied.weightsDigest == calm.weightsDigest)
  }

  @Test func `stop rules end a job, and a cancelled or deserted one is settled to the tinybar`() throws {
    let target = try Stories.tell(Stories.scenario(rounds: 30) { $0.job.target = 0.5 })
    #expect(target.stopReason == "target" && target.isDelivered && target.rounds.count < 30)
    let patience = try Stories.tell(
      Stories.scenario(rounds: 40) {
        $0.job.patience = 2
        $0.job.deliversBest = true
      })
    #expect(patience.stopReason == "patience" && patience.isDelivered)
    #expect(patience.accuracy == patience.rounds.compactMap(\.accuracy).max())
    let cancelled = try Stories.tell(Stories.scenario(rounds: 30, faults: [Fault(.cancelJob, at: .seconds(70))]))
    #expect(cancelled.stopReason == "cancelled" && cancelled.isDelivered && cancelled.invariantsBroken == [])
    let deserted = try Stories.tell(
      Stories.scenario(
        rounds: 30, faults: [Fault(.crash(Selector(["trainer-*"]), keepsMemory: false), at: .seconds(60))]
      ) {
        $0.job.deadline = .seconds(600)
      })
    #expect(deserted.stopReason == "unplaced" && deserted.isDelivered && deserted.invariantsBroken == [])
  }

  @Test func `an owner that cancels is heard when the coordinator is back, and by the ledger if it never answers`()
    throws
  {
    let cancelled = Fault(.cancelJob, at: .seconds(70))
    for trouble in [
      Fault(.crash(Selector(["coordinator"]), keepsMemory: true), at: .seconds(60), lasts: .seconds(50)),
      Fault(.partition(Selector(["owner"])), at: .seconds(65), lasts: .seconds(45)),
      Fault(.crash(Selector(["owner"]), keepsMemory: true), at: .seconds(72), lasts: .seconds(30)),
    ] {
      let record = try Stories.tell(Stories.scenario(rounds: 40, faults: [trouble, cancelled]))
      #expect(
        record.stopReason == "cancelled" && record.isDelivered && record.invariantsBroken == [], "\(trouble.what)")
    }
    let gone = Fault(.crash(Selector(["coordinator"]), keepsMemory: true), at: .seconds(60))
    let rehearsal = try Rehearsal(
      Stories.scenario(rounds: 40, faults: [gone, cancelled]) { $0.timeLimit = .seconds(1_800) }, folder: ".",
      fashionFolder: "", workers: 1)
    let record = rehearsal.run()
    let job = try #require(rehearsal.world.ledger.state.jobs.values.first)
    #expect(job.isClosed && job.isRefunded && record.invariantsBroken == [])
  }

  static let strokes: [(String, Fault.What)] = [
    ("coordinator cut off", .partition(Selector(["coordinator"]))),
    ("owner cut off", .partition(Selector(["owner"]))),
    ("trainers cut off", .partition(Selector(["trainer-*"]))),
    ("trainers crash", .crash(Selector(["trainer-*"]), keepsMemory: true)),
    ("trainers lose their memory", .crash(Selector(["laptop-1", "laptop-4"]), keepsMemory: false)),
    ("owner loses its memory", .crash(Selector(["owner"]), keepsMemory: false)),
    ("bootstrap loses its memory", .crash(Selector(["bootstrap-1"]), keepsMemory: false)),
    ("trainers stand still", .pause(Selector(["trainer-*"]))),
    ("store stops", .stopStore), ("ledger stalls", .stallLedger),
  ]

  @Test(arguments: strokes.map(\.0)) func `a fault that ends lets the job end, whenever it began`(_ name: String) throws
  {
    let what = try #require(Self.strokes.first { $0.0 == name }).1
    let calm = try Stories.tell(Stories.scenario(rounds: 3))
    for (at, lasts) in [(1, 20), (8, 20), (18, 60), (22, 60), (28, 200), (55, 200), (5, 900)] {
      let fault = Fault(what, at: .seconds(at), lasts: .seconds(lasts))
      let record = try Stories.tell(Stories.scenario(rounds: 3, faults: [fault]))
      #expect(record.isDelivered && record.weightsDigest == calm.weightsDigest, "at \(at) s for \(lasts) s")
      #expect(record.invariantsBroken == [] && record.payments.isEmpty == false, "at \(at) s for \(lasts) s")
    }
  }

  @Test func `nobody is paid for an update that a drawn audit has not found right`() throws {
    let liars = Fault(.liar(Selector(["trainer-*"]), .skip))
    for second in stride(from: 26, through: 60, by: 3) {
      let record = try Stories.tell(
        Stories.scenario(rounds: 30, faults: [liars, Fault(.cancelJob, at: .seconds(second))]))
      #expect(!record.payments.contains { $0.why == "accepted updates" }, "cancelled at \(second) s")
      #expect(record.invariantsBroken == [])
    }
    // With one auditor nobody could rule, so that nobody is slashed; but a lie is neither used nor paid.
    let calm = try Stories.tell(Stories.scenario())
    let lied = try Stories.tell(
      Stories.scenario(trainers: 8, faults: [Fault(.liar(Selector(["laptop-2"]), .noise))]) {
        $0.peers.auditors = 1
        $0.job.auditRate = 1
      })
    #expect(lied.isDelivered && lied.weightsDigest == calm.weightsDigest && lied.invariantsBroken == [])
  }

  @Test func `a class without trainers is a class of none`() throws {
    let record = try Stories.tell(
      Stories.scenario { scenario in
        var none = TrainerClass()
        none.name = "nobody"
        none.count = 0
        scenario.peers.trainers.append(none)
      })
    #expect(record.isDelivered)
  }

  @Test func `a job resumed from a checkpoint ends as if it had never stopped`() throws {
    let whole = try Stories.tell(Stories.scenario(rounds: 6))
    let half = try Rehearsal(Stories.scenario(rounds: 3), folder: ".", fashionFolder: "", workers: 1)
    let first = half.run()
    let weights = try #require(half.deliveredWeights)
    let path = "/tmp/peermill-resume-\(first.digest.prefix(12)).safetensors"
    try #require(writeFile(path, weights))
    defer { removeFile(path) }
    let rest = try Stories.tell(Stories.scenario(rounds: 6) { $0.job.resume = .init(checkpoint: path, round: 3) })
    #expect(rest.rounds.map(\.checkpoint) == Array(whole.rounds.map(\.checkpoint).dropFirst(3)))
    #expect(rest.weightsDigest == whole.weightsDigest)
  }

  @Test func `what is explained comes from the journal, and a replay finds the first difference`() throws {
    let scenario = Stories.scenario(trainers: 4, faults: [Fault(.liar(Selector(["laptop-2"]), .noise))]) {
      $0.job.perRound = 8
    }
    let rehearsal = try Rehearsal(scenario, folder: ".", fashionFolder: "", workers: 1)
    let record = rehearsal.run()
    let journal = try #require(rehearsal.journals.first { $0.name == "coordinator" }).bytes
    let told = try Explanation(world: rehearsal.world, journal: journal)
    #expect(told.lines(about: "laptop-2").contains { $0.contains("slashed") })
    let paid = record.payments.filter { $0.why == "accepted updates" }.count
    #expect(told.lines(about: nil).filter { $0.contains("was paid") && $0.contains("update") }.count == paid)
  }
}

import Runtime
import Testing

@testable import Simulator

@Suite struct ScenarioFileTests {
  static let good = """
    peermill: 1
    story: A small job.
    seed: 7
    job:
      name: small
      data: { blobs: { samples: 300, features: 8, classes: 3 } }
      split: { chunks: 6, by: iid }
      model: softmax
      train: { rate: 0.1, batch: 16 }
      rounds: 2
      per-round: 3
      market: { budget: 200 hbar, ceiling: 2 hbar }
    peers:
      trainers:
        - { class: laptop, count: 4, price: 1 hbar..2 hbar, link: { up: 10 Mbit/s } }
    faults:
      - { at: 40s, crash: laptop-*, share: 25%, for: 1m }
      - { liar: laptop-2, does: noise }
    expect:
      - { delivered: yes, within: 1h }
    """

  @Test func `a good file is read`() throws {
    let scenario = try Scenario.decode(Self.good, file: "s.yaml")
    #expect(scenario.seed == 7 && scenario.job.chunks == 6 && scenario.faults.count == 2)
    #expect(scenario.peers.trainers[0].link.up == 1_250_000)
    #expect(scenario.faults[0].lasts == .seconds(60) && scenario.faults[0].share == 0.25)
  }

  @Test(arguments: [
    (
      "budget: 200 hbar", "budjet: 200 hbar",
      "s.yaml:12:13: 'budjet' is not a word of job.market; did you mean 'budget'?"
    ),
    ("budget: 200 hbar", "budget: -5 hbar", "s.yaml:12:21: job.market.budget must be money"),
    ("budget: 200 hbar", "budget: 200", "job.market.budget must be money"),
    ("count: 4", "count: 0", "has no trainers"),
    ("40s", "40", "faults.at must be a time"),
    ("40s", "40 parsecs", "faults.at must be a time"),
    ("laptop-*", "desktop-*", "'desktop-*' selects no peer"),
    ("does: noise", "does: magic", "one of noise, skip"),
    ("per-round: 3", "per-round: 9", "there are 6 chunks"),
    ("model: softmax", "model: transformer", "job.model must be softmax"),
    ("peermill: 1", "peermill: 2", "a whole number from 1 to 1"),
    ("rate: 0.1", "rate: fast", "job.train.rate must be a number"),
    ("story: A small job.", "", "lacks 'story'"),
    ("delivered: yes", "deliverd: yes", "an expectation is one of"),
    ("seed: 7", "seed: 7\nseed: 8", "twice"),
    ("delivered: yes, within: 1h", "rounds: \">= nan\"", "expect.rounds must be '>= 10', not '>= nan'"),
    ("delivered: yes, within: 1h", "rounds: \">= 1e300\"", "expect.rounds must be '>= 10'"),
    ("delivered: yes, within: 1h", "accuracy: \">= nan\"", "expect.accuracy must be '>= 0.80'"),
    ("delivered: yes, within: 1h", "liars-caught: -5", "expect.liars-caught must be 'all' or a number"),
    ("delivered: yes, within: 1h", "delivered: no", "expected to be 'delivered: yes'"),
    ("link: { up: 10 Mbit/s }", "link: { latency: 366d }", "at most 1h, not '366d'"),
    ("rounds: 2", "rounds: [2", "this is not YAML"),
    ("class: laptop", "class: \"<b>\"", "a class is named by small letters"),
  ])
  func `a mistake is one line with file, line and word`(_ old: String, _ new: String, _ words: String) {
    do {
      _ = try Scenario.decode(Self.good.replacing(old, with: new), file: "s.yaml")
      Issue.record("it was read")
    } catch {
      #expect("\(error)".contains(words), "\(error)")
      #expect(!"\(error)".contains("\n") && "\(error)".hasPrefix("s.yaml"))
    }
  }

  @Test func `what is not there is one line`() {
    #expect(throws: ScenarioError.self) { try Scenario.load(path: "/no/such/file.yaml") }
    #expect(throws: ScenarioError.self) { try Scenario.load(path: "/") }
  }

  @Test func `mutations of a file never trap`() {
    var stream = Seed(1).stream
    let bytes = Array(Self.good.utf8)
    for _ in 0..<3_000 {
      var mutated = bytes
      for _ in 0...stream.below(4) {
        switch stream.below(3) {
        case 0: mutated[stream.below(mutated.count)] = UInt8(32 + stream.below(95))
        case 1: mutated.remove(at: stream.below(mutated.count))
        default: mutated.insert(UInt8(32 + stream.below(95)), at: stream.below(mutated.count))
        }
      }
      _ = try? Scenario.decode(String(decoding: mutated, as: UTF8.self), file: "s.yaml")
    }
  }

  @Test func `what cannot work is refused before anything runs`() throws {
    func refusal(_ change: (inout Scenario) -> Void) -> String {
      do {
        _ = try Rehearsal(
          Stories.scenario(change: change), folder: checkout + "/Tests", fashionFolder: "/nowhere", workers: 0)
        return "nothing was wrong"
      } catch { return "\(error)" }
    }
    #expect(refusal { $0.ledger.funds = Stories.hbar(50_000_000_000) }.contains("more than all the money there is"))
    #expect(refusal { $0.job.budget = Stories.hbar(5) }.contains("a budget of 5 hbar is too small"))
    #expect(refusal { $0.job.data = .fashionMNIST(train: 10, test: 10) }.contains("dataset-fashion-mnist"))
    #expect(refusal { $0.job.layers = .named("cnn") }.contains("not images"))
    #expect(refusal { $0.job.chunks = 5_000 }.contains("cannot be cut into 5000 chunks"))
    #expect(refusal { $0.job.layers = .listed([.dense(2)]) }.contains("2 outputs for 3 classes"))
    #expect(
      refusal { $0.job.data = .csv(path: "nothing.csv", label: "y", choice: .classes) }.contains(
        "is not there"))
  }

  @Test func `every scenario of the house is in order`() throws {
    for name in [
      "small", "quickstart", "thousand", "vanish", "coordinator-crash", "partition", "liars", "ledger-stall",
      "store-outage", "deserted", "cancelled",
    ] {
      let scenario = try Scenario.load(path: checkout + "/Scenarios/\(name).yaml")
      #expect(!scenario.story.isEmpty && !scenario.expectations.isEmpty)
    }
  }

  @Test func `a report shows what strangers wrote as text`() throws {
    var record = try Stories.tell(Stories.scenario(rounds: 2))
    record.story = "<script>alert(1)</script>"
    record.peers[0].name = "\"><img src=x>"
    let page = HTMLReport(record).page()
    #expect(!page.contains("<script>alert") && !page.contains("<img"))
    #expect(page.contains("&lt;script&gt;"))
    record.rounds = []
    record.money = []
    record.peersUp = [RunRecord.Point(at: 0, values: [.nan])]
    #expect(HTMLReport(record).page().contains("nothing to draw"))
    for table in RunFiles(record).tables { #expect(table.text.contains("\n")) }
    #expect(try RunFiles(record).summary().hasPrefix("{\"accuracy\""))
  }
}

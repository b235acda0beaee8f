import Actors
import Chain
import Learn
import Runtime
import Transport

/// A story: a job, peers, a network, a ledger, a store, faults, and what is expected of it.
public struct Scenario: Sendable, Equatable {
  public var name = ""
  public var file = ""
  public var story = ""
  public var seed: UInt64 = 1
  public var jobSeed: UInt64?
  public var job = JobPart()
  public var peers = PeersPart()
  public var ledger = LedgerPart()
  public var store = StorePart()
  public var faults: [Fault] = []
  public var expectations: [Expectation] = []
  /// Virtual time after which a run is given up.
  public var timeLimit = Duration.seconds(6 * 3_600)
  public init() {}
}

public struct JobPart: Sendable, Equatable {
  public enum Data: Sendable, Equatable {
    case fashionMNIST(train: Int, test: Int)
    case csv(path: String, label: String, choice: TargetChoice)
    case idx(images: String, labels: String, testImages: String, testLabels: String)
    case blobs(samples: Int, features: Int, classes: Int)
    case npz(path: String, options: ArrayOptions)
    case npy(features: String, targets: String, options: ArrayOptions)
    case safetensors(path: String, options: ArrayOptions)
    case text(path: String, window: Int, vocabulary: TextFile.Vocabulary)
    case images(folder: String, colour: ImageFolder.Colour)
  }
  public enum Layers: Sendable, Equatable {
    /// One word: softmax, mlp, cnn.
    case named(String)
    case listed([Layer])
    case file(ModelFile)
  }
  /// A model that somebody exported.
  public struct ModelFile: Sendable, Equatable {
    public var path: String
    public var loss = Loss.crossEntropy
    /// The prediction's tensor; empty for the first output of floats.
    public var output = ""
    /// Sizes of a sample that the file leaves open.
    public var input: [Int] = []
    public var normsAreFixed = false
    public var hasNoDropout = false
    public var frozen: [String] = []
    public init(path: String) { self.path = path }
  }
  public var name = "job"
  public var data = Data.blobs(samples: 1_000, features: 16, classes: 4)
  /// Rows that nobody trains on, where the data have none of their own for the test.
  public var testShare = 0.2
  public var scaling = Normalisation.Scaling.none
  public var chunks = 10
  public var partition = Partition.iid
  public var layers = Layers.named("softmax")
  public var arithmetic = Arithmetic.reproducible
  public var recipe = TrainingRecipe(learningRate: 0.05, batch: 32)
  public var rounds = 10
  public var perRound = 5
  public var roundsPerLease: Int?
  public var target: Double?
  public var patience = 0
  public var deadline = Duration.seconds(4 * 3_600)
  public var deliversBest = false
  public var auditRate = 0.1
  /// The rate where the file names one.
  var statedAuditRate: Double?
  public var newcomerAudits = 1
  public var isAuction = true
  public var budget = Amount.zero
  public var ceiling = Amount.zero
  public var stake = Amount.zero
  public var bond = Amount.zero
  public var auditFee = Amount.zero
  public var offerWindow = Duration.seconds(10)
  public var challengeWindow = Duration.seconds(60)
  public var clip = 1_000.0
  public var resume: Resume?
  public struct Resume: Sendable, Equatable {
    public var checkpoint: String
    public var round: Int
  }
  public init() {}
}

public struct PeersPart: Sendable, Equatable {
  public var bootstraps = 1
  public var auditors = 2
  public var auditorFlops = 200e9
  public var auditorLink = LinkPart.server
  public var coordinatorFlops = 400e9
  /// Bytes per second that it hashes, seals and opens.
  public var coordinatorSealing = 1e9
  public var coordinatorLink = LinkPart.server
  public var trainers: [TrainerClass] = []
  public init() {}
}

public struct LinkPart: Sendable, Equatable {
  public var latency: Duration
  public var jitter: Duration
  /// Bytes per second.
  public var up: Int
  public var down: Int
  public var loss: Double
  public init(latency: Duration, jitter: Duration, up: Int, down: Int, loss: Double) {
    self.latency = latency
    self.jitter = jitter
    self.up = up
    self.down = down
    self.loss = loss
  }
  public static let server = LinkPart(
    latency: .milliseconds(10), jitter: .milliseconds(2), up: 125_000_000, down: 125_000_000, loss: 0)
  public static let home = LinkPart(
    latency: .milliseconds(25), jitter: .milliseconds(10), up: 2_500_000, down: 12_500_000, loss: 0)
}

public struct TrainerClass: Sendable, Equatable {
  public var name = "trainer"
  public var count = 1
  public var flops = 100e9
  /// Bytes per second that it hashes, seals and opens.
  public var sealing = 1e9
  public var memory = 8 << 30
  public var slots = 1
  /// Clean audits known from earlier jobs.
  public var standing = 0
  public var price = Amount.zero...Amount.zero
  public var arrive = Duration.zero...Duration.seconds(2)
  public var skew = Duration.zero...Duration.zero
  public var link = LinkPart.home
  public init() {}
}

public struct LedgerPart: Sendable, Equatable {
  public var delay = Duration.seconds(3)...Duration.seconds(5)
  /// In every wallet at the beginning; the owner's holds its budget besides.
  public var funds = Amount(tinybars: 1_000 * Amount.tinybarsPerHbar) ?? .zero
  public init() {}
}

public struct StorePart: Sendable, Equatable {
  public var latency = Duration.milliseconds(15)
  /// Bytes per second.
  public var rate = 125_000_000
  public var urlLife = Duration.seconds(600)
  public init() {}
}

/// Something that goes wrong, in the story's words.
public struct Fault: Sendable, Equatable {
  public enum What: Sendable, Equatable {
    case crash(Selector, keepsMemory: Bool)
    case pause(Selector)
    case partition(Selector)
    case slowStore(by: Double)
    case stopStore
    case stallLedger
    case cancelJob
    case liar(Selector, Lie)
  }
  public var what: What
  public var at = Duration.zero
  /// Nil: for ever.
  public var lasts: Duration?
  public var every: Duration?
  public var until: Duration?
  /// Of those selected, each time.
  public var share = 1.0
  public init(_ what: What, at: Duration = .zero, lasts: Duration? = nil) {
    self.what = what
    self.at = at
    self.lasts = lasts
  }
}

public enum Lie: String, Sendable, CaseIterable {
  /// Returns random weights near the global ones.
  case noise
  /// Returns the global weights as they were.
  case skip
}

/// Which peers: names with `*` for any run of characters; `trainer-*` is every trainer of any class.
public struct Selector: Sendable, Equatable {
  public var patterns: [String]
  public init(_ patterns: [String]) { self.patterns = patterns }

  public func matches(_ name: String, isTrainer: Bool) -> Bool {
    patterns.contains { pattern in
      (isTrainer && pattern == "trainer-*") || Self.glob(Array(pattern.utf8)[...], Array(name.utf8)[...])
    }
  }
  private static func glob(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
    guard let first = pattern.first else { return text.isEmpty }
    if first == UInt8(ascii: "*") {
      var rest = text
      while true {
        if glob(pattern.dropFirst(), rest) { return true }
        if rest.isEmpty { return false }
        rest = rest.dropFirst()
      }
    }
    return text.first == first && glob(pattern.dropFirst(), text.dropFirst())
  }
}

/// What must have happened by the end.
public enum Expectation: Sendable, Equatable {
  case delivered(within: Duration?)
  case accuracy(atLeast: Double)
  case liarsCaught(Int?)
  case honestSlashed(atMost: Int)
  case rounds(atLeast: Int)
  case stopped(StopReason)
  case paid(atLeast: Amount)
}

import Actors
import Chain
import Foundation
import Learn
import Runtime
import Yams

extension Scenario {
  public static let fileLimit = 1 << 20

  /// Reads a story from its file.
  ///
  /// - Throws: `ScenarioError`, one line with file, line, column and word.
  public static func load(path: String) throws(ScenarioError) -> Scenario {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw ScenarioError(file: path, message: "there is no such file")
    }
    guard !isFolder.boolValue, let data = FileManager.default.contents(atPath: path) else {
      throw ScenarioError(file: path, message: "this is a folder, or cannot be read; a scenario is a YAML file")
    }
    guard data.count <= fileLimit, let text = String(validating: data, as: UTF8.self) else {
      throw ScenarioError(file: path, message: "this is larger than 1 MiB, or is not UTF-8")
    }
    return try decode(text, file: path)
  }

  public static func decode(_ text: String, file: String) throws(ScenarioError) -> Scenario {
    let root: Node
    do {
      guard let node = try Yams.compose(yaml: text) else { throw ScenarioError(file: file, message: "this is empty") }
      root = node
    } catch let error as ScenarioError {
      throw error
    } catch let error as YamlError {
      throw yamlError(error, file)
    } catch {
      throw ScenarioError(file: file, message: "this is not YAML: \(error)")
    }
    var reader = try Reader(root, file: file, place: Reader.root)
    guard try reader.count("peermill", 0...1_000) != nil else { throw reader.lacks("peermill", ": its version, 1") }
    guard try reader.count("peermill", 1...1) != nil else { throw reader.error("peermill") }
    var scenario = Scenario()
    scenario.file = file
    scenario.name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
    guard let story = try reader.text("story") else { throw reader.lacks("story") }
    scenario.story = story
    scenario.seed = UInt64(try reader.count("seed", 0...Int.max) ?? 1)
    guard var job = try reader.reader("job") else { throw reader.lacks("job") }
    scenario.job = try JobPart(&job, seed: &scenario.jobSeed)
    guard var peers = try reader.reader("peers") else { throw reader.lacks("peers") }
    scenario.peers = try PeersPart(&peers)
    if scenario.peers.auditors == 0 {
      if let stated = scenario.job.statedAuditRate, stated > 0 {
        throw peers.error(
          at: "auditors", "job.audit.rate is \(stated), and there are no auditors; set one of them otherwise")
      }
      scenario.job.auditRate = 0
    }
    if var ledger = try reader.reader("ledger") { scenario.ledger = try LedgerPart(&ledger) }
    if var store = try reader.reader("store") { scenario.store = try StorePart(&store) }
    if var limits = try reader.reader("limits") {
      scenario.timeLimit = try limits.duration("time") ?? scenario.timeLimit
      try limits.finish()
    }
    let names = scenario.peers.names
    for node in try reader.list("faults") ?? [] {
      var fault = try Reader(node, file: file, place: "faults")
      scenario.faults.append(try Fault(&fault, names: names))
    }
    for node in try reader.list("expect") ?? [] {
      var expectation = try Reader(node, file: file, place: "expect")
      scenario.expectations.append(try Expectation(&expectation))
    }
    try reader.finish()
    return scenario
  }

  private static func yamlError(_ error: YamlError, _ file: String) -> ScenarioError {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      return ScenarioError(file: file, line: mark.line, column: mark.column, message: "this is not YAML: \(problem)")
    case .duplicatedKeysInMapping(let keys, let context):
      return ScenarioError(
        file: file, line: context.mark.line, column: context.mark.column,
        message: "'\(keys.map { "\($0)" }.sorted().joined(separator: "', '"))' stands twice in one mapping")
    default: return ScenarioError(file: file, message: "this is not YAML that can be read: \(error)")
    }
  }
}

extension JobPart {
  init(_ reader: inout Reader, seed: inout UInt64?) throws(ScenarioError) {
    self.init()
    name = try reader.text("name") ?? name
    seed = try reader.count("seed", 0...Int.max).map(UInt64.init)
    guard var dataReader = try reader.reader("data") else { throw reader.lacks("data") }
    try readData(&dataReader)
    if var split = try reader.reader("split") {
      chunks = try split.count("chunks", 1...Job.chunkLimit) ?? chunks
      enum By: String, CaseIterable { case iid, dirichlet }
      switch try split.choice("by", By.self) ?? .iid {
      case .iid: partition = .iid
      case .dirichlet:
        partition = .dirichlet(
          alpha: try split.number("alpha", 0.001...1_000_000) ?? 0.5,
          least: try split.count("least", 1...1_000_000) ?? 1)
      }
      try split.finish()
    }
    layers = try Self.layers(&reader)
    if var train = try reader.reader("train") {
      recipe.epochs = try train.count("epochs", 1...1_000) ?? 1
      recipe.batch = try train.count("batch", 1...4_096) ?? 32
      recipe.learningRate = try train.number("rate", 1e-9...1_000) ?? 0.05
      recipe.shuffle = try train.flag("shuffle") ?? true
      try readOptimizer(&train)
      try train.finish()
    }
    rounds = try reader.count("rounds", 1...Job.roundLimit) ?? rounds
    perRound = try reader.count("per-round", 1...Job.chunkLimit) ?? min(perRound, chunks)
    guard perRound <= chunks else {
      throw reader.error(at: "per-round", "job.per-round is \(perRound), and there are \(chunks) chunks")
    }
    let drawLimit = 20_000_000
    guard rounds * perRound <= drawLimit else {
      throw reader.error(
        at: "rounds", "\(rounds) rounds of \(perRound) chunks are \(rounds * perRound) updates; at most \(drawLimit)")
    }
    roundsPerLease = try reader.count("rounds-per-lease", 1...Job.roundLimit)
    if var stop = try reader.reader("stop") {
      target = try stop.share("target")
      patience = try stop.count("patience", 0...Job.roundLimit) ?? 0
      deadline = try stop.duration("deadline", hours: 29 * 24) ?? deadline
      guard deadline >= .seconds(60) else { throw stop.error(at: "deadline", "job.stop.deadline must be at least 1m") }
      try stop.finish()
    }
    enum Which: String, CaseIterable { case last, best }
    deliversBest = try reader.choice("deliver", Which.self) == .best
    if var resume = try reader.reader("resume") {
      guard let path = try resume.text("checkpoint") else { throw resume.lacks("checkpoint") }
      self.resume = Resume(checkpoint: path, round: try resume.count("round", 0...Job.roundLimit) ?? 0)
      try resume.finish()
    }
    if var audit = try reader.reader("audit") {
      statedAuditRate = try audit.share("rate")
      auditRate = statedAuditRate ?? auditRate
      newcomerAudits = try audit.count("newcomers", 0...1_000) ?? newcomerAudits
      try audit.finish()
    }
    clip = try reader.number("clip", 1e-6...30_000) ?? clip
    guard var market = try reader.reader("market") else { throw reader.lacks("market") }
    try readMarket(&market)
    try reader.finish()
  }

  private mutating func readOptimizer(_ train: inout Reader) throws(ScenarioError) {
    enum Which: String, CaseIterable { case sgd, adam, adamw }
    switch try train.choice("optimizer", Which.self) ?? .sgd {
    case .sgd: recipe.optimizer.kind = .sgd
    case .adam: recipe.optimizer.kind = .adam
    case .adamw: recipe.optimizer.kind = .adamW
    }
    recipe.optimizer.momentum = try train.number("momentum", 0...0.9999) ?? 0
    recipe.optimizer.isNesterov = try train.flag("nesterov") ?? false
    recipe.optimizer.weightDecay = try train.number("weight-decay", 0...1_000) ?? 0
    recipe.optimizer.beta1 = try train.number("beta1", 0...0.999999) ?? 0.9
    recipe.optimizer.beta2 = try train.number("beta2", 0...0.9999999) ?? 0.999
    recipe.optimizer.epsilon = try train.number("epsilon", 1e-30...1) ?? 1e-8
    recipe.optimizer.clipNorm = try train.number("clip-norm", 0...1_000_000) ?? 0
    recipe.optimizer.proximal = try train.number("proximal", 0...1_000) ?? 0
    enum Order: String, CaseIterable { case reproducible, blas }
    arithmetic = try train.choice("arithmetic", Order.self) == .blas ? .blas : .reproducible
    enum Storage: String, CaseIterable { case float32, float16, bfloat16 }
    switch try train.choice("storage", Storage.self) ?? .float32 {
    case .float32: recipe.storage = .float32
    case .float16: recipe.storage = .float16
    case .bfloat16: recipe.storage = .bfloat16
    }
    recipe.trail = try train.count("trail", 0...1_000_000) ?? 0
    if var schedule = try train.reader("schedule") {
      enum By: String, CaseIterable { case constant, step, cosine, linear }
      switch try schedule.choice("by", By.self) ?? .constant {
      case .constant: recipe.schedule.kind = .constant
      case .step: recipe.schedule.kind = .step
      case .cosine: recipe.schedule.kind = .cosine
      case .linear: recipe.schedule.kind = .linear
      }
      recipe.schedule.warmup = try schedule.count("warmup", 0...100_000) ?? 0
      if recipe.schedule.kind == .step {
        recipe.schedule.every = try schedule.count("every", 1...100_000) ?? 1
        recipe.schedule.factor = try schedule.number("factor", 0.000001...1) ?? 0.1
      } else if recipe.schedule.kind != .constant {
        recipe.schedule.floor = try schedule.number("floor", 0...1) ?? 0
      }
      try schedule.finish()
    }
  }

  private mutating func readMarket(_ market: inout Reader) throws(ScenarioError) {
    enum Mode: String, CaseIterable { case auction, posted }
    isAuction = try market.choice("mode", Mode.self) != .posted
    guard let budget = try market.amount("budget") else { throw market.lacks("budget") }
    guard let ceiling = try market.amount("ceiling"), ceiling > .zero else {
      throw market.lacks("ceiling", " above 0")
    }
    self.budget = budget
    self.ceiling = ceiling
    stake = try market.amount("stake") ?? ceiling
    bond = try market.amount("bond") ?? stake
    auditFee = try market.amount("audit-fee") ?? ceiling
    offerWindow = try market.duration("offer", hours: 24) ?? offerWindow
    challengeWindow = try market.duration("challenge") ?? challengeWindow
    guard JobTerms.windows.contains(challengeWindow), offerWindow >= .seconds(1) else {
      throw market.error("job.market: a challenge window lasts 5s to 30d, an offer at least 1s")
    }
    try market.finish()
  }

  private static func layers(_ reader: inout Reader) throws(ScenarioError) -> Layers {
    let node = try reader.need("model")
    if let word = node.scalar?.string {
      guard ["softmax", "mlp", "cnn"].contains(word) else {
        throw Reader.error(
          node, reader.file, "job.model must be softmax, mlp, cnn, a list of layers or 'onnx: FILE', not '\(word)'")
      }
      return .named(word)
    }
    if case .mapping = node {
      var file = try Reader(node, file: reader.file, place: "job.model")
      return .file(try ModelFile(&file))
    }
    guard case .sequence(let sequence) = node else {
      throw Reader.error(node, reader.file, "job.model must be softmax, mlp, cnn, a list of layers or 'onnx: FILE'")
    }
    var layers: [Layer] = []
    for item in sequence {
      if let word = item.scalar?.string {
        guard word == "relu" else {
          throw Reader.error(item, reader.file, "'\(word)' is not a layer; 'relu' stands alone")
        }
        layers.append(.relu)
        continue
      }
      var layer = try Reader(item, file: reader.file, place: "a layer")
      if let outputs = try layer.count("dense", 1...Model.sizeLimit) {
        layers.append(.dense(outputs))
      } else if let side = try layer.count("pool", 2...2) {
        _ = side
        layers.append(.maxPool)
      } else if var convolution = try layer.reader("convolution") {
        layers.append(
          .convolution(
            channels: try convolution.count("channels", 1...4_096) ?? 16,
            kernel: try convolution.count("kernel", 1...31) ?? 3))
        try convolution.finish()
      }
      try layer.finish()
    }
    return .listed(layers)
  }
}

/// The words for losses.
private enum LossWord: String, CaseIterable {
  case crossEntropy = "cross-entropy"
  case binaryLogits = "binary-logits"
  case binary, squared
  var loss: Loss {
    switch self {
    case .crossEntropy: .crossEntropy
    case .binaryLogits: .binaryLogits
    case .binary: .binaryShares
    case .squared: .squared
    }
  }
}

extension JobPart.ModelFile {
  /// The loss of this word; nil where there is none.
  public static func loss(_ word: String) -> Loss? { LossWord(rawValue: word)?.loss }

  init(_ reader: inout Reader) throws(ScenarioError) {
    guard let path = try reader.text("onnx") else { throw reader.lacks("onnx", ": the model's file") }
    self.init(path: path)
    loss = (try reader.choice("loss", LossWord.self) ?? .crossEntropy).loss
    output = try reader.text("output") ?? ""
    enum Norms: String, CaseIterable { case batch, running }
    normsAreFixed = try reader.choice("norms", Norms.self) == .running
    hasNoDropout = try reader.flag("dropout").map { !$0 } ?? false
    for node in try reader.list("input") ?? [] {
      guard let size = node.scalar.flatMap({ Int($0.string) }), size >= 1, size <= 1 << 20 else {
        throw Reader.error(node, reader.file, "job.model.input lists sizes from 1 to \(1 << 20)")
      }
      input.append(size)
    }
    for node in try reader.list("frozen") ?? [] {
      guard let name = node.scalar?.string, !name.isEmpty, name.utf8.count <= 64 else {
        throw Reader.error(node, reader.file, "job.model.frozen lists names of parameters")
      }
      frozen.append(name)
    }
    try reader.finish()
  }
}

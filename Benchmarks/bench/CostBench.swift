import ArgumentParser
import Foundation
import Glibc
import Learn
import Runtime

/// What training steps of ONNX models are told to cost, and what they cost.
struct CostBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "learn-cost",
    abstract: "Tell what training steps of ONNX models will take on this machine, and measure it.",
    discussion: """
      A file NAME.onnx may have NAME.sgd.RECIPE.json beside it, which holds its batch and its loss, and DATA.safetensors of its
      name without what follows the last dash, whose largest whole number bounds tokens.
      """)

  @Argument(help: "The models' files.") var models: [String] = []
  @Option(help: "avx512, avx2 or plain; without it the best there is.") var instructionSet: String?
  @Option(help: "Where a recipe does not say it.") var batch = 32
  @Option(help: "sgd or adam.") var optimizer = "sgd"
  @Option(help: "A profile that was saved, instead of a new one.") var profile: String?
  @Option(help: "Where to save the profile.") var save: String?
  @Flag(help: "Show each step of each model.") var steps = false
  /// Measures one model in this process and prints a line of JSON.
  @Flag(help: .hidden) var alone = false

  struct Figures: Codable {
    var microseconds: Double
    var planned: Int
    var grown: Int
    var peak: Int
  }
  struct Recipe: Decodable {
    var loss: String
    var batch: Int
    var output: String?
  }
  struct Job {
    var model: Model
    var recipe: TrainingRecipe
    var tokens: Int?
  }

  func run() throws {
    if alone { return try measureAlone() }
    var known: MachineProfile?
    if let profile {
      known = try JSONDecoder().decode(MachineProfile.self, from: try Data(contentsOf: URL(fileURLWithPath: profile)))
    }
    let began = Spent.now
    let machine = try known ?? MachineProfile.calibrate(instructionSet: instructionSet) { Own.seconds }
    print(String(format: "calibrated %@ in %.1f s", machine.instructionSet, (Spent.now - began).wall))
    if let save {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
      try encoder.encode(machine).write(to: URL(fileURLWithPath: save))
    }
    print(
      "model                 batch   expected   measured   error    planned  allocated    growth   expected    error    of all"
    )
    var errors: [Double] = []
    var memory: [Double] = []
    var wrong = 0
    for path in models {
      let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
      do {
        let job = try job(path)
        let cost = try job.model.cost(recipe: job.recipe, samples: 4 * job.recipe.batch)
        let figures = try child(path)
        let expected = cost.secondsPerStep(on: machine) * 1e6
        let error = expected / figures.microseconds - 1
        if figures.microseconds >= 50 { errors.append(error) }
        let base = figures.peak - figures.grown
        let share = Double(base + cost.peakBytes) / Double(figures.peak) - 1
        memory.append(share)
        if cost.plannedBytes != figures.planned { wrong += 1 }
        let growth = Double(cost.peakBytes) / Double(max(1, figures.grown)) - 1
        print(
          String(
            format: "%@ %4d %10.1f %10.1f %+6.1f%% %10d %10d %9d %10d %+7.1f%% %+7.1f%%",
            name.padding(toLength: 22, withPad: " ", startingAt: 0), job.recipe.batch, expected, figures.microseconds,
            error * 100, cost.plannedBytes, figures.planned, figures.grown, cost.peakBytes, growth * 100, share * 100))
        if steps { try show(job, machine) }
      } catch {
        print("\(name): \(error)")
      }
    }
    summary("seconds of models of 50 µs and more", errors)
    summary("peak of the process", memory)
    print("\(wrong) of \(memory.count) plans differ from what was allocated")
  }

  private func summary(_ name: String, _ errors: [Double]) {
    guard !errors.isEmpty else { return }
    let sizes = errors.map(abs).sorted()
    print(
      String(
        format: "%@: median error %.1f%%, worst %.1f%%, of %d", name, sizes[sizes.count / 2] * 100,
        (sizes.last ?? 0) * 100, sizes.count))
  }

  // MARK: models

  private func job(_ path: String) throws -> Job {
    let url = URL(fileURLWithPath: path)
    let stem = url.deletingPathExtension()
    var declaration = ModelDeclaration()
    declaration.graph = [UInt8](try Data(contentsOf: url))
    var size = batch
    if let data = try? Data(contentsOf: URL(fileURLWithPath: "\(stem.path).sgd.RECIPE.json")) {
      let recipe = try JSONDecoder().decode(Recipe.self, from: data)
      size = recipe.batch
      declaration.output = recipe.output ?? ""
      declaration.loss =
        switch recipe.loss {
        case "mse": .squared
        case "bce": .binaryShares
        case "bce_with_logits": .binaryLogits
        default: .crossEntropy
        }
    }
    let file = try ONNXModel(bytes: declaration.graph, named: path)
    let model = try Model(unbounded: declaration, instructionSet: instructionSet)
    var kind = Optimizer()
    if optimizer == "adam" { kind.kind = .adam }
    return Job(
      model: model, recipe: TrainingRecipe(learningRate: 1e-6, optimizer: kind, batch: size),
      tokens: try tokens(stem, file.inputs.first?.element == .int64, model))
  }
  /// The largest whole number of the data beside a model of tokens, and one more.
  private func tokens(_ stem: URL, _ takesTokens: Bool, _ model: Model) throws -> Int? {
    let name = stem.lastPathComponent
    guard let dash = name.lastIndex(of: "-") else { return takesTokens ? model.classes : nil }
    let path = stem.deletingLastPathComponent().path + "/" + name[..<dash] + ".DATA.safetensors"
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: path)),
      let input = try SafetensorsTensors([UInt8](data))["input"]?.values
    else { return takesTokens ? model.classes : nil }
    let isWhole = input.allSatisfy { $0 == $0.rounded() && $0 >= 0 } && (input.max() ?? 0) > 1
    return takesTokens || isWhole ? Int(input.max() ?? 0) + 1 : nil
  }

  // MARK: measuring

  private func child(_ path: String) throws -> Figures {
    var arguments = ["learn-cost", path, "--alone", "--batch", "\(batch)", "--optimizer", optimizer]
    if let instructionSet { arguments += ["--instruction-set", instructionSet] }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let text = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return try JSONDecoder().decode(Figures.self, from: text)
  }

  private func measureAlone() throws {
    let job = try job(models[0])
    guard let start = try job.model.fileWeights() else { throw ValidationError("\(models[0]) has no weights") }
    // Another engine warms up what every process needs once: pages of code, and the runtime's own tables.
    let rows = try RandomRows.samples(job.model, batch: job.recipe.batch, job.tokens)
    try warmUp()
    Memory.reset()
    let before = Memory.now
    let weights = try Weights(bytes: Memory.copy(start.bytes), for: job.model)
    let chunk = try Samples(bytes: Memory.copy(rows.bytes))
    let steps = try Steps(job.model, job.recipe, from: weights)
    let order = Array(0..<rows.count)
    var taken = 0
    func go() throws {
      let from = taken % 4 * job.recipe.batch
      try steps.take(chunk, order[from..<(from + job.recipe.batch)])
      taken += 1
    }
    for _ in 0..<3 { try go() }
    let trained = steps.weights()
    let grown = Memory.peak - before
    withExtendedLifetime((trained, weights, chunk, start, rows)) {}
    // The least of several stretches.
    var best = Double.infinity
    let began = Spent.now
    var rounds = 1
    while (Spent.now - began).wall < 2 {
      let at = Own.seconds
      for _ in 0..<rounds { try go() }
      let spent = Own.seconds - at
      best = min(best, spent / Double(rounds))
      // Short stretches find a moment at which nobody else uses the caches.
      if spent < 200e-6 { rounds *= 2 }
    }
    print(
      String(
        decoding: try JSONEncoder.sorted.encode(
          Figures(microseconds: best * 1e6, planned: steps.plannedBytes, grown: grown, peak: Memory.peak)),
        as: UTF8.self))
  }
  private func warmUp() throws {
    let model = try Model(ModelDeclaration(input: [8], layers: [.dense(8), .relu, .dense(2)]))
    let rows = try RandomRows.samples(model, batch: 4, nil)
    var optimizer = Optimizer()
    for kind in [Optimizer.Kind.sgd, .adam] {
      optimizer.kind = kind
      let steps = try Steps(
        model, TrainingRecipe(learningRate: 1e-3, optimizer: optimizer, batch: 4),
        from: model.initialWeights(seed: Seed(1)))
      try steps.take(rows, [0, 1, 2, 3])
      _ = steps.weights()
    }
  }

  private func show(_ job: Job, _ machine: MachineProfile) throws {
    guard let start = try job.model.fileWeights() else { return }
    let rows = try RandomRows.samples(job.model, batch: job.recipe.batch, job.tokens)
    for part in try StepTimes.of(job.model, job.recipe, from: start, rows, on: machine, now: { Own.seconds }) {
      print(String(format: "    %8.2f %8.2f  %@", part.expected * 1e6, part.measured * 1e6, part.name))
    }
  }
}

/// The time that this thread has had a core: other processes on a busy machine do not count.
enum Own {
  static var seconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// What the system says of this process.
private enum Memory {
  /// What was freed goes back to the system, and the peak begins anew.
  static func reset() {
    releaseFreedMemory()
    try? "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
  }
  /// Bytes in a place of their own.
  static func copy(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBufferPointer { Array($0) } }
  static var now: Int { figure("VmRSS:") }
  static var peak: Int { figure("VmHWM:") }
  private static func figure(_ name: String) -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
    for line in text.split(separator: "\n") where line.hasPrefix(name) {
      return (line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) } ?? 0)
        * 1_024
    }
    return 0
  }
}

extension JSONEncoder {
  fileprivate static var sorted: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return encoder
  }
}

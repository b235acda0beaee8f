import Dispatch
import Learn
import Runtime
import Synchronization

/// What a training by PyTorch came to.
public struct TorchOutcome: Sendable, Equatable {
  public var weights: Weights
  /// Mean over all samples seen, each with the weights of its moment.
  public var loss: Double
  public var steps: Int
  /// What it ran on, as PyTorch names it.
  public var device: String
  /// PyTorch's sums go in another order on every machine, so that no digest can verify them; `LooseAudit` says what can be said.
  public var isVerifiable: Bool { false }
}

/// Why a worker gave no weights.
public enum TorchError: Error, Equatable, Sendable, CustomStringConvertible {
  /// It could not be started.
  case start(String)
  /// There was no answer in time.
  case late(String)
  /// The process ended.
  case ended(String)
  /// What it said is not an answer.
  case answer(String)
  /// It says that it cannot.
  case refused(String)
  /// What it was to be asked cannot be said.
  case request(String)

  public var description: String {
    switch self {
    case .start(let words): "the torch worker: \(words)"
    case .late(let words): "the torch worker gave no answer: \(words)"
    case .ended(let words): "the torch worker ended: \(words)"
    case .answer(let words): "the torch worker's answer: \(words)"
    case .refused(let words): "the torch worker refused: \(words)"
    case .request(let words): "the torch worker's request: \(words)"
    }
  }
  fileprivate func with(_ more: String) -> TorchError {
    switch self {
    case .start(let words): .start("\(words); \(more)")
    case .late(let words): .late("\(words); \(more)")
    case .ended(let words): .ended("\(words); \(more)")
    case .answer(let words): .answer("\(words); \(more)")
    case .refused, .request: self
    }
  }
}

/// The optional engine: trains the same graph on the same rows in the same order with PyTorch, in a process of its own that
/// runs `python/peermill_torch.py`, on a GPU where there is one.
///
/// Its weights are near to those of `Model.train` and never the same bits. Dropout's masks are PyTorch's.
///
/// The process is started with the first training, and again after one that failed. Nothing that it says is believed: answers
/// have a limit of bytes and of time, weights must have this model's header and be finite. It is killed and reaped when it
/// breaks the protocol, when the task that waits for it is cancelled, and with the last reference to this worker. Trainings of
/// one worker come one after the other.
public final class TorchWorker: Sendable {
  /// How a worker runs.
  public struct Settings: Sendable {
    /// `auto`, `cpu`, `cuda`, or one of several as `cuda:1`.
    public var device = "auto"
    /// Of PyTorch on the processor; 0 for its own choice.
    public var threads = 0
    /// For one answer: a start, or a whole training of a chunk.
    public var patience = Duration.seconds(600)
    /// What the process knows of the environment, beside a plain path.
    public var environment: [String: String] = [:]
    public init() {}
  }

  private let python: String
  private let script: String
  private let settings: Settings
  private let queue = DispatchQueue(label: "peermill.torch")
  private struct State {
    var child: Child?
    var device = ""
    /// What the child trains.
    var model: Model?
  }
  private let state = Mutex(State())

  /// - Parameters:
  ///   - python: the path of the interpreter that has torch, such as a virtual environment's.
  ///   - script: the path of `peermill_torch.py`.
  public init(python: String, script: String, settings: Settings = Settings()) {
    self.python = python
    self.script = script
    self.settings = settings
  }

  /// Trains a chunk from given weights, as `Model.train` does.
  ///
  /// - Parameter recipe: with the schedule worked into its rate; digests on the way are not kept.
  /// - Throws: `LearnError` for what no engine could train, `TorchError`, `CancellationError`.
  public func train(
    model: Model, from weights: Weights, on samples: Samples, recipe: TrainingRecipe, seed: Seed
  ) async throws -> TorchOutcome {
    try recipe.check()
    try model.check(samples)
    guard weights.bytes.count == model.weightBytes else { throw LearnError.weights("they are not this model's") }
    let call = Call()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        // A thread of its own waits for the process, not one of those that tasks share.
        queue.async {
          continuation.resume(with: Result { try self.run(call, model, weights, samples, recipe, seed) })
        }
      }
    } onCancel: {
      call.cancel()
    }
  }

  /// The process, while there is one.
  var pid: Int32? { state.withLock { $0.child?.pid } }

  // MARK: on the queue

  private func run(
    _ call: Call, _ model: Model, _ weights: Weights, _ samples: Samples, _ recipe: TrainingRecipe, _ seed: Seed
  ) throws -> TorchOutcome {
    try call.check()
    do {
      let child = try self.child(call)
      try declare(model, to: child)
      let outcome = try train(model, weights, samples, recipe, seed, by: child)
      call.detach()
      // A cancellation that came too late for the answer has killed the process all the same.
      if call.isCancelled { state.withLock { $0 = State() } }
      try call.check()
      return outcome
    } catch let error as TorchError {
      let child = state.withLock { state in
        defer { if !error.isPolite { state = State() } }
        return error.isPolite ? nil : state.child
      }
      if case .ended = error {} else { child?.kill() }
      let words = child?.end()
      call.detach()
      try call.check()
      throw words.map { error.with($0) } ?? error
    }
  }

  private func child(_ call: Call) throws(TorchError) -> Child {
    // One that ended while nobody asked it anything is replaced.
    if let known = state.withLock({ $0.child }), !known.hasEnded {
      call.attach(known)
      return known
    }
    // Isolated: neither the user's packages nor the folder it runs in have a say.
    let child = try Child(
      path: python, arguments: ["-I", "-B", script],
      environment: ["PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"].merging(settings.environment) { $1 })
    state.withLock { $0 = State(child: child) }
    call.attach(child)
    let hello = Message.Hello(device: settings.device, threads: settings.threads)
    let answer = try ask(child, try Message.pieces(hello, []), kind: "hello").header
    guard answer.protocol == Message.version else {
      throw .answer("it speaks protocol \(answer.protocol ?? 0), not \(Message.version)")
    }
    state.withLock { $0.device = String(Message.tame(answer.device ?? "").prefix(200)) }
    return child
  }

  private func declare(_ model: Model, to child: Child) throws(TorchError) {
    guard state.withLock({ $0.model !== model }) else { return }
    state.withLock { $0.model = nil }
    let graph = model.declaration.graph
    _ = try ask(child, try Message.pieces(Message.Declared(model), [graph]), kind: "ready")
    state.withLock { $0.model = model }
  }

  private func train(
    _ model: Model, _ weights: Weights, _ samples: Samples, _ recipe: TrainingRecipe, _ seed: Seed, by child: Child
  ) throws(TorchError) -> TorchOutcome {
    guard 4 * samples.count * recipe.epochs <= Message.limit else {
      throw .request("an order of \(recipe.epochs) epochs of \(samples.count) rows is too long")
    }
    var order: [UInt8] = []
    for rows in recipe.orders(count: samples.count, seed: seed) { order += Message.numbers(rows) }
    let blobs = [weights.bytes, samples.bytes, order]
    let request = try Message.pieces(Message.Train(recipe, seed: seed, blobs: blobs), blobs)
    let (answer, blob) = try ask(child, request, kind: "trained", blobLimit: model.weightBytes)
    guard let loss = answer.loss, loss.isFinite, loss >= 0 else {
      throw .answer("its loss is not a number that can be")
    }
    let steps = recipe.epochs * ((samples.count + recipe.batch - 1) / recipe.batch)
    guard answer.steps == steps else {
      throw .answer("it says \(answer.steps ?? 0) steps where there are \(steps)")
    }
    guard answer.verifiable == false else { throw .answer("it says that its weights can be verified; they cannot") }
    let trained: Weights
    do throws(LearnError) {
      trained = try Weights(bytes: Array(blob), for: model)
    } catch {
      throw .answer("\(error)")
    }
    return TorchOutcome(weights: trained, loss: loss, steps: steps, device: state.withLock { $0.device })
  }

  private func ask(
    _ child: Child, _ pieces: [[UInt8]], kind: String, blobLimit: Int = 0
  ) throws(TorchError) -> (header: Message.Answer, blob: ArraySlice<UInt8>) {
    let bytes = try child.exchange(
      pieces, limit: 4 + Message.headerLimit + blobLimit, until: Deadline(after: settings.patience))
    let (header, blob) = try Message.read(bytes)
    if header.kind == "error" {
      guard blob.isEmpty else { throw .answer("an error with \(blob.count) bytes behind it") }
      throw .refused(Message.tame(header.words))
    }
    guard header.kind == kind else { throw .answer("it is '\(Message.tame(header.kind).prefix(40))', not '\(kind)'") }
    return (header, blob)
  }
}

extension TorchError {
  /// Whether the worker kept to the protocol and can go on.
  fileprivate var isPolite: Bool {
    switch self {
    case .refused, .request: true
    case .start, .late, .ended, .answer: false
    }
  }
}

/// One training that somebody waits for.
private final class Call: Sendable {
  private struct State {
    var isCancelled = false
    var child: Child?
  }
  private let state = Mutex(State())

  func attach(_ child: Child) {
    state.withLock {
      $0.child = child
      if $0.isCancelled { child.kill() }
    }
  }
  func detach() { state.withLock { $0.child = nil } }
  func cancel() {
    state.withLock {
      $0.isCancelled = true
      $0.child?.kill()
    }
  }
  var isCancelled: Bool { state.withLock { $0.isCancelled } }
  func check() throws(CancellationError) {
    if isCancelled { throw CancellationError() }
  }
}

import Glibc
import Learn
import Runtime
import Testing

@testable import TorchWorker

@Suite struct TorchWorkerTests {
  static let folder = #filePath.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
  static let script = "\(folder)/Fixtures/fake_worker.py"
  static let pythons: [String] = ["/usr/bin/python3", "/usr/local/bin/python3"]
  static let python = pythons.first { access($0, X_OK) == 0 } ?? pythons[0]

  private let model: Model
  private let samples: Samples
  private let start: Weights
  private let recipe = TrainingRecipe(learningRate: 0.1, batch: 4, epochs: 2, shuffle: true)

  init() throws {
    model = try Model(ModelDeclaration(input: [6], layers: [.dense(5), .relu, .dense(3)]))
    samples = try Blobs.dataset(samples: 10, features: 6, classes: 3, seed: Seed(1)).chunk(rows: 0..<10)
    start = model.initialWeights(seed: Seed(2))
  }

  private func worker(_ how: String, patience: Duration = .seconds(20), _ more: [String: String] = [:]) -> TorchWorker {
    var settings = TorchWorker.Settings()
    settings.patience = patience
    settings.environment = more.merging(["FAKE": how]) { $1 }
    return TorchWorker(python: Self.python, script: Self.script, settings: settings)
  }
  private func train(_ worker: TorchWorker) async throws -> TorchOutcome {
    try await worker.train(model: model, from: start, on: samples, recipe: recipe, seed: Seed(3))
  }
  private func failure(_ worker: TorchWorker) async -> TorchError? {
    do {
      _ = try await train(worker)
      return nil
    } catch {
      return error as? TorchError
    }
  }
  /// Whether a process is gone and reaped, within a moment.
  private func isGone(_ pid: Int32) async throws -> Bool {
    for _ in 0..<100 {
      if kill(pid, 0) == -1 && errno == ESRCH { return true }
      try await Task.sleep(for: .milliseconds(20))
    }
    return false
  }

  @Test func `a good worker's weights are taken, and are not verifiable`() async throws {
    let worker = worker("good")
    let outcome = try await train(worker)
    #expect(outcome.weights == start)
    #expect(outcome.loss == 0.5)
    #expect(outcome.steps == 6)
    #expect(!outcome.isVerifiable)
    #expect(outcome.device == "fake[2J")
    let pid = worker.pid
    _ = try await train(worker)
    #expect(worker.pid == pid && pid != nil)
  }

  @Test func `trainings that are asked for at once come one after the other`() async throws {
    let worker = worker("good")
    try await withThrowingTaskGroup { group in
      for _ in 0..<8 { group.addTask { try await self.train(worker).steps } }
      for try await steps in group { #expect(steps == 6) }
    }
  }

  @Test(arguments: [
    "garbage", "nothing", "too long", "a little too long", "header", "no json", "deep json", "other json", "no kind",
    "number for words", "wrong kind", "steps", "no steps", "loss", "huge loss", "verifiable", "no weights", "two blobs",
    "lying blobs", "negative blobs", "short weights", "other header", "not finite", "error with weights", "protocol",
    "early",
  ])
  func `what is no answer is refused, and the process is gone`(_ how: String) async throws {
    let worker = worker(how)
    let error = try #require(await failure(worker))
    guard case .answer(let words) = error else {
      Issue.record("\(how): \(error)")
      return
    }
    #expect(words.contains("signal 9"))
    #expect(worker.pid == nil)
  }

  @Test func `the end of a process is told with its last words`() async throws {
    let error = try #require(await failure(worker("dies")))
    #expect(error == .ended("it ended without an answer; it ended with code 3; it said: it hurts | here"))
    let within = try #require(await failure(worker("dies within")))
    #expect(within == .ended("it ended within its answer; it ended with code 4"))
    guard case .ended? = await failure(worker("closes")) else {
      Issue.record("a worker that closes its stdout")
      return
    }
  }

  @Test func `what a worker started ends with it`() async throws {
    let error = try #require(await failure(worker("leaves a child")))
    let child = try #require("\(error)".split(separator: "child ").last.flatMap { Int32($0) })
    // Whoever adopts it reaps it; until then it is dead all the same.
    for _ in 0..<100 where kill(child, 0) == 0 && !isZombie(child) { try await Task.sleep(for: .milliseconds(20)) }
    #expect(kill(child, 0) == -1 || isZombie(child))
  }
  private func isZombie(_ pid: Int32) -> Bool {
    guard let file = fopen("/proc/\(pid)/stat", "r") else { return true }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    guard fgets(&line, 512, file) != nil else { return true }
    let text = String(decoding: line.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.split(separator: ")").last?.hasPrefix(" Z") ?? true
  }

  @Test(arguments: ["hangs", "hangs at once", "trickles"])
  func `whoever does not answer in time is killed`(_ how: String) async throws {
    let worker = worker(how, patience: .milliseconds(1_500))
    guard case .late? = await failure(worker) else {
      Issue.record("\(how) was waited for")
      return
    }
    #expect(worker.pid == nil)
  }

  @Test func `a refusal is told, and the worker goes on`() async throws {
    let worker = worker("refuses first")
    #expect(await failure(worker) == .refused("not [31mnow"))
    let pid = worker.pid
    #expect(try await train(worker).weights == start)
    #expect(worker.pid == pid && pid != nil)
  }

  @Test func `what nobody asked for is not taken for an answer`() async throws {
    let worker = worker("says more")
    _ = try await train(worker)
    try await Task.sleep(for: .milliseconds(300))
    guard case .answer? = await failure(worker) else {
      Issue.record("more than was asked for")
      return
    }
    // And after that it begins anew.
    _ = try await train(worker)
  }

  @Test func `a worker that ended is started anew`() async throws {
    let mark = "/tmp/peermill-fake-\(getpid())"
    defer { unlink(mark) }
    let worker = worker("dies once", ["FAKE_MARK": mark])
    guard case .ended? = await failure(worker) else {
      Issue.record("it should have died")
      return
    }
    _ = try await train(worker)
    let pid = try #require(worker.pid)
    kill(pid, SIGKILL)
    try await Task.sleep(for: .milliseconds(200))
    _ = try await train(worker)
    #expect(worker.pid != pid)
  }

  @Test func `much on stderr blocks nothing`() async throws {
    _ = try await train(worker("talks"))
  }

  @Test func `a cancelled training ends at once, and its process with it`() async throws {
    let worker = worker("hangs", patience: .seconds(120))
    let task = Task { try await train(worker) }
    var pid: Int32?
    while pid == nil {
      try await Task.sleep(for: .milliseconds(20))
      pid = worker.pid
    }
    try await Task.sleep(for: .milliseconds(300))
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(try await isGone(#require(pid)))
    #expect(worker.pid == nil)
  }

  @Test func `a training that was cancelled before it began starts nothing`() async throws {
    let worker = worker("good")
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await train(worker)
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(worker.pid == nil)
  }

  @Test func `the process ends with the last reference`() async throws {
    var worker: TorchWorker? = worker("good")
    _ = try await train(#require(worker))
    let pid = try #require(worker?.pid)
    worker = nil
    #expect(try await isGone(pid))
  }

  @Test func `what cannot be started is told`() async throws {
    guard case .start? = await failure(TorchWorker(python: "/nowhere/python3", script: Self.script)) else {
      Issue.record("no interpreter")
      return
    }
    guard case .ended(let words)? = await failure(TorchWorker(python: Self.python, script: "/nowhere/worker.py")) else {
      Issue.record("no script")
      return
    }
    #expect(words.contains("/nowhere/worker.py"))
  }

  @Test func `a child gets a small environment and no file of ours`() async throws {
    setenv("PEERMILL_SECRET", "1", 1)
    let open = open("/dev/null", O_RDONLY)
    defer { close(open) }
    let error = try #require(await failure(worker("environment")))
    guard case .refused(let words) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(words.hasPrefix("FAKE LANG PATH ") || words.hasPrefix("FAKE LANG LC_CTYPE PATH "))
    // 3 is the folder that it reads.
    #expect(words.hasSuffix("['0', '1', '2', '3']"))
  }

  @Test func `the order of the rows is the engine's`() async throws {
    let error = try #require(await failure(worker("order")))
    let orders = Array(recipe.orders(count: 10, seed: Seed(3)))
    #expect(orders.count == 2 && orders[0] != orders[1] && orders[0].sorted() == Array(0..<10))
    #expect(error == .refused("[2, \(orders.flatMap { $0 })]"))
  }

  @Test func `what no engine could train is refused before it is asked`() async throws {
    let worker = worker("good")
    let other = try Blobs.dataset(samples: 10, features: 7, classes: 3, seed: Seed(1)).chunk(rows: 0..<10)
    await #expect(throws: LearnError.self) {
      try await worker.train(model: model, from: start, on: other, recipe: recipe, seed: Seed(3))
    }
    await #expect(throws: LearnError.self) {
      try await worker.train(
        model: model, from: start, on: samples, recipe: TrainingRecipe(learningRate: 0, batch: 4), seed: Seed(3))
    }
    #expect(worker.pid == nil)
  }
}

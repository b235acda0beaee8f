import RuntimeLive
import Synchronization
import Testing

@testable import Runtime

/// What a run did, in order.
private final class Log: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}

private actor Counter {
  private let executor: ActorExecutor
  private var balance: Int
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
  init(_ loop: Loop, balance: Int) {
    executor = loop.executor("counter")
    self.balance = balance
  }
  func look() -> Int { balance }
  func take(_ amount: Int) { balance -= amount }
}

@Suite struct LoopTests {
  @Test func `work is run in the order of its instant, and of its coming where instants are equal`() {
    let loop = Loop(seed: Seed(1))
    let log = Log()
    let actor = loop.executor("a")
    loop.schedule(after: .seconds(2), on: actor) { log.add("late") }
    loop.schedule(after: .seconds(1), on: actor) { log.add("first") }
    loop.schedule(after: .seconds(1), on: actor) { log.add("second") }
    loop.run()
    #expect(log.all == ["first", "second", "late"])
    #expect(loop.now == Instant(nanoseconds: 2_000_000_000))
    #expect(loop.violations.isEmpty)
  }

  @Test func `actors, groups, sleeps and offloaded work give one schedule for 0, 1 and 3 workers`() {
    func run(_ workers: Int?) -> (Digest, [String]) {
      let loop = Loop(seed: Seed(5), pool: workers.map { WorkerPool(workers: $0) })
      let log = Log()
      let counter = Counter(loop, balance: 0)
      loop.spawn("root") {
        await withTaskGroup(of: Void.self) { group in
          for number in 0..<10 {
            group.addTask {
              let result = await loop.offload(cost: .milliseconds(10 * (10 - number))) {
                (0..<(1_000 * (number + 1))).reduce(0, &+)
              }
              try? await loop.clock.sleep(until: loop.now.advanced(by: .milliseconds(number)))
              await counter.take(-1)
              log.add("\(number) \(result)")
            }
          }
        }
        log.add("balance \(await counter.look())")
      }
      loop.run()
      loop.pool?.shutdown()
      #expect(loop.violations.isEmpty)
      return (loop.scheduleDigest, log.all)
    }
    let inline = run(0)
    #expect(inline.1.last == "balance 10")
    for workers in [1, 3] {
      let pooled = run(workers)
      #expect(pooled.0 == inline.0)
      #expect(pooled.1 == inline.1)
    }
  }

  @Test func `a permuted schedule finds a race that the usual order hides, and each seed replays exactly`() {
    /// Two who look before they take: wrong only if both look first.
    func overdrawn(_ seed: UInt64, _ schedule: Schedule) -> (Bool, Digest) {
      let loop = Loop(seed: Seed(seed), schedule: schedule)
      let account = Counter(loop, balance: 10)
      let log = Log()
      for name in ["a", "b"] {
        loop.spawn(name) {
          if await account.look() >= 10 {
            await Task.yield()
            await account.take(10)
          }
        }
      }
      loop.spawn("end") {
        try? await loop.clock.sleep(until: Instant(nanoseconds: 1_000))
        log.add("\(await account.look())")
      }
      loop.run()
      return (log.all == ["-10"], loop.scheduleDigest)
    }
    let results = (0..<200).map { overdrawn(UInt64($0), .permuted) }
    #expect(results.contains { $0.0 } && results.contains { !$0.0 })
    #expect(overdrawn(11, .permuted).1 == results[11].1)
  }

  @Test func `an unstructured task, a real sleep and the main actor are caught`() {
    let loop = Loop(seed: Seed(1))
    let log = Log()
    loop.spawn("leaves") {
      Task { log.add("left") }
      await MainActor.run { log.add("main") }
    }
    loop.run()
    #expect(loop.violations.escapes >= 2)
    #expect(log.all.sorted() == ["left", "main"])
    let other = Loop(seed: Seed(1))
    other.spawn("sleeps") { try? await Task.sleep(for: .milliseconds(5)) }
    other.run()
    #expect(other.violations.realSleeps == 1)
    #expect("\(other.violations)".contains("left its queue"))
  }

  @Test func `a job from a foreign thread is caught`() async {
    let pool = WorkerPool(workers: 1)
    let done = await withCheckedContinuation { continuation in
      Thread_detached {
        let loop = Loop(seed: Seed(1))
        let actor = loop.executor("a")
        let ticket = pool.submit(deadline: .start) { loop.handIn(actor) {} }
        pool.await(ticket)
        loop.run()
        continuation.resume(returning: loop.violations.foreignJobs)
      }
    }
    // The loop's own thread may have done the work itself, which is no foreign job's fault: it was handed in from outside.
    #expect(done == 1)
    pool.shutdown()
  }

  @Test func `a sleep that is cancelled ends at once`() {
    let loop = Loop(seed: Seed(1))
    let log = Log()
    loop.spawn("root") {
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          do {
            try await loop.clock.sleep(until: Instant(nanoseconds: 1_000_000_000))
            log.add("slept")
          } catch { log.add("cancelled at \(loop.now.nanoseconds)") }
        }
        try? await loop.clock.sleep(until: Instant(nanoseconds: 500))
        group.cancelAll()
      }
    }
    loop.run(until: Instant(nanoseconds: 10_000))
    #expect(log.all == ["cancelled at 500"])
  }

  @Test func `a live loop waits in real time and takes work from outside`() {
    let (loop, time) = Loop.live(seed: Seed(1), workers: 1)
    let log = Log()
    let actor = loop.executor("a")
    loop.schedule(after: .milliseconds(5), on: actor) { log.add("timer") }
    loop.offload(cost: .seconds(100), on: actor) {
      42
    } then: {
      log.add("worked \($0)")
    }
    loop.run()
    loop.pool?.shutdown()
    #expect(log.all.sorted() == ["timer", "worked 42"])
    #expect(time.elapsed() >= 5_000_000)
  }
}

private func Thread_detached(_ body: @escaping @Sendable () -> Void) {
  let pool = WorkerPool(workers: 1)
  _ = pool.submit(deadline: .start, body)
}

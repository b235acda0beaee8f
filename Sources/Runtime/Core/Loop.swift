import Glibc
import Synchronization

/// In which order work that is ready at the same instant is run.
public enum Schedule: String, Sendable, CaseIterable {
  /// In the order in which it became ready.
  case inOrder = "in-order"
  /// Drawn by the run's seed, to find code that depends on an order nobody promised. Each seed replays exactly.
  case permuted
}

/// A clock that moves by itself. A loop without one moves time from event to event.
public protocol TimeSource: AnyObject, Sendable {
  /// Nanoseconds since the loop began; never goes back.
  func elapsed() -> UInt64
  /// Returns at that many nanoseconds, or when woken, or at once if woken since the last call. Nil: only when woken.
  func wait(until elapsed: UInt64?)
  func wake()
}

/// What a run did that would make it differ from its repetition. See `Loop.violations`.
public struct LoopViolations: Equatable, Sendable, CustomStringConvertible {
  /// Jobs handed in by a thread that is not the loop's.
  public var foreignJobs = 0
  /// Sleeps on a real clock inside a rehearsal.
  public var realSleeps = 0
  /// Tasks that left the loop for the process's own executors: an unstructured `Task {}`, the main actor.
  public var escapes = 0

  public var isEmpty: Bool { self == LoopViolations() }
  public var description: String {
    "the run left its queue: \(foreignJobs) jobs from foreign threads, \(realSleeps) real sleeps, \(escapes) escaped tasks"
  }
}

/// One queue, drained by one thread, in the order (instant, sequence): the host of every actor.
///
/// Without a `TimeSource` time is virtual: it jumps to the next event, nothing is waited for, and one seed gives one order of
/// events. With one, the same queue is drained in real time, and other threads may hand work in.
public final class Loop: @unchecked Sendable {
  enum Work {
    case actorJob(UnownedJob, ActorExecutor)
    case taskJob(UnownedJob)
    case call(ActorExecutor, @Sendable () -> Void)
    case resume(UnsafeContinuation<Void, any Error>, sleeper: UInt64)
    case completion(WorkerPool.Ticket, ActorExecutor, @Sendable () -> Void)
  }

  public let seed: Seed
  public let schedule: Schedule
  public private(set) var now = Instant.start
  /// How many pieces of work have been run.
  public private(set) var eventCount = 0
  public internal(set) var violations = LoopViolations()
  public let pool: WorkerPool?

  private let source: (any TimeSource)?
  private let thread = pthread_self()
  private var ready: [Work] = []
  private var readyHead = 0
  private var timers = TimerHeap<Work>()
  private var sequence: UInt64 = 0
  private var fold: UInt64 = 0x5065_6572_6D69_6C6C
  private var choices: RandomStream
  private var executors: [ActorExecutor] = []
  private var running: ActorExecutor?
  private var isStopping = false
  /// Asked every so often; a run that is told to end stops between two pieces of work.
  public var shouldEnd: (() -> Bool)?
  private(set) var taskExecutor: LoopTaskExecutor!
  var sleepers: [UInt64: UnsafeContinuation<Void, any Error>] = [:]
  var nextSleeper: UInt64 = 0

  /// Work that other threads have handed in, and how much more the pool still owes a live loop.
  private final class Outside: @unchecked Sendable {
    var work: [Work] = []
    var expected = 0
  }
  private let outside = Mutex(Outside())

  /// - Parameters:
  ///   - pool: where offloaded work is done; nil runs it on the loop's thread.
  ///   - source: a clock that moves by itself, for a live host; nil for a rehearsal.
  public init(seed: Seed, schedule: Schedule = .inOrder, pool: WorkerPool? = nil, source: (any TimeSource)? = nil) {
    self.seed = seed
    self.schedule = schedule
    self.pool = pool
    self.source = source
    choices = seed.stream("schedule")
    taskExecutor = LoopTaskExecutor(loop: self)
    if source == nil { LoopGuard.install() }
  }

  /// A new actor's executor. Names are for people; two may be alike.
  public func executor(_ name: String) -> ActorExecutor {
    let executor = ActorExecutor(loop: self, number: executors.count + 1, name: name)
    executors.append(executor)
    return executor
  }

  /// A digest of which executor ran at which instant, in what order. It says nothing about numbers.
  public var scheduleDigest: Digest {
    var bytes: [UInt8] = []
    for word in [fold, UInt64(eventCount), now.nanoseconds] {
      for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
    }
    return Digest(of: bytes)
  }

  // MARK: handing work in

  /// Runs `body` as that actor at the given instant, or now if that has passed.
  public func schedule(at instant: Instant, on executor: ActorExecutor, _ body: @escaping @Sendable () -> Void) {
    push(.call(executor, body), at: instant)
  }
  public func schedule(after delay: Duration, on executor: ActorExecutor, _ body: @escaping @Sendable () -> Void) {
    push(.call(executor, body), at: now.advanced(by: delay))
  }

  /// Does `work` on the pool and hands its result to the actor when the model of its cost says that it is done.
  ///
  /// - Parameter cost: what the work takes in virtual time, from a model, never a measurement. A live loop disregards it.
  public func offload<T: Sendable>(
    cost: Duration, on executor: ActorExecutor, _ work: @escaping @Sendable () -> T,
    then: @escaping @Sendable (T) -> Void
  ) {
    let slot = ResultSlot<T>()
    let due = now.advanced(by: cost)
    let deliver: @Sendable () -> Void = {
      guard let value = slot.take() else { preconditionFailure("offloaded work ended without a result") }
      then(value)
    }
    if source != nil, let pool {
      outside.withLock { $0.expected += 1 }
      _ = pool.submit(deadline: due) { [weak self] in
        slot.set(work())
        self?.handIn(executor, deliver, expected: true)
      }
    } else if let pool {
      push(.completion(pool.submit(deadline: due) { slot.set(work()) }, executor, deliver), at: due)
    } else {
      push(
        .call(executor) {
          slot.set(work())
          deliver()
        }, at: due)
    }
  }

  /// Starts a task whose every child stays on this loop. The only way to start one.
  public func spawn(_ name: String, _ body: @escaping @Sendable () async -> Void) {
    LoopGuard.entered(self) {
      _ = Task.detached(name: name, executorPreference: taskExecutor) { await body() }
    }
  }

  /// Work from another thread, in the order in which it comes in: sockets and files of a live host.
  public func handIn(_ executor: ActorExecutor, _ body: @escaping @Sendable () -> Void) {
    handIn(executor, body, expected: false)
  }
  private func handIn(_ executor: ActorExecutor, _ body: @escaping @Sendable () -> Void, expected: Bool) {
    outside.withLock {
      $0.work.append(.call(executor, body))
      if expected { $0.expected -= 1 }
    }
    source?.wake()
  }

  func enqueue(_ work: Work) {
    if pthread_equal(pthread_self(), thread) != 0 {
      ready.append(work)
    } else {
      outside.withLock { $0.work.append(work) }
      source?.wake()
    }
  }

  func push(_ work: Work, at instant: Instant) {
    sequence += 1
    timers.push(at: max(instant, now).nanoseconds, sequence: sequence, work)
  }

  var isVirtual: Bool { source == nil }
  /// On which results are handed to tasks that belong to no actor.
  private(set) lazy var taskContinuations = executor("tasks")

  func isRunning(_ executor: ActorExecutor) -> Bool { running === executor }

  /// Looks at an actor from outside a run, as that actor; no event.
  public func inspect(_ executor: ActorExecutor, _ body: () -> Void) {
    let previous = running
    running = executor
    body()
    running = previous
  }

  // MARK: the loop

  /// Ends `run` after the piece of work at hand.
  public func stop() { isStopping = true }

  /// Drains the queue until nothing is left, `stop()` is called, or the next event lies behind `limit`.
  public func run(until limit: Instant = .never) {
    precondition(pthread_equal(pthread_self(), thread) != 0, "a loop is run by the thread that made it")
    isStopping = false
    LoopGuard.entered(self) {
      while !isStopping {
        if eventCount & 0x3F == 0, let shouldEnd, shouldEnd() { break }
        takeOutsideWork()
        if readyHead < ready.count {
          run(nextReady())
        } else if !advance(limit) {
          break
        }
      }
    }
  }

  /// Makes ready whatever is due next; false when nothing will be.
  private func advance(_ limit: Instant) -> Bool {
    guard let source else {
      guard let due = timers.earliest, due <= limit.nanoseconds else { return false }
      now = Instant(nanoseconds: due)
      while timers.earliest == due, let timer = timers.popEarliest() { ready.append(timer.payload) }
      return true
    }
    let elapsed = source.elapsed()
    now = Instant(nanoseconds: max(now.nanoseconds, elapsed))
    if now > limit { return false }
    if let due = timers.earliest, due <= now.nanoseconds {
      while let due = timers.earliest, due <= now.nanoseconds, let timer = timers.popEarliest() {
        ready.append(timer.payload)
      }
      return true
    }
    let isQuiet = outside.withLock { $0.work.isEmpty && $0.expected == 0 }
    if timers.isEmpty && isQuiet && limit == .never { return false }
    source.wait(until: min(timers.earliest ?? .max, limit.nanoseconds))
    return true
  }

  private func nextReady() -> Work {
    if schedule == .permuted {
      if readyHead > 0 {
        ready.removeFirst(readyHead)
        readyHead = 0
      }
      if ready.count > 1 { ready.swapAt(choices.below(ready.count), ready.count - 1) }
      return ready.removeLast()
    }
    let work = ready[readyHead]
    readyHead += 1
    if readyHead == ready.count {
      ready.removeAll(keepingCapacity: true)
      readyHead = 0
    } else if readyHead > 4096 && readyHead * 2 > ready.count {
      ready.removeFirst(readyHead)
      readyHead = 0
    }
    return work
  }

  private func run(_ work: consuming Work) {
    eventCount += 1
    switch work {
    case .actorJob(let job, let executor):
      note(executor.number, 1)
      running = executor
      job.runSynchronously(
        isolatedTo: executor.asUnownedSerialExecutor(), taskExecutor: taskExecutor.asUnownedTaskExecutor())
      running = nil
    case .taskJob(let job):
      note(0, 2)
      job.runSynchronously(on: taskExecutor.asUnownedTaskExecutor())
    case .call(let executor, let body):
      note(executor.number, 3)
      running = executor
      body()
      running = nil
    case .resume(let continuation, let sleeper):
      note(0, 4)
      if sleepers.removeValue(forKey: sleeper) != nil { continuation.resume() }
    case .completion(let ticket, let executor, let deliver):
      note(executor.number, 5)
      pool?.await(ticket)
      running = executor
      deliver()
      running = nil
    }
  }

  private func note(_ executor: Int, _ kind: UInt64) {
    fold = splitMix64(fold ^ (now.nanoseconds &* 0x9E37_79B9_7F4A_7C15) ^ (UInt64(executor) << 8 | kind))
  }

  private func takeOutsideWork() {
    let work = outside.withLock { box in
      if box.work.isEmpty { return [Work]() }
      defer { box.work = [] }
      return box.work
    }
    if work.isEmpty { return }
    if source == nil { violations.foreignJobs += work.count }
    ready.append(contentsOf: work)
  }
}

/// Where a result waits between the worker that made it and the loop that takes it.
private final class ResultSlot<T: Sendable>: Sendable {
  private let value = Mutex<T?>(nil)
  func set(_ result: T) { value.withLock { $0 = result } }
  func take() -> T? { value.withLock { $0.take() } }
}

// Keeps a rehearsal on its loop. The process's default and main executors are replaced, once, by gates that ask for the loop
// of the current thread: none, and the job goes to the platform's executor as ever; one, and the job is pushed on that loop
// and counted as a violation. This uses the toolchain's interface for custom executors, which is not yet public: everything
// that depends on it is in this file.
import Glibc

@_spi(ExperimentalCustomExecutors) @_spi(ExperimentalScheduling) import _Concurrency

enum LoopGuard {
  private static let installation: Void = _createExecutors(factory: GateFactory.self)
  fileprivate static let key: pthread_key_t = {
    var key = pthread_key_t()
    let code = pthread_key_create(&key, nil)
    precondition(code == 0, "no thread-local key could be made (error \(code))")
    return key
  }()

  /// Puts the gates in place. Late is fine, twice is fine.
  static func install() { installation }

  /// Runs `body` with the gates of this thread leading to the loop, if its time is virtual.
  static func entered(_ loop: Loop, _ body: () -> Void) {
    let previous = pthread_getspecific(key)
    pthread_setspecific(key, Unmanaged.passUnretained(loop).toOpaque())
    body()
    pthread_setspecific(key, previous)
  }

  fileprivate static var current: Loop? {
    guard let pointer = pthread_getspecific(key) else { return nil }
    let loop = Unmanaged<Loop>.fromOpaque(pointer).takeUnretainedValue()
    return loop.isVirtual ? loop : nil
  }
}

private final class DefaultGate: TaskExecutor, SchedulingExecutor, @unchecked Sendable {
  private let platform: any TaskExecutor
  init(_ platform: any TaskExecutor) { self.platform = platform }

  func enqueue(_ job: consuming ExecutorJob) {
    if let loop = LoopGuard.current {
      loop.violations.escapes += 1
      loop.enqueue(.taskJob(UnownedJob(job)))
    } else {
      platform.enqueue(job)
    }
  }

  func enqueue<C: Clock>(
    _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
  ) {
    if let loop = LoopGuard.current {
      // The delay was computed from a real clock, so the run cannot be repeated; the job still ends.
      loop.violations.realSleeps += 1
      loop.push(.taskJob(UnownedJob(job)), at: loop.now.advanced(by: (delay as? Duration) ?? .zero))
    } else if let scheduling = platform as? any SchedulingExecutor {
      scheduling.enqueue(job, after: delay, tolerance: tolerance, clock: clock)
    } else {
      platform.enqueue(job)
    }
  }
}

private final class MainGate: MainExecutor, @unchecked Sendable {
  private let platform: any MainExecutor
  init(_ platform: any MainExecutor) { self.platform = platform }

  func enqueue(_ job: consuming ExecutorJob) {
    if let loop = LoopGuard.current {
      loop.violations.escapes += 1
      loop.enqueue(.taskJob(UnownedJob(job)))
    } else {
      platform.enqueue(job)
    }
  }
  func run() throws { try platform.run() }
  func stop() { platform.stop() }
  var isMainExecutor: Bool { true }
  func checkIsolated() { if LoopGuard.current == nil { platform.checkIsolated() } }
}

private struct GateFactory: ExecutorFactory {
  static let mainExecutor: any MainExecutor = MainGate(PlatformExecutorFactory.mainExecutor)
  static let defaultExecutor: any TaskExecutor = DefaultGate(PlatformExecutorFactory.defaultExecutor)
}

/// The clock of a loop's actors. Sleeping is an entry in the loop's queue: in a rehearsal nothing is waited for.
public struct LoopClock: Clock, Sendable {
  private let loop: Loop
  init(_ loop: Loop) { self.loop = loop }

  public var now: Instant { loop.now }
  public var minimumResolution: Duration { .nanoseconds(1) }
  public func sleep(until deadline: Instant, tolerance: Duration? = nil) async throws {
    try await loop.sleep(until: deadline)
  }
}

extension Loop {
  public var clock: LoopClock { LoopClock(self) }

  /// Suspends until that instant.
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  func sleep(until deadline: Instant) async throws {
    nextSleeper += 1
    let sleeper = nextSleeper
    try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
        if Task.isCancelled {
          continuation.resume(throwing: CancellationError())
          return
        }
        sleepers[sleeper] = continuation
        push(.resume(continuation, sleeper: sleeper), at: deadline)
      }
    } onCancel: {
      // Runs on the thread that cancels, which in a rehearsal is the loop's.
      if let continuation = sleepers.removeValue(forKey: sleeper) {
        continuation.resume(throwing: CancellationError())
      }
    }
  }

  /// Does `work` on the pool; resumes when the model of its cost says that it is done.
  public func offload<T: Sendable>(cost: Duration, _ work: @escaping @Sendable () -> T) async -> T {
    await withUnsafeContinuation { continuation in
      offload(cost: cost, on: taskContinuations, work) { continuation.resume(returning: $0) }
    }
  }
}

import Glibc
import Synchronization

/// Threads for real arithmetic. A loop never sees *when* a piece of work is done, only its result, at an instant that was
/// fixed when the work was handed in.
///
/// Work is taken in order of its deadline. A loop that needs a result helps: it runs what is queued instead of idling, so
/// that a pool of no threads gives the same results as a pool of many.
public final class WorkerPool: Sendable {
  /// A piece of work and, later, the sign that it is done.
  public final class Ticket: Sendable {
    private static let queued = 0
    private static let running = 1
    private static let done = 2
    private let state = Atomic<Int>(queued)
    private let work: Mutex<(@Sendable () -> Void)?>
    fileprivate init(_ work: @escaping @Sendable () -> Void) { self.work = Mutex(work) }

    /// Runs the work if nobody else has begun it.
    fileprivate func runIfQueued() -> Bool {
      let claim = state.compareExchange(expected: Self.queued, desired: Self.running, ordering: .acquiringAndReleasing)
      guard claim.exchanged else { return false }
      let body = work.withLock { $0.take() }
      body?()
      state.store(Self.done, ordering: .sequentiallyConsistent)
      return true
    }
    fileprivate var isDone: Bool { state.load(ordering: .sequentiallyConsistent) == Self.done }
  }

  private struct Shared {
    var queue = TimerHeap<Ticket>()
    var sequence: UInt64 = 0
    var isStopping = false
  }
  private let shared = Mutex(Shared())
  /// Entries in the queue, some of them begun already: looked at without the lock.
  private let queueLength = Atomic<Int>(0)
  private let signals = Signals()
  private let threads: Mutex<[pthread_t]>
  public let workerCount: Int

  /// - Parameter workers: threads beside the loop's own; 0 runs everything on the loop.
  public init(workers: Int) {
    precondition(workers >= 0 && workers <= 1024, "a pool has 0 to 1024 workers")
    workerCount = workers
    threads = Mutex([])
    for _ in 0..<workers {
      var thread = pthread_t()
      let me = Unmanaged.passRetained(self).toOpaque()
      let code = pthread_create(
        &thread, nil,
        { argument in
          guard let argument else { return nil }
          Unmanaged<WorkerPool>.fromOpaque(argument).takeRetainedValue().work()
          return nil
        }, me)
      precondition(code == 0, "the system refused a worker thread (error \(code))")
      let made = thread
      threads.withLock { $0.append(made) }
    }
  }

  public func submit(deadline: Instant, _ work: @escaping @Sendable () -> Void) -> Ticket {
    let ticket = Ticket(work)
    if workerCount == 0 { return ticket }
    shared.withLock { shared in
      shared.sequence += 1
      shared.queue.push(at: deadline.nanoseconds, sequence: shared.sequence, ticket)
    }
    queueLength.add(1, ordering: .releasing)
    signals.announceWork()
    return ticket
  }

  /// Returns when the ticket's work is done; runs it, or other queued work, on the caller's thread meanwhile.
  public func await(_ ticket: Ticket) {
    if ticket.runIfQueued() { return }
    while !ticket.isDone {
      if let other = takeNext() {
        if other.runIfQueued() { signals.announceDone() }
      } else {
        signals.waitUntilDone { ticket.isDone }
      }
    }
  }

  /// Ends the threads. Queued work that nobody awaited is dropped.
  public func shutdown() {
    shared.withLock { $0.isStopping = true }
    signals.announceStop()
    let joining = threads.withLock { list in
      defer { list = [] }
      return list
    }
    for thread in joining { pthread_join(thread, nil) }
  }

  private func takeNext() -> Ticket? {
    guard queueLength.load(ordering: .acquiring) > 0 else { return nil }
    guard let ticket = shared.withLock({ $0.queue.popEarliest()?.payload }) else { return nil }
    queueLength.subtract(1, ordering: .relaxed)
    return ticket
  }

  private func work() {
    while true {
      if shared.withLock({ $0.isStopping }) { return }
      if let ticket = takeNext() {
        if ticket.runIfQueued() { signals.announceDone() }
      } else {
        signals.waitForWork { self.shared.withLock { $0.isStopping || !$0.queue.isEmpty } }
      }
    }
  }
}

/// Two condition variables: there is work, and something is done.
private final class Signals: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let work = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let done = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var idleWorkers = 0
  private var waitingLoops = 0
  // The two counts again, for a look without the lock. Whoever is about to wait says so first and looks for work after;
  // whoever brings work puts it down first and looks for waiters after: one of the two sees the other.
  private let isAnyoneIdle = Atomic<Int>(0)
  private let isAnyoneWaiting = Atomic<Int>(0)

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(work, nil)
    pthread_cond_init(done, nil)
  }
  deinit {
    pthread_cond_destroy(done)
    pthread_cond_destroy(work)
    pthread_mutex_destroy(mutex)
    done.deallocate()
    work.deallocate()
    mutex.deallocate()
  }

  private func locked(_ body: () -> Void) {
    pthread_mutex_lock(mutex)
    body()
    pthread_mutex_unlock(mutex)
  }
  func announceWork() {
    if isAnyoneIdle.load(ordering: .sequentiallyConsistent) == 0 { return }
    locked { if idleWorkers > 0 { pthread_cond_signal(work) } }
  }
  func announceStop() { locked { pthread_cond_broadcast(work) } }
  func announceDone() {
    if isAnyoneWaiting.load(ordering: .sequentiallyConsistent) == 0 { return }
    locked { if waitingLoops > 0 { pthread_cond_broadcast(done) } }
  }
  func waitForWork(unless ready: () -> Bool) {
    locked {
      idleWorkers += 1
      isAnyoneIdle.store(idleWorkers, ordering: .sequentiallyConsistent)
      if !ready() { pthread_cond_wait(work, mutex) }
      idleWorkers -= 1
      isAnyoneIdle.store(idleWorkers, ordering: .sequentiallyConsistent)
    }
  }
  func waitUntilDone(unless ready: () -> Bool) {
    locked {
      waitingLoops += 1
      isAnyoneWaiting.store(waitingLoops, ordering: .sequentiallyConsistent)
      if !ready() { pthread_cond_wait(done, mutex) }
      waitingLoops -= 1
      isAnyoneWaiting.store(waitingLoops, ordering: .sequentiallyConsistent)
    }
  }
}

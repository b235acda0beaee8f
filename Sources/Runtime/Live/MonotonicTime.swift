import Glibc
import Runtime
import Synchronization

/// The machine's monotonic clock as a loop's time: what makes a loop live.
///
/// `Timestamp`s of a live host are UTC when it began plus this clock, so that a step of the wall clock moves nothing.
public final class MonotonicTime: TimeSource, @unchecked Sendable {
  private let origin: UInt64
  /// UTC when this clock began.
  public let began: Timestamp
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var isWoken = false

  public init() {
    origin = Self.read(CLOCK_MONOTONIC)
    began = Timestamp(nanoseconds: Self.read(CLOCK_REALTIME))
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }
  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  public func elapsed() -> UInt64 { Self.read(CLOCK_MONOTONIC) - origin }

  public func wait(until elapsed: UInt64?) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard !isWoken else {
      isWoken = false
      return
    }
    guard let elapsed, elapsed < 1 << 62 else {
      pthread_cond_wait(condition, mutex)
      isWoken = false
      return
    }
    let due = origin + elapsed
    var limit = timespec(tv_sec: Int(due / 1_000_000_000), tv_nsec: Int(due % 1_000_000_000))
    pthread_cond_timedwait(condition, mutex, &limit)
    isWoken = false
  }

  public func wake() {
    pthread_mutex_lock(mutex)
    isWoken = true
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
  }

  private static func read(_ clock: clockid_t) -> UInt64 {
    var now = timespec()
    clock_gettime(clock, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }
}

extension Loop {
  /// A loop that drains its queue in real time, and whose pool and sockets hand work in from outside.
  public static func live(seed: Seed, workers: Int) -> (loop: Loop, time: MonotonicTime) {
    let time = MonotonicTime()
    return (Loop(seed: seed, pool: WorkerPool(workers: max(1, workers)), source: time), time)
  }
}

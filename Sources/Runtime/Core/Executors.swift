/// The serial executor of one actor. Each actor has its own, so that a call from one to another is a hop through the
/// loop's queue, an event of its own that a schedule may permute; all of them feed one loop.
public final class ActorExecutor: SerialExecutor, @unchecked Sendable {
  unowned let loop: Loop
  /// In the order in which executors were made.
  public let number: Int
  public let name: String

  init(loop: Loop, number: Int, name: String) {
    self.loop = loop
    self.number = number
    self.name = name
  }

  public func enqueue(_ job: consuming ExecutorJob) { loop.enqueue(.actorJob(UnownedJob(job), self)) }
  public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
  public func checkIsolated() { precondition(loop.isRunning(self), "code of \(name) ran outside its executor") }
  public func isIsolatingCurrentContext() -> Bool? { loop.isRunning(self) }
}

/// Where code runs that belongs to no actor: child tasks, groups, `async let`. The same loop.
final class LoopTaskExecutor: TaskExecutor, @unchecked Sendable {
  unowned let loop: Loop
  init(loop: Loop) { self.loop = loop }
  func enqueue(_ job: consuming ExecutorJob) { loop.enqueue(.taskJob(UnownedJob(job))) }
}

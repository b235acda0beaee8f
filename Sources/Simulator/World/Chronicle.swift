import Actors
import Chain
import Runtime

/// What happened, as it was noted: for progress, reports and `explain`. Nothing in a run depends on it.
public final class Chronicle: @unchecked Sendable {
  public struct Entry: Sendable {
    public var at: Instant
    /// Index of the peer that noted it.
    public var by: Int
    public var milestone: Milestone
  }
  public private(set) var entries: [Entry] = []
  /// Told of every entry as it comes.
  var watcher: ((Entry) -> Void)?

  func note(_ milestone: Milestone, by peer: Int, at now: Instant) {
    let entry = Entry(at: now, by: peer, milestone: milestone)
    entries.append(entry)
    watcher?(entry)
  }
}

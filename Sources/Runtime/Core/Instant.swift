/// A moment inside a run: nanoseconds since the run began, never a date.
public struct Instant: InstantProtocol, Hashable, Sendable, BitwiseCopyable {
  public var nanoseconds: UInt64

  public static let start = Instant(nanoseconds: 0)
  /// Later than anything that happens.
  public static let never = Instant(nanoseconds: .max)

  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// Saturates at the beginning and the end of time.
  public func advanced(by duration: Duration) -> Instant {
    let step = duration.nanoseconds
    if step < 0 {
      let (value, overflow) = nanoseconds.subtractingReportingOverflow(step.magnitude)
      return Instant(nanoseconds: overflow ? 0 : value)
    }
    let (value, overflow) = nanoseconds.addingReportingOverflow(step.magnitude)
    return Instant(nanoseconds: overflow ? .max : value)
  }

  public func duration(to other: Instant) -> Duration {
    other >= self
      ? .nanoseconds(Int64(clamping: other.nanoseconds - nanoseconds))
      : .zero - .nanoseconds(Int64(clamping: nanoseconds - other.nanoseconds))
  }

  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  public var seconds: Double { Double(nanoseconds) / 1e9 }
}

/// A moment as the world outside writes it: UTC, nanoseconds since 1970. On the wire, on the ledger, in journals and
/// presigned URLs. A host maps `Instant` to it.
public struct Timestamp: Comparable, Hashable, Sendable, BitwiseCopyable {
  public var nanoseconds: UInt64
  public static let zero = Timestamp(nanoseconds: 0)
  /// When every rehearsal begins: 2026-01-01T00:00:00Z. Fixed, so that a run does not depend on the day it is run.
  public static let rehearsalEpoch = Timestamp(nanoseconds: 1_767_225_600_000_000_000)

  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
  public static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }

  /// Saturates instead of overflowing: timestamps come from strangers.
  public static func + (a: Timestamp, b: Duration) -> Timestamp {
    Timestamp(nanoseconds: Instant(nanoseconds: a.nanoseconds).advanced(by: b).nanoseconds)
  }
  public static func - (a: Timestamp, b: Timestamp) -> Duration {
    Instant(nanoseconds: b.nanoseconds).duration(to: Instant(nanoseconds: a.nanoseconds))
  }
  /// Whole seconds since 1970.
  public var unixSeconds: UInt64 { nanoseconds / 1_000_000_000 }
}

extension Duration {
  /// Whole nanoseconds, saturating at about ±292 years.
  @inlinable public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, carried) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
    return carried ? (seconds < 0 ? .min : .max) : sum
  }
  public var inSeconds: Double { Double(nanoseconds) / 1e9 }
  /// A duration from a model's real number of seconds; negative, NaN and huge values are clamped.
  public init(modelSeconds: Double) {
    let bounded = modelSeconds > 0 ? min(modelSeconds, 1e9) : 0
    self = .nanoseconds(Int64((bounded * 1e9).rounded()))
  }
}

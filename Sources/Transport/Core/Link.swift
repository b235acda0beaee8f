import Runtime

/// How bytes get from one place to another: a one-way latency, its jitter, a rate, and the share of packets lost.
///
/// A stream repairs loss, so that loss costs time: a frame of n packets loses each with probability `loss`, and every lost
/// one costs a retransmission time-out that doubles. A frame that fails `attemptLimit` times is gone, as with a broken
/// connection.
public struct Link: Sendable, Equatable {
  public static let packetBytes = 1_400
  public static let attemptLimit = 7

  public var latency: Duration
  public var jitter: Duration
  /// Bytes per second; 0 stands for no limit.
  public var bandwidth: Int
  /// 0..<1.
  public var loss: Double

  public init(latency: Duration, jitter: Duration = .zero, bandwidth: Int = 0, loss: Double = 0) {
    self.latency = latency
    self.jitter = jitter
    self.bandwidth = bandwidth
    self.loss = loss
  }

  /// How long a frame of so many bytes takes from one end of this link to the far end of the other, or nil if it is lost.
  public func delay(to other: Link, bytes: Int, chance: inout RandomStream) -> Duration? {
    var total = latency + other.latency + transferTime(bytes: bytes, to: other)
    total += chance.duration(below: jitter + other.jitter)
    let risk = 1 - (1 - loss) * (1 - other.loss)
    if risk > 0 {
      // The number of packets that bear on the delay is bounded: a long transfer's losses are repaired side by side.
      let packets = min(8, max(1, bytes / Self.packetBytes))
      var timeout = Duration.milliseconds(200) + latency + other.latency
      for _ in 0..<packets where chance.chance(risk) {
        var attempts = 1
        total += timeout
        while chance.chance(risk) {
          attempts += 1
          if attempts == Self.attemptLimit { return nil }
          timeout = timeout + timeout
          total += timeout
        }
      }
    }
    return total
  }

  /// Bytes over the narrower of the two.
  public func transferTime(bytes: Int, to other: Link) -> Duration {
    let rate = bandwidth == 0 ? other.bandwidth : other.bandwidth == 0 ? bandwidth : min(bandwidth, other.bandwidth)
    return rate == 0 ? .zero : Duration(modelSeconds: Double(bytes) / Double(rate))
  }
}

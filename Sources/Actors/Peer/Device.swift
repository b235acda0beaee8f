import Runtime

/// What a peer computes with: the model from which the cost of work follows.
public struct Device: Sendable, Equatable {
  /// Floating-point operations per second in training.
  public var flops: Double
  /// Bytes per second that are hashed, sealed and opened.
  public var bytes: Double

  public init(flops: Double, bytes: Double = 1e9) {
    self.flops = flops
    self.bytes = bytes
  }
  public func cost(flops: Int) -> Duration { Duration(modelSeconds: Double(flops) / self.flops) }
  public func cost(bytes: Int) -> Duration { Duration(modelSeconds: Double(bytes) / self.bytes) }
}

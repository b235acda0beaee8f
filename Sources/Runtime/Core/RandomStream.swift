/// A root of chance, from which streams are split by name.
///
/// A stream depends on the seed and its own name alone, so that a new consumer does not shift the draws of the others.
public struct Seed: Hashable, Sendable, BitwiseCopyable {
  public let value: UInt64
  public init(_ value: UInt64) { self.value = value }

  /// The seed of a part, by its name.
  public func child(_ name: String) -> Seed {
    Seed(splitMix64(value) ^ splitMix64(fnv1a(name.utf8)))
  }
  /// The seed of the n-th of many alike.
  public func child(_ name: String, _ index: Int) -> Seed {
    Seed(splitMix64(child(name).value &+ UInt64(truncatingIfNeeded: index) &* 0x9E37_79B9_7F4A_7C15))
  }
  public func stream(_ name: String) -> RandomStream { RandomStream(seed: child(name)) }
  public var stream: RandomStream { RandomStream(seed: self) }
}

/// xoshiro256** (Blackman and Vigna, 2018), its state filled by SplitMix64.
public struct RandomStream: RandomNumberGenerator, Sendable {
  private var s: (UInt64, UInt64, UInt64, UInt64)

  public init(seed: Seed) {
    var x = seed.value
    func fill() -> UInt64 {
      defer { x &+= 0x9E37_79B9_7F4A_7C15 }
      return splitMix64(x)
    }
    s = (fill(), fill(), fill(), fill())
  }

  public mutating func next() -> UInt64 {
    func rotated(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
    let result = rotated(s.1 &* 5, 7) &* 9
    let t = s.1 << 17
    s.2 ^= s.0
    s.3 ^= s.1
    s.1 ^= s.2
    s.0 ^= s.3
    s.2 ^= t
    s.3 = rotated(s.3, 45)
    return result
  }

  /// Uniform in 0..<bound, without bias (Lemire's multiplication, rejecting the short remainder).
  ///
  /// Our own, since the standard library's algorithm for bounded draws is not a documented contract.
  public mutating func below(_ bound: UInt64) -> UInt64 {
    precondition(bound > 0, "a bounded draw needs a bound of at least 1")
    var product = next().multipliedFullWidth(by: bound)
    if product.low < bound {
      let threshold = (0 &- bound) % bound
      while product.low < threshold { product = next().multipliedFullWidth(by: bound) }
    }
    return product.high
  }
  public mutating func below(_ bound: Int) -> Int { Int(below(UInt64(bound))) }

  /// Uniform in [0, 1): 53 bits.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// True with probability `p`.
  public mutating func chance(_ p: Double) -> Bool { unit() < p }

  /// A duration uniform in [0, limit).
  public mutating func duration(below limit: Duration) -> Duration {
    let span = limit.nanoseconds
    return span > 0 ? .nanoseconds(Int64(below(UInt64(span)))) : .zero
  }

  public mutating func bytes(_ count: Int) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(count + 7)
    while result.count < count {
      let word = next()
      for shift in stride(from: 0, to: 64, by: 8) { result.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
    }
    result.removeLast(result.count - count)
    return result
  }

  /// Fisher–Yates from the end.
  public mutating func shuffle<C: MutableCollection & RandomAccessCollection>(_ items: inout C) where C.Index == Int {
    var last = items.endIndex - 1
    while last > items.startIndex {
      let other = items.startIndex + below(last - items.startIndex + 1)
      items.swapAt(last, other)
      last -= 1
    }
  }
}

/// The output function of SplitMix64 (Steele, Lea and Flood, 2014), with its increment.
@inlinable public func splitMix64(_ x: UInt64) -> UInt64 {
  var z = x &+ 0x9E37_79B9_7F4A_7C15
  z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
  z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
  return z ^ (z >> 31)
}

/// FNV-1a, 64 bits: a hash that is the same in every process.
public func fnv1a(_ bytes: some Sequence<UInt8>) -> UInt64 {
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
  return hash
}

import Runtime

/// Money, in whole tinybars (10^-8 hbar). Never negative, never a fraction, never a `Double`.
public struct Amount: Hashable, Comparable, Sendable, BitwiseCopyable {
  public static let tinybarsPerHbar: Int64 = 100_000_000
  /// More than there is (50 billion hbar, Hedera's whole supply).
  public static let limit: Int64 = 5_000_000_000_000_000_000
  public static let zero = Amount(unchecked: 0)

  public let tinybars: Int64
  private init(unchecked: Int64) { tinybars = unchecked }

  /// Nil for a negative number, or one beyond the whole supply.
  public init?(tinybars: Int64) {
    guard tinybars >= 0, tinybars <= Self.limit else { return nil }
    self.tinybars = tinybars
  }

  /// `12.5 hbar`, `0.00000001 hbar`, `250 tinybar`; nil for anything else.
  public init?(parsing text: some StringProtocol) {
    let parts = text.split(separator: " ", omittingEmptySubsequences: true)
    guard parts.count == 2 else { return nil }
    let digits = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    func whole(_ part: some StringProtocol) -> Int64? {
      guard !part.isEmpty, part.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
      return Int64(part)
    }
    switch parts[1] {
    case "tinybar", "tinybars":
      guard digits.count == 1, let value = whole(digits[0]) else { return nil }
      self.init(tinybars: value)
    case "hbar", "hbars":
      guard digits.count <= 2, let bars = whole(digits[0]), bars <= Self.limit / Self.tinybarsPerHbar else {
        return nil
      }
      var rest: Int64 = 0
      if digits.count == 2 {
        guard digits[1].utf8.count <= 8, let read = whole(digits[1]) else { return nil }
        rest = read
        for _ in digits[1].utf8.count..<8 { rest *= 10 }
      }
      self.init(tinybars: bars * Self.tinybarsPerHbar + rest)
    default: return nil
    }
  }

  public static func < (a: Amount, b: Amount) -> Bool { a.tinybars < b.tinybars }

  /// The sum, or nil beyond the whole supply.
  public func adding(_ other: Amount) -> Amount? {
    let (sum, overflow) = tinybars.addingReportingOverflow(other.tinybars)
    return overflow ? nil : Amount(tinybars: sum)
  }
  /// The difference, or nil below zero.
  public func subtracting(_ other: Amount) -> Amount? { Amount(tinybars: tinybars - other.tinybars) }
  /// The product with a count, or nil beyond the whole supply.
  public func times(_ count: Int) -> Amount? {
    let (product, overflow) = tinybars.multipliedReportingOverflow(by: Int64(count))
    return overflow ? nil : Amount(tinybars: product)
  }
  /// So many ten-thousandths, rounded down. At most the whole.
  public func share(basisPoints: Int) -> Amount {
    let parts = Int64(min(max(0, basisPoints), 10_000))
    let (high, low) = tinybars.multipliedFullWidth(by: parts)
    return Amount(unchecked: Int64(10_000).dividingFullWidth((high, low)).quotient)
  }
}

extension Amount: CustomStringConvertible {
  /// In hbar, exactly: `12.5 hbar`.
  public var description: String {
    let bars = tinybars / Self.tinybarsPerHbar
    let rest = tinybars % Self.tinybarsPerHbar
    if rest == 0 { return "\(bars) hbar" }
    var digits = String(rest)
    digits = String(repeating: "0", count: 8 - digits.count) + digits
    while digits.hasSuffix("0") { digits.removeLast() }
    return "\(bars).\(digits) hbar"
  }
}

extension Amount: WireScalar {
  public static var wireDefault: Amount { .zero }
  public static var wireType: UInt64 { 0 }
  public func write(to codec: inout Codec) { UInt64(tinybars).write(to: &codec) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> Amount {
    let value = try UInt64.read(from: &codec, field: field, limit: limit)
    guard value <= UInt64(Self.limit), let amount = Amount(tinybars: Int64(value)) else {
      throw .badValue(field: field, "more money than there is")
    }
    return amount
  }
}

/// Numbers written in decimal, correctly rounded.
enum DecimalNumber {
  private static let powers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
  ]

  /// The value of the whole text, or nil.
  ///
  /// Digits that fit 53 bits and a power of ten up to 22 are both exact, so that one multiplication or division rounds once;
  /// the rest is left to the standard library. Either gives the nearest double.
  static func read(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
    var at = 0
    let isNegative = text.first == UInt8(ascii: "-")
    if isNegative { at = 1 }
    var digits: UInt64 = 0
    var scale = 0
    var count = 0
    func digit(_ place: Int) -> UInt64? {
      guard place < text.count, text[place] >= 48, text[place] <= 57 else { return nil }
      return UInt64(text[place] - 48)
    }
    while count < 19, let next = digit(at) {
      digits = digits * 10 + next
      count += 1
      at += 1
    }
    if count > 0, at < text.count, text[at] == UInt8(ascii: ".") {
      at += 1
      while count < 19, let next = digit(at) {
        digits = digits * 10 + next
        count += 1
        scale -= 1
        at += 1
      }
    }
    guard count > 0, at == text.count, digits <= 1 << 53, scale >= -22 else {
      return Double(String(decoding: text, as: UTF8.self))
    }
    let size = Double(digits) / powers[-scale]
    return isNegative ? -size : size
  }
}

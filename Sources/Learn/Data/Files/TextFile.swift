/// Text as data of a language model: windows of bytes, and for each of its bytes the one that follows.
public struct TextFile: Sendable {
  public enum Vocabulary: String, Sendable, CaseIterable {
    /// A class is a byte, of 256.
    case bytes
    /// A class is the place of a byte among those that occur, from the smallest.
    case occurring
  }
  static let sizeLimit = 1 << 28
  public static let windowLimit = 1 << 16

  /// A sample is a window: its features are `window` numbers of the vocabulary, which are not divided by anything, its targets
  /// the same moved by one.
  public let dataset: Dataset
  /// The byte that each class stands for; nil where classes are bytes.
  public let vocabulary: [UInt8]?

  /// Windows stand beside each other; what is left at the end and fills none is left out.
  ///
  /// - Throws: `LearnError.data` for text that is too short, too long, or made of one byte only.
  public init(_ bytes: [UInt8], window: Int, vocabulary choice: Vocabulary = .bytes, named name: String)
    throws(LearnError)
  {
    guard bytes.count <= Self.sizeLimit else {
      throw .data("\(name) is larger than \(Self.sizeLimit) bytes; split it with 'scenario split'")
    }
    let count = try Self.windows(length: bytes.count, window: window, named: name)
    let (table, classes, occurring) = try Self.table(choice, of: Set(bytes), named: name)
    var features: [UInt8] = []
    features.reserveCapacity(count * window)
    var targets: [Int] = []
    targets.reserveCapacity(count * window)
    for index in 0..<(count * window) {
      features.append(table[Int(bytes[index])])
      targets.append(Int(table[Int(bytes[index + 1])]))
    }
    dataset = try Dataset(
      features: .bytes(features, divisor: 1), targets: .classes(targets, per: window, of: classes), shape: [window])
    vocabulary = occurring
  }

  /// How many windows a text of that many bytes has; each needs a byte after it.
  static func windows(length: Int, window: Int, named name: String) throws(LearnError) -> Int {
    guard window >= 1, window <= windowLimit else {
      throw .data("a window of \(window) bytes; it has 1 to \(windowLimit)")
    }
    guard length > window else {
      throw .data("\(name) has \(length) bytes; a window of \(window) needs at least \(window + 1)")
    }
    return (length - 1) / window
  }

  /// The class of each byte, how many classes there are, and the bytes that they stand for.
  static func table(_ choice: Vocabulary, of occurring: Set<UInt8>, named name: String) throws(LearnError)
    -> (table: [UInt8], classes: Int, vocabulary: [UInt8]?)
  {
    guard choice == .occurring else { return ((0..<256).map { UInt8($0) }, 256, nil) }
    let sorted = occurring.sorted()
    guard sorted.count >= 2 else { throw .data("\(name) is made of one byte only; there is nothing to learn") }
    var table = [UInt8](repeating: 0, count: 256)
    for (place, byte) in sorted.enumerated() { table[Int(byte)] = UInt8(place) }
    return (table, sorted.count, sorted)
  }
}

import Chain
import Runtime
import Yams

/// A mapping of a scenario file, read key by key: what is not a word of it is an error that names line, column and word.
struct Reader {
  /// What a whole file is called.
  static let root = "the scenario"

  let file: String
  let place: String
  private let node: Node
  private var pairs: [(key: String, keyNode: Node, value: Node)] = []
  private var used: Set<String> = []

  init(_ node: Node, file: String, place: String) throws(ScenarioError) {
    self.file = file
    self.place = place
    self.node = node
    guard case .mapping(let mapping) = node else {
      throw Self.error(node, file, "\(place) must be a mapping of words to values")
    }
    var seen: Set<String> = []
    for (key, value) in mapping {
      guard let name = key.string else { throw Self.error(key, file, "\(place) has a key that is no word") }
      guard seen.insert(name).inserted else { throw Self.error(key, file, "'\(name)' stands twice in \(place)") }
      pairs.append((name, key, value))
    }
  }

  static func error(_ node: Node?, _ file: String, _ message: String) -> ScenarioError {
    ScenarioError(file: file, line: node?.mark?.line, column: node?.mark?.column, message: message)
  }
  func error(_ message: String) -> ScenarioError { Self.error(node, file, message) }
  func error(at key: String, _ message: String) -> ScenarioError {
    Self.error(pairs.first { $0.key == key }?.value ?? node, file, message)
  }

  /// A key that must be there and is not; where another stands that is nearly it, that one is the mistake.
  func lacks(_ key: String, _ more: String = "") -> ScenarioError {
    if let typo = pairs.first(where: { !used.contains($0.key) && Self.distance($0.key, key) <= 3 }) {
      return Self.error(typo.keyNode, file, "'\(typo.key)' is not a word of \(place); did you mean '\(key)'?")
    }
    return error("\(place) lacks '\(key)'\(more)")
  }

  mutating func find(_ key: String) -> Node? {
    used.insert(key)
    return pairs.first { $0.key == key }?.value
  }
  mutating func need(_ key: String) throws(ScenarioError) -> Node {
    guard let found = find(key) else { throw lacks(key) }
    return found
  }

  /// Every key must have been asked for.
  func finish() throws(ScenarioError) {
    for pair in pairs where !used.contains(pair.key) {
      let near = used.sorted().min { Self.distance(pair.key, $0) < Self.distance(pair.key, $1) }
      let hint = near.map { Self.distance(pair.key, $0) <= 3 ? "; did you mean '\($0)'?" : "" } ?? ""
      throw Self.error(pair.keyNode, file, "'\(pair.key)' is not a word of \(place)\(hint)")
    }
  }

  private static func distance(_ a: String, _ b: String) -> Int {
    let x = Array(a.utf8)
    let y = Array(b.utf8)
    if x.isEmpty || y.isEmpty { return max(x.count, y.count) }
    var row = Array(0...y.count)
    for i in 1...x.count {
      var previous = row[0]
      row[0] = i
      for j in 1...y.count {
        let above = row[j]
        row[j] = min(min(row[j], row[j - 1]) + 1, previous + (x[i - 1] == y[j - 1] ? 0 : 1))
        previous = above
      }
    }
    return row[y.count]
  }

  // MARK: values

  mutating func reader(_ key: String) throws(ScenarioError) -> Reader? {
    guard let node = find(key) else { return nil }
    return try Reader(node, file: file, place: place == Self.root ? key : "\(place).\(key)")
  }

  private mutating func scalar(_ key: String) throws(ScenarioError) -> (String, Node)? {
    guard let node = find(key) else { return nil }
    guard let text = node.scalar?.string else { throw Self.error(node, file, "\(place).\(key) must be one value") }
    return (text, node)
  }

  mutating func value<T>(
    _ key: String, _ what: String, _ read: (String) -> T?
  ) throws(ScenarioError) -> T? {
    guard let (text, node) = try scalar(key) else { return nil }
    guard let value = read(text) else { throw Self.error(node, file, "\(place).\(key) must be \(what), not '\(text)'") }
    return value
  }

  mutating func text(_ key: String) throws(ScenarioError) -> String? {
    try value(key, "words") { $0.isEmpty ? nil : $0 }
  }
  mutating func count(_ key: String, _ range: ClosedRange<Int>) throws(ScenarioError) -> Int? {
    try value(key, "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
      Int(text).flatMap { range.contains($0) ? $0 : nil }
    }
  }
  mutating func number(_ key: String, _ range: ClosedRange<Double>) throws(ScenarioError) -> Double? {
    try value(key, "a number from \(range.lowerBound) to \(range.upperBound)") { text in
      Double(text).flatMap { range.contains($0) ? $0 : nil }
    }
  }
  mutating func flag(_ key: String) throws(ScenarioError) -> Bool? {
    try value(key, "yes or no") { ["yes": true, "true": true, "no": false, "false": false][$0] }
  }
  mutating func share(_ key: String) throws(ScenarioError) -> Double? {
    try value(key, "a share such as 20% or 0.2", Units.share)
  }
  /// At most a year and a day, or `hours`.
  mutating func duration(_ key: String, hours: Int64 = 366 * 24) throws(ScenarioError) -> Duration? {
    try value(key, "a time such as 250ms, 40s, 2m, 1h or 3d, at most \(Self.span(hours))") {
      Units.duration($0).flatMap { $0 <= .seconds(hours * 3_600) ? $0 : nil }
    }
  }
  mutating func durations(_ key: String, hours: Int64 = 366 * 24) throws(ScenarioError) -> ClosedRange<Duration>? {
    try value(key, "a time such as 4s, or a range such as 3s..5s, at most \(Self.span(hours))") {
      Units.range($0, Units.duration).flatMap { $0.upperBound <= .seconds(hours * 3_600) ? $0 : nil }
    }
  }
  private static func span(_ hours: Int64) -> String { hours % 24 == 0 ? "\(hours / 24)d" : "\(hours)h" }
  mutating func amount(_ key: String) throws(ScenarioError) -> Amount? {
    try value(key, "money such as 12.5 hbar or 300 tinybar, not negative") { Amount(parsing: $0) }
  }
  mutating func amounts(_ key: String) throws(ScenarioError) -> ClosedRange<Amount>? {
    try value(key, "money such as 0.5 hbar, or a range such as 0.4 hbar..0.6 hbar") {
      Units.range($0) { Amount(parsing: $0) }
    }
  }
  mutating func rate(_ key: String) throws(ScenarioError) -> Int? {
    try value(key, "a rate such as 100 Mbit/s or 12 MB/s", Units.rate)
  }
  mutating func speed(_ key: String) throws(ScenarioError) -> Double? {
    try value(key, "a speed such as 400 GFLOP/s or 2 TFLOP/s", Units.speed)
  }
  mutating func size(_ key: String) throws(ScenarioError) -> Int? {
    try value(key, "a size such as 16 GiB or 500 MiB", Units.size)
  }
  mutating func choice<T: RawRepresentable & CaseIterable>(
    _ key: String, _ type: T.Type
  ) throws(ScenarioError) -> T? where T.RawValue == String {
    try value(key, "one of " + T.allCases.map(\.rawValue).joined(separator: ", ")) { T(rawValue: $0) }
  }

  /// The items of a list.
  mutating func list(_ key: String) throws(ScenarioError) -> [Node]? {
    guard let node = find(key) else { return nil }
    guard case .sequence(let sequence) = node else { throw Self.error(node, file, "\(place).\(key) must be a list") }
    return Array(sequence)
  }
}

/// Numbers with units.
enum Units {
  private static func split(_ text: String) -> (Double, String)? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == "." || $0 == "-") }
    guard let value = Double(digits), value.isFinite, value >= 0 else { return nil }
    return (value, text.dropFirst(digits.count).trimmingSpaces)
  }
  static func duration(_ text: String) -> Duration? {
    guard let (value, unit) = split(text) else { return nil }
    let scale: Double? = ["ms": 1e-3, "s": 1, "m": 60, "h": 3_600, "d": 86_400][unit]
    guard let scale, value * scale <= 366 * 86_400 else { return nil }
    return Duration(modelSeconds: value * scale)
  }
  static func share(_ text: String) -> Double? {
    let value: Double?
    if text.hasSuffix("%") { value = Double(text.dropLast()).map { $0 / 100 } } else { value = Double(text) }
    return value.flatMap { $0 >= 0 && $0 <= 1 ? $0 : nil }
  }
  static func rate(_ text: String) -> Int? {
    guard let (value, unit) = split(text) else { return nil }
    let scale: Double? = [
      "kbit/s": 125, "Mbit/s": 125e3, "Gbit/s": 125e6, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9,
    ][unit]
    guard let scale, value * scale >= 1, value * scale < 1e13 else { return nil }
    return Int(value * scale)
  }
  static func speed(_ text: String) -> Double? {
    guard let (value, unit) = split(text) else { return nil }
    let scale: Double? = ["MFLOP/s": 1e6, "GFLOP/s": 1e9, "TFLOP/s": 1e12][unit]
    guard let scale, value > 0, value * scale < 1e18 else { return nil }
    return value * scale
  }
  static func size(_ text: String) -> Int? {
    guard let (value, unit) = split(text) else { return nil }
    let scale: Double? = ["KiB": 1_024, "MiB": 1_048_576, "GiB": 1_073_741_824][unit]
    guard let scale, value > 0, value * scale < 1e15 else { return nil }
    return Int(value * scale)
  }
  static func range<T: Comparable>(_ text: String, _ read: (String) -> T?) -> ClosedRange<T>? {
    if let whole = read(text) { return whole...whole }
    guard let dots = text.range(of: "..") else { return nil }
    guard let low = read(String(text[..<dots.lowerBound]).trimmingSpaces),
      let high = read(String(text[dots.upperBound...]).trimmingSpaces), low <= high
    else { return nil }
    return low...high
  }
}

extension StringProtocol {
  fileprivate var trimmingSpaces: String {
    var slice = self[...]
    while slice.first == " " { slice = slice.dropFirst() }
    while slice.last == " " { slice = slice.dropLast() }
    return String(slice)
  }
  fileprivate func range(of dots: String) -> Range<Index>? { self.firstRange(of: dots) }
}

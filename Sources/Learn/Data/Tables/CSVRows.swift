/// Where a table's text lies.
public enum TextSource: Sendable {
  case bytes([UInt8])
  case file(FileReader)

  var count: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .file(let file): file.count
    }
  }
}

/// Splits text into rows and fields (RFC 4180), a window of the text at a time; quotes may hold commas, line ends and doubled
/// quotes; spaces around a field are left out.
struct CSVRows {
  static let rowLimit = 1 << 24
  private static let windowSize = 1 << 20

  private let source: TextSource
  private let name: String
  /// A part of the text, and where it begins and is read on.
  private var window: [UInt8] = []
  private var windowStart = 0
  private var at = 0
  /// The fields of the row read last, one after the other, and where each begins and ends.
  private(set) var text: [UInt8] = []
  private(set) var fields: [Range<Int>] = []
  /// Of the row read last, from 1.
  private(set) var line = 0
  private var nextLine = 1

  init(_ source: TextSource, named name: String) throws(LearnError) {
    self.source = source
    self.name = name
    if try refill(), window.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
  }

  /// The next part of the text; false at its end.
  private mutating func refill() throws(LearnError) -> Bool {
    windowStart += window.count
    at = 0
    let end = min(source.count, windowStart + Self.windowSize)
    switch source {
    case .bytes(let bytes):
      // The whole text is one window, and there is no other.
      window = windowStart == 0 ? bytes : []
    case .file(let file): window = windowStart < end ? try file.bytes(windowStart..<end) : []
    }
    return !window.isEmpty
  }

  /// Reads the next row that is not empty into `fields`; false at the end.
  mutating func next() throws(LearnError) -> Bool {
    while try read() {
      if fields.count > 1 || !fields[0].isEmpty { return true }
    }
    return false
  }

  private enum Stop { case row, end, long, wide }

  private mutating func read() throws(LearnError) -> Bool {
    text.removeAll(keepingCapacity: true)
    fields.removeAll(keepingCapacity: true)
    line = nextLine
    var state = State()
    var isBegun = false
    while true {
      if at == window.count {
        guard try refill() else { break }
      }
      isBegun = true
      switch scan(&state) {
      case .row: return true
      case .long: throw .data("\(name) line \(line) is longer than \(Self.rowLimit) bytes; does a quote never end?")
      case .wide: throw .data("\(name) line \(line) has more than \(CSVTable.columnLimit) columns")
      case .end: break
      }
    }
    guard isBegun else { return false }
    guard !state.isQuoted else { throw .data("\(name) line \(line) has a quote that does not end") }
    endField(&state)
    return true
  }

  private struct State {
    var isQuoted = false
    /// A quote was read within quotes: it ends them, or another follows and both are one.
    var isQuoteHeld = false
    var fieldStart = 0
  }

  /// Reads on to the end of the row or of the window.
  private mutating func scan(_ state: inout State) -> Stop {
    while at < window.count {
      let byte = window[at]
      if state.isQuoteHeld {
        state.isQuoteHeld = false
        if byte == UInt8(ascii: "\"") {
          text.append(byte)
          at += 1
          continue
        }
        state.isQuoted = false
      }
      at += 1
      if state.isQuoted {
        if byte == UInt8(ascii: "\"") {
          state.isQuoteHeld = true
          continue
        }
        if byte == 0x0A { nextLine += 1 }
        text.append(byte)
        if text.count > Self.rowLimit { return .long }
        continue
      }
      switch byte {
      case UInt8(ascii: "\"") where text.count == state.fieldStart: state.isQuoted = true
      case UInt8(ascii: ","):
        endField(&state)
        if fields.count > CSVTable.columnLimit { return .wide }
      case 0x0D: break
      case 0x0A:
        nextLine += 1
        endField(&state)
        return .row
      default:
        text.append(byte)
        if text.count > Self.rowLimit { return .long }
      }
    }
    if state.isQuoteHeld, windowStart + window.count == source.count {
      state.isQuoted = false
    }
    return .end
  }

  private mutating func endField(_ state: inout State) {
    var start = state.fieldStart
    var end = text.count
    while start < end, text[start] == 0x20 { start += 1 }
    while start < end, text[end - 1] == 0x20 { end -= 1 }
    fields.append(start..<end)
    state.fieldStart = text.count
  }

  /// A field as words.
  func words(_ field: Int) throws(LearnError) -> String {
    guard let words = String(validating: text[fields[field]], as: UTF8.self) else {
      throw .data("\(name) line \(line) is not UTF-8")
    }
    return words
  }
  /// A field as a number, which may be infinite or none; nil where it is not written as a number.
  func number(_ field: Int) -> Double? {
    let range = fields[field]
    return text.withUnsafeBufferPointer { DecimalNumber.read(UnsafeBufferPointer(rebasing: $0[range])) }
  }
}

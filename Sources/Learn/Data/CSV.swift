/// Tables as comma-separated values (RFC 4180): a header, numbers in every column but the label's.
public enum CSV {
  public enum Scaling: String, Sendable, CaseIterable {
    case none
    /// Each column less its mean, over its standard deviation.
    case zscore
  }
  static let sizeLimit = 1 << 30
  static let columnLimit = 100_000

  /// - Parameters:
  ///   - label: the column of classes, by its name; its values are numbered in their order as text.
  /// - Throws: `LearnError.data`, naming line and column.
  public static func dataset(
    _ bytes: [UInt8], label: String, scaling: Scaling, named name: String
  ) throws(LearnError) -> Dataset {
    guard bytes.count <= sizeLimit else { throw .data("\(name) is larger than \(sizeLimit) bytes") }
    var rows = CSVRows(bytes)
    guard let header = try rows.next(name) else { throw .data("\(name) is empty") }
    guard header.count >= 2, header.count <= columnLimit else {
      throw .data("\(name) has \(header.count) columns; a label and at least one feature are needed")
    }
    if let twice = header.indices.first(where: { header[..<$0].contains(header[$0]) }) {
      throw .data("\(name) has two columns called '\(header[twice])'")
    }
    guard let labelColumn = header.firstIndex(of: label) else {
      let known = header.prefix(12).joined(separator: ", ") + (header.count > 12 ? ", …" : "")
      throw .data("\(name) has no column '\(label)'; its columns are \(known)")
    }
    var values: [Double] = []
    var words: [String] = []
    while let row = try rows.next(name) {
      if row == [""] { continue }
      guard row.count == header.count else {
        throw .data("\(name) line \(rows.line) has \(row.count) columns where the header has \(header.count)")
      }
      for (column, text) in row.enumerated() {
        if column == labelColumn {
          guard !text.isEmpty else { throw .data("\(name) line \(rows.line) has no label in column '\(label)'") }
          words.append(text)
          continue
        }
        guard let value = Double(text), value.isFinite else {
          throw .data("\(name) line \(rows.line), column '\(header[column])': '\(text)' is not a finite number")
        }
        values.append(value)
      }
    }
    guard !words.isEmpty else { throw .data("\(name) has a header and no rows") }
    let names = Array(Set(words)).sorted()
    guard names.count >= 2 else { throw .data("\(name) has one class only: '\(names[0])'") }
    var numbers: [String: Int] = [:]
    for (number, word) in names.enumerated() { numbers[word] = number }
    let features = header.count - 1
    if scaling == .zscore { standardise(&values, columns: features) }
    return try Dataset(
      features: .floats(values.map(Float.init)), labels: words.map { numbers[$0] ?? 0 }, featureCount: features,
      classes: names.count)
  }

  /// Mean first, then the spread around it, each summed from the first row to the last.
  private static func standardise(_ values: inout [Double], columns: Int) {
    let rows = values.count / columns
    for column in 0..<columns {
      var sum = 0.0
      for row in 0..<rows { sum += values[row * columns + column] }
      let mean = sum / Double(rows)
      var squares = 0.0
      for row in 0..<rows {
        let difference = values[row * columns + column] - mean
        squares += difference * difference
      }
      let deviation = (squares / Double(rows)).squareRoot()
      for row in 0..<rows {
        let difference = values[row * columns + column] - mean
        values[row * columns + column] = deviation > 0 ? difference / deviation : 0
      }
    }
  }
}

/// Splits text into rows and fields; quotes may hold commas, line ends and doubled quotes.
private struct CSVRows {
  private let bytes: [UInt8]
  private var at = 0
  /// Of the row read last, from 1.
  private(set) var line = 0
  private var nextLine = 1

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
  }

  mutating func next(_ name: String) throws(LearnError) -> [String]? {
    guard at < bytes.count else { return nil }
    line = nextLine
    var fields: [String] = []
    var field: [UInt8] = []
    var isQuoted = false
    func text() throws(LearnError) -> String {
      guard let text = String(validating: field, as: UTF8.self) else {
        throw .data("\(name) line \(line) is not UTF-8")
      }
      return text
    }
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      if isQuoted {
        if byte == UInt8(ascii: "\"") {
          if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
            field.append(byte)
            at += 1
          } else {
            isQuoted = false
          }
        } else {
          if byte == 0x0A { nextLine += 1 }
          field.append(byte)
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\"") where field.isEmpty: isQuoted = true
      case UInt8(ascii: ","):
        fields.append(trimmed(try text()))
        field = []
        guard fields.count <= CSV.columnLimit else { throw .data("\(name) line \(line) has too many columns") }
      case 0x0D: break
      case 0x0A:
        nextLine += 1
        fields.append(trimmed(try text()))
        return fields
      default: field.append(byte)
      }
    }
    guard !isQuoted else { throw .data("\(name) line \(line) has a quote that does not end") }
    fields.append(trimmed(try text()))
    return fields
  }

  private func trimmed(_ text: String) -> String {
    var slice = text[...]
    while slice.first == " " { slice.removeFirst() }
    while slice.last == " " { slice.removeLast() }
    return String(slice)
  }
}

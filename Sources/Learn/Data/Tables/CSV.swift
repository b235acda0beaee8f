/// Tables as comma-separated values (RFC 4180): a header, and in every column numbers or words.
public enum CSV {
  static let sizeLimit = 1 << 30
  /// Features of all rows that are held in memory.
  static let valueLimit = 1 << 28

  /// Reads a table into memory.
  ///
  /// - Parameters:
  ///   - label: the column of targets, by its name. Classes are numbered in the order of their words as text.
  ///   - choice: what the targets are.
  /// - Throws: `LearnError.data`, naming line and column.
  public static func dataset(
    _ bytes: [UInt8], label: String, choice: TargetChoice = .classes, named name: String
  ) throws(LearnError) -> (dataset: Dataset, table: CSVTable) {
    guard bytes.count <= sizeLimit else {
      throw .data("\(name) is larger than \(sizeLimit) bytes; split it with 'scenario split'")
    }
    let table = try scan(.bytes(bytes), label: label, choice: choice, named: name)
    let (total, overflow) = table.count.multipliedReportingOverflow(by: table.form.features)
    guard !overflow, total <= valueLimit else {
      throw .data(
        "\(name) has \(table.count) rows of \(table.form.features) features, which is more than \(valueLimit); split it "
          + "with 'scenario split'")
    }
    return (try Dataset(table, shape: [table.form.features]), table)
  }

  /// Goes through the text once and finds what its columns hold.
  ///
  /// A column's first field says whether it holds numbers or words; a column of both is an error, and so is an empty field.
  public static func scan(
    _ source: TextSource, label: String, choice: TargetChoice = .classes, named name: String
  ) throws(LearnError) -> CSVTable {
    var rows = try CSVRows(source, named: name)
    guard try rows.next() else { throw .data("\(name) is empty") }
    var header: [String] = []
    for field in rows.fields.indices { header.append(try rows.words(field)) }
    let labelColumn = try find(label, in: header, name)
    var kinds = [Kind](repeating: .unknown, count: header.count)
    if choice == .classes { kinds[labelColumn] = .words([]) }
    var count = 0
    while try rows.next() {
      guard rows.fields.count == header.count else {
        throw .data("\(name) line \(rows.line) has \(rows.fields.count) columns where the header has \(header.count)")
      }
      for column in header.indices {
        let limit = column == labelColumn ? SampleForm.classLimit : CSVTable.wordLimit
        try kinds[column].take(rows, column, header[column], limit, name)
      }
      if choice == .numbers, case .words = kinds[labelColumn] {
        throw .data("\(name) line \(rows.line), column '\(label)': \(rows.shown(labelColumn)) is not a number")
      }
      count += 1
    }
    guard count > 0 else { throw .data("\(name) has a header and no rows") }
    var classNames: [String] = []
    if case .words(let words) = kinds[labelColumn] {
      classNames = words.sorted()
      guard classNames.count >= 2 else { throw .data("\(name) has one class only: '\(classNames[0])'") }
    }
    var columns: [CSVTable.Column] = []
    for column in header.indices where column != labelColumn {
      if case .words(let words) = kinds[column] {
        columns.append(CSVTable.Column(name: header[column], words: words.sorted()))
      } else {
        columns.append(CSVTable.Column(name: header[column], words: nil))
      }
    }
    let form = SampleForm(
      storage: .floats, targetKind: choice == .classes ? .classes : .values, classes: classNames.count,
      features: columns.reduce(0) { $0 + $1.width }, targets: 1, divisor: 1)
    try form.check(count: 1)
    return CSVTable(
      name: name, columns: columns, classNames: classNames, form: form, count: count, source: source,
      labelColumn: labelColumn)
  }

  private static func find(_ label: String, in header: [String], _ name: String) throws(LearnError) -> Int {
    guard header.count >= 2, header.count <= CSVTable.columnLimit else {
      throw .data("\(name) has \(header.count) columns; a label and at least one feature are needed")
    }
    var seen: Set<String> = []
    if let twice = header.first(where: { !seen.insert($0).inserted }) {
      throw .data("\(name) has two columns called '\(twice)'")
    }
    guard let column = header.firstIndex(of: label) else {
      let known = header.prefix(12).joined(separator: ", ") + (header.count > 12 ? ", …" : "")
      throw .data("\(name) has no column '\(label)'; its columns are \(known)")
    }
    return column
  }

  /// What a column has turned out to hold so far.
  private enum Kind {
    case unknown
    case numbers
    case words(Set<String>)

    mutating func take(_ rows: CSVRows, _ column: Int, _ header: String, _ limit: Int, _ name: String)
      throws(LearnError)
    {
      func wrong(_ words: String) -> LearnError { .data("\(name) line \(rows.line), column '\(header)': \(words)") }
      if rows.fields[column].isEmpty { throw wrong("there is no value, and no label; every field needs one") }
      switch self {
      case .unknown, .numbers:
        if let value = rows.number(column) {
          guard Float(value).isFinite else {
            throw wrong("\(rows.shown(column)) is not a finite number that float32 holds")
          }
          self = .numbers
          return
        }
        if case .numbers = self {
          throw wrong("\(rows.shown(column)) is not a number, as those above it are; a column holds numbers or words")
        }
        self = .words([try rows.words(column)])
      case .words(var known):
        let word = try rows.words(column)
        if known.contains(word) { return }
        // The set must not be shared while it grows.
        self = .unknown
        known.insert(word)
        guard known.count <= limit else {
          throw wrong("there are more than \(limit) different words; leave the column out, or give numbers")
        }
        self = .words(known)
      }
    }
  }
}

extension CSVRows {
  /// A field in quotes, for a message; not all of a long one.
  func shown(_ field: Int) -> String {
    let bytes = text[fields[field]]
    return "'" + String(decoding: bytes.prefix(60), as: UTF8.self) + (bytes.count > 60 ? "…" : "") + "'"
  }
}

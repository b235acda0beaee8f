import Runtime

/// A table whose columns are known: what `CSV.scan` found on its way through the text.
public struct CSVTable: RowSource {
  static let columnLimit = 100_000
  static let wordLimit = 1_000

  public struct Column: Sendable, Equatable {
    public var name: String
    /// The words of a column of words, sorted: each becomes a feature that is 1 where it stands and 0 elsewhere. Nil for a
    /// column of numbers, which is one feature.
    public var words: [String]?
    var width: Int { words?.count ?? 1 }
  }

  public let name: String
  /// Of features, in the order of the text.
  public let columns: [Column]
  /// What the classes are called, in their order; none where targets are numbers.
  public let classNames: [String]
  public let form: SampleForm
  public let count: Int
  let source: TextSource
  let labelColumn: Int

  /// Features that are 0 or 1 for a word, and are left as they are by a normalisation.
  public var wordFeatures: Set<Int> {
    var found: Set<Int> = []
    var at = 0
    for column in columns {
      if column.words != nil { found.formUnion(at..<(at + column.width)) }
      at += column.width
    }
    return found
  }

  /// What was done that the text does not say, a line each.
  public var notes: [String] {
    columns.compactMap { column in
      column.words.map { words in
        let shown = words.prefix(8).joined(separator: ", ") + (words.count > 8 ? ", …" : "")
        return "\(name): column '\(column.name)' holds words and became \(words.count) features of 0 or 1: \(shown)"
      }
    }
  }

  /// Reads the text once more, from the first row to the last.
  public func forEach(
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(LearnError) -> Void
  ) throws(LearnError) {
    let places = columns.map { column in
      column.words.map { Dictionary(uniqueKeysWithValues: $0.enumerated().map { ($1, $0) }) }
    }
    let classes = Dictionary(uniqueKeysWithValues: classNames.enumerated().map { ($1, UInt16($0)) })
    var rows = try CSVRows(source, named: name)
    guard try rows.next() else { throw changed }
    var features = [Float](repeating: 0, count: form.features)
    var seen = 0
    while try rows.next() {
      guard rows.fields.count == columns.count + 1, seen < count else { throw changed }
      var at = 0
      for (index, column) in columns.enumerated() {
        let field = index < labelColumn ? index : index + 1
        if let places = places[index] {
          guard let place = places[try rows.words(field)] else { throw changed }
          for offset in 0..<column.width { features[at + offset] = 0 }
          features[at + place] = 1
        } else {
          guard let value = rows.number(field) else { throw changed }
          features[at] = Float(value)
        }
        at += column.width
      }
      var target: [UInt8]
      if form.targetKind == .classes {
        guard let label = classes[try rows.words(labelColumn)] else { throw changed }
        target = [UInt8(truncatingIfNeeded: label), UInt8(label >> 8)]
      } else {
        guard let value = rows.number(labelColumn) else { throw changed }
        let bits = Float(value).bitPattern
        target = (0..<4).map { UInt8(truncatingIfNeeded: bits >> UInt32(8 * $0)) }
      }
      try withBytes(of: features, and: target, body)
      seen += 1
    }
    guard seen == count else { throw changed }
  }

  private var changed: LearnError { .data("\(name) changed while it was read") }
}

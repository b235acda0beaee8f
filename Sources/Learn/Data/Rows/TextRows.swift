/// Windows of a text in a file, read a few at a time: see `TextFile`.
public struct TextRows: RowSource {
  public let form: SampleForm
  public let count: Int
  /// The byte that each class stands for; nil where classes are bytes.
  public let vocabulary: [UInt8]?
  public var name: String { file.path }
  private let file: FileReader
  private let window: Int
  private let table: [UInt8]

  /// - Throws: `LearnError.data` for a text that is too short or made of one byte only.
  public init(path: String, window: Int, vocabulary choice: TextFile.Vocabulary = .bytes) throws(LearnError) {
    file = try FileReader(path: path)
    count = try TextFile.windows(length: file.count, window: window, named: path)
    self.window = window
    var occurring: Set<UInt8> = []
    if choice == .occurring {
      var at = 0
      while at < file.count {
        let end = min(file.count, at + 1 << 20)
        occurring.formUnion(try file.bytes(at..<end))
        at = end
      }
    }
    let classes: Int
    (table, classes, vocabulary) = try TextFile.table(choice, of: occurring, named: path)
    form = SampleForm(
      storage: .bytes, targetKind: .classes, classes: classes, features: window, targets: window, divisor: 1)
    try form.check(count: 1)
  }

  public func forEach(
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(LearnError) -> Void
  ) throws(LearnError) {
    let step = max(1, 1 << 20 / window)
    var row = 0
    var targets = [UInt8](repeating: 0, count: window * 2)
    while row < count {
      let end = min(count, row + step)
      let classes = try file.bytes((row * window)..<(end * window + 1)).map { table[Int($0)] }
      for start in stride(from: 0, to: (end - row) * window, by: window) {
        for index in 0..<window { targets[index * 2] = classes[start + index + 1] }
        try withBytes(of: Array(classes[start..<(start + window)]), and: targets, body)
      }
      row = end
    }
  }
}

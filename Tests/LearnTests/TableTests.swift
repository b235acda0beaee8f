import Runtime
import Testing

@testable import Learn

@Suite struct TableTests {
  private func read(_ text: String, _ choice: TargetChoice = .classes) throws -> (dataset: Dataset, table: CSVTable) {
    try CSV.dataset(Array(text.utf8), label: "y", choice: choice, named: "t.csv")
  }
  private func floats(_ dataset: Dataset) -> [Float] {
    if case .floats(let floats) = dataset.features { floats } else { [] }
  }

  @Test func `a column of words becomes a feature for each word, and says so`() throws {
    let (data, table) = try read("colour,size,y\nred,1,a\n\"bl\"\"ue\",2,b\nred,-3,a\n")
    #expect(data.featureCount == 3 && floats(data) == [0, 1, 1, 1, 0, 2, 0, 1, -3])
    #expect(table.wordFeatures == [0, 1] && table.classNames == ["a", "b"])
    #expect(table.notes == ["t.csv: column 'colour' holds words and became 2 features of 0 or 1: bl\"ue, red"])
  }

  @Test func `numbers as targets`() throws {
    let (data, table) = try read("a,y\n1,0.5\n2,-1e3\n", .numbers)
    guard case .values(let values, per: 1) = data.targets else {
      Issue.record("values")
      return
    }
    #expect(values == [0.5, -1_000] && table.classNames == [] && data.classes == 0)
  }

  @Test(arguments: [
    ("a,y\n1,p\nx,q\n", TargetChoice.classes, "line 3, column 'a': 'x' is not a number, as those above"),
    ("a,y\n1,p\n1e300,q\n", .classes, "line 3, column 'a': '1e300' is not a finite number"),
    ("a,y\n1,p\n,q\n", .classes, "line 3, column 'a': there is no value"),
    ("a,y\n1,p\n", .numbers, "line 2, column 'y': 'p' is not a number"),
    ("a,y\n1,1\n1,nan\n", .numbers, "line 3, column 'y'"),
    ("a,a,y\n1,1,p\n", .classes, "two columns called 'a'"),
  ])
  func `a table that cannot be used says where`(_ text: String, _ choice: TargetChoice, _ expected: String) {
    do {
      _ = try read(text, choice)
      Issue.record("it was read")
    } catch { #expect("\(error)".contains(expected), "\(error)") }
  }

  @Test func `too many words are refused with the column`() {
    var text = "a,y\n"
    for index in 0...1_000 { text += "w\(index),\(index % 2)\n" }
    do {
      _ = try read(text)
      Issue.record("it was read")
    } catch { #expect("\(error)".contains("line 1002, column 'a': there are more than 1000 different words")) }
  }

  @Test func `numbers are the nearest doubles`() {
    var stream = Seed(3).stream
    var texts = [
      "0", "-0", "1.", ".5", "-", "", "1e5", "1e-7", "0x10", "9007199254740993", "9007199254740992", "0.1", "1_0", "+3",
      "12345678901234567890", "0.0000000000000000000001", "123456.789012345678", "nan", "inf", "1..2", "1.2.3", "--1",
    ]
    for _ in 0..<20_000 {
      var text = stream.chance(0.5) ? "-" : ""
      for _ in 0...stream.below(12) { text += String(stream.below(10)) }
      if stream.chance(0.7) {
        text += "."
        for _ in 0...stream.below(12) { text += String(stream.below(10)) }
      }
      texts.append(text)
    }
    for text in texts {
      let read = Array(text.utf8).withUnsafeBufferPointer { DecimalNumber.read($0) }
      #expect(read?.bitPattern == Double(text)?.bitPattern, "\(text)")
    }
  }

  @Test func `a table in a file is the table in memory, wherever its windows end`() throws {
    var text = "a,\"b\nb\",c,y\r\n"
    var stream = Seed(9).stream
    for row in 0..<60_000 {
      text += "\(stream.below(100_000)).\(stream.below(1_000)),\"w\"\"\(stream.below(7))\",\(row),\"k,\(row % 3)\"\r\n"
    }
    let path = "/tmp/peermill-table-\(text.utf8.count).csv"
    try write(path, Array(text.utf8))
    defer { remove(path) }
    let memory = try read(text)
    let table = try CSV.scan(.file(FileReader(path: path)), label: "y", named: "t.csv")
    let other = try Dataset(table, shape: [table.form.features])
    #expect(text.utf8.count > 1 << 20 && table.columns == memory.table.columns && table.form == memory.table.form)
    #expect(other.labels == memory.dataset.labels && floats(other) == floats(memory.dataset))
  }
}

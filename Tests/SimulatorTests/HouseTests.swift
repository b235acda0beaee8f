import Testing

/// The code itself: nothing that runs in a rehearsal looks at a clock, draws from the process, or leaves the queue.
@Suite struct HouseTests {
  static let pure = [
    "Sources/Runtime/Core", "Sources/Learn", "Sources/Transport/Core", "Sources/Chain/Core", "Sources/ObjectStore/Core",
    "Sources/Actors", "Sources/Simulator",
  ]
  static let forbidden = [
    "Task {", "Task.detached", "Task.sleep", "Date()", "ContinuousClock", "SuspendingClock", "UUID()",
    "SystemRandomNumberGenerator", "Hasher()", ".hashValue", "DispatchQueue", ".shuffled()", ".randomElement()",
    "AsyncStream",
    "CFAbsoluteTime", "clock_gettime", "getenv", "ProcessInfo", ".random(in:",
  ]
  /// The one place that may start a task, and the guard that speaks of what it guards against.
  static let allowed: [(file: String, word: String)] = [("Loop.swift", "Task.detached")]

  @Test func `pure modules read no clock, no global chance and start no task`() throws {
    var found: [String] = []
    var files = 0
    for folder in Self.pure {
      for file in swiftFiles(under: folder) {
        files += 1
        let text = try #require(readFile(file))
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
          let code = line.drop { $0 == " " }
          if code.hasPrefix("//") { continue }
          for word in Self.forbidden where code.contains(word) {
            if Self.allowed.contains(where: { file.hasSuffix($0.file) && $0.word == word }) { continue }
            found.append("\(file):\(number + 1): \(word)")
          }
        }
      }
    }
    #expect(files > 60)
    #expect(found == [])
  }

  @Test func `encoders sort their keys`() throws {
    for file in swiftFiles(under: "Sources") {
      let text = try #require(readFile(file))
      if text.contains("JSONEncoder()") { #expect(text.contains(".sortedKeys"), "\(file)") }
    }
  }

  @Test func `numbers that are digested use no library's transcendentals`() throws {
    for file in swiftFiles(under: "Sources/Learn") {
      let text = try #require(readFile(file))
      for word in [" exp(", " log(", " sin(", " cos(", " pow(", " tanh("] {
        #expect(!text.contains(word), "\(file): \(word)")
      }
    }
  }

  @Test func `no file swallows the rest`() throws {
    for file in swiftFiles(under: "Sources") {
      let lines = try #require(readFile(file)).split(separator: "\n", omittingEmptySubsequences: false).count
      #expect(lines <= 450, "\(file) has \(lines) lines")
    }
  }
}

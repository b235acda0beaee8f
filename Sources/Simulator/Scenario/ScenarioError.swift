/// What is wrong with a scenario, on one line: file, line, column, words.
public struct ScenarioError: Error, Equatable, Sendable, CustomStringConvertible {
  public var file: String
  public var line: Int?
  public var column: Int?
  public var message: String
  public init(file: String, line: Int? = nil, column: Int? = nil, message: String) {
    self.file = file
    self.line = line
    self.column = column
    self.message = message
  }
  public var description: String {
    let place = [line, column].compactMap { $0.map { ":\($0)" } }.joined()
    let words = message.replacing("\n", with: " ")
    return file.isEmpty ? words : "\(file)\(place): \(words)"
  }
}

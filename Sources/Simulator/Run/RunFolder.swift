import Foundation
import Learn
import Runtime

/// Where a run is kept: `runs/<digest>/` with its record, report, tables, journals and the weights that were delivered.
public struct RunFolder {
  public struct Origin: Codable {
    public var file: String
    public var folder: String
    public var seed: UInt64
    public var jobSeed: UInt64?
    public var schedule: String
    public var digest: String
    public init(file: String, folder: String, seed: UInt64, jobSeed: UInt64?, schedule: String, digest: String) {
      self.file = file
      self.folder = folder
      self.seed = seed
      self.jobSeed = jobSeed
      self.schedule = schedule
      self.digest = digest
    }
  }
  public let path: String
  public init(path: String) { self.path = path }

  /// Asks for the place where runs are kept before a run is made that could not be kept.
  public static func prepare(under root: String) throws {
    let files = FileManager.default
    guard (try? files.createDirectory(atPath: root, withIntermediateDirectories: true)) != nil,
      files.isWritableFile(atPath: root)
    else { throw ScenarioError(file: root, message: "runs cannot be kept here; name another folder with --runs") }
  }

  /// Writes everything; an older run of the same digest is replaced.
  public static func write(
    _ record: RunRecord, journals: [(name: String, bytes: [UInt8])], weights: [UInt8]?, model: [UInt8]?,
    normalisation: Normalisation?, scenario: String,
    origin: Origin,
    under root: String
  ) throws -> RunFolder {
    let folder = RunFolder(path: root + "/" + String(record.digest.prefix(16)))
    let files = FileManager.default
    try files.createDirectory(atPath: folder.path + "/journals", withIntermediateDirectories: true)
    func put(_ name: String, _ bytes: [UInt8]) throws {
      try Data(bytes).write(to: URL(fileURLWithPath: folder.path + "/" + name))
    }
    let output = RunFiles(record)
    try put("run.json", try output.json())
    for table in output.tables { try put(table.name, Array(table.text.utf8)) }
    try put("report.html", Array(HTMLReport(record).page().utf8))
    try put("scenario.yaml", Array(scenario.utf8))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    try put("origin.json", [UInt8](try encoder.encode(origin)))
    for journal in journals { try put("journals/\(journal.name).journal", journal.bytes) }
    if let weights { try put("weights.safetensors", weights) }
    if let model { try put("model.onnx", model) }
    if let normalisation { try put("normalisation.json", try normalisation.json()) }
    return folder
  }

  public func origin() throws -> Origin {
    guard let data = FileManager.default.contents(atPath: path + "/origin.json"),
      let origin = try? JSONDecoder().decode(Origin.self, from: data)
    else {
      throw ScenarioError(
        file: path, message: "this is not the folder of a run: it has no origin.json that can be read")
    }
    return origin
  }
  public func scenario() throws -> Scenario {
    let origin = try origin()
    var scenario = try Scenario.load(path: path + "/scenario.yaml")
    scenario.file = origin.file
    scenario.name = URL(fileURLWithPath: origin.file).deletingPathExtension().lastPathComponent
    scenario.seed = origin.seed
    scenario.jobSeed = origin.jobSeed
    return scenario
  }
  public func journal(_ name: String) -> [UInt8]? {
    FileManager.default.contents(atPath: path + "/journals/\(name).journal").map { [UInt8]($0) }
  }
  public var journalNames: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path + "/journals")) ?? [])
      .filter { $0.hasSuffix(".journal") }.map { String($0.dropLast(8)) }.sorted()
  }
}

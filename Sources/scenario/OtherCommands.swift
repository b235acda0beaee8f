import ArgumentParser
import Foundation
import Simulator

struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the stories in a folder, a line each.")
  @Argument(help: "The folder.") var folder: String = "Scenarios"

  func run() throws {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
      throw ScenarioCommand.userError(ScenarioError(file: folder, message: "there is no such folder"))
    }
    for name in names.filter({ $0.hasSuffix(".yaml") }).sorted() {
      do {
        let scenario = try Scenario.load(path: folder + "/" + name)
        print("\(scenario.name): \(scenario.story)")
      } catch { print("\(error)") }
    }
  }
}

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Read scenarios and say what is wrong with them, without running anything.")
  @Argument(help: "Scenario files.") var files: [String]

  func run() throws {
    for file in files {
      do {
        let scenario = try Scenario.load(path: file)
        let rehearsal = try RunOptions.parse([]).rehearsal(
          scenario, folder: URL(fileURLWithPath: file).deletingLastPathComponent().path)
        print("\(file): in order")
        for note in rehearsal.notes { print("  \(note)") }
      } catch { throw ScenarioCommand.userError(error) }
    }
  }
}

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Do a kept run again and compare every peer's journal, record by record.")
  @Argument(help: "The run's folder, runs/<digest>.") var run_folder: String
  @Option(help: "Threads that train; no result depends on it.") var workers: Int = 1

  func validate() throws {
    if !(0...256).contains(workers) { throw ValidationError("--workers takes 0 to 256") }
  }

  func run() throws {
    let folder = RunFolder(path: run_folder)
    let rehearsal: Rehearsal
    let origin: RunFolder.Origin
    do {
      origin = try folder.origin()
      var options = try RunOptions.parse(["--schedule", origin.schedule])
      options.workers = workers
      rehearsal = try options.rehearsal(try folder.scenario(), folder: origin.folder)
    } catch { throw ScenarioCommand.userError(error) }
    let record = rehearsal.run()
    let differences = try Replay.differences(folder, rehearsal)
    if differences.isEmpty && record.digest == origin.digest {
      print("the same: \(folder.journalNames.count) journals, every record; digest \(record.digest)")
      return
    }
    print("not the same: digest \(record.digest) now, \(origin.digest) then")
    for difference in differences.prefix(10) {
      print("  \(difference.peer), record \(difference.record), at \(difference.at) s: \(difference.words)")
    }
    throw ExitCode(1)
  }
}

struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Say who was paid, refused or slashed, and why, out of a run's journals.")
  @Argument(help: "The run's folder, runs/<digest>.") var run_folder: String
  @Argument(help: "A peer's name; without one, everybody's outcome.") var peer: String?

  func run() throws {
    let folder = RunFolder(path: run_folder)
    let explanation: Explanation
    do {
      let origin = try folder.origin()
      let rehearsal = try RunOptions.parse([]).rehearsal(try folder.scenario(), folder: origin.folder)
      if let peer, !rehearsal.world.peerNames.contains(peer) {
        throw ScenarioError(file: run_folder, message: "nobody in this run is called '\(peer)'")
      }
      guard let journal = folder.journal("coordinator") else {
        throw ScenarioError(file: run_folder, message: "the coordinator's journal is not there")
      }
      explanation = try Explanation(world: rehearsal.world, journal: journal)
    } catch { throw ScenarioCommand.userError(error) }
    let lines = explanation.lines(about: peer)
    print(peer.map { "What the coordinator's journal tells of \($0):" } ?? "Outcomes, from the coordinator's journal:")
    print(lines.isEmpty ? "  nothing" : lines.joined(separator: "\n"))
  }
}

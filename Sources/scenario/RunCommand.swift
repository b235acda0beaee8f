import ArgumentParser
import Foundation
import Glibc
import Runtime
import Simulator
import Synchronization

enum ScheduleChoice: String {
  case inOrder = "in-order"
  case permuted
  var value: Schedule { self == .inOrder ? .inOrder : .permuted }
}

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Tell a story to its end and say whether it held.",
    discussion: "Writes runs/<digest>/ with a report, tables, every peer's journal and the delivered weights.")

  @Argument(help: "The scenario's file.") var file: String
  @OptionGroup var options: RunOptions
  @Flag(help: "Print one JSON object and nothing else on standard output.") var json = false
  @Flag(help: "No colours.") var noColor = false
  @Option(help: "Where runs are kept.") var runs: String = "runs"
  @Flag(help: "Keep nothing on disk.") var keepNothing = false

  func run() throws {
    let scenario: Scenario
    let rehearsal: Rehearsal
    let folder = URL(fileURLWithPath: file).deletingLastPathComponent().path
    do {
      var read = try Scenario.load(path: file)
      if let seed = options.seed { read.seed = seed }
      if let jobSeed = options.jobSeed { read.jobSeed = jobSeed }
      scenario = read
      rehearsal = try options.rehearsal(scenario, folder: folder)
      if !keepNothing { try RunFolder.prepare(under: runs) }
    } catch { throw ScenarioCommand.userError(error) }
    for note in rehearsal.notes { FileHandle.standardError.write(Data((note + "\n").utf8)) }
    Interruption.watch()
    rehearsal.world.interruption = { Interruption.isAsked }
    let began = ContinuousClock.now
    let screen = ProgressScreen(isQuiet: json)
    var record = rehearsal.run { screen.show($0) }
    screen.end()
    record.wall.seconds = (ContinuousClock.now - began).inSeconds
    record.wall.peakMiB = peakMiB()
    if Interruption.isAsked {
      record.invariantsBroken.append("the run was interrupted: what stands here is what there was")
    }
    let kept = keepNothing ? nil : try keep(record, rehearsal, scenario, folder)
    if json {
      print(try RunFiles(record).summary())
    } else {
      let colours = !noColor && isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["NO_COLOR"] == nil
      print(TerminalReport(record, colours: colours).text(reportPath: kept.map { $0.path + "/report.html" }))
    }
    if Interruption.isAsked { throw ExitCode(130) }
    if !record.passed { throw ExitCode(1) }
  }

  private func keep(_ record: RunRecord, _ rehearsal: Rehearsal, _ scenario: Scenario, _ folder: String) throws
    -> RunFolder
  {
    let text = FileManager.default.contents(atPath: file).map { String(decoding: $0, as: UTF8.self) } ?? ""
    return try RunFolder.write(
      record, journals: rehearsal.journals, weights: rehearsal.deliveredWeights, model: try rehearsal.deliveredModel(),
      normalisation: rehearsal.normalisation, scenario: text,
      origin: .init(
        file: file, folder: folder, seed: scenario.seed, jobSeed: scenario.jobSeed, schedule: options.schedule,
        digest: record.digest), under: runs)
  }

  private func peakMiB() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1_024
  }
}

/// Ctrl-C ends a run where it stands, and its report is still written.
enum Interruption {
  private static let asked = Atomic<Bool>(false)
  static var isAsked: Bool { asked.load(ordering: .relaxed) }
  static func watch() {
    signal(SIGINT) { _ in
      Interruption.asked.store(true, ordering: .relaxed)
      // A second time ends the process at once.
      signal(SIGINT, SIG_DFL)
    }
  }
}

/// A bar that is drawn over on a terminal; plain lines, one a round, in a pipe.
final class ProgressScreen {
  private let isQuiet: Bool
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var lastRound = -1
  private var isDrawn = false
  init(isQuiet: Bool) { self.isQuiet = isQuiet }

  func show(_ progress: RunProgress) {
    if isQuiet && !isTerminal { return }
    if isTerminal {
      var width = winsize()
      let columns = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &width) == 0 && width.ws_col > 20 ? Int(width.ws_col) : 100
      FileHandle.standardError.write(Data("\r\u{1B}[2K\(String(progress.line().prefix(columns - 1)))".utf8))
      isDrawn = true
    } else if progress.roundsClosed != lastRound || progress.phase != "training" {
      lastRound = progress.roundsClosed
      FileHandle.standardError.write(Data((progress.words + "\n").utf8))
    }
  }
  func end() { if isDrawn { FileHandle.standardError.write(Data("\n".utf8)) } }
}

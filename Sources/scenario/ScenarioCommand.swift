import ArgumentParser
import Foundation
import Learn
import Simulator

@main
struct ScenarioCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scenario",
    abstract:
      "Rehearse a training job: a whole network in one process, every fault, one seed, the same bits each time.",
    discussion: """
      Examples:
        scenario run Scenarios/quickstart.yaml              tell the story, write a report
        scenario run Scenarios/small.yaml --seed 8 --json   another seed, one JSON object
        scenario explain runs/0123456789abcdef laptop-3     why was laptop-3 paid, or not
        scenario replay runs/0123456789abcdef               do it again and compare every record

      It ends with 0 where the story held, 1 where it did not, 2 for a mistake in the call or the file.
      """,
    subcommands: [
      RunCommand.self, ListCommand.self, CheckCommand.self, SplitCommand.self, ReplayCommand.self, ExplainCommand.self,
      EvaluateCommand.self, ExportCommand.self,
    ])

  /// What the person at the keyboard did wrong: one line, exit code 2, nothing written.
  static func userError(_ error: any Error) -> ExitCode {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    return ExitCode(2)
  }

  static func main() {
    keepFreedMemory()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let code as ExitCode {
      Foundation.exit(code.rawValue)
    } catch {
      let code = exitCode(for: error)
      // The parser's own code for a wrong call is the system's 64; ours is 2 for every mistake of a user.
      if code == .validationFailure {
        FileHandle.standardError.write(Data((fullMessage(for: error) + "\n").utf8))
        Foundation.exit(2)
      }
      exit(withError: error)
    }
  }
}

/// How a story is told, beyond what its file says.
struct RunOptions: ParsableArguments {
  @Option(help: "The run's seed: another network, other faults. Default: the file's.")
  var seed: UInt64?
  @Option(help: "The job's own seed: other data, other weights. Default: the file's, or else the run's seed.")
  var jobSeed: UInt64?
  @Option(
    help:
      "Threads that train, beside the one that tells the story; no result depends on it. Default: one less than there are cores."
  )
  var workers: Int?
  @Option(help: "Order of work that is ready at the same instant: in-order, or permuted by the seed to find races.")
  var schedule: String = "in-order"

  func validate() throws {
    if let workers, !(0...256).contains(workers) { throw ValidationError("--workers takes 0 to 256") }
    if Self.schedule(schedule) == nil {
      throw ValidationError("--schedule takes in-order or permuted, not '\(schedule)'")
    }
  }
  private static func schedule(_ word: String) -> ScheduleChoice? { ScheduleChoice(rawValue: word) }

  var workerCount: Int { workers ?? max(1, ProcessInfo.processInfo.activeProcessorCount - 1) }

  func rehearsal(_ scenario: Scenario, folder: String) throws -> Rehearsal {
    try Rehearsal(
      scenario, folder: folder,
      fashionFolder: ProcessInfo.processInfo.environment["FASHION_MNIST_DIR"] ?? "/usr/share/datasets/fashion-mnist",
      workers: workerCount, schedule: (Self.schedule(schedule) ?? .inOrder).value)
  }
}

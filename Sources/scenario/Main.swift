import ArgumentParser
import Foundation
import Simulator

@main
struct Main: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scenario", abstract: "Rehearse: a whole network in one process, every fault, one seed, the same bits each time.",
    subcommands: [Run.self])
}

struct Run: ParsableCommand {
  @Argument var file: String
  @Option var seed: UInt64?
  @Option var jobSeed: UInt64?
  @Option var workers: Int = 1

  func run() throws {
    var scenario = try Scenario.load(path: file)
    if let seed { scenario.seed = seed }
    if let jobSeed { scenario.jobSeed = jobSeed }
    let start = ContinuousClock.now
    let rehearsal = try Rehearsal(
      scenario, folder: URL(fileURLWithPath: file).deletingLastPathComponent().path,
      fashionFolder: "/usr/share/datasets/fashion-mnist", workers: workers)
    let record = rehearsal.run { print($0) }
    print(ContinuousClock.now - start)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    var short = record
    short.lanes = []
    short.money = []
    short.bytes = []
    short.peersUp = []
    print(String(decoding: try encoder.encode(short), as: UTF8.self))
  }
}

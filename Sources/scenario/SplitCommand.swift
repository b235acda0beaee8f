import ArgumentParser
import Foundation
import Learn
import Runtime
import Simulator

struct SplitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "split", abstract: "Cut a file of samples into chunk files, as a job with this seed would.",
    discussion: """
      CSV, NPY, IDX and text are read piece by piece and may be larger than memory; NPZ, safetensors and pictures are read
      whole. DIR gets chunk-00000.pmck and so on, test.pmck where a share is held back, and split.json, which tells what
      they are: counts, digests, classes, and the normalisation if there is one.

      Examples:
        scenario split table.csv --label price --target numbers --scale zscore --test 10% --chunks 100 --seed 7 --out parts
        scenario split images.npy --targets labels.npy --chunks 64 --seed 7 --out parts
        scenario split book.txt --window 128 --chunks 20 --seed 7 --out parts
      """)

  @Argument(help: "The file, or a folder of pictures; told apart by .csv, .npy, .npz, .safetensors, .txt and -ubyte.")
  var data: String
  @Option(help: "How many chunks.") var chunks: Int
  @Option(help: "The job's seed.") var seed: UInt64
  @Option(help: "A folder that is new or empty.") var out: String
  @OptionGroup var source: SplitSource
  @Option(help: "How features are scaled: none, zscore or channels.") var scale: String = "none"
  @Option(help: "Share that nobody trains on, such as 20%.") var test: String?
  @Option(help: "How rows are dealt: iid or dirichlet.") var by: String = "iid"
  @Option(help: "Of a dirichlet split: small means few classes in a chunk.") var alpha: Double = 0.5
  @Option(help: "Of a dirichlet split: the fewest samples of a chunk.") var least: Int = 1

  func validate() throws {
    if chunks < 1 || chunks > 200_000 { throw ValidationError("--chunks takes 1 to 200000") }
    if Normalisation.Scaling(rawValue: scale) == nil {
      throw ValidationError("--scale takes none, zscore or channels, not '\(scale)'")
    }
    if !["iid", "dirichlet"].contains(by) { throw ValidationError("--by takes iid or dirichlet, not '\(by)'") }
    if let test, share(test) == nil { throw ValidationError("--test takes a share such as 20% or 0.2, not '\(test)'") }
  }
  private func share(_ text: String) -> Double? {
    let value = text.hasSuffix("%") ? Double(text.dropLast()).map { $0 / 100 } : Double(text)
    return value.flatMap { $0 > 0 && $0 < 1 ? $0 : nil }
  }

  func run() throws {
    do {
      let opened = try source.open(data)
      try split(opened.rows, opened)
    } catch { throw ScenarioCommand.userError(error) }
  }

  private func split(_ rows: some RowSource, _ opened: SplitSource.Opened) throws {
    let split = Split(
      testShare: test.flatMap(share), partition: by == "iid" ? .iid : .dirichlet(alpha: alpha, least: least),
      chunks: chunks, seed: Seed(seed))
    let plan = try split.plan(rows)
    let writer = try ChunkWriter(folder: out)
    var normalisation: Normalisation?
    let written: [ChunkWriter.Written]
    if let groups = try Normalisation.Scaling(rawValue: scale)?.groups(shape: opened.shape) {
      let found = try Normalisation(fitting: rows, groups: groups, leaving: opened.leaving) { plan.isTrained($0) }
      normalisation = found
      written = try writer.write(try NormalisedRows(rows, found), plan)
    } else {
      written = try writer.write(rows, plan)
    }
    let words = SplitWords(
      data: data, seed: seed, shape: opened.shape, classes: rows.form.classes, class_names: opened.classNames,
      targets: rows.form.targets, notes: opened.notes,
      normalisation: normalisation.map { .init(means: $0.means, deviations: $0.deviations) },
      files: written.map { .init(file: $0.file, samples: $0.samples, bytes: $0.bytes, sha256: $0.digest.hex) })
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    try encoder.encode(words).write(to: URL(fileURLWithPath: out + "/split.json"))
    for note in opened.notes { print(note) }
    let bytes = written.reduce(0) { $0 + $1.bytes }
    print("\(rows.count) samples in \(written.count) files of \(bytes) bytes: \(out)/split.json tells what they are")
  }
}

/// What `split.json` says.
private struct SplitWords: Encodable {
  struct Pairs: Encodable {
    var means: [Double]
    var deviations: [Double]
  }
  struct File: Encodable {
    var file: String
    var samples: Int
    var bytes: Int
    var sha256: String
  }
  var data: String
  var seed: UInt64
  /// Of one sample.
  var shape: [Int]
  /// 0 where targets are numbers.
  var classes: Int
  var class_names: [String]
  /// Of one sample.
  var targets: Int
  var notes: [String]
  var normalisation: Pairs?
  var files: [File]
}

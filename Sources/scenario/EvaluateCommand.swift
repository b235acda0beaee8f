import ArgumentParser
import Foundation
import Learn
import Runtime
import Simulator

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Say how well a model does on samples.",
    discussion: """
      MODEL is the folder of a run, or an ONNX file. DATA is what 'scenario split' takes, or a .pmck file that it wrote.
      A run's own normalisation is applied; for another model name one with --normalisation.

      Examples:
        scenario evaluate runs/0123456789abcdef table.csv --label diagnosis
        scenario evaluate model.onnx parts/test.pmck
        scenario evaluate model.onnx table.csv --label price --target numbers --loss squared
      """)

  @Argument(help: "A run's folder, or an ONNX file.") var model: String
  @Argument(help: "The samples.") var data: String
  @OptionGroup var source: SplitSource
  @Option(help: "A safetensors file of other weights than the model's own.") var weights: String?
  @Option(help: "A normalisation.json, as a run keeps it.") var normalisation: String?
  @Option(help: "Of an ONNX file: cross-entropy, binary-logits, binary or squared.") var loss: String = "cross-entropy"
  @Option(help: "Of an ONNX file: the tensor that is the prediction. Default: its first output of floats.")
  var output: String = ""
  @Flag(help: "Print one JSON object.") var json = false

  func validate() throws {
    if JobPart.ModelFile.loss(loss) == nil {
      throw ValidationError("--loss takes cross-entropy, binary-logits, binary or squared, not '\(loss)'")
    }
  }

  func run() throws {
    do {
      let subject = try Subject(path: model, loss: JobPart.ModelFile.loss(loss) ?? .crossEntropy, output: output)
      var values = subject.weights
      if let weights {
        values = try Weights(safetensors: try FileReader.all(path: weights, limit: 1 << 31), for: subject.model)
      }
      var scaling = subject.normalisation
      if let normalisation {
        scaling = try Normalisation(json: try FileReader.all(path: normalisation, limit: 1 << 28))
      }
      let samples = try self.samples(scaling)
      if data.hasSuffix(".csv"), subject.model.loss == .crossEntropy, samples.classes != subject.model.classes {
        // Classes are numbered in the order of their words: a file that lacks one would give the others its number.
        throw ScenarioError(
          file: data,
          message:
            "it has \(samples.classes) classes and the model \(subject.model.classes), so that its labels cannot be told "
            + "apart by their order; give it a row of each class, or use the test.pmck of 'scenario split'")
      }
      let result = try subject.model.evaluate(values, on: samples, rows: 0..<samples.count)
      try show(result, subject.model)
    } catch { throw ScenarioCommand.userError(error) }
  }

  private func samples(_ scaling: Normalisation?) throws -> Samples {
    if data.hasSuffix(".pmck") { return try Samples(bytes: try FileReader.all(path: data, limit: 1 << 31)) }
    let opened = try source.open(data)
    for note in opened.notes { FileHandle.standardError.write(Data((note + "\n").utf8)) }
    func all(_ rows: some RowSource) throws(LearnError) -> Samples {
      if let scaling { return try Samples(all: try NormalisedRows(rows, scaling)) }
      return try Samples(all: rows)
    }
    return try all(opened.rows)
  }

  private struct Words: Encodable {
    var accuracy: Double?
    var correct: Int?
    var loss: Double
    var samples: Int
  }
  private func show(_ result: Evaluation, _ model: Model) throws {
    let hasAccuracy = model.loss != .squared
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      let words = Words(
        accuracy: hasAccuracy ? result.accuracy : nil, correct: hasAccuracy ? result.correct : nil, loss: result.loss,
        samples: result.count)
      print(String(decoding: try encoder.encode(words), as: UTF8.self))
      return
    }
    let what = model.targets > 1 && model.loss == .crossEntropy ? "positions" : "samples"
    if hasAccuracy {
      print(String(format: "accuracy  %.2f%%  (%d of %d \(what))", result.accuracy * 100, result.correct, result.count))
    } else {
      print("samples   \(result.count)")
    }
    print(String(format: "loss      %.4f", result.loss))
  }
}

/// A model with weights, from a run's folder or from a file.
struct Subject {
  let model: Model
  let weights: Weights
  var normalisation: Normalisation?
  /// The file that the model came from.
  var file: ONNXModel?

  init(path: String, loss: Loss = .crossEntropy, output: String = "") throws {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      let folder = RunFolder(path: path)
      let origin = try folder.origin()
      let rehearsal = try RunOptions.parse([]).rehearsal(try folder.scenario(), folder: origin.folder)
      model = try Model(rehearsal.world.job.model)
      guard FileManager.default.fileExists(atPath: path + "/weights.safetensors") else {
        throw ScenarioError(file: path, message: "this run delivered no weights")
      }
      weights = try Weights(
        safetensors: try FileReader.all(path: path + "/weights.safetensors", limit: 1 << 31), for: model)
      normalisation = rehearsal.normalisation
      file = rehearsal.file
      return
    }
    var part = JobPart.ModelFile(path: path)
    part.loss = loss
    part.output = output
    let read = try ModelFileReader(part, path: path)
    model = try Model(read.declaration)
    weights = try Weights(safetensors: read.weights, for: model)
    file = read.file
  }
}

import ArgumentParser
import Foundation
import Learn

/// Which samples are to be split, and what of a file is a sample.
struct SplitSource: ParsableArguments {
  @Option(help: "Of a table: the column of targets.") var label: String?
  @Option(help: "What targets are: classes or numbers. Default: what the file says, and classes for a table.")
  var target: String?
  @Option(help: "The file of targets for NPY and IDX; the array's name for NPZ and safetensors.") var targets: String?
  @Option(help: "The array of features by its name, for NPZ and safetensors.") var features: String = "x"
  @Option(help: "What unsigned bytes are divided by. Default: 255 for pictures, 1 for others.") var divide: Float?
  @Option(help: "Of a text: the bytes of a sample.") var window: Int?
  @Option(help: "Of a text: bytes, or those that are occurring.") var vocabulary: String = "bytes"
  @Option(help: "Of pictures: rgb or grey.") var colour: String = "rgb"

  struct Opened {
    var rows: any RowSource
    /// Of one sample.
    var shape: [Int]
    var leaving: Set<Int> = []
    var classNames: [String] = []
    var notes: [String] = []
  }

  func validate() throws {
    if let target, TargetChoice(rawValue: target) == nil {
      throw ValidationError("--target takes classes or numbers, not '\(target)'")
    }
    if TextFile.Vocabulary(rawValue: vocabulary) == nil {
      throw ValidationError("--vocabulary takes bytes or occurring, not '\(vocabulary)'")
    }
    if ImageFolder.Colour(rawValue: colour) == nil {
      throw ValidationError("--colour takes rgb or grey, not '\(colour)'")
    }
  }

  /// - Throws: `LearnError.data`, in words that name the file and what is wrong.
  func open(_ path: String) throws(LearnError) -> Opened {
    let choice = target.flatMap(TargetChoice.init)
    let options = ArrayOptions(features: features, targets: targets ?? "y", choice: choice, divisor: divide)
    func other() throws(LearnError) -> String {
      guard let targets else { throw .data("\(path) holds features alone; name the file of targets with --targets") }
      return targets
    }
    if let window { return try text(path, window) }
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      let read = try ImageFolder(folder: path, colour: ImageFolder.Colour(rawValue: colour) ?? .rgb)
      return Opened(rows: read.dataset, shape: read.dataset.shape, classNames: read.classes)
    }
    if path.hasSuffix(".csv") {
      guard let label else { throw .data("\(path) is a table; name the column of targets with --label") }
      let table = try CSV.scan(
        .file(FileReader(path: path)), label: label, choice: choice ?? .classes, named: path)
      return Opened(
        rows: table, shape: [table.form.features], leaving: table.wordFeatures, classNames: table.classNames,
        notes: table.notes)
    }
    if path.hasSuffix(".npy") {
      let rows = try ArrayRows(npy: path, targets: other(), options: options)
      return Opened(rows: rows, shape: rows.shape)
    }
    if path.hasSuffix(".npz") {
      let data = try NPZ.dataset(FileReader.all(path: path, limit: 1 << 31), options: options, named: path)
      return Opened(rows: data, shape: data.shape)
    }
    if path.hasSuffix(".safetensors") {
      let data = try SafetensorsData.dataset(
        FileReader.all(path: path, limit: 1 << 31), options: options, named: path)
      return Opened(rows: data, shape: data.shape)
    }
    if path.hasSuffix("ubyte") || path.hasSuffix(".idx") {
      let rows = try ArrayRows(idx: path, labels: other())
      return Opened(rows: rows, shape: rows.shape)
    }
    throw .data(
      "\(path) is not of a kind that its name tells (.csv .npy .npz .safetensors .idx -ubyte, or a folder of pictures); "
        + "with --window it is read as text")
  }

  private func text(_ path: String, _ window: Int) throws(LearnError) -> Opened {
    let rows = try TextRows(path: path, window: window, vocabulary: TextFile.Vocabulary(rawValue: vocabulary) ?? .bytes)
    let names = rows.vocabulary?.map(String.init) ?? []
    return Opened(
      rows: rows, shape: [window], classNames: names,
      notes: rows.vocabulary == nil
        ? [] : ["\(path): a class is the place of a byte among the \(names.count) that occur"])
  }
}

import ArgumentParser
import Foundation
import Learn

/// A workload as plain files, for programs in other languages.
struct DumpCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dump", abstract: "Write a workload's partition, schedule and initial weights as plain files.")
  @Argument var workload: String
  @Argument var folder: String

  private struct Words: Codable {
    var name: String
    var rate: Double
    var batch: Int
    var data: String
    var layers: [String]
    var shapes: [[Int]]
    var partition: [[Int]]
    var schedule: [[Int]]
  }

  func run() throws {
    guard let workload = Workload.all.first(where: { $0.name == workload }) else {
      throw ValidationError("workloads are \(Workload.all.map(\.name).joined(separator: ", "))")
    }
    let model = try Model(workload.declaration)
    let labels = try IDX.fashionMNIST(train: true, folder: BenchData.folder).labels
    let layers = workload.declaration.layers.map { layer -> String in
      switch layer.kind {
      case .dense: "dense"
      case .convolution: "conv"
      case .relu: "relu"
      case .maxPool: "maxpool"
      }
    }
    let words = Words(
      name: workload.name, rate: workload.recipe.learningRate, batch: workload.batch, data: BenchData.folder,
      layers: layers, shapes: model.parameters.map(\.shape), partition: workload.partition(labels),
      schedule: (0..<workload.rounds).map(workload.clients(inRound:)))
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try JSONEncoder().encode(words).write(to: URL(fileURLWithPath: "\(folder)/workload.json"))
    try Data(workload.initialWeights(model).bytes.suffix(4 * model.parameterCount)).write(
      to: URL(fileURLWithPath: "\(folder)/weights.f32"))
  }
}

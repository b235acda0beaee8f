import Foundation
import Learn

/// Reads the file of a model that somebody exported, and makes of it what a job declares.
public struct ModelFileReader {
  public let file: ONNXModel
  public let declaration: ModelDeclaration
  /// A safetensors file.
  public let weights: [UInt8]
  /// What the owner should know, a line each.
  public let notes: [String]

  /// - Throws: `LearnError`, by name and node, for whatever cannot be trained.
  public init(_ part: JobPart.ModelFile, path: String) throws(LearnError) {
    let bytes = try FileReader.all(path: path, limit: ONNXLimits.usual.fileBytes)
    // An exporter may have put large weights beside the file, under its name.
    let beside = path + ".data"
    var external: [String: [UInt8]] = [:]
    if FileManager.default.fileExists(atPath: beside) {
      external[URL(fileURLWithPath: beside).lastPathComponent] = try FileReader.all(
        path: beside, limit: ONNXLimits.usual.fileBytes)
    }
    file = try ONNXModel(bytes: bytes, external: external, named: path)
    var declaration = ModelDeclaration()
    declaration.loss = part.loss
    declaration.output = part.output
    declaration.input = part.input
    declaration.normsAreFixed = part.normsAreFixed
    declaration.hasNoDropout = part.hasNoDropout
    declaration.frozen = part.frozen
    declaration.graph = file.stripped(of: [])
    let model = try Model(unbounded: declaration)
    for name in part.frozen where !model.parameters.contains(where: { $0.name == name }) {
      throw .onnx("\(path) has no parameter '\(name)' to be frozen")
    }
    guard let start = try model.fileWeights() else { throw .onnx("\(path) has no weights to begin with") }
    weights = start.bytes
    declaration.graph = file.stripped(of: Set(model.parameters.map(\.name)))
    guard declaration.graph.count <= ModelDeclaration.graphLimit else {
      throw .onnx(
        "\(path) has \(declaration.graph.count) bytes without its weights; at most \(ModelDeclaration.graphLimit) can be "
          + "declared")
    }
    self.declaration = declaration
    let trained = model.parameters.filter(\.isTrained)
    let kept = model.parameters.count - trained.count
    notes =
      [
        "\(path): \(trained.count) tensors of \(trained.reduce(0) { $0 + $1.count }) weights are trained, \(kept) are not"
      ]
      + Self.list("trained", trained) + Self.list("not trained", model.parameters.filter { !$0.isTrained })
      + model.warnings.map { "\(path): warning: \($0)" }
  }

  /// Names and shapes, a few on each line.
  private static func list(_ what: String, _ parameters: [ParameterInfo]) -> [String] {
    if parameters.isEmpty { return [] }
    let shown = parameters.prefix(60).map { "\($0.name) \($0.shape)" }
    let rest = parameters.count > 60 ? ", and \(parameters.count - 60) more" : ""
    return ["  \(what): " + shown.joined(separator: ", ") + rest]
  }
}

import Foundation
import Learn
import Runtime

/// Trains a model of an ONNX file for a few steps and writes down everything, so that another engine can be compared:
///
///     probe MODEL.onnx --data DATA.safetensors --recipe RECIPE.json --out OUT.safetensors [--onnx OUT.onnx]
///     probe strip MODEL.onnx OUT.onnx      the same file without the values of its parameters
///     probe ... --engine torch --python PYTHON --script peermill_torch.py     trains it by both engines instead
@main
struct Probe {
  struct Recipe: Decodable {
    var loss: String
    var optimizer: String
    var rate: Double
    var momentum: Double?
    var nesterov: Bool?
    var weight_decay: Double?
    var beta1: Double?
    var beta2: Double?
    var epsilon: Double?
    var clip_norm: Double?
    var batch: Int
    var steps: Int
    var output: String?
    var norms: String?
    var set: String?
    var arithmetic: String?
    var proximal: Double?
  }

  static func main() async {
    do {
      try await run(Array(CommandLine.arguments.dropFirst()))
    } catch {
      FileHandle.standardError.write(Data("probe: \(error)\n".utf8))
      exit(2)
    }
  }

  private static func run(_ arguments: [String]) async throws {
    var options: [String: String] = [:]
    var files: [String] = []
    var index = 0
    while index < arguments.count {
      if arguments[index].hasPrefix("--"), index + 1 < arguments.count {
        options[arguments[index]] = arguments[index + 1]
        index += 2
      } else {
        files.append(arguments[index])
        index += 1
      }
    }
    if files.first == "strip", files.count == 3 {
      let file = try ONNXModel(bytes: [UInt8](try read(files[1])), named: files[1])
      var declaration = ModelDeclaration()
      declaration.graph = file.stripped(of: [])
      let names = try Model(unbounded: declaration).parameters.map(\.name)
      try Data(file.stripped(of: Set(names))).write(to: URL(fileURLWithPath: files[2]))
      return
    }
    guard let path = files.first, let data = options["--data"], let recipePath = options["--recipe"],
      let out = options["--out"]
    else { throw Trouble("usage: probe MODEL.onnx --data DATA --recipe RECIPE --out OUT [--onnx OUT.onnx]") }
    let given = try JSONDecoder().decode(Recipe.self, from: try read(recipePath))
    let file = try ONNXModel(bytes: [UInt8](try read(path)), named: path)
    let model = try Model(try declaration(file, given), instructionSet: given.set)
    for warning in model.warnings { FileHandle.standardError.write(Data("warning: \(warning)\n".utf8)) }
    guard let start = try model.fileWeights() else { throw Trouble("the file has no weights") }
    let samples = try samples(try SafetensorsTensors([UInt8](try read(data))), model)
    let recipe = try recipe(given)
    if options["--engine"] == "torch" {
      let tensors = try await byTorch(model, start, samples, recipe, steps: given.steps, options)
      try Data(safetensors(tensors)).write(to: URL(fileURLWithPath: out))
      return
    }

    var tensors: [(name: String, shape: [Int], values: [Float])] = []
    let inspection = try Inspection(model, recipe, seed: Seed(1))
    inspection.load(start)
    let rows = Array(0..<min(recipe.batch, samples.count))
    let scores = try inspection.scores(samples, rows)
    tensors.append(("logits", [rows.count] + model.output, scores))
    inspection.load(start)
    _ = try inspection.gradient(samples, rows)
    let gradients = inspection.gradients().values
    for parameter in model.parameters where parameter.isTrained {
      let range = parameter.offset..<(parameter.offset + parameter.count)
      tensors.append(("gradient.\(parameter.name)", parameter.shape, Array(gradients[range])))
    }
    inspection.load(start)
    var losses: [Float] = []
    var at = 0
    for _ in 0..<given.steps {
      // Around the end, to the beginning.
      losses.append(Float(try inspection.step(samples, (at..<(at + recipe.batch)).map { $0 % samples.count })))
      at = (at + recipe.batch) % samples.count
    }
    tensors.append(("losses", [losses.count], losses))
    let weights = inspection.weights()
    let values = weights.values
    var trained: [String: [Float]] = [:]
    for parameter in model.parameters {
      let range = parameter.offset..<(parameter.offset + parameter.count)
      let isBuffer = !parameter.isTrained
      tensors.append(
        ("\(isBuffer ? "buffer" : "weight").\(parameter.name)", parameter.shape, Array(values[range])))
      trained[parameter.name] = Array(values[range])
    }
    try Data(safetensors(tensors)).write(to: URL(fileURLWithPath: out))
    if let onnx = options["--onnx"] {
      try Data(file.forUse(trained)).write(to: URL(fileURLWithPath: onnx))
    }
  }

  private static func declaration(_ file: ONNXModel, _ recipe: Recipe) throws -> ModelDeclaration {
    var declaration = ModelDeclaration()
    declaration.graph = file.stripped(of: [])
    switch recipe.loss {
    case "softmax_cross_entropy": declaration.loss = .crossEntropy
    case "bce_with_logits": declaration.loss = .binaryLogits
    case "bce": declaration.loss = .binaryShares
    case "mse": declaration.loss = .squared
    default: throw Trouble("there is no loss '\(recipe.loss)'")
    }
    declaration.output = recipe.output ?? ""
    declaration.normsAreFixed = recipe.norms == "eval"
    declaration.arithmetic = recipe.arithmetic == "blas" ? .blas : .reproducible
    return declaration
  }

  private static func recipe(_ given: Recipe) throws -> TrainingRecipe {
    var optimizer = Optimizer()
    switch given.optimizer {
    case "sgd": optimizer.kind = .sgd
    case "adam": optimizer.kind = .adam
    case "adamw": optimizer.kind = .adamW
    default: throw Trouble("there is no optimizer '\(given.optimizer)'")
    }
    optimizer.momentum = given.momentum ?? 0
    optimizer.isNesterov = given.nesterov ?? false
    optimizer.weightDecay = given.weight_decay ?? 0
    optimizer.beta1 = given.beta1 ?? 0.9
    optimizer.beta2 = given.beta2 ?? 0.999
    optimizer.epsilon = given.epsilon ?? 1e-8
    optimizer.clipNorm = given.clip_norm ?? 0
    optimizer.proximal = given.proximal ?? 0
    return TrainingRecipe(learningRate: given.rate, optimizer: optimizer, batch: given.batch)
  }

  private static func samples(_ file: SafetensorsTensors, _ model: Model) throws -> Samples {
    guard let input = file["input"], let target = file["target"], let count = input.shape.first else {
      throw Trouble("the data have no 'input' or no 'target'")
    }
    let features = input.values.count / max(1, count)
    let per = target.values.count / max(1, count)
    let targets: Dataset.Targets =
      model.loss == .crossEntropy
      ? .classes(target.values.map { Int($0) }, per: per, of: model.classes) : .values(target.values, per: per)
    return try Dataset(features: .floats(input.values), targets: targets, shape: [features])
      .chunk(rows: 0..<count)
  }

  private static func read(_ path: String) throws -> Data {
    guard let data = FileManager.default.contents(atPath: path) else { throw Trouble("\(path) cannot be read") }
    return data
  }

  static func safetensors(_ tensors: [(name: String, shape: [Int], values: [Float])]) -> [UInt8] {
    var json = "{"
    var place = 0
    for (index, tensor) in tensors.enumerated() {
      let end = place + tensor.values.count * 4
      json += index > 0 ? "," : ""
      json += "\"\(tensor.name)\":{\"dtype\":\"F32\",\"shape\":\(tensor.shape),\"data_offsets\":[\(place),\(end)]}"
      place = end
    }
    json += "}"
    while json.utf8.count % 8 != 0 { json += " " }
    var bytes: [UInt8] = []
    for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: json.utf8.count >> shift)) }
    bytes += Array(json.utf8)
    for tensor in tensors {
      for value in tensor.values {
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
          bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
        }
      }
    }
    return bytes
  }
}

struct Trouble: Error, CustomStringConvertible {
  let description: String
  init(_ words: String) { description = words }
}

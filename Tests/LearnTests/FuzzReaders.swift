import Runtime

@testable import Learn

/// What the fuzz targets do with a file, each: read it, and look at what was read as a stranger would. The tests run them over
/// the corpus; `Tests/Fuzz/run` compiles this file into the module itself.
enum FuzzReaders {
  static let all: [(name: String, read: @Sendable ([UInt8]) throws(LearnError) -> Void)] = [
    ("csv", csv), ("images", images), ("npy", npy), ("npz", npz), ("safetensors", safetensors),
    ("onnx", onnx),
  ]
  /// Bytes that an array may claim.
  private static let limit = 1 << 22

  static func csv(_ bytes: [UInt8]) throws(LearnError) {
    var failure: LearnError?
    for choice in TargetChoice.allCases {
      do throws(LearnError) {
        try look(at: try CSV.dataset(bytes, label: "y", choice: choice, named: "f").dataset)
      } catch { failure = error }
    }
    if let failure { throw failure }
  }

  static func images(_ bytes: [UInt8]) throws(LearnError) {
    for colour in ImageFolder.Colour.allCases {
      let picture = try ImageFolder.decode(bytes, colour, named: "f")
      precondition(
        picture.pixels.count == picture.width * picture.height * (colour == .rgb ? 3 : 1), "all of it is there")
    }
  }

  /// Reads a file, lowers it for every loss, and takes a step with what is small.
  static func onnx(_ bytes: [UInt8]) throws(LearnError) {
    let file = try ONNXModel(bytes: bytes, named: "f")
    precondition((try? ONNXModel(bytes: file.stripped(of: []), named: "again")) != nil, "what was written is read")
    var failure: LearnError?
    for loss in Loss.allCases {
      var declaration = ModelDeclaration()
      declaration.graph = bytes
      declaration.loss = loss
      do throws(LearnError) { try run(try Model(declaration)) } catch { failure = error }
    }
    if let failure { throw failure }
  }
  private static func run(_ model: Model) throws(LearnError) {
    guard model.parameterCount < 1 << 16, model.forwardFlopsPerSample < 1 << 21, model.features < 1 << 16,
      model.targets < 1 << 12
    else { return }
    let count = 3
    let features = (0..<(count * model.features)).map { Float($0 % 3) }
    let targets: Dataset.Targets =
      model.loss == .crossEntropy
      ? .classes(Array(repeating: 1, count: count * model.targets), per: model.targets, of: model.classes)
      : .values(Array(repeating: 1, count: count * model.targets), per: model.targets)
    let samples = try Dataset(features: .floats(features), targets: targets, shape: [model.features])
      .chunk(rows: 0..<count)
    let start = try model.fileWeights() ?? model.initialWeights(seed: Seed(1))
    let recipe = TrainingRecipe(learningRate: 0.01, optimizer: .sgd(momentum: 0.5), batch: 2)
    _ = try model.evaluate(start, on: samples, rows: 0..<count)
    _ = try model.train(from: start, on: samples, recipe: recipe, seed: Seed(1))
  }

  static func npy(_ bytes: [UInt8]) throws(LearnError) {
    let array = try NPY.read(bytes, named: "f", limit: limit)
    _ = try? array.classes()
    _ = try? look(at: try ArrayPair.dataset(array, array, ArrayOptions()))
    _ = try array.floats()
  }

  static func npz(_ bytes: [UInt8]) throws(LearnError) {
    let members = try ZIP.members(bytes, named: "f")
    for member in members.prefix(4) { _ = try? ZIP.content(of: member, in: bytes, named: "f", limit: limit) }
    let x = try NPZ.array("x", in: bytes, members, "f", limit: limit)
    try look(at: try ArrayPair.dataset(x, NPZ.array("y", in: bytes, members, "f", limit: limit), ArrayOptions()))
  }

  static func safetensors(_ bytes: [UInt8]) throws(LearnError) {
    _ = try? Safetensors.read(bytes)
    let (tensors, start) = try Safetensors.readAny(bytes)
    for tensor in tensors {
      precondition(tensor.begin <= tensor.end && start + tensor.end <= bytes.count, "a tensor lies in its file")
    }
    try look(at: try SafetensorsData.dataset(bytes, named: "f"))
  }

  /// Whatever was read makes a chunk, and the chunk is read again.
  private static func look(at data: Dataset) throws(LearnError) {
    let chunk = try data.chunk(rows: 0..<min(data.count, 100))
    let again = try Samples(bytes: chunk.bytes)
    precondition(again.bytes == chunk.bytes && again.count == min(data.count, 100), "a chunk is what it was")
    let found = try Normalisation(fitting: data, groups: data.featureCount) { _ in true }
    _ = try? found.applied(to: data)
  }
}

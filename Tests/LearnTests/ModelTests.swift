import Runtime
import Synchronization
import Testing

@testable import Learn

@Suite struct ModelTests {
  @Test(
    arguments: [
      ([], [.dense(2)]), ([0], [.dense(2)]), ([4], []), ([4], [.relu]), ([4], [.dense(3), .relu]),
      ([4], [.dense(1)]), ([4], [.convolution(channels: 2, kernel: 3), .dense(2)]),
      ([1, 5, 5], [.convolution(channels: 2, kernel: 3), .maxPool, .dense(2)]),
      ([1, 4, 4], [.convolution(channels: 2, kernel: 4), .dense(2)]), ([4], [.maxPool, .dense(2)]),
      ([1 << 16], [.dense(1 << 16), .dense(2)]), ([1, 1 << 16, 1 << 16], [.dense(2)]),
    ] as [([Int], [Layer])])
  func `a model that cannot be is refused with words`(_ input: [Int], _ layers: [Layer]) {
    #expect(throws: LearnError.self) { try Model(ModelDeclaration(input: input, layers: layers)) }
  }

  private func model() throws -> Model { try Model(KernelTests.models[3]) }

  @Test func `a declaration comes back from its bytes`() throws {
    for declaration in KernelTests.models {
      #expect(try ModelDeclaration(wireBytes: declaration.wireBytes) == declaration)
    }
  }

  @Test func `weights are safetensors, equal weights are equal bytes`() throws {
    let model = try model()
    let weights = model.initialWeights(seed: Seed(1))
    #expect(weights == model.initialWeights(seed: Seed(1)))
    #expect(weights != model.initialWeights(seed: Seed(2)))
    #expect(try Weights(bytes: weights.bytes, for: model) == weights)
    #expect(try Weights(safetensors: weights.bytes, for: model) == weights)
    let (tensors, start) = try Safetensors.read(weights.bytes)
    #expect(tensors.map(\.name) == model.parameters.map(\.name))
    #expect(start % 8 == 0)
  }

  @Test func `weights that are not this model's, or not finite, are refused`() throws {
    let model = try model()
    let bytes = model.initialWeights(seed: Seed(1)).bytes
    for length in stride(from: 0, to: bytes.count, by: 97) {
      #expect(throws: LearnError.self) { try Weights(bytes: Array(bytes.prefix(length)), for: model) }
      #expect(throws: LearnError.self) { try Weights(safetensors: Array(bytes.prefix(length)), for: model) }
    }
    var header = bytes
    header[20] ^= 1
    #expect(throws: LearnError.self) { try Weights(bytes: header, for: model) }
    var infinite = bytes
    infinite.replaceSubrange((bytes.count - 4)..., with: [0, 0, 0x80, 0x7F])
    #expect(throws: LearnError.self) { try Weights(bytes: infinite, for: model) }
  }

  @Test(arguments: [
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,8]}}",
    "{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[999999999999999],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999,99999999,99999999],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", "{\"a\":", "{}x", "[1]", "{\"a\":1}",
    "{\"__metadata__\":{\"a\":1}}",
  ])
  func `a hostile safetensors header is refused`(_ header: String) {
    var bytes: [UInt8] = []
    for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: header.utf8.count >> shift)) }
    bytes += Array(header.utf8) + Array(repeating: 0, count: 8)
    #expect(throws: LearnError.self) { try Safetensors.read(bytes) }
  }

  @Test func `the loss is computed the same for any cut of the rows at whole batches`() throws {
    let model = try model()
    let samples = try KernelTests.chunk(model, 350)
    let weights = model.initialWeights(seed: Seed(1))
    let whole = try model.evaluate(weights, on: samples, rows: 0..<350)
    var parts = Evaluation()
    for rows in [0..<100, 100..<350] { parts.add(try model.evaluate(weights, on: samples, rows: rows)) }
    #expect(parts.count == 350 && parts.correct == whole.correct && abs(parts.lossSum - whole.lossSum) < 1e-9)
  }
}

@Suite struct AggregationTests {
  private let model = try! Model(ModelDeclaration(input: [2], layers: [.dense(2)]))
  private func weights(_ values: [Float]) -> Weights { Weights(values: values, for: model) }
  private func sum(_ base: Weights, clip: Double = 100) throws -> RoundSum {
    try RoundSum(model: model, base: base, clip: clip, fractionBits: 32, totalSamples: 1_000)
  }

  @Test func `a mean worked by hand`() throws {
    let sum = try sum(weights([0, 0, 0, 0, 0, 0]))
    try sum.add(weights([1, 2, 3, 4, 5, 6]), samples: 1)
    try sum.add(weights([4, 5, 6, 7, 8, -9]), samples: 2)
    #expect(sum.finish().values == [3, 4, 5, 6, 7, -4])
  }

  @Test func `any order and any thread give the same bits`() async throws {
    var stream = Seed(1).stream
    let base = weights((0..<6).map { _ in Float(stream.unit()) })
    let updates = (0..<40).map { _ in (weights((0..<6).map { _ in Float(stream.unit() * 3 - 1) }), stream.below(50) + 1)
    }
    let first = try sum(base)
    for update in updates { try first.add(update.0, samples: update.1) }
    let expected = first.finish()
    for seed in 0..<20 {
      var order = updates
      var chance = Seed(UInt64(seed)).stream
      chance.shuffle(&order)
      let other = try sum(base)
      await withTaskGroup(of: Void.self) { group in
        for update in order { group.addTask { try? other.add(update.0, samples: update.1) } }
      }
      #expect(other.finish() == expected)
    }
  }

  @Test func `an update beyond the clip leaves no trace`() throws {
    let sum = try sum(weights([0, 0, 0, 0, 0, 0]), clip: 2)
    try sum.add(weights([1, 1, 1, 1, 1, 1]), samples: 3)
    #expect(throws: LearnError.self) { try sum.add(weights([1, 1, 1, 2.5, 1, 1]), samples: 3) }
    #expect(sum.finish().values == [1, 1, 1, 1, 1, 1])
  }

  @Test func `a job whose sums could overflow is refused`() throws {
    #expect(throws: LearnError.self) { try RoundSum.check(clip: 40_000, fractionBits: 32, totalSamples: 60_000) }
    try RoundSum.check(clip: 35_000, fractionBits: 32, totalSamples: 60_000)
    #expect(throws: LearnError.self) { try RoundSum.check(clip: .nan, fractionBits: 32, totalSamples: 1) }
  }
}

@Suite struct UpdateStorageTests {
  private let model = try! Model(ModelDeclaration(input: [4], layers: [.dense(3)]))

  @Test(arguments: UpdateStorage.allCases) func `what travels stands for what was trained`(_ storage: UpdateStorage)
    throws
  {
    let data = try Blobs.dataset(samples: 40, features: 4, classes: 3, seed: Seed(1))
    let samples = try data.chunk(rows: 0..<40)
    let start = model.initialWeights(seed: Seed(1))
    var recipe = TrainingRecipe(learningRate: 0.1, batch: 8)
    let whole = try model.train(from: start, on: samples, recipe: recipe, seed: Seed(1))
    recipe.storage = storage
    let outcome = try model.train(from: start, on: samples, recipe: recipe, seed: Seed(1))
    #expect(outcome.update.count == storage.bytes(model))
    #expect(try storage.decode(outcome.update, base: start, model) == outcome.weights)
    let error = zip(whole.weights.values, outcome.weights.values).map { abs($0 - $1) }.max() ?? 0
    #expect(storage == .float32 ? error == 0 : error > 0 && error < 2e-3)
    #expect(throws: LearnError.self) { try storage.decode(Array(outcome.update.dropLast()), base: start, model) }
    var other = outcome.update
    other[0] ^= 1
    #expect(throws: LearnError.self) { try storage.decode(other, base: start, model) }
  }

  @Test func `two bytes that are not finite are refused`() throws {
    let start = model.initialWeights(seed: Seed(1))
    for (storage, half) in [(UpdateStorage.float16, [0x00, 0x7C] as [UInt8]), (.bfloat16, [0x80, 0x7F])] {
      var bytes = Array("PMUP".utf8) + [UInt8(storage.rawValue), 0, 0, 0]
      for _ in 0..<model.parameterCount { bytes += half }
      #expect(throws: LearnError.self) { try storage.decode(bytes, base: start, model) }
    }
  }
}

import CKernels
import COpenBLAS
import Glibc
import Runtime
import Testing

@testable import Learn

@Suite struct KernelTests {
  static let sets: [String] = (["avx512", "avx2", "plain"] as [String]).filter { pm_kernels_named($0) != nil }

  private func random(_ count: Int, _ seed: UInt64) -> [Float] {
    var stream = Seed(seed).stream
    return (0..<count).map { _ in Float(stream.unit() * 2 - 1) }
  }

  private func product(_ set: String, _ m: Int, _ n: Int, _ k: Int, _ a: [Float], _ b: [Float], transposed: Bool)
    -> [Float]
  {
    guard let table = pm_kernels_named(set) else { return [] }
    var c = [Float](repeating: 0, count: m * n)
    var shape = pm_product_shape()
    shape.a_row = transposed ? 1 : k
    shape.a_step = transposed ? m : 1
    shape.b_row = n
    shape.c_row = n
    shape.depth = k
    shape.s1 = 1
    shape.s2 = 1
    table.pointee.product(transposed ? 1 : 0, m, n, &shape, a, b, &c)
    return c
  }

  @Test(arguments: [(1, 16, 1), (5, 32, 7), (14, 48, 100), (33, 208, 64), (28, 32, 75), (13, 16, 333)])
  func `products agree with OpenBLAS, and among instruction sets in every bit`(_ m: Int, _ n: Int, _ k: Int) {
    let a = random(m * k, 1)
    let b = random(k * n, 2)
    openblas_set_num_threads(1)
    var expected = [Float](repeating: 0, count: m * n)
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(m), Int32(n), Int32(k), 1, a, Int32(k), b, Int32(n), 0,
      &expected,
      Int32(n))
    let first = product(Self.sets[0], m, n, k, a, b, transposed: false)
    for (x, y) in zip(first, expected) { #expect(abs(x - y) <= 1e-5 * Float(k).squareRoot() + 1e-6) }
    var turned = [Float](repeating: 0, count: m * k)
    for i in 0..<m { for j in 0..<k { turned[j * m + i] = a[i * k + j] } }
    for set in Self.sets {
      #expect(product(set, m, n, k, a, b, transposed: false).map(\.bitPattern) == first.map(\.bitPattern))
      #expect(product(set, m, n, k, turned, b, transposed: true).map(\.bitPattern) == first.map(\.bitPattern))
    }
  }

  @Test(arguments: [(3, 40, 5), (10, 200, 64), (17, 61, 16)])
  func `a product that goes around zeros is the whole product in every bit`(_ m: Int, _ k: Int, _ most: Int) throws {
    let n = 32
    var a = random(m * k, 5)
    // Columns that are zero in every row, of either sign, one at a time and many together.
    for column in 0..<k where column % 7 == 2 || (column / 9) % 2 == 1 {
      for row in 0..<m { a[row * k + column] = row % 2 == 0 ? 0 : -0.0 }
    }
    let b = random(k * n, 6)
    for set in Self.sets {
      let table = try #require(pm_kernels_named(set)).pointee
      // Whole vectors are read, so that there is room behind the last row.
      let readable = a + [Float](repeating: 1, count: 16)
      var runs = [pm_run](repeating: pm_run(), count: k)
      let count = table.live_runs(m, k, k, readable, 2, most, &runs)
      var live: Set<Int> = []
      for run in runs.prefix(count) {
        #expect(run.count >= 1 && Int(run.count) <= most && live.allSatisfy { $0 < Int(run.begin) })
        live.formUnion(Int(run.begin)..<Int(run.begin + run.count))
      }
      for column in 0..<k where (0..<m).contains(where: { a[$0 * k + column] != 0 }) {
        #expect(live.contains(column), "column \(column)")
      }
      #expect(live.count < k)
      var shape = pm_product_shape()
      shape.a_row = k
      shape.a_step = 1
      shape.b_row = n
      shape.c_row = n
      shape.s1 = count
      shape.s2 = 1
      var c = [Float](repeating: 0, count: m * n)
      runs.withUnsafeBufferPointer { runs in
        shape.runs = runs.baseAddress
        table.product(0, m, n, &shape, a, b, &c)
      }
      #expect(c.map(\.bitPattern) == product(set, m, n, k, a, b, transposed: false).map(\.bitPattern))
    }
  }

  @Test func `a transposed matrix is the same numbers turned`() throws {
    for (rows, columns) in [(1, 1), (8, 8), (17, 9), (40, 31)] {
      let matrix = random(rows * columns, 9)
      for set in Self.sets {
        let table = try #require(pm_kernels_named(set)).pointee
        var out = [Float](repeating: .nan, count: rows * columns)
        table.transpose(rows, columns, matrix, columns, &out, rows)
        for r in 0..<rows { for c in 0..<columns { #expect(out[c * rows + r] == matrix[r * columns + c]) } }
      }
    }
  }

  @Test func `there are at least two instruction sets to compare`() { #expect(Self.sets.count >= 2) }

  @Test func `logarithm and exponential are near the library's`() {
    for x in stride(from: 0.001, to: 50, by: 0.37) {
      #expect(abs(pm_log(x) - log(x)) <= 1e-15 + 4e-16 * abs(log(x)))
      #expect(abs(pm_exp(-x) - exp(-x)) <= 4e-16 * exp(-x))
    }
    #expect(pm_log(0) == -.infinity && pm_log(-1).isNaN && pm_exp(-1_000) == 0 && pm_log(.leastNonzeroMagnitude) < -744)
  }

  /// Models of every kind of block: with and without pools and ReLUs, channels that need padding, a dense layer alone.
  static let models: [ModelDeclaration] = [
    ModelDeclaration(input: [20], layers: [.dense(5)]),
    // Wide enough for its first layer to go around inputs that are all zero.
    ModelDeclaration(input: [45], layers: [.dense(70), .relu, .dense(5)]),
    ModelDeclaration(input: [20], layers: [.dense(37), .relu, .dense(16), .relu, .dense(5)]),
    ModelDeclaration(input: [1, 8, 8], layers: [.convolution(channels: 6, kernel: 3), .relu, .maxPool, .dense(5)]),
    ModelDeclaration(
      input: [2, 8, 8],
      layers: [
        .convolution(channels: 17, kernel: 5), .relu, .maxPool, .convolution(channels: 8, kernel: 3), .relu, .dense(9),
        .relu,
        .dense(5),
      ]),
    ModelDeclaration(
      input: [1, 6, 6],
      layers: [.convolution(channels: 3, kernel: 3), .convolution(channels: 4, kernel: 3), .maxPool, .dense(5)]),
  ]

  static func chunk(_ model: Model, _ count: Int) throws -> Samples {
    let data = try Blobs.dataset(samples: count, features: model.features, classes: 5, seed: Seed(4))
    guard model.features == 45, case .floats(var floats) = data.features else {
      return try data.chunk(rows: 0..<count)
    }
    // Some features are zero nearly always, so that batches differ in which they are.
    for index in floats.indices where index % 45 % 3 == 0 && index / 45 % 11 != 0 { floats[index] = 0 }
    let sparse = try Dataset(
      features: .floats(floats), labels: data.labels, featureCount: data.featureCount, classes: data.classes)
    return try sparse.chunk(rows: 0..<count)
  }

  @Test(arguments: models) func `training gives the same bits on every instruction set`(_ declaration: ModelDeclaration)
    throws
  {
    for momentum in [0, 0.9] {
      let recipe = TrainingRecipe(learningRate: 0.02, momentum: momentum, batch: 7, epochs: 3, shuffle: true)
      var digests: Set<Digest> = []
      for set in Self.sets {
        let model = try Model(declaration, instructionSet: set)
        let outcome = try model.train(
          from: model.initialWeights(seed: Seed(1)), on: Self.chunk(model, 60), recipe: recipe, seed: Seed(2))
        digests.insert(outcome.weights.digest)
      }
      #expect(digests.count == 1, "momentum \(momentum)")
    }
  }

  /// The loss of a batch as a function of one weight, by evaluation alone.
  private func loss(_ model: Model, _ values: [Float], _ samples: Samples) throws -> Double {
    try model.evaluate(Weights(values: values, for: model), on: samples, rows: 0..<samples.count).loss
  }

  @Test(arguments: models) func `gradients agree with finite differences`(_ declaration: ModelDeclaration) throws {
    let model = try Model(declaration)
    let samples = try Self.chunk(model, 6)
    let start = model.initialWeights(seed: Seed(3)).values
    // One step of plain descent with rate 1 over the whole batch: the gradient is what the weights lost.
    let recipe = TrainingRecipe(learningRate: 1, batch: 6)
    let stepped = try model.train(from: Weights(values: start, for: model), on: samples, recipe: recipe, seed: Seed(1))
    let gradient = zip(start, stepped.weights.values).map { Double($0) - Double($1) }
    var stream = Seed(8).stream
    var worst = 0.0
    for parameter in model.parameters {
      for _ in 0..<12 {
        let index = parameter.offset + stream.below(parameter.count)
        let step: Float = 1e-3
        var up = start
        up[index] += step
        var down = start
        down[index] -= step
        let measured = try (loss(model, up, samples) - loss(model, down, samples)) / Double(up[index] - down[index])
        // A kink of ReLU or pool between the two points makes single elements differ; most must not.
        let error = abs(measured - gradient[index]) / max(0.02, abs(measured))
        if error > 0.05 { worst += 1 }
      }
    }
    #expect(worst <= Double(model.parameters.count) * 12 * 0.1)
  }

  @Test func `momentum is PyTorch's`() throws {
    let model = try Model(ModelDeclaration(input: [3], layers: [.dense(2)]))
    let data = try Dataset(features: .floats([1, 2, 3, 1, 2, 3]), labels: [0, 0], featureCount: 3, classes: 2)
    let chunk = try data.chunk(rows: 0..<2)
    let start = Weights(values: Array(repeating: 0, count: 8), for: model)
    let recipe = TrainingRecipe(learningRate: 0.1, momentum: 0.5, batch: 1)
    let outcome = try model.train(from: start, on: chunk, recipe: recipe, seed: Seed(1))
    // Worked by hand: step 1 has p = 1/2, so g = -x/2 for class 0 and v = g; step 2 has logits z0 = 0.05*15, z1 = -z0.
    func bias(_ rate: Double) -> Double {
      let first = 0.05
      let z = 0.05 * 15.0
      let p = 1 / (1 + exp(-2 * z))
      return first + 0.1 * (0.5 * 0.5 + (1 - p))
    }
    #expect(abs(Double(outcome.weights.values[6]) - bias(0.1)) < 1e-6)
  }

  @Test func `a small training is what it was when this was written`() throws {
    let model = try Model(Self.models[4])
    let outcome = try model.train(
      from: model.initialWeights(seed: Seed(1)), on: Self.chunk(model, 40),
      recipe: TrainingRecipe(learningRate: 0.02, momentum: 0.9, batch: 8, epochs: 2, shuffle: true), seed: Seed(2))
    #expect(numericsVersion == 3)
    #expect(
      outcome.weights.digest.hex == "bfd40dfd11a0346deec251307f2379a8061e0c9cd73adce529bd985097769557",
      "numerics changed: raise numericsVersion and PEERMILL_NUMERICS")
  }

  @Test func `training that diverges is an error`() throws {
    let model = try Model(Self.models[2])
    #expect(throws: LearnError.self) {
      try model.train(
        from: model.initialWeights(seed: Seed(1)), on: Self.chunk(model, 40),
        recipe: TrainingRecipe(learningRate: 1_000, batch: 4, epochs: 20), seed: Seed(1))
    }
  }
}

import Foundation
import Testing

@testable import Learn

/// What a step costs is told before it is paid. Nothing here looks at how long anything takes.
@Suite struct CostTests {
  static let declarations: [ModelDeclaration] = [
    ModelDeclaration(input: [20], layers: [.dense(3)]),
    ModelDeclaration(input: [100], layers: [.dense(80), .relu, .dense(5)]),
    ModelDeclaration(
      input: [3, 12, 12],
      layers: [
        .convolution(channels: 8, kernel: 3), .relu, .maxPool, .convolution(channels: 20, kernel: 5), .dense(32), .relu,
        .dense(4),
      ]),
  ]
  static let optimizers: [Optimizer] = {
    var adam = Optimizer()
    adam.kind = .adam
    var nesterov = Optimizer.sgd(momentum: 0.9)
    nesterov.isNesterov = true
    var proximal = adam
    proximal.proximal = 0.1
    return [Optimizer(), .sgd(momentum: 0.9), adam, nesterov, proximal]
  }()

  @Test(arguments: declarations, optimizers)
  func `what is planned is what is allocated`(declaration: ModelDeclaration, optimizer: Optimizer) throws {
    let model = try Model(declaration)
    for batch in [1, 7, 32] {
      let recipe = TrainingRecipe(learningRate: 0.1, optimizer: optimizer, batch: batch)
      let cost = try model.cost(recipe: recipe, samples: 64)
      let engine = try model.makeEngine(batch: batch, trains: true, optimizer)
      #expect(cost.plannedBytes == engine.plannedBytes)
      #expect(cost.peakBytes > cost.plannedBytes)
      let evaluation = try model.evaluationCost(samples: batch)
      #expect(evaluation.plannedBytes == (try model.makeEngine(batch: batch, trains: false, Optimizer())).plannedBytes)
      #expect(evaluation.flopsPerStep < cost.flopsPerStep)
    }
  }

  @Test(arguments: optimizers)
  func `a file's graph is planned as it is allocated`(optimizer: Optimizer) throws {
    let folder = #filePath.replacing("CostTests.swift", with: "Fixtures")
    var declaration = ModelDeclaration()
    declaration.graph = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(folder)/cnn-training.onnx")))
    let model = try Model(unbounded: declaration)
    for batch in [2, 9] {
      let cost = try model.cost(
        recipe: TrainingRecipe(learningRate: 0.1, optimizer: optimizer, batch: batch), samples: 20)
      #expect(cost.plannedBytes == (try model.makeEngine(batch: batch, trains: true, optimizer)).plannedBytes)
    }
  }

  @Test func `costs grow with the batch and with the samples`() throws {
    var machine = Slots()
    for slot in machine.values.indices { machine.values[slot] = 1e-9 }
    let profile = MachineProfile(instructionSet: "avx2", prices: machine)
    for declaration in Self.declarations {
      let model = try Model(declaration)
      var before: LearnCost?
      for batch in [2, 8, 32] {
        let cost = try model.cost(recipe: TrainingRecipe(learningRate: 0.1, batch: batch, epochs: 2), samples: 100)
        #expect(cost.steps == (100 + batch - 1) / batch * 2)
        #expect(cost.parameterCount == model.parameterCount)
        if let before {
          #expect(cost.flopsPerStep == before.flopsPerStep * 4)
          #expect(cost.bytesPerStep > before.bytesPerStep)
          #expect(cost.plannedBytes > before.plannedBytes)
          #expect(cost.secondsPerStep(on: profile) > before.secondsPerStep(on: profile))
        }
        before = cost
      }
    }
  }

  @Test func `no gradient is counted where none is needed`() throws {
    let model = try Model(ModelDeclaration(input: [100], layers: [.dense(10)]))
    // Forward and the weights' gradient; there is no gradient of the samples.
    #expect(model.forwardFlopsPerSample == 2 * 100 * 10)
    #expect(model.flopsPerSample == 2 * model.forwardFlopsPerSample)
    let deep = try Model(ModelDeclaration(input: [100], layers: [.dense(10), .relu, .dense(2)]))
    #expect(deep.flopsPerSample >= 2 * 2 * 1_000 + 3 * 2 * 20)
    #expect(deep.flopsPerSample < 3 * deep.forwardFlopsPerSample)
  }

  @Test func `what would take too much is refused before it is allocated`() throws {
    let model = try Model(
      ModelDeclaration(
        input: [64, 128, 128],
        layers: [.convolution(channels: 64, kernel: 31), .dense(2)]))
    let recipe = TrainingRecipe(learningRate: 0.1, batch: 64)
    #expect(throws: LearnError.self) { try model.cost(recipe: recipe, samples: 64, limit: 1e12) }
    #expect(Double(model.flopsPerSample) * 64 > 1e12)
    // What one sample alone would cost too much for is no model.
    #expect(throws: LearnError.self) {
      try Model(
        ModelDeclaration(input: [64, 256, 256], layers: [.convolution(channels: 256, kernel: 31), .dense(2)]))
    }
  }

  @Test func `counting does nothing`() throws {
    let model = try Model(Self.declarations[2])
    let recipe = TrainingRecipe(learningRate: 0.1, batch: 16)
    let first = try model.cost(recipe: recipe, samples: 64)
    #expect(try model.cost(recipe: recipe, samples: 64) == first)
    // All instruction sets ask for the same work, in other tiles.
    let plain = try Model(Self.declarations[2], instructionSet: "plain").cost(recipe: recipe, samples: 64)
    #expect(plain.flopsPerStep == first.flopsPerStep)
    #expect(plain.plannedBytes == first.plannedBytes)
  }

  @Test func `distances are bytes that were touched between`() {
    var recency = Recency(begin: 0, bytes: 1 << 16)
    func touch(_ address: Int, _ bytes: Int) -> [Int?] {
      var met: [Int?] = []
      recency.touch(address, bytes: bytes) { distance, _ in met.append(distance) }
      return met
    }
    #expect(touch(0, 256) == [nil])
    #expect(touch(0, 256) == [0])
    _ = touch(1_024, 8_192)
    #expect(touch(0, 256) == [8_192])
    for _ in 0..<200 { _ = touch(1_024, 8_192) }
    #expect(touch(0, 256) == [8_192])
    #expect(touch(1_024, 256) == [8_192])
  }

  @Test func `a profile is read as it was written`() throws {
    var prices = Slots()
    for slot in prices.values.indices { prices.values[slot] = Double(slot) * 1e-9 }
    let profile = MachineProfile(instructionSet: "avx2", prices: prices)
    let read = try JSONDecoder().decode(MachineProfile.self, from: try JSONEncoder().encode(profile))
    #expect(read.instructionSet == "avx2")
    for slot in prices.values.indices { #expect(abs(read.prices.values[slot] - prices.values[slot]) < 1e-18) }
    #expect(Set(Slots.names).count == Slots.count)
    #expect(throws: (any Error).self) {
      try JSONDecoder().decode(
        MachineProfile.self, from: Data(#"{"instructionSet":"avx2","nanoseconds":{"call":-1}}"#.utf8))
    }
  }

  @Test func `a calibration needs no clock of its own`() throws {
    // A clock that advances by itself whenever it is looked at.
    var ticks = 0.0
    let profile = try MachineProfile.calibrate(instructionSet: "plain") {
      ticks += 1e-3
      return ticks
    }
    #expect(profile.instructionSet == "plain")
    #expect(profile.productRate(rows: 64, weightBytes: 1 << 14) > 0)
  }
}

import CKernels
import Runtime

extension MachineProfile {
  /// Measures this machine for a few seconds.
  ///
  /// - Parameter now: the seconds of any clock that goes on.
  public static func calibrate(instructionSet: String? = nil, now: @escaping () -> Double) throws(LearnError)
    -> MachineProfile
  {
    let found = instructionSet.map { pm_kernels_named($0) } ?? pm_kernels_best()
    guard let table = found else { throw .model("this processor has no \(instructionSet ?? "") kernels") }
    let name = String(cString: table.pointee.name)
    var calibration = try Calibration(name, table.pointee, now)
    try calibration.measure()
    return MachineProfile(instructionSet: name, prices: calibration.solved())
  }
}

/// Probes: pieces of work that are counted by a meter and timed. Each has a slot whose price it tells when those of the other
/// slots are known; going over them a few times settles all.
struct Calibration {
  private struct Probe {
    var slot: Int
    var work: Slots
    var seconds: Double
  }
  let name: String
  let kernels: pm_kernels
  let tiles: Meter.Tiles
  private let now: () -> Double
  private let memory: Arena
  /// What fits the first-level cache, and all of it.
  let a: Floats
  let b: Floats
  let c: Floats
  let large: Floats
  static let largeFloats = 8 << 20
  private var probes: [Probe] = []
  /// The probe at hand.
  private var place = 0

  init(_ name: String, _ kernels: pm_kernels, _ now: @escaping () -> Double) throws(LearnError) {
    self.name = name
    self.kernels = kernels
    self.now = now
    tiles = Meter.Tiles(name)
    memory = try Arena(floats: 3 * Arena.size(65_536 + 368) + Arena.size(Self.largeFloats))
    // Not a multiple of a page apart: what is read would seem to be what was just written.
    a = memory.take(65_536 + 368)
    b = memory.take(65_536 + 368)
    c = memory.take(65_536 + 368)
    large = memory.take(Self.largeFloats)
    for index in 0..<65_536 {
      a[index] = Float(index % 61) / 61 - 0.5
      b[index] = Float(index % 53) / 53 + 0.25
      c[index] = Float(index % 47) / 47 - 0.25
    }
  }

  /// Several times over everything: a bad moment of the machine spoils none of a probe's times for good.
  mutating func measure() throws(LearnError) {
    for _ in 0..<5 {
      place = 0
      try products()
      try maps()
      try moves()
      try norms()
      try windows()
      try cells()
      try lines()
      try passes()
    }
  }
  private mutating func note(_ probe: Probe) {
    if place < probes.count {
      probes[place].seconds = min(probes[place].seconds, probe.seconds)
    } else {
      probes.append(probe)
    }
    place += 1
  }

  /// The least that one round took.
  private func time(_ least: Double, _ body: () throws(LearnError) -> Void) throws(LearnError) -> Double {
    try body()
    var rounds = 1
    while true {
      let began = now()
      for _ in 0..<rounds { try body() }
      if now() - began > least || rounds > 1 << 14 { break }
      rounds *= 2
    }
    var best = Double.infinity
    for _ in 0..<4 {
      let began = now()
      for _ in 0..<rounds { try body() }
      best = min(best, (now() - began) / Double(rounds))
    }
    return best
  }

  /// A piece of work that kernels do; `also` is what it is besides.
  mutating func probe(
    _ slot: Int, least: Double = 50e-6, also: (Meter) -> Void = { _ in }, _ body: (pm_kernels) -> Void
  ) throws(LearnError) {
    let meter = Meter(name)
    try meter.count { () throws(LearnError) in body(meter.kernels) }
    also(meter)
    let kernels = kernels
    let seconds = try time(least) { body(kernels) }
    note(Probe(slot: slot, work: meter.work, seconds: seconds))
  }
  mutating func probe(
    _ unit: Unit, also: (Meter) -> Void = { _ in }, _ body: (pm_kernels) -> Void
  ) throws(LearnError) {
    try probe(unit.rawValue, also: also, body)
  }
  /// A piece of work with a count of its own.
  mutating func probe(_ unit: Unit, work: Slots, _ body: () throws(LearnError) -> Void) throws(LearnError) {
    note(Probe(slot: unit.rawValue, work: work, seconds: try time(100e-6, body)))
  }

  func solved() -> Slots {
    var prices = Slots()
    for _ in 0..<12 {
      for probe in probes {
        let count = probe.work.values[probe.slot]
        guard count > 0 else { continue }
        let others = probe.work.dot(prices) - count * prices.values[probe.slot]
        prices.values[probe.slot] = max(0, probe.seconds - others) / count
      }
    }
    let last = Slots.distances - 1
    for isPanel in [false, true] {
      prices.values[Slots.line(last, isPanel: isPanel)] = prices.values[Slots.line(last - 1, isPanel: isPanel)]
    }
    return prices
  }

  // MARK: products

  private mutating func products() throws(LearnError) {
    func shape(_ isTransposed: Bool, _ depth: Int, _ columns: Int) -> pm_product_shape {
      var shape = pm_product_shape()
      shape.a_row = isTransposed ? 1 : depth
      shape.a_step = isTransposed ? 16 : 1
      shape.b_row = columns
      shape.c_row = columns
      shape.depth = depth
      shape.s1 = 1
      shape.s2 = 1
      shape.start = Int32(pm_from_sums.rawValue)
      shape.epilogue = Int32(pm_store.rawValue)
      return shape
    }
    let (a, b, c) = (a, b, c)
    for isTransposed in [false, true] {
      let flag: Int32 = isTransposed ? 1 : 0
      for vectors in 1...tiles.vectors {
        let columns = vectors == tiles.vectors ? 64 : 16
        for height in 1...tiles.rows {
          for (depth, isCall) in [(64, false), (8, true)] {
            var shape = shape(isTransposed, depth, columns)
            try probe(Slots.tile(isTransposed: isTransposed, vectors: vectors, height: height, isCall: isCall)) {
              kernels in
              for _ in 0..<8 { kernels.product(flag, height, columns, &shape, a, b, c) }
            }
          }
        }
      }
    }
    var one = shape(false, 8, 16 * tiles.vectors)
    let (rows, columns) = (tiles.rows, 16 * tiles.vectors)
    try probe(.productCall) { kernels in
      for _ in 0..<16 { kernels.product(0, rows, columns, &one, a, b, c) }
    }
    var many = shape(false, 16, columns)
    many.s1 = 3
    many.a_s1 = 16
    many.b_s1 = 16 * columns
    try probe(.tileStretch) { kernels in
      for _ in 0..<16 { kernels.product(0, rows, columns, &many, a, b, c) }
    }
    for (step, tile, inputs, batch) in [
      (Unit.dotStep, Unit.dotTile, 4 * tiles.dotInputs, tiles.dotBatch),
      (.thinDotStep, .thinDotTile, 4 * tiles.dotInputs, 1), (.narrowDotStep, .narrowDotTile, 1, tiles.dotBatch),
      (.singleDotStep, .singleDotTile, 1, 1),
    ] {
      for (unit, n) in [(step, 256), (tile, 16)] {
        try probe(unit) { kernels in
          for _ in 0..<8 { kernels.dots(batch, inputs, n, a, 256, b, 256, c, 64) }
        }
      }
    }
    try probe(.call) { kernels in
      for _ in 0..<64 { kernels.fill(16, 0, c) }
    }
  }

  // MARK: memory

  private mutating func lines() throws(LearnError) {
    let large = large
    let affine = Int32(Unary.affine.rawValue)
    for distance in 1..<(Slots.distances - 1) {
      let bytes = Slots.nearest << distance
      // Sources and targets apart by a round number would meet in the same sets of the cache.
      let half = bytes / 8
      try probe(
        Slots.line(distance, isPanel: false), also: { $0.lines(Double(bytes) / 64, distance: bytes, isPanel: false) }
      ) { kernels in
        kernels.unary(affine, 1, half, half, 1, 0, large, large + half + 272)
      }
      let columns = 512
      let row = columns + 16
      let depth = max(1, bytes / 4 / row)
      var shape = pm_product_shape()
      shape.a_row = 128
      shape.a_step = 1
      shape.b_row = row
      shape.c_row = columns
      shape.s1 = 1
      shape.s2 = 1
      shape.start = Int32(pm_from_sums.rawValue)
      let height = min(8, tiles.rows)
      let (a, c) = (a, c)
      try probe(
        Slots.line(distance, isPanel: true),
        also: { $0.lines(Double(depth * columns) / 16, distance: depth * row * 4, isPanel: true) }
      ) { kernels in
        var k = 0
        while k < depth {
          shape.depth = min(128, depth - k)
          kernels.product(0, height, columns, &shape, a, large + k * row, c)
          k += 128
        }
      }
    }
  }

  // MARK: passes

  /// Small models, whose cost is mostly how they are driven.
  private mutating func passes() throws(LearnError) {
    let dense = try Model(ModelDeclaration(input: [16], layers: [.dense(4)]), instructionSet: name)
    let deep = try Model(
      ModelDeclaration(
        input: [16], layers: Array(repeating: [.dense(16), .relu], count: 12).flatMap { $0 } + [.dense(4)]),
      instructionSet: name)
    let images = try Model(
      ModelDeclaration(
        input: [16, 8, 8],
        layers: [.convolution(channels: 16, kernel: 3), .convolution(channels: 16, kernel: 3), .dense(4)]
      ), instructionSet: name)
    let recipe = TrainingRecipe(learningRate: 1e-9, batch: 2)
    for (unit, model) in [(Unit.pass, dense), (.step, deep), (.windowCall, images)] {
      let meter = Meter(name)
      let counted = try GraphEngine(model, maxBatch: 2, trains: true, recipe.optimizer, meter: meter)
      for _ in 0..<2 {
        meter.clear()
        try meter.count { () throws(LearnError) in
          meter.add(.pass, 1)
          _ = try counted.step(batch: 2, recipe, Pass(step: 2))
        }
      }
      let engine = try GraphEngine(model, maxBatch: 2, trains: true, recipe.optimizer)
      engine.load(model.initialWeights(seed: Seed(1)))
      try probe(unit, work: meter.work) { () throws(LearnError) in
        _ = try engine.step(batch: 2, recipe, Pass(step: 2))
      }
    }
    try samples(dense)
  }

  private mutating func samples(_ model: Model) throws(LearnError) {
    let chunk = try Blobs.dataset(samples: 64, features: 16, classes: 4, seed: Seed(1)).chunk(rows: 0..<64)
    let engine = try GraphEngine(model, maxBatch: 64, trains: false, Optimizer())
    for (unit, count) in [(Unit.sample, 64), (.batch, 1)] {
      let meter = Meter(name)
      let counted = try GraphEngine(model, maxBatch: count, trains: false, Optimizer(), meter: meter)
      try counted.meterLoad(batch: count)
      let order = Array(0..<count)
      let sized = count == 64 ? engine : try GraphEngine(model, maxBatch: count, trains: false, Optimizer())
      try probe(unit, work: meter.work) { () throws(LearnError) in sized.load(chunk, rows: order[...]) }
    }
  }
}

import Runtime

/// How weights follow their gradients, with PyTorch's formulas and names.
public struct Optimizer: Wire, Equatable {
  public enum Kind: Int, Sendable, CaseIterable { case sgd = 0, adam = 1, adamW = 2 }
  public var kind = Kind.sgd
  /// v = momentum v + gradient; w -= rate v. Begins at rest with every chunk and round.
  public var momentum = 0.0
  public var isNesterov = false
  /// Added to the gradient as decay · w; for AdamW w shrinks by rate · decay instead.
  public var weightDecay = 0.0
  public var beta1: Double {
    get { chosenBeta1 ?? 0.9 }
    set { chosenBeta1 = newValue == 0.9 ? nil : newValue }
  }
  public var beta2: Double {
    get { chosenBeta2 ?? 0.999 }
    set { chosenBeta2 = newValue == 0.999 ? nil : newValue }
  }
  public var epsilon: Double {
    get { chosenEpsilon ?? 1e-8 }
    set { chosenEpsilon = newValue == 1e-8 ? nil : newValue }
  }
  // What is the usual is not written.
  private var chosenBeta1: Double?
  private var chosenBeta2: Double?
  private var chosenEpsilon: Double?
  /// The most that all gradients together may measure (L2), or 0 for no bound.
  public var clipNorm = 0.0
  /// FedProx: pulls towards the weights that training began with, by pull · (w − w₀).
  public var proximal = 0.0

  public init() {}
  public static func sgd(momentum: Double = 0) -> Optimizer {
    var optimizer = Optimizer()
    optimizer.momentum = momentum
    return optimizer
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    var number = kind.rawValue
    try codec(1, &number)
    guard let read = Kind(rawValue: number) else { throw .badValue(field: 1, "optimizer \(number)") }
    kind = read
    try codec(2, &momentum)
    try codec(3, &isNesterov)
    try codec(4, &weightDecay)
    try Self.chosen(5, &chosenBeta1, 0.9, &codec)
    try Self.chosen(6, &chosenBeta2, 0.999, &codec)
    try Self.chosen(7, &chosenEpsilon, 1e-8, &codec)
    try codec(8, &clipNorm)
    try codec(9, &proximal)
  }
  /// A number of at least 0 that is left out where it is the usual one: a list of none or one.
  private static func chosen(
    _ field: Int, _ value: inout Double?, _ usual: Double, _ codec: inout Codec
  ) throws(WireError) {
    var list = value.map { [$0] } ?? []
    try codec(field, repeated: &list, limit: 1)
    if list.first == usual { throw .notCanonical }
    value = list.first
  }
  /// Whether a step is nothing but w -= rate · (velocity of the) gradient.
  var isPlain: Bool { kind == .sgd && !isNesterov && weightDecay == 0 && clipNorm == 0 && proximal == 0 }

  func check() throws(LearnError) {
    guard momentum >= 0, momentum < 1 else { throw .training("a momentum of \(momentum); 0 to below 1 descends") }
    guard !isNesterov || momentum > 0 else { throw .training("Nesterov without a momentum") }
    guard beta1 >= 0, beta1 < 1, beta2 >= 0, beta2 < 1, epsilon > 0, epsilon <= 1 else {
      throw .training("Adam with betas \(beta1) and \(beta2) and epsilon \(epsilon)")
    }
    for (value, name) in [(weightDecay, "weight decay"), (clipNorm, "clip norm"), (proximal, "proximal pull")] {
      guard value >= 0, value <= 1e6 else { throw .training("a \(name) of \(value); 0 to a million") }
    }
  }
}

/// How the learning rate goes over a job's rounds.
public struct RateSchedule: Wire, Equatable {
  public enum Kind: Int, Sendable, CaseIterable { case constant = 0, step = 1, cosine = 2, linear = 3 }
  public var kind = Kind.constant
  /// Rounds over which the rate rises from nothing.
  public var warmup = 0
  /// For `step`: rounds after which the rate is multiplied by `factor`, again and again.
  public var every = 0
  public var factor = 0.0
  /// For `cosine` and `linear`: the share of the rate that is left in the last round.
  public var floor = 0.0

  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    var number = kind.rawValue
    try codec(1, &number)
    guard let read = Kind(rawValue: number) else { throw .badValue(field: 1, "schedule \(number)") }
    kind = read
    try codec(2, &warmup)
    try codec(3, &every)
    try codec(4, &factor)
    try codec(5, &floor)
  }
  public func check() throws(LearnError) {
    guard warmup >= 0, warmup <= 100_000, floor >= 0, floor <= 1 else {
      throw .training("a warm-up of \(warmup) rounds down to a share of \(floor)")
    }
    if kind == .step {
      guard every >= 1, every <= 100_000, factor > 0, factor <= 1 else {
        throw .training("a rate that is multiplied by \(factor) every \(every) rounds")
      }
    }
  }

  /// What the rate is multiplied by in a round of so many.
  public func share(round: Int, of rounds: Int) -> Double {
    if round < warmup { return Double(round + 1) / Double(warmup + 1) }
    let whole = Double(max(1, rounds - warmup - 1))
    let done = min(1, Double(round - warmup) / whole)
    switch kind {
    case .constant: return 1
    case .step:
      var share = 1.0
      for _ in 0..<((round - warmup) / max(1, every)) where share > 1e-30 { share *= factor }
      return share
    case .linear: return 1 - done * (1 - floor)
    case .cosine: return floor + (1 - floor) * (1 + Self.cosine(done)) / 2
    }
  }
  /// The cosine of x half turns, x in 0...1, by its series around the quarter turn: no library's version decides a rate.
  private static func cosine(_ x: Double) -> Double {
    let angle = (0.5 - x) * 3.141592653589793
    let square = angle * angle
    var term = angle
    var sum = angle
    for k in 1...12 {
      term = -term * square / Double(2 * k * (2 * k + 1))
      sum += term
    }
    return sum
  }
}

/// How a chunk is trained.
public struct TrainingRecipe: Wire, Equatable {
  public var learningRate = 0.0
  public var optimizer = Optimizer()
  public var batch = 0
  public var epochs = 0
  /// Whether samples are shuffled before each epoch, from the seed; else they come in the chunk's order.
  public var shuffle = false
  public var schedule = RateSchedule()
  /// Every how many steps the digest of the weights is kept, so that a dispute can find the first step that differs; 0: never.
  public var trail = 0
  /// How an update travels.
  public var storage = UpdateStorage.float32

  public init() {}
  public init(
    learningRate: Double, optimizer: Optimizer = Optimizer(), batch: Int, epochs: Int = 1, shuffle: Bool = false
  ) {
    self.learningRate = learningRate
    self.optimizer = optimizer
    self.batch = batch
    self.epochs = epochs
    self.shuffle = shuffle
  }
  public init(learningRate: Double, momentum: Double, batch: Int, epochs: Int = 1, shuffle: Bool = false) {
    self.init(
      learningRate: learningRate, optimizer: .sgd(momentum: momentum), batch: batch, epochs: epochs, shuffle: shuffle)
  }
  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &learningRate)
    try codec(2, &optimizer)
    try codec(3, &batch)
    try codec(4, &epochs)
    try codec(5, &shuffle)
    try codec(6, &schedule)
    try codec(7, &trail)
    var number = storage.rawValue
    try codec(8, &number)
    guard let read = UpdateStorage(rawValue: number) else { throw .badValue(field: 8, "storage \(number)") }
    storage = read
  }

  public func check() throws(LearnError) {
    guard learningRate > 0, learningRate <= 1_000 else { throw .training("a learning rate of \(learningRate)") }
    guard batch >= 1, batch <= 4_096 else { throw .training("a batch of \(batch); 1 to 4096 samples") }
    guard epochs >= 1, epochs <= 1_000 else { throw .training("\(epochs) epochs; 1 to 1000") }
    guard trail >= 0, trail <= 1 << 20 else { throw .training("a digest every \(trail) steps") }
    try optimizer.check()
    try schedule.check()
  }

  /// The recipe of one round: the schedule is worked into the rate.
  public func at(round: Int, of rounds: Int) -> TrainingRecipe {
    var recipe = self
    recipe.learningRate *= schedule.share(round: round, of: rounds)
    return recipe
  }
}

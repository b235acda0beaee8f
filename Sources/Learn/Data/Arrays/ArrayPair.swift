/// What a file's targets are to be taken for.
public enum TargetChoice: String, Sendable, CaseIterable {
  case classes
  case numbers
}

/// How arrays become samples.
public struct ArrayOptions: Sendable, Equatable {
  /// Names of arrays where a file has several.
  public var features: String
  public var targets: String
  /// Nil: whole numbers are classes, the others are numbers.
  public var choice: TargetChoice?
  /// What features that are bytes are divided by. Nil: 255 for arrays of three axes and more, which are pictures; 1 for others.
  public var divisor: Float?

  public init(features: String = "x", targets: String = "y", choice: TargetChoice? = nil, divisor: Float? = nil) {
    self.features = features
    self.targets = targets
    self.choice = choice
    self.divisor = divisor
  }
}

/// An array of features and one of targets that belong together: the first axis of both counts the samples.
struct ArrayPair: Sendable, Equatable {
  let features: ArrayLayout
  let targets: ArrayLayout
  let count: Int
  /// Of one sample.
  let shape: [Int]
  let targetCount: Int
  let kind: SampleForm.TargetKind
  let storage: SampleForm.Storage
  let divisor: Float

  /// - Throws: `LearnError.data` where the two do not belong together.
  init(_ features: ArrayLayout, _ targets: ArrayLayout, _ options: ArrayOptions) throws(LearnError) {
    guard let count = features.shape.first, let other = targets.shape.first else {
      throw .data(
        "\(features.shape.isEmpty ? features.name : targets.name) is one number; the first axis counts the samples")
    }
    guard count == other else {
      throw .data("\(features.name) has \(count) samples and \(targets.name) has \(other); they must be as many")
    }
    guard count > 0 else { throw .data("\(features.name) has no samples") }
    self.features = features
    self.targets = targets
    self.count = count
    shape = features.shape.count == 1 ? [1] : Array(features.shape.dropFirst())
    var perSample = 1
    for side in targets.shape.dropFirst() {
      let (product, overflow) = perSample.multipliedReportingOverflow(by: side)
      guard !overflow, product >= 1, product <= SampleForm.limit else {
        throw .data(
          "\(targets.name) has the shape \(targets.shape): no targets, or more than \(SampleForm.limit), a sample")
      }
      perSample = product
    }
    targetCount = perSample
    switch options.choice {
    case .classes: kind = .classes
    case .numbers: kind = .values
    case nil: kind = targets.type.isFloating ? .values : .classes
    }
    if features.type == .u8 {
      storage = .bytes
      divisor = options.divisor ?? (features.shape.count >= 3 ? 255 : 1)
    } else {
      guard options.divisor == nil || options.divisor == 1 else {
        throw .data("\(features.name) does not hold unsigned bytes, and only bytes are divided; scale it otherwise")
      }
      storage = .floats
      divisor = 1
    }
  }

  /// The form of its chunks.
  func form(classes: Int) -> SampleForm {
    SampleForm(
      storage: storage, targetKind: kind, classes: kind == .classes ? classes : 0, features: shape.reduce(1, *),
      targets: targetCount, divisor: divisor)
  }

  /// - Throws: `LearnError.data` where an element cannot be a feature or a target.
  static func dataset(_ x: NumberArray, _ y: NumberArray, _ options: ArrayOptions) throws(LearnError) -> Dataset {
    let pair = try ArrayPair(x.layout, y.layout, options)
    let features: Dataset.Features =
      switch pair.storage {
      case .bytes: .bytes(x.rawBytes(), divisor: pair.divisor)
      case .floats: .floats(try x.floats())
      }
    let targets: Dataset.Targets
    switch pair.kind {
    case .classes:
      let labels = try y.classes()
      targets = .classes(labels.map(Int.init), per: pair.targetCount, of: max(2, Int(labels.max() ?? 0) + 1))
    case .values: targets = .values(try y.floats(), per: pair.targetCount)
    }
    return try Dataset(features: features, targets: targets, shape: pair.shape)
  }
}

import Runtime

/// Whether claimed weights may come from a training that another engine did, with the same rows in the same order but sums in
/// another one.
///
/// An audit by digest is exact: equal bits, or a lie. It needs the engine of this module on both sides. For results of another
/// engine the auditor trains the chunk itself and asks here how far the claim lies from its own result. That is a judgement and
/// no proof: whoever knows the thresholds can stay within them, and so can move the weights by that much in a direction of his
/// choice; only that it is small against an honest update can be had.
///
/// A job's policy will choose between the two: `exact` (as it is now, and the default: only this module's engine is accepted,
/// receipts are digests, disputes find the first step that differs) or `loose` (other engines may take part; audits are made
/// here, disputes are repeated audits by others and decided by their majority, and the job's result is not a function of the
/// job alone any more). Dropout has no loose audit: its masks differ between engines, and so do honest results.
///
/// Thresholds. Two engines begin a rounding apart and drift, sideways: the length of the update stays what it was, and so does
/// the loss. In shares of the auditor's own update, PyTorch lay off from this engine, on small nets with a rate of 0.05 for SGD
/// and 0.001 for Adam: 1e-6 to 1e-4 after 20 steps as long as no ReLU met a tie, 4 % (Adam) and 6 % (a residual net) where one
/// did; 18 and 30 % after 100 steps of a convolutional net; 24 and 92 % after 400. So a training of more than a hundred steps
/// cannot be judged as a whole: its weights must be kept on the way, and stretches of it be audited, each from the weights that
/// were claimed for its beginning.
///
/// Single tensors are looked at as well; one whose update is small counts as having a tenth of all of it. Adam divides a gradient
/// by its own size, so that rounding alone moves a weight without gradient (a bias before a norm) by full rates: a single tensor
/// may then be anywhere that such steps lead to, and only the whole is bounded.
public struct LooseAudit: Sendable, Equatable {
  /// The most that the claimed update may lie away from the auditor's own, in lengths of its own.
  public var distance: Double
  /// The most that its length may differ, in lengths of its own.
  public var length: Double
  /// The most that the loss on the chunk may be above the auditor's own, as a share of what its own training gained.
  public var loss: Double

  /// The most that a single tensor's update may lie away, in lengths of its own.
  public var tensor: Double

  public init(distance: Double, length: Double, loss: Double, tensor: Double = 0.5) {
    self.distance = distance
    self.length = length
    self.loss = loss
    self.tensor = tensor
  }

  /// Of a stretch that is judged as a whole.
  public static let stepLimit = 100

  /// The usual thresholds of a training of so many steps: 10 % (15 % with Adam, and 2 % in length) for up to 20, 35 % (4 %) for
  /// up to 100; the loss may lag by 5 or 10 % of what was gained. Nil for more steps, which no threshold tells from a lie.
  public init?(steps: Int, optimizer: Optimizer.Kind) {
    let isAdam = optimizer != .sgd
    switch steps {
    case ...20:
      self.init(distance: isAdam ? 0.15 : 0.1, length: 0.02, loss: 0.05, tensor: isAdam ? 2 : 0.3)
    case ...Self.stepLimit: self.init(distance: 0.35, length: 0.04, loss: 0.1, tensor: isAdam ? 2 : 0.5)
    default: return nil
    }
  }

  /// What an audit found.
  public struct Verdict: Sendable, Equatable {
    public var isAccepted: Bool
    /// Of the claimed update from the auditor's own, in lengths of its own; infinite where its own is nothing and the claim not.
    public var distance: Double
    /// Of the claimed update, in lengths of its own.
    public var length: Double
    /// On the chunk: before training, after the auditor's own, and as claimed.
    public var losses: (start: Double, own: Double, claimed: Double)
    /// Why it is refused, or what was compared.
    public var words: String

    public static func == (a: Verdict, b: Verdict) -> Bool {
      a.isAccepted == b.isAccepted && a.distance == b.distance && a.length == b.length && a.losses == b.losses
        && a.words == b.words
    }
  }

  /// Judges a claim.
  ///
  /// - Parameters:
  ///   - claimed: checked to be of this model and finite, as all weights from outside are.
  ///   - own: what the auditor's own training from `start` on these samples gave.
  /// - Throws: `LearnError` where the samples are not the model's.
  public func judge(
    _ claimed: Weights, own: Weights, from start: Weights, on samples: Samples, model: Model
  ) throws(LearnError) -> Verdict {
    let rows = 0..<samples.count
    let losses = (
      start: try model.evaluate(start, on: samples, rows: rows).loss,
      own: try model.evaluate(own, on: samples, rows: rows).loss,
      claimed: try model.evaluate(claimed, on: samples, rows: rows).loss
    )
    let apart = Self.measure(claimed, own, start, model)
    let trained = apart.filter(\.parameter.isTrained)
    let whole = trained.reduce(0) { $0 + $1.own }.squareRoot()
    let update = trained.reduce(0) { $0 + $1.claimed }.squareRoot()
    let far = trained.reduce(0) { $0 + $1.apart }.squareRoot()
    func share(_ part: Double) -> Double { part == 0 ? 0 : whole == 0 ? .infinity : part / whole }
    var verdict = Verdict(
      isAccepted: false, distance: share(far), length: share(update), losses: losses, words: "")
    func percent(_ share: Double) -> String {
      share.isFinite ? "\((share * 10_000).rounded() / 100) %" : "without bound"
    }

    if whole > 0, !(abs(verdict.length - 1) <= length) {
      verdict.words =
        "its update is \(percent(verdict.length)) as long as the auditor's own; \(percent(length)) more or less can be"
    } else if !(verdict.distance <= distance) {
      verdict.words =
        "its update lies \(percent(verdict.distance)) of the auditor's own away from it; \(percent(distance)) can be"
    } else if let tensor = apart.first(where: { !isNear($0, whole) }) {
      verdict.words = "'\(tensor.parameter.name)' is not what such a training makes of it"
    } else if !(losses.claimed - losses.own <= loss * max(0, losses.start - losses.own) + 1e-4 * abs(losses.own) + 1e-7)
    {
      verdict.words =
        "its loss on the chunk is \(losses.claimed); the auditor's own training came from \(losses.start) to \(losses.own)"
    } else {
      verdict.isAccepted = true
      verdict.words =
        "its update lies \(percent(verdict.distance)) of the auditor's own away from it, and its loss is as good"
    }
    return verdict
  }

  /// Sums of squares over one tensor.
  private struct Tensor {
    var parameter: ParameterInfo
    var apart = 0.0
    var own = 0.0
    var claimed = 0.0
    var start = 0.0
  }

  private static func measure(_ claimed: Weights, _ own: Weights, _ start: Weights, _ model: Model) -> [Tensor] {
    claimed.withValues { claimed in
      own.withValues { own in
        start.withValues { start in
          model.parameters.map { parameter in
            var tensor = Tensor(parameter: parameter)
            for index in parameter.offset..<(parameter.offset + parameter.count) {
              let (a, b, c) = (Double(claimed[index]), Double(own[index]), Double(start[index]))
              tensor.apart += (a - b) * (a - b)
              tensor.own += (b - c) * (b - c)
              tensor.claimed += (a - c) * (a - c)
              tensor.start += c * c
            }
            return tensor
          }
        }
      }
    }
  }

  /// What is not trained follows the samples (running statistics), or stays what it is.
  private func isNear(_ tensor: Tensor, _ whole: Double) -> Bool {
    let own = tensor.own.squareRoot()
    let isTrained = tensor.parameter.isTrained
    let most = isTrained ? self.tensor * max(own, whole / 10) : min(0.5, self.tensor) * own
    return tensor.apart.squareRoot() <= most + 1e-6 * tensor.start.squareRoot()
  }
}

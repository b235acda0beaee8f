import CKernels
import Synchronization

/// The exact sum of a round's updates: whole numbers, so that order, tree and thread change nothing.
///
/// q = round-to-nearest-even((w − g) · 2^f) for every element, added with the sample count of its chunk as weight; the mean is
/// (Σ n q / Σ n) · 2^−f in double, and the next weights are Float(g + mean).
public final class RoundSum: Sendable {
  public static let usualFractionBits = 32

  private struct Partial {
    var sums: [Int64]
  }
  private struct State {
    var idle: [Partial] = []
    var totalSamples = 0
  }
  private let model: Model
  public let base: Weights
  private let clip: Double
  private let scale: Double
  private let state = Mutex(State())

  /// - Parameters:
  ///   - clip: bound on how far any element may move.
  ///   - fractionBits: f.
  ///   - totalSamples: the most that all updates together can weigh.
  /// - Throws: `LearnError.aggregation` unless clip · samples < 2^(63−f), so that no sum can overflow.
  public init(model: Model, base: Weights, clip: Double, fractionBits: Int, totalSamples: Int) throws(LearnError) {
    try Self.check(clip: clip, fractionBits: fractionBits, totalSamples: totalSamples)
    self.model = model
    self.base = base
    self.clip = clip
    scale = Self.power(fractionBits)
  }

  public static func check(clip: Double, fractionBits: Int, totalSamples: Int) throws(LearnError) {
    guard fractionBits >= 1, fractionBits <= 52, clip > 0, clip.isFinite, totalSamples >= 0 else {
      throw .aggregation("a clip of \(clip) with \(fractionBits) fraction bits")
    }
    guard clip * Double(totalSamples) < power(63 - fractionBits) else {
      throw .aggregation(
        "a clip of \(clip) times \(totalSamples) samples does not fit \(fractionBits) fraction bits; lower one of the three"
      )
    }
  }
  private static func power(_ exponent: Int) -> Double { Double(sign: .plus, exponent: exponent, significand: 1) }

  /// Adds an update, from any thread.
  ///
  /// - Throws: `LearnError.aggregation` for one that moves an element beyond the clip; nothing of it is added then.
  public func add(_ update: Weights, samples: Int) throws(LearnError) {
    var partial =
      state.withLock { state in
        state.totalSamples += samples
        return state.idle.popLast()
      } ?? Partial(sums: Array(repeating: 0, count: model.parameterCount))
    let refused = apply(update, weight: Int64(samples), to: &partial)
    if refused > 0 { _ = apply(update, weight: Int64(-samples), to: &partial) }
    let done = partial
    state.withLock { state in
      if refused > 0 { state.totalSamples -= samples }
      state.idle.append(done)
    }
    if refused > 0 { throw .aggregation("\(refused) elements of an update moved further than \(clip)") }
  }

  private func apply(_ update: Weights, weight: Int64, to partial: inout Partial) -> Int {
    partial.sums.withUnsafeMutableBufferPointer { sums in
      update.withValues { values in
        base.withValues { origin in
          model.kernels.pointee.accumulate(
            model.parameterCount, values.baseAddress, origin.baseAddress, scale, clip, weight, sums.baseAddress)
        }
      }
    }
  }

  /// The next weights. With no updates they are the old ones.
  public func finish() -> Weights {
    let (partials, total) = state.withLock { ($0.idle, $0.totalSamples) }
    guard total > 0, var sums = partials.first?.sums else { return base }
    for partial in partials.dropFirst() {
      for index in sums.indices { sums[index] &+= partial.sums[index] }
    }
    let samples = Double(total)
    return Weights(for: model) { target in
      base.withValues { origin in
        model.kernels.pointee.mean(model.parameterCount, origin.baseAddress, sums, samples, scale, target)
      }
    }
  }
}

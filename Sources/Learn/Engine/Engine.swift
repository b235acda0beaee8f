import CKernels

typealias Floats = UnsafeMutablePointer<Float>

/// Trains and evaluates one model on one thread: weights in the kernels' own layout, one arena, no allocation in a step.
///
/// Which engine object, which thread and which instruction set does a piece of work changes no bit of its result.
protocol Engine: AnyObject, Sendable {
  var maxBatch: Int { get }
  /// Bytes that were planned and are allocated.
  var plannedBytes: Int { get }
  func load(_ weights: Weights)
  func store() -> Weights
  /// Puts samples where the next pass finds them.
  func load(_ samples: Samples, rows: ArraySlice<Int>)
  /// The optimizer's state begins at rest.
  func begin(_ recipe: TrainingRecipe)
  /// Forward, loss, backward, descent. Returns the sum of the samples' losses.
  func step(batch: Int, _ recipe: TrainingRecipe, _ pass: Pass) throws(LearnError) -> Double
  func evaluate(batch: Int, _ result: inout Evaluation) throws(LearnError)
}

/// What is different from step to step.
struct Pass {
  /// From 1.
  var step = 1
  /// From the seed and the step: masks of dropout.
  var key: UInt64 = 0
}

import CKernels

/// One operation at work on tensors. A step allocates nothing: what it needs was planned.
///
/// Backward, `output.slope` is complete and may be overwritten; the gradient of an input replaces what is there, or is added
/// where another step has written before.
class Step {
  let inputs: [Tensor]
  let output: Tensor
  let kernels: pm_kernels
  /// Which inputs need a gradient, and which of those are added to.
  var wants: [Bool]
  var adds: [Bool]
  /// Needed forward only, from forward to backward, and backward only.
  private(set) var scratch: [Piece] = []
  private(set) var saved: [Piece] = []
  private(set) var backwardScratch: [Piece] = []
  /// What backward reads.
  var readsInputs: Bool { true }
  var readsOutput: Bool { false }
  /// Whether the output is the first input under another shape.
  var isAlias: Bool { false }

  init(_ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.inputs = inputs
    self.output = output
    self.kernels = kernels
    wants = inputs.map { _ in false }
    adds = wants
  }
  /// Asks for what only backward needs; `wants` is set.
  func prepareBackward() {}
  func forward(_ run: Run) {}
  func backward(_ run: Run) {}

  final func useForward(_ piece: Piece) { scratch.append(piece) }
  /// Needed from forward to backward.
  final func keep(_ piece: Piece) { saved.append(piece) }
  final func needSaved(_ floats: Int) -> Piece {
    let piece = Piece(floats)
    keep(piece)
    return piece
  }
  final func needBackward(_ floats: Int) -> Piece {
    let piece = Piece(floats)
    backwardScratch.append(piece)
    return piece
  }
}

/// What is the same for all steps of one pass.
struct Run {
  /// From the job's seed and the number of the step: masks of dropout.
  var key: UInt64 = 0
  /// Where the pass is only counted: whatever is not a kernel's work is told to it, and not done.
  var meter: Meter?
}

extension pm_kernels {
  /// The gradient of a tensor becomes zero.
  func clear(_ tensor: Tensor) { fill(tensor.floats, 0, tensor.slope) }
}

import CKernels

/// What the engine of a graph will hold, decided before any of it is allocated.
struct GraphPlan {
  let graph: Graph
  let program: Program
  let parameters: [Tensor]
  /// Trained parameters come first.
  let trainedFloats: Int
  /// Of the pieces that outlast a step: values, gradients, two moments, the origin, labels, targets, a row of samples.
  let sizes: [Int]

  var heldFloats: Int { sizes.reduce(0) { $0 + Arena.size($1) } }
  var workFloats: Int { Arena.size(program.floats) }
  /// Of both arenas.
  var bytes: Int { (heldFloats + workFloats) * 4 }
  var allocatedBytes: Int { Arena.allocatedBytes(floats: heldFloats) + Arena.allocatedBytes(floats: workFloats) }

  init(
    _ model: Model, batch: Int, trains: Bool, _ optimizer: Optimizer, _ kernels: pm_kernels
  ) throws(LearnError) {
    let graph = try model.graph(batch: batch, isTraining: trains)
    let arranged = Layouts(graph)
    var tensors: [Tensor] = []
    for parameter in graph.parameters {
      let layout = arranged.layouts[parameter.value]
      let stride = layout == .transposed ? rowStride(parameter.shape[0]) : nil
      tensors.append(Tensor(shape: parameter.shape, layout: layout, stride: stride))
    }
    // Trained ones in front, so that an optimizer goes over them in one pass.
    var offset = 0
    var trainedEnd = 0
    for isTrained in [true, false] {
      for (tensor, parameter) in zip(tensors, graph.parameters) where parameter.isTrained == isTrained {
        tensor.value.offset = offset
        if isTrained && trains {
          tensor.gradient = Piece(tensor.floats)
          tensor.gradient?.offset = offset
        }
        offset += Arena.size(tensor.floats)
      }
      if isTrained { trainedEnd = offset }
    }
    trainedFloats = trainedEnd
    parameters = tensors
    self.graph = graph
    let all = offset
    program = try Program(arranged, parameters: tensors, trains: trains, kernels: kernels)
    let scores = program.output
    let needsFirst = trains && (optimizer.kind != .sgd || optimizer.momentum > 0)
    let needsSecond = trains && optimizer.kind != .sgd
    let needsOrigin = trains && optimizer.proximal > 0
    let outputRows = scores.rows
    let targetFloats = model.loss == .crossEntropy ? 0 : scores.floats
    sizes = [
      all, trains ? trainedFloats : 0, needsFirst ? trainedFloats : 0, needsSecond ? trainedFloats : 0,
      needsOrigin ? trainedFloats : 0, outputRows, targetFloats, model.features,
    ]
  }
}

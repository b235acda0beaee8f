import CKernels

extension ChainEngine {
  /// From the file's layout to the kernels'.
  func load(_ weights: Weights) {
    weights.withValues { values in
      for index in blocks.indices { load(blocks[index], values.baseAddress!) }
    }
  }

  private func load(_ state: BlockState, _ values: UnsafePointer<Float>) {
    let weight = values + model.parameters[state.block.weight].offset
    switch state.block.kind {
    case .dense(let inputs, let outputs):
      if let image = state.flattened {
        let pixels = image[1] * image[2]
        for channel in 0..<image[0] {
          kernels.transpose(
            outputs, pixels, weight + channel * pixels, inputs, state.weight + channel * state.stride,
            padded(image[0]) * state.stride)
        }
      } else {
        kernels.transpose(outputs, inputs, weight, inputs, state.weight, state.stride)
      }
    case .convolution(let channels, _, _, let outputs, let kernel):
      let taps = kernel * kernel
      for output in 0..<outputs {
        for channel in 0..<channels {
          for tap in 0..<taps {
            state.weight[(tap * state.channels + channel) * state.stride + output] =
              weight[(output * channels + channel) * taps + tap]
          }
        }
      }
    }
    let bias = values + model.parameters[state.block.bias].offset
    for output in 0..<state.outputs { state.bias[output] = bias[output] }
  }

  /// From the kernels' layout to the file's.
  func store() -> Weights {
    Weights(for: model) { values in
      for state in blocks { store(state, values) }
    }
  }

  private func store(_ state: BlockState, _ values: UnsafeMutablePointer<Float>) {
    let weight = values + model.parameters[state.block.weight].offset
    switch state.block.kind {
    case .dense(let inputs, let outputs):
      if let image = state.flattened {
        let pixels = image[1] * image[2]
        for channel in 0..<image[0] {
          kernels.transpose(
            pixels, outputs, state.weight + channel * state.stride, padded(image[0]) * state.stride,
            weight + channel * pixels, inputs)
        }
      } else {
        kernels.transpose(inputs, outputs, state.weight, state.stride, weight, inputs)
      }
    case .convolution(let channels, _, _, let outputs, let kernel):
      let taps = kernel * kernel
      for output in 0..<outputs {
        for channel in 0..<channels {
          for tap in 0..<taps {
            weight[(output * channels + channel) * taps + tap] =
              state.weight[(tap * state.channels + channel) * state.stride + output]
          }
        }
      }
    }
    let bias = values + model.parameters[state.block.bias].offset
    for output in 0..<state.outputs { bias[output] = state.bias[output] }
  }
}

extension BlockState {
  /// The image that a dense block flattens, where it comes from a convolution; pixels lie before channels then.
  var flattened: [Int]? {
    guard let image = block.flattens, inputRows == padded(image[0]) * image[1] * image[2], !isFirst else { return nil }
    return image
  }
}

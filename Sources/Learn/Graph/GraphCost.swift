/// What operations cost, from their shapes alone.
enum GraphCost {
  /// Multiplications and additions of the forward pass.
  static func flops(_ operation: Operation, inputs: [[Int]], output: [Int]) -> Double {
    let count = product(output)
    switch operation {
    case .linear(let isTransposed, _): return 2 * count * Double(inputs[1][isTransposed ? 1 : 0])
    case .matmul: return 2 * count * Double(inputs[0].last ?? 1)
    case .convolution: return 2 * count * product(inputs[1].dropFirst())
    case .transposedConvolution: return 2 * product(inputs[0]) * product(inputs[1].dropFirst())
    case .recurrent: return 2 * Double(inputs[0][0] * inputs[0][1]) * (product(inputs[1]) + product(inputs[2]))
    case .maxPool(let window), .meanPool(let window, _): return count * Double(window.taps[0] * window.taps[1])
    case .reduce: return product(inputs[0])
    case .channelNorm, .rowNorm, .softmax: return 8 * count
    case .unary: return 4 * count
    default: return count
    }
  }
  private static func product(_ sizes: some Sequence<Int>) -> Double { sizes.reduce(1.0) { $0 * Double($1) } }
}

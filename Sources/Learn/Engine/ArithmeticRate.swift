import CKernels

/// Arithmetic for its own sake: how fast a core multiplies and adds where nothing else holds it up.
public enum ArithmeticRate {
  /// Multiplies small matrices over and over.
  ///
  /// - Returns: how many multiplications and additions that were.
  public static func work(_ instructionSet: String? = nil, rounds: Int) -> Double {
    let kernels = (instructionSet.flatMap { pm_kernels_named($0) } ?? pm_kernels_best()).pointee
    let (rows, depth, columns) = (84, 64, 32)
    guard let memory = pm_allocate((rows * depth + depth * columns + rows * columns) * 4) else { return 0 }
    defer { pm_free(memory) }
    let a = memory.bindMemory(to: Float.self, capacity: rows * depth + depth * columns + rows * columns)
    let products = Products(kernels: kernels)
    for _ in 0..<rounds {
      products.multiply(
        rows: rows, depth: depth, columns: columns, a, depth, a + rows * depth, columns,
        a + rows * depth + depth * columns,
        columns)
    }
    return Double(rounds) * 2 * Double(rows * depth * columns)
  }
}

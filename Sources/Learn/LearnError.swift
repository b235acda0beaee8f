import CKernels

/// What is wrong with a model, its weights, its data or its training, in words that say where.
public enum LearnError: Error, Equatable, Sendable, CustomStringConvertible {
  case model(String)
  case weights(String)
  case data(String)
  case training(String)
  case aggregation(String)
  case onnx(String)

  public var description: String {
    switch self {
    case .model(let words): "the model: \(words)"
    case .weights(let words): "the weights: \(words)"
    case .data(let words): "the data: \(words)"
    case .training(let words): "the training: \(words)"
    case .aggregation(let words): "the aggregation: \(words)"
    case .onnx(let words): "the ONNX file: \(words)"
    }
  }
}

/// Raised with any change of an order or a polynomial. Only results of equal versions are compared.
public let numericsVersion = 3

/// Keeps freed memory for the next use instead of giving it back to the system at once: weights of megabytes come and go with
/// every update, and fetching their pages anew costs more than hashing them. Called once, at the beginning of a program.
public func keepFreedMemory() { pm_keep_freed_memory() }
/// Gives freed memory back to the system at once: for measurements.
package func releaseFreedMemory() { pm_release_freed_memory() }

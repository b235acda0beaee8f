import CKernels
import Runtime

/// All parameters of a model, as the bytes of their canonical safetensors file: equal weights are equal bytes. The form of
/// checkpoints and of updates.
public struct Weights: Sendable, Equatable {
  public let bytes: [UInt8]
  let headerLength: Int

  /// Weights that this process computed, in the order of the model's parameters.
  public init(values: [Float], for model: Model) {
    precondition(values.count == model.parameterCount, "there are as many values as parameters")
    self.init(for: model) { target in
      for index in values.indices { target[index] = values[index] }
    }
  }

  /// Fills a fresh buffer in place.
  init(for model: Model, _ fill: (UnsafeMutablePointer<Float>) -> Void) {
    let header = model.safetensorsHeader
    headerLength = header.count
    bytes = [UInt8](unsafeUninitializedCapacity: model.weightBytes) { buffer, count in
      _ = buffer.initialize(from: header)
      let raw = UnsafeMutableRawPointer(buffer.baseAddress!).advanced(by: header.count)
      fill(raw.bindMemory(to: Float.self, capacity: model.parameterCount))
      count = model.weightBytes
    }
  }

  /// Weights from outside: they must be this model's canonical file, and finite.
  public init(bytes: [UInt8], for model: Model) throws(LearnError) {
    guard bytes.count == model.weightBytes else {
      throw .weights("\(bytes.count) bytes where this model has \(model.weightBytes)")
    }
    guard bytes.starts(with: model.safetensorsHeader) else { throw .weights("its header is not this model's") }
    self.bytes = bytes
    headerLength = model.safetensorsHeader.count
    let bad = withValues { model.kernels.pointee.not_finite(model.parameterCount, $0.baseAddress) }
    guard bad == 0 else { throw .weights("\(bad) of its values are not finite") }
  }

  /// Weights from a safetensors file that somebody else wrote: the same tensors, in any order of bytes.
  public init(safetensors bytes: [UInt8], for model: Model) throws(LearnError) {
    let (tensors, start) = try Safetensors.read(bytes)
    guard tensors.count == model.parameters.count else {
      throw .weights("it has \(tensors.count) tensors where this model has \(model.parameters.count)")
    }
    var canonical = model.safetensorsHeader
    for parameter in model.parameters {
      guard let tensor = tensors.first(where: { $0.name == parameter.name }) else {
        throw .weights("it has no '\(parameter.name)'")
      }
      guard tensor.shape == parameter.shape else {
        throw .weights("'\(parameter.name)' has the shape \(tensor.shape), and needs \(parameter.shape)")
      }
      canonical += bytes[(start + tensor.begin)..<(start + tensor.end)]
    }
    try self.init(bytes: canonical, for: model)
  }

  /// SHA-256 of the file: covers names, shapes and bits.
  public var digest: Digest { Digest(of: bytes) }

  /// The values in the order of the model's parameters.
  public func withValues<R>(_ body: (UnsafeBufferPointer<Float>) throws -> R) rethrows -> R {
    try bytes.withUnsafeBytes { raw in
      // The header's length is a multiple of 8 and an array's storage begins on 16, so floats lie where they must.
      let data = UnsafeRawBufferPointer(rebasing: raw[headerLength...])
      return try body(data.bindMemory(to: Float.self))
    }
  }
  public var values: [Float] { withValues { Array($0) } }
}

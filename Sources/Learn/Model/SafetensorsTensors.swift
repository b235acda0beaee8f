/// The float32 tensors of a safetensors file, by name.
public struct SafetensorsTensors {
  public struct Tensor {
    public var shape: [Int]
    public var values: [Float]
  }
  private var tensors: [String: Tensor] = [:]

  /// - Throws: `LearnError.weights` for a file that is not well formed, or holds anything but float32.
  public init(_ bytes: [UInt8]) throws(LearnError) {
    let (found, start) = try Safetensors.read(bytes)
    for tensor in found {
      var values: [Float] = []
      values.reserveCapacity((tensor.end - tensor.begin) / 4)
      bytes.withUnsafeBytes { raw in
        for place in stride(from: start + tensor.begin, to: start + tensor.end, by: 4) {
          let bits = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: UInt32.self))
          values.append(Float(bitPattern: bits))
        }
      }
      tensors[tensor.name] = Tensor(shape: tensor.shape, values: values)
    }
  }
  public subscript(name: String) -> Tensor? { tensors[name] }
}

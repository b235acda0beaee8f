/// Data in the safetensors form: two tensors by their names.
public enum SafetensorsData {
  static let sizeLimit = 1 << 31

  /// - Throws: `LearnError.data` for a damaged file, a name that is not there, or tensors that do not belong together.
  public static func dataset(
    _ bytes: [UInt8], options: ArrayOptions = ArrayOptions(), named name: String
  ) throws(LearnError) -> Dataset {
    let tensors: [Safetensors.Tensor]
    let start: Int
    do {
      (tensors, start) = try Safetensors.readAny(bytes)
    } catch {
      // The reader speaks of weights, which these are not.
      if case .weights(let words) = error { throw .data("\(name): \(words)") }
      throw error
    }
    func array(_ wanted: String) throws(LearnError) -> NumberArray {
      guard let tensor = tensors.first(where: { $0.name == wanted }) else {
        let known = tensors.prefix(12).map(\.name).joined(separator: ", ")
        throw .data("\(name) has no tensor '\(wanted)'; it has \(known)" + (tensors.count > 12 ? ", …" : ""))
      }
      return NumberArray(
        layout: ArrayLayout(name: "\(name): \(wanted)", type: tensor.type, shape: tensor.shape),
        bytes: Array(bytes[(start + tensor.begin)..<(start + tensor.end)]), start: 0)
    }
    return try ArrayPair.dataset(array(options.features), array(options.targets), options)
  }
}

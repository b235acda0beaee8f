import Runtime

/// How an update travels: whole weights in float32, or the way that each weight went in two bytes.
///
/// With two bytes the result of training *is* what these bytes say: base + the rounded way, in float32. So digests, audits and
/// sums cover what is decoded, and nobody has to round alike who has not trained.
public enum UpdateStorage: Int, Sendable, CaseIterable {
  case float32 = 0
  /// IEEE half: eleven bits, from 6e-8 to 65504.
  case float16 = 1
  /// The upper half of a float32: eight bits, its whole range.
  case bfloat16 = 2

  static let magic = Array("PMUP".utf8)

  /// Bytes of an update of this model.
  public func bytes(_ model: Model) -> Int {
    self == .float32 ? model.weightBytes : Self.magic.count + 4 + 2 * model.parameterCount
  }

  /// The bytes of an update, and the weights that they stand for.
  ///
  /// - Throws: `LearnError.training` where a weight went further than the storage can say.
  func encode(_ weights: Weights, base: Weights, _ model: Model) throws(LearnError) -> (
    bytes: [UInt8], weights: Weights
  ) {
    if self == .float32 { return (weights.bytes, weights) }
    var bytes = Self.magic + [UInt8(rawValue), 0, 0, 0]
    bytes.reserveCapacity(self.bytes(model))
    var isFinite = true
    weights.withValues { values in
      base.withValues { origins in
        for index in values.indices {
          let half = pack(values[index] - origins[index])
          isFinite = isFinite && unpack(half).isFinite
          bytes.append(UInt8(truncatingIfNeeded: half))
          bytes.append(UInt8(half >> 8))
        }
      }
    }
    guard isFinite else { throw .training("a weight went further than \(self) can say; use float32 or bfloat16") }
    return (bytes, decoded(bytes, base: base, model))
  }

  /// The weights that an update from outside stands for.
  ///
  /// - Throws: `LearnError.weights` for bytes that are no such update of this model.
  public func decode(_ bytes: [UInt8], base: Weights, _ model: Model) throws(LearnError) -> Weights {
    if self == .float32 { return try Weights(bytes: bytes, for: model) }
    guard bytes.count == self.bytes(model), bytes.starts(with: Self.magic),
      Array(bytes[4..<8]) == [UInt8(rawValue), 0, 0, 0]
    else { throw .weights("this is no update in \(self): \(bytes.count) bytes where there are \(self.bytes(model))") }
    let weights = decoded(bytes, base: base, model)
    let bad = weights.withValues { model.kernels.pointee.not_finite(model.parameterCount, $0.baseAddress) }
    guard bad == 0 else { throw .weights("\(bad) of its values are not finite") }
    return weights
  }

  private func decoded(_ bytes: [UInt8], base: Weights, _ model: Model) -> Weights {
    Weights(for: model) { target in
      base.withValues { origins in
        for index in origins.indices {
          let half = UInt16(bytes[8 + 2 * index]) | UInt16(bytes[9 + 2 * index]) << 8
          target[index] = origins[index] + unpack(half)
        }
      }
    }
  }

  private func pack(_ value: Float) -> UInt16 {
    if self == .float16 { return Float16(value).bitPattern }
    // To the nearest, ties to even.
    let bits = value.bitPattern
    if value.isNaN { return 0x7FC0 }
    return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }
  private func unpack(_ half: UInt16) -> Float {
    self == .float16 ? Float(Float16(bitPattern: half)) : Float(bitPattern: UInt32(half) << 16)
  }
}

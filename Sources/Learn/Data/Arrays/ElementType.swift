/// The numbers that arrays in files are made of, all little-endian.
public enum ElementType: Sendable, Equatable, CaseIterable {
  case f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, bool

  /// Bytes of one element.
  public var width: Int {
    switch self {
    case .f64, .i64, .u64: 8
    case .f32, .i32, .u32: 4
    case .f16, .bf16, .i16, .u16: 2
    case .i8, .u8, .bool: 1
    }
  }
  public var isFloating: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16: true
    default: false
    }
  }

  /// Writes `count` elements as float32: doubles rounded once, the rest exactly.
  ///
  /// - Returns: the first element that has no such value: not finite, an integer that float32 does not hold, a boolean that is
  ///   neither 0 nor 1. Nothing after it is written.
  func floats(_ raw: UnsafeRawPointer, count: Int, into out: UnsafeMutablePointer<Float>) -> Int? {
    func real(_ read: (Int) -> Float) -> Int? {
      for index in 0..<count {
        let value = read(index)
        guard value.isFinite else { return index }
        out[index] = value
      }
      return nil
    }
    func whole<T: FixedWidthInteger>(_ type: T.Type) -> Int? {
      for index in 0..<count {
        let element = T(littleEndian: raw.loadUnaligned(fromByteOffset: index * MemoryLayout<T>.size, as: T.self))
        guard let value = Float(exactly: element) else { return index }
        out[index] = value
      }
      return nil
    }
    switch self {
    case .f64:
      return real { index in
        let bits = raw.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
        return Float(Double(bitPattern: UInt64(littleEndian: bits)))
      }
    case .f32:
      return real { index in
        let bits = raw.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)
        return Float(bitPattern: UInt32(littleEndian: bits))
      }
    case .f16:
      return real { index in
        Self.half(UInt16(littleEndian: raw.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)))
      }
    case .bf16:
      return real { index in
        let bits = UInt16(littleEndian: raw.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
        return Float(bitPattern: UInt32(bits) << 16)
      }
    case .i64: return whole(Int64.self)
    case .i32: return whole(Int32.self)
    case .i16: return whole(Int16.self)
    case .i8: return whole(Int8.self)
    case .u64: return whole(UInt64.self)
    case .u32: return whole(UInt32.self)
    case .u16: return whole(UInt16.self)
    case .u8: return whole(UInt8.self)
    case .bool:
      for index in 0..<count {
        let byte = raw.load(fromByteOffset: index, as: UInt8.self)
        guard byte <= 1 else { return index }
        out[index] = Float(byte)
      }
      return nil
    }
  }

  /// Writes `count` elements as numbers of classes, of which there are at most `SampleForm.classLimit`.
  ///
  /// - Returns: the first element that is no such number: negative, too large, or not whole. Nothing after it is written.
  func classes(_ raw: UnsafeRawPointer, count: Int, into out: UnsafeMutablePointer<UInt16>) -> Int? {
    func whole<T: FixedWidthInteger>(_ type: T.Type) -> Int? {
      for index in 0..<count {
        let element = T(littleEndian: raw.loadUnaligned(fromByteOffset: index * MemoryLayout<T>.size, as: T.self))
        guard let label = UInt16(exactly: element) else { return index }
        out[index] = label
      }
      return nil
    }
    switch self {
    case .i64: return whole(Int64.self)
    case .i32: return whole(Int32.self)
    case .i16: return whole(Int16.self)
    case .i8: return whole(Int8.self)
    case .u64: return whole(UInt64.self)
    case .u32: return whole(UInt32.self)
    case .u16: return whole(UInt16.self)
    case .u8: return whole(UInt8.self)
    case .f64, .f32, .f16, .bf16, .bool:
      var value: Float = 0
      for index in 0..<count {
        // A double is looked at as it is: rounding could make a whole number of it.
        if self == .f64 {
          let bits = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
          guard let label = UInt16(exactly: Double(bitPattern: bits)) else { return index }
          out[index] = label
          continue
        }
        guard floats(raw.advanced(by: index * width), count: 1, into: &value) == nil,
          let label = UInt16(exactly: value)
        else { return index }
        out[index] = label
      }
      return nil
    }
  }

  /// IEEE 754 binary16, exactly.
  private static func half(_ bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
      let size = Float(fraction) * 0x1p-24
      return sign == 0 ? size : -size
    case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }
}

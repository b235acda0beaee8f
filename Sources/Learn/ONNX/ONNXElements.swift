/// Elements between the file's bytes and numbers. Nothing here rounds on the way in but double, as the processor does.
enum ONNXElements {
  /// The elements of little-endian bytes, as many as there are; the caller has compared the sizes.
  static func read(_ bytes: [UInt8], _ range: Range<Int>, as element: ONNXElement) -> ONNXTensor.Values {
    bytes.withUnsafeBytes { all in
      let raw = UnsafeRawBufferPointer(rebasing: all[range])
      return switch element {
      case .float: .floats(copy(raw))
      case .half: .floats(map(raw, UInt16.self) { fromHalf(UInt16(littleEndian: $0)) })
      case .bfloat16: .floats(map(raw, UInt16.self) { fromBFloat(UInt16(littleEndian: $0)) })
      case .double:
        .floats(map(raw, UInt64.self) { Float(Double(bitPattern: UInt64(littleEndian: $0))) })
      case .uint8, .bool: .ints(map(raw, UInt8.self) { Int64($0) })
      case .int8: .ints(map(raw, Int8.self) { Int64($0) })
      case .uint16: .ints(map(raw, UInt16.self) { Int64(UInt16(littleEndian: $0)) })
      case .int16: .ints(map(raw, Int16.self) { Int64(Int16(littleEndian: $0)) })
      case .uint32: .ints(map(raw, UInt32.self) { Int64(UInt32(littleEndian: $0)) })
      case .int32: .ints(map(raw, Int32.self) { Int64(Int32(littleEndian: $0)) })
      // A uint64 that does not fit comes out negative, and is refused as out of its range.
      case .int64, .uint64: .ints(map(raw, Int64.self) { Int64(littleEndian: $0) })
      case .string: .absent
      }
    }
  }

  /// The bytes of elements; whoever calls has made sure that floats go with a kind of floats, and that all fit.
  static func write(_ values: ONNXTensor.Values, as element: ONNXElement) -> [UInt8] {
    switch values {
    case .absent: []
    case .floats(let floats):
      switch element {
      case .half: bytes(floats) { toHalf($0).littleEndian }
      case .bfloat16: bytes(floats) { toBFloat($0).littleEndian }
      case .double: bytes(floats) { Double($0).bitPattern.littleEndian }
      default: bytes(floats) { $0.bitPattern.littleEndian }
      }
    case .ints(let ints):
      switch element.bytesEach {
      case 1: bytes(ints) { UInt8(truncatingIfNeeded: $0) }
      case 2: bytes(ints) { UInt16(truncatingIfNeeded: $0).littleEndian }
      case 4: bytes(ints) { UInt32(truncatingIfNeeded: $0).littleEndian }
      default: bytes(ints) { $0.littleEndian }
      }
    }
  }

  static func firstNaN(_ values: [Float]) -> Int? {
    var bad = 0
    // No branch, so that it runs at the speed of memory; the place is looked for only when there is one.
    for value in values { bad |= value.bitPattern & 0x7FFF_FFFF > 0x7F80_0000 ? 1 : 0 }
    return bad == 0 ? nil : values.firstIndex { $0.isNaN }
  }

  static func fromHalf(_ half: UInt16) -> Float {
    let sign = UInt32(half & 0x8000) << 16
    let exponent = UInt32(half >> 10) & 0x1F
    let fraction = UInt32(half & 0x3FF)
    switch exponent {
    case 0:
      // Whole multiples of 2^-24: the product is exact, and so is its sign.
      let size = Float(fraction) * Float(bitPattern: 0x3380_0000)
      return Float(bitPattern: size.bitPattern | sign)
    case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }

  static func fromBFloat(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  /// The nearest half, the even one of two; infinity beyond the largest.
  static func toHalf(_ value: Float) -> UInt16 {
    let sign = UInt16(value.bitPattern >> 16) & 0x8000
    let size = value.bitPattern & 0x7FFF_FFFF
    if size > 0x7F80_0000 { return sign | 0x7E00 }
    if size >= 0x477F_F000 { return sign | 0x7C00 }
    if size >= 0x3880_0000 {
      let rebased = size - 0x3800_0000
      return sign | UInt16((rebased + 0xFFF + (rebased >> 13 & 1)) >> 13)
    }
    if size < 0x3300_0000 { return sign }
    // Below 2^-14: the fraction with its hidden bit, shifted to multiples of 2^-24.
    let fraction = size & 0x7F_FFFF | 0x80_0000
    let shift = 126 - (size >> 23)
    let whole = fraction >> shift
    let rest = fraction & ((1 << shift) - 1)
    let middle: UInt32 = 1 << (shift - 1)
    return sign | UInt16(whole + (rest > middle || rest == middle && whole & 1 == 1 ? 1 : 0))
  }

  /// The nearest bfloat16, the even one of two.
  static func toBFloat(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(bits >> 16) | 0x40 }
    return UInt16((UInt64(bits) + 0x7FFF + UInt64(bits >> 16 & 1)) >> 16)
  }

  private static func copy(_ raw: UnsafeRawBufferPointer) -> [Float] {
    #if _endian(big)
      return map(raw, UInt32.self) { Float(bitPattern: UInt32(littleEndian: $0)) }
    #else
      return [Float](unsafeUninitializedCapacity: raw.count / 4) { floats, count in
        UnsafeMutableRawBufferPointer(floats).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: raw[..<(raw.count / 4 * 4)]))
        count = raw.count / 4
      }
    #endif
  }

  @inline(__always)
  private static func map<Bits: BitwiseCopyable, Number>(
    _ raw: UnsafeRawBufferPointer, _: Bits.Type, _ number: (Bits) -> Number
  ) -> [Number] {
    let size = MemoryLayout<Bits>.size
    return [Number](unsafeUninitializedCapacity: raw.count / size) { numbers, count in
      for index in 0..<raw.count / size {
        numbers.initializeElement(at: index, to: number(raw.loadUnaligned(fromByteOffset: index * size, as: Bits.self)))
      }
      count = raw.count / size
    }
  }

  @inline(__always)
  private static func bytes<Number, Bits: BitwiseCopyable>(_ numbers: [Number], _ bits: (Number) -> Bits) -> [UInt8] {
    let size = MemoryLayout<Bits>.size
    return [UInt8](unsafeUninitializedCapacity: numbers.count * size) { bytes, count in
      let raw = UnsafeMutableRawBufferPointer(bytes)
      for index in numbers.indices {
        raw.storeBytes(of: bits(numbers[index]), toByteOffset: index * size, as: Bits.self)
      }
      count = numbers.count * size
    }
  }
}

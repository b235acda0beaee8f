extension WireScalar {
  public static var wireLimit: Int { 64 }
}

extension UInt64: WireScalar {
  public static var wireDefault: UInt64 { 0 }
  public static var wireType: UInt64 { 0 }
  public func write(to codec: inout Codec) { codec.writeVarint(self) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> UInt64 {
    try codec.readVarint()
  }
}

/// Counts and indices: never negative on the wire, at most 2^53.
extension Int: WireScalar {
  public static var wireDefault: Int { 0 }
  public static var wireType: UInt64 { 0 }
  public func write(to codec: inout Codec) {
    precondition(self >= 0, "a count on the wire is not negative")
    codec.writeVarint(UInt64(self))
  }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> Int {
    let value = try codec.readVarint()
    guard value <= 1 << 53 else { throw .badValue(field: field, "a count above 2^53") }
    return Int(value)
  }
}

extension Bool: WireScalar {
  public static var wireDefault: Bool { false }
  public static var wireType: UInt64 { 0 }
  public func write(to codec: inout Codec) { codec.writeVarint(self ? 1 : 0) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> Bool {
    switch try codec.readVarint() {
    case 0: return false
    case 1: return true
    default: throw .badValue(field: field, "neither true nor false")
    }
  }
}

/// IEEE 754 bits, little-endian (protobuf `double`). Only finite values are read.
extension Double: WireScalar {
  public static var wireDefault: Double { 0 }
  public static var wireType: UInt64 { 1 }
  public func write(to codec: inout Codec) {
    for shift in stride(from: 0, to: 64, by: 8) {
      codec.appendByte(UInt8(truncatingIfNeeded: bitPattern >> UInt64(shift)))
    }
  }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> Double {
    var bits: UInt64 = 0
    for shift in stride(from: 0, to: 64, by: 8) { bits |= UInt64(try codec.readByte()) << UInt64(shift) }
    let value = Double(bitPattern: bits)
    guard value.isFinite else { throw .badValue(field: field, "not a finite number") }
    return value
  }
}

extension String: WireScalar {
  public static var wireDefault: String { "" }
  public static var wireType: UInt64 { 2 }
  public static var wireLimit: Int { 1024 }
  public func write(to codec: inout Codec) { codec.writeRun(utf8) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> String {
    let run = try codec.readRun(field: field, limit: limit)
    guard let text = String(validating: run, as: UTF8.self) else { throw .badValue(field: field, "not UTF-8") }
    return text
  }
}

extension [UInt8]: WireScalar {
  public static var wireDefault: [UInt8] { [] }
  public static var wireType: UInt64 { 2 }
  public static var wireLimit: Int { 4096 }
  public func write(to codec: inout Codec) { codec.writeRun(self) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> [UInt8] {
    [UInt8](try codec.readRun(field: field, limit: limit))
  }
}

extension Digest: WireScalar {
  public static var wireDefault: Digest { .zero }
  public static var wireType: UInt64 { 2 }
  public func write(to codec: inout Codec) { codec.writeRun(bytes) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> Digest {
    guard let digest = Digest(bytes: try codec.readRun(field: field, limit: limit)) else {
      throw .badValue(field: field, "a digest has 32 bytes")
    }
    return digest
  }
}

extension Timestamp: WireScalar {
  public static var wireDefault: Timestamp { .zero }
  public static var wireType: UInt64 { 0 }
  public func write(to codec: inout Codec) { codec.writeVarint(nanoseconds) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> Timestamp {
    Timestamp(nanoseconds: try codec.readVarint())
  }
}

/// Spans of time that are never negative on the wire, in nanoseconds.
extension Duration: WireScalar {
  public static var wireDefault: Duration { .zero }
  public static var wireType: UInt64 { 0 }
  public func write(to codec: inout Codec) { codec.writeVarint(UInt64(max(0, nanoseconds))) }
  public static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> Duration {
    let value = try codec.readVarint()
    guard value <= UInt64(Int64.max) else { throw .badValue(field: field, "a span above 292 years") }
    return .nanoseconds(Int64(value))
  }
}

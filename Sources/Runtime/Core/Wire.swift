/// A value with a canonical binary form: protobuf (proto3) with its fields in ascending order and defaults left out.
///
/// One function describes both directions, so that writing and reading cannot drift apart. Equal values give equal bytes,
/// and only those bytes are read back: a message cannot be said in two ways.
public protocol Wire: Sendable {
  /// The value whose every field has its wire's default: zero, empty, absent. What is left out is read as this.
  init()
  /// Visits every field in ascending order of its number.
  mutating func fields(_ codec: inout Codec) throws(WireError)
}

public enum WireError: Error, Equatable {
  case truncated
  /// A varint longer than its value needs, a default written out, or fields out of order.
  case notCanonical
  case tooLong(field: Int, limit: Int)
  case badValue(field: Int, String)
  case trailingBytes
  case unknownField(Int)
}

extension Wire {
  public var wireBytes: [UInt8] {
    var codec = Codec()
    var copy = self
    // Writing visits fields that exist; only reading can fail.
    do { try copy.fields(&codec) } catch { preconditionFailure("writing \(Self.self): \(error)") }
    return codec.bytes
  }

  /// Reads exactly one value from all of these bytes.
  public init(wireBytes: [UInt8]) throws(WireError) {
    self.init()
    var codec = Codec(reading: wireBytes)
    try fields(&codec)
    try codec.finish()
  }
}

/// A field's value that is not a message of its own.
public protocol WireScalar: Sendable, Equatable {
  static var wireDefault: Self { get }
  static var wireType: UInt64 { get }
  /// The most bytes one value may take when read.
  static var wireLimit: Int { get }
  func write(to codec: inout Codec)
  static func read(from codec: inout Codec, field: Int, limit: Int) throws(WireError) -> Self
}

/// Writes a value's fields, or reads them: see `Wire`.
public struct Codec {
  public let isReading: Bool
  public private(set) var bytes: [UInt8]
  private var position = 0
  private var end: Int

  /// A codec that writes.
  public init() {
    isReading = false
    bytes = []
    end = 0
  }
  /// A codec that reads these bytes.
  public init(reading bytes: [UInt8]) {
    isReading = true
    self.bytes = bytes
    end = bytes.count
  }

  // MARK: fields

  /// A scalar field; `limit` bounds strings and byte runs.
  public mutating func callAsFunction<T: WireScalar>(
    _ field: Int, _ value: inout T, limit: Int = T.wireLimit
  ) throws(WireError) {
    if isReading {
      guard try next(is: field, type: T.wireType) else { return }
      value = try T.read(from: &self, field: field, limit: limit)
      if value == T.wireDefault { throw .notCanonical }
    } else if value != T.wireDefault {
      writeVarint(UInt64(field) << 3 | T.wireType)
      value.write(to: &self)
    }
  }

  /// A message within a message. An empty one is left out.
  public mutating func callAsFunction<T: Wire>(_ field: Int, _ value: inout T) throws(WireError) {
    if isReading {
      guard try next(is: field, type: 2) else { return }
      try readMessage(&value, field: field, emptyAllowed: false)
    } else {
      try writeMessage(&value, field: field, skipEmpty: true)
    }
  }

  /// A message that may be absent. A present one is always written, even if empty.
  public mutating func callAsFunction<T: Wire>(_ field: Int, _ value: inout T?) throws(WireError) {
    if isReading {
      guard try next(is: field, type: 2) else { return }
      var message = T()
      try readMessage(&message, field: field, emptyAllowed: true)
      value = message
    } else if var message = value {
      try writeMessage(&message, field: field, skipEmpty: false)
    }
  }

  /// Repeated messages, at most `limit` of them.
  public mutating func callAsFunction<T: Wire>(_ field: Int, _ values: inout [T], limit: Int) throws(WireError) {
    if isReading {
      while try next(is: field, type: 2) {
        if values.count == limit { throw .tooLong(field: field, limit: limit) }
        var message = T()
        try readMessage(&message, field: field, emptyAllowed: true)
        values.append(message)
      }
    } else {
      for index in values.indices { try writeMessage(&values[index], field: field, skipEmpty: false) }
    }
  }

  /// Repeated scalars, unpacked, at most `limit` of them.
  public mutating func callAsFunction<T: WireScalar>(
    _ field: Int, repeated values: inout [T], limit: Int
  ) throws(WireError) {
    if isReading {
      while try next(is: field, type: T.wireType) {
        if values.count == limit { throw .tooLong(field: field, limit: limit) }
        values.append(try T.read(from: &self, field: field, limit: T.wireLimit))
      }
    } else {
      for value in values {
        writeVarint(UInt64(field) << 3 | T.wireType)
        value.write(to: &self)
      }
    }
  }

  /// One of several cases, each a message at its own field number.
  ///
  /// When writing, `current` is the number of the case at hand; when reading, the number found is returned.
  public mutating func choice(current: Int) throws(WireError) -> Int {
    guard isReading else { return current }
    guard position < end else { throw .truncated }
    let saved = position
    let tag = try readVarint()
    position = saved
    return Int(clamping: tag >> 3)
  }

  /// The payload of one case: see `choice`. Always written, even if empty.
  public mutating func payload<T: Wire>(_ field: Int, _ present: T?) throws(WireError) -> T {
    var message = present ?? T()
    if isReading {
      guard try next(is: field, type: 2) else { throw .unknownField(field) }
      try readMessage(&message, field: field, emptyAllowed: true)
    } else {
      try writeMessage(&message, field: field, skipEmpty: false)
    }
    return message
  }

  /// Ends reading: nothing may be left.
  public func finish() throws(WireError) {
    if isReading && position != end { throw .trailingBytes }
  }

  // MARK: primitives

  mutating func writeVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func readVarint() throws(WireError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard position < end else { throw .truncated }
      let byte = bytes[position]
      position += 1
      if shift == 63 && byte > 1 { throw .notCanonical }
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 {
        if byte == 0 && shift > 0 { throw .notCanonical }
        return value
      }
      shift += 7
      if shift > 63 { throw .notCanonical }
    }
  }

  mutating func appendByte(_ byte: UInt8) { bytes.append(byte) }

  mutating func readByte() throws(WireError) -> UInt8 {
    guard position < end else { throw .truncated }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func writeRun(_ run: some Collection<UInt8>) {
    writeVarint(UInt64(run.count))
    bytes.append(contentsOf: run)
  }

  mutating func readRun(field: Int, limit: Int) throws(WireError) -> ArraySlice<UInt8> {
    let length = try readVarint()
    if length > UInt64(limit) { throw .tooLong(field: field, limit: limit) }
    let count = Int(length)
    guard count <= end - position else { throw .truncated }
    defer { position += count }
    return bytes[position..<position + count]
  }

  /// Whether the next field is this one; a lower number, or an unknown one, is an error.
  private mutating func next(is field: Int, type: UInt64) throws(WireError) -> Bool {
    guard position < end else { return false }
    let saved = position
    let tag = try readVarint()
    let number = Int(clamping: tag >> 3)
    if number == field {
      guard tag & 7 == type else { throw .badValue(field: field, "wire type \(tag & 7)") }
      return true
    }
    if number < field { throw .notCanonical }
    position = saved
    return false
  }

  private mutating func writeMessage<T: Wire>(_ message: inout T, field: Int, skipEmpty: Bool) throws(WireError) {
    let tagStart = bytes.count
    writeVarint(UInt64(field) << 3 | 2)
    let lengthAt = bytes.count
    bytes.append(0)
    try message.fields(&self)
    let length = bytes.count - lengthAt - 1
    if length == 0 && skipEmpty {
      bytes.removeLast(bytes.count - tagStart)
      return
    }
    if length < 0x80 {
      bytes[lengthAt] = UInt8(length)
    } else {
      var prefix: [UInt8] = []
      var rest = length
      while rest >= 0x80 {
        prefix.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
      }
      prefix.append(UInt8(rest))
      bytes.replaceSubrange(lengthAt...lengthAt, with: prefix)
    }
  }

  private mutating func readMessage<T: Wire>(_ message: inout T, field: Int, emptyAllowed: Bool) throws(WireError) {
    let length = try readVarint()
    guard length <= UInt64(end - position) else { throw .truncated }
    if length == 0 && !emptyAllowed { throw .notCanonical }
    let outer = end
    end = position + Int(length)
    try message.fields(&self)
    if position != end { throw .trailingBytes }
    end = outer
  }
}

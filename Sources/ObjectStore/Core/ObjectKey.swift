/// The name of an object in a bucket: checked, so that it can be part of a path or a URL as it stands.
public struct ObjectKey: Hashable, Sendable, CustomStringConvertible {
  public static let limit = 1_024
  public let text: String

  public init(_ text: String) throws(ObjectStoreError) {
    let bytes = text.utf8
    guard !bytes.isEmpty, bytes.count <= Self.limit, bytes.last != UInt8(ascii: "/") else { throw .badKey }
    // A slash before the first character stands for the beginning, so that none may follow it.
    var previous = UInt8(ascii: "/")
    for byte in bytes {
      guard Self.isPlain(byte) else { throw .badKey }
      if byte == previous && (byte == UInt8(ascii: "/") || byte == UInt8(ascii: ".")) { throw .badKey }
      previous = byte
    }
    self.text = text
  }
  public var description: String { text }

  static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"):
      true
    default: false
    }
  }
}

public enum HTTPMethod: String, Sendable, CaseIterable {
  case get = "GET"
  case put = "PUT"
}

import CZlib

/// The part of ZIP that NPZ files use: a central directory at the end, members stored or deflated. Names are words to be
/// compared, never paths.
enum ZIP {
  static let memberLimit = 10_000
  static let nameLimit = 1_024

  struct Member: Equatable {
    var name: String
    var isDeflated: Bool
    var crc: UInt32
    var packed: Int
    var size: Int
    /// Of its local header.
    var offset: Int
  }

  private static func number(_ bytes: [UInt8], _ at: Int, _ count: Int) -> Int {
    (0..<count).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
  }

  /// What the central directory tells.
  ///
  /// - Throws: `LearnError.data` where it is damaged, encrypted, of several disks, of 64 bits, or too long.
  static func members(_ bytes: [UInt8], named name: String) throws(LearnError) -> [Member] {
    let end = try endRecord(bytes, name)
    let count = number(bytes, end + 10, 2)
    let length = number(bytes, end + 12, 4)
    let start = number(bytes, end + 16, 4)
    guard number(bytes, end + 4, 2) == 0, number(bytes, end + 6, 2) == 0, number(bytes, end + 8, 2) == count else {
      throw .data("\(name) is one of several parts of a ZIP")
    }
    guard count != 0xFFFF, length != 0xFFFF_FFFF, start != 0xFFFF_FFFF else {
      throw .data("\(name) is a ZIP of 64 bits; files above 4 GiB are read as NPY")
    }
    guard count <= memberLimit, start <= end, length == end - start else {
      throw .data("\(name) has a directory of \(count) members and \(length) bytes that does not fit the file")
    }
    var members: [Member] = []
    var names: Set<String> = []
    var at = start
    for _ in 0..<count {
      guard end - at >= 46, number(bytes, at, 4) == 0x0201_4B50 else { throw .data("\(name) has a damaged directory") }
      let (nameLength, extra, comment) = (
        number(bytes, at + 28, 2), number(bytes, at + 30, 2), number(bytes, at + 32, 2)
      )
      let entryEnd = at + 46 + nameLength + extra + comment
      guard entryEnd <= end, nameLength >= 1, nameLength <= nameLimit,
        let word = String(validating: bytes[(at + 46)..<(at + 46 + nameLength)], as: UTF8.self),
        word.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
      else { throw .data("\(name) has a damaged directory, or a name in it that is no text") }
      guard names.insert(word).inserted else { throw .data("\(name) has two members called '\(word)'") }
      let method = number(bytes, at + 10, 2)
      guard number(bytes, at + 8, 2) & 0x2041 == 0 else { throw .data("\(name): '\(word)' is encrypted") }
      guard method == 0 || method == 8 else {
        throw .data("\(name): '\(word)' is packed by method \(method); stored and deflated are read")
      }
      let member = Member(
        name: word, isDeflated: method == 8, crc: UInt32(number(bytes, at + 16, 4)), packed: number(bytes, at + 20, 4),
        size: number(bytes, at + 24, 4), offset: number(bytes, at + 42, 4))
      guard member.packed != 0xFFFF_FFFF, member.size != 0xFFFF_FFFF, member.offset != 0xFFFF_FFFF else {
        throw .data("\(name): '\(word)' has sizes of 64 bits; arrays above 4 GiB are read as NPY")
      }
      members.append(member)
      at = entryEnd
    }
    guard at == end else { throw .data("\(name) has a directory that is longer than its members") }
    return members
  }

  /// Where the record is that ends a ZIP; a comment of up to 65,535 bytes may follow it.
  private static func endRecord(_ bytes: [UInt8], _ name: String) throws(LearnError) -> Int {
    var at = bytes.count - 22
    while at >= 0, at >= bytes.count - 22 - 0xFFFF {
      if bytes[at] == 0x50, number(bytes, at, 4) == 0x0605_4B50, number(bytes, at + 20, 2) == bytes.count - at - 22 {
        return at
      }
      at -= 1
    }
    throw .data("\(name) is not a ZIP, or is cut short")
  }

  /// A member's bytes, their number and their checksum as the directory says.
  ///
  /// - Parameter limit: a member that claims more is refused before anything is unpacked.
  static func content(of member: Member, in bytes: [UInt8], named name: String, limit: Int) throws(LearnError)
    -> [UInt8]
  {
    let word = "\(name): '\(member.name)'"
    guard member.size <= limit else {
      throw .data("\(word) unpacks to \(member.size) bytes; at most \(limit) are read")
    }
    let at = member.offset
    guard at <= bytes.count - 30, number(bytes, at, 4) == 0x0403_4B50,
      number(bytes, at + 8, 2) == (member.isDeflated ? 8 : 0)
    else { throw .data("\(word) is not where the directory says") }
    let start = at + 30 + number(bytes, at + 26, 2) + number(bytes, at + 28, 2)
    guard start <= bytes.count, member.packed <= bytes.count - start else { throw .data("\(word) is cut short") }
    let packed = bytes[start..<(start + member.packed)]
    let content: [UInt8]
    if member.isDeflated {
      content = try Inflate.raw(packed, size: member.size, named: word)
    } else {
      guard member.packed == member.size else { throw .data("\(word) is stored, and yet has two sizes") }
      content = Array(packed)
    }
    var crc = crc32(0, nil, 0)
    content.withUnsafeBufferPointer { buffer in
      var from = 0
      while from < buffer.count {
        let length = min(buffer.count - from, 1 << 30)
        crc = crc32(crc, buffer.baseAddress! + from, UInt32(length))
        from += length
      }
    }
    guard UInt32(truncatingIfNeeded: crc) == member.crc else { throw .data("\(word) is damaged: its checksum differs") }
    return content
  }
}

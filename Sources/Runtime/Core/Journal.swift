import CZlib

/// One thing that came in, as it was written down before anything was done about it.
public struct JournalRecord: Equatable, Sendable {
  /// What kind of input, in the words of whoever keeps the journal; 0...255.
  public var kind: UInt8
  /// When, by the keeper's own clock.
  public var at: Timestamp
  public var body: [UInt8]

  public init(kind: UInt8, at: Timestamp, body: [UInt8]) {
    self.kind = kind
    self.at = at
    self.body = body
  }
}

public enum JournalError: Error, Equatable, CustomStringConvertible {
  case notAJournal
  case unknownVersion(Int)
  case damaged(record: Int, offset: Int)

  public var description: String {
    switch self {
    case .notAJournal: "this is not a Peermill journal: its first bytes are not 'PMJL'"
    case .unknownVersion(let version):
      "this journal has version \(version), and this build reads version \(MemoryJournal.version); use the newer build"
    case .damaged(let record, let offset):
      "record \(record) of this journal, at byte \(offset), is damaged; what stands before it can be used"
    }
  }
}

/// Where a peer writes down what comes in, before it acts. Its state is the fold of these records.
public protocol Journal: AnyObject, Sendable {
  func append(_ record: JournalRecord)
  /// Every whole record from the beginning, in order.
  func records() throws(JournalError) -> [JournalRecord]
  /// SHA-256 over every record appended since the journal was opened here.
  var digest: Digest { get }
}

/// A journal in memory: a rehearsal's disk, which outlives the crash of its keeper.
///
/// Form: `PMJL`, a version byte; then records of length (u32), CRC-32 (u32), kind (u8), time (u64), body; little-endian. Length
/// counts kind, time and body; the CRC covers them. Used by one thread.
public final class MemoryJournal: Journal, @unchecked Sendable {
  public static let version = 1
  private static let header: [UInt8] = Array("PMJL".utf8) + [UInt8(version)]
  private static let overhead = 9

  public private(set) var bytes: [UInt8]
  public private(set) var count = 0
  private var hash = Hash()

  public init() { bytes = Self.header }

  public func append(_ record: JournalRecord) {
    let length = Self.overhead + record.body.count
    precondition(length <= Int(UInt32.max), "a record is smaller than 4 GiB")
    let start = bytes.count
    put(UInt64(length), bytes: 4)
    put(0, bytes: 4)
    bytes.append(record.kind)
    put(record.at.nanoseconds, bytes: 8)
    bytes.append(contentsOf: record.body)
    let sum = Self.checksum(bytes[(start + 8)...])
    for index in 0..<4 { bytes[start + 4 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index))) }
    hash.update(bytes[start...])
    count += 1
  }

  public var digest: Digest {
    let copy = hash
    return copy.finish()
  }

  public func records() throws(JournalError) -> [JournalRecord] { try Self.read(bytes) }

  /// Drops everything: the keeper lost its disk.
  public func erase() { bytes = Self.header }

  /// The records in a file's bytes. A last record that was cut short by a crash is left out; any other damage is an error.
  public static func read(_ bytes: [UInt8]) throws(JournalError) -> [JournalRecord] {
    guard bytes.count >= header.count, bytes.prefix(4) == header.prefix(4) else { throw .notAJournal }
    guard bytes[4] == header[4] else { throw .unknownVersion(Int(bytes[4])) }
    var records: [JournalRecord] = []
    var offset = header.count
    while offset < bytes.count {
      guard bytes.count - offset >= 8 else { return records }
      let length = Int(get(bytes, offset, 4))
      guard length >= overhead else { throw .damaged(record: records.count, offset: offset) }
      guard length <= bytes.count - offset - 8 else { return records }
      let body = bytes[(offset + 8)..<(offset + 8 + length)]
      guard UInt32(get(bytes, offset + 4, 4)) == checksum(body) else {
        throw .damaged(record: records.count, offset: offset)
      }
      records.append(
        JournalRecord(
          kind: bytes[offset + 8], at: Timestamp(nanoseconds: get(bytes, offset + 9, 8)),
          body: [UInt8](body.dropFirst(overhead))))
      offset += 8 + length
    }
    return records
  }

  private func put(_ value: UInt64, bytes count: Int) {
    for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))) }
  }
  private static func get(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<count { value |= UInt64(bytes[offset + index]) << (8 * UInt64(index)) }
    return value
  }
  private static func checksum(_ slice: ArraySlice<UInt8>) -> UInt32 {
    slice.withUnsafeBufferPointer { UInt32(truncatingIfNeeded: crc32_z(0, $0.baseAddress, $0.count)) }
  }
}

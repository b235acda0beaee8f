import Glibc

/// A regular file that is read piece by piece, wherever a piece lies.
public final class FileReader: Sendable {
  public let path: String
  /// Its length in bytes when it was opened.
  public let count: Int
  private let descriptor: Int32

  /// - Throws: `LearnError.data` where it is not there, may not be read, or is no regular file.
  public init(path: String) throws(LearnError) {
    let opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard opened >= 0 else {
      throw .data("\(path) is not there or cannot be read: \(String(cString: strerror(errno)))")
    }
    var facts = stat()
    guard fstat(opened, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
      close(opened)
      throw .data("\(path) is not a regular file")
    }
    self.path = path
    count = Int(facts.st_size)
    descriptor = opened
  }
  deinit { close(descriptor) }

  /// Fills the buffer with the bytes from `offset` on.
  ///
  /// - Throws: `LearnError.data` where the file ends before, or a read fails.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(LearnError) {
    var done = 0
    while done < buffer.count {
      let got = pread(descriptor, buffer.baseAddress!.advanced(by: done), buffer.count - done, offset + done)
      if got < 0 && errno == EINTR { continue }
      guard got > 0 else {
        throw .data(
          got == 0
            ? "\(path) became shorter while it was read" : "\(path) cannot be read: \(String(cString: strerror(errno)))"
        )
      }
      done += got
    }
  }

  /// Some bytes, as an array.
  public func bytes(_ range: Range<Int>) throws(LearnError) -> [UInt8] {
    guard range.lowerBound >= 0, range.upperBound <= count else { throw .data("\(path) has no bytes \(range)") }
    var result = Result<Void, LearnError>.success(())
    let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, done in
      result = Result { () throws(LearnError) -> Void in
        let place = UnsafeMutableRawBufferPointer(buffer)
        try read(at: range.lowerBound, into: UnsafeMutableRawBufferPointer(rebasing: place[..<range.count]))
        done = range.count
      }
    }
    try result.get()
    return bytes
  }

  /// The whole file; its length has been looked at.
  public func all() throws(LearnError) -> [UInt8] { try bytes(0..<count) }

  /// A whole file of at most `limit` bytes.
  public static func all(path: String, limit: Int) throws(LearnError) -> [UInt8] {
    let file = try FileReader(path: path)
    guard file.count <= limit else { throw .data("\(path) has \(file.count) bytes; at most \(limit) are read at once") }
    return try file.all()
  }
}

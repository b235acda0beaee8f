import Glibc

/// A new file that is written piece by piece, and read back where it is a scratch file, which has no name and is gone when it
/// is closed.
final class OutputFile {
  private let path: String
  private let descriptor: Int32

  /// - Throws: `LearnError.data` where it is there already or cannot be made.
  init(path: String, isScratch: Bool) throws(LearnError) {
    self.path = path
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .data("\(path) cannot be made: \(String(cString: strerror(errno)))") }
    if isScratch { unlink(path) }
  }
  deinit { if descriptor >= 0 { close(descriptor) } }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(LearnError) {
    var done = 0
    while done < bytes.count {
      let put = pwrite(descriptor, bytes.baseAddress!.advanced(by: done), bytes.count - done, offset + done)
      if put < 0 && errno == EINTR { continue }
      guard put > 0 else { throw .data("\(path) cannot be written: \(String(cString: strerror(errno)))") }
      done += put
    }
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(LearnError) {
    var done = 0
    while done < buffer.count {
      let got = pread(descriptor, buffer.baseAddress!.advanced(by: done), buffer.count - done, offset + done)
      if got < 0 && errno == EINTR { continue }
      guard got > 0 else { throw .data("\(path) cannot be read back: \(String(cString: strerror(errno)))") }
      done += got
    }
  }
}

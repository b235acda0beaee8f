import CZlib

/// Undoes gzip and deflate.
enum Inflate {
  /// - Parameter limit: more bytes than this are an error: a small file may claim to be a large one.
  static func gunzip(_ bytes: [UInt8], limit: Int) throws(LearnError) -> [UInt8] {
    guard let (output, isWhole) = run(bytes[...], windowBits: 15 + 16, limit: limit) else {
      throw .data("zlib could not begin")
    }
    guard output.count <= limit else { throw .data("a gzip file holds more than \(limit) bytes") }
    guard isWhole else { throw .data("a gzip file is damaged or cut short") }
    return output
  }

  /// Deflated bytes without any frame.
  ///
  /// - Parameter size: what they must come to; nothing beyond it is unpacked.
  static func raw(_ bytes: ArraySlice<UInt8>, size: Int, named name: String) throws(LearnError) -> [UInt8] {
    guard let (output, isWhole) = run(bytes, windowBits: -15, limit: size) else { throw .data("zlib could not begin") }
    guard isWhole, output.count == size else {
      throw .data("\(name) is damaged, or does not unpack to the \(size) bytes that it claims")
    }
    return output
  }

  /// What was unpacked, at most a piece more than the limit, and whether the stream came to its end. Memory grows with what is
  /// there, not with what is claimed.
  private static func run(_ bytes: ArraySlice<UInt8>, windowBits: Int32, limit: Int) -> (
    output: [UInt8], isWhole: Bool
  )? {
    var stream = z_stream()
    guard inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      return nil
    }
    defer { inflateEnd(&stream) }
    var output: [UInt8] = []
    let room = [UInt8](repeating: 0, count: min(1 << 18, max(1 << 10, limit + 1)))
    let piece = room.count
    var status = Z_OK
    bytes.withUnsafeBufferPointer { input in
      stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      stream.avail_in = UInt32(clamping: input.count)
      repeat {
        output += room
        output.withUnsafeMutableBufferPointer { buffer in
          stream.next_out = buffer.baseAddress! + (buffer.count - piece)
          stream.avail_out = UInt32(piece)
          status = inflate(&stream, Z_NO_FLUSH)
        }
        output.removeLast(Int(stream.avail_out))
      } while status == Z_OK && output.count <= limit && (stream.avail_in > 0 || stream.avail_out == 0)
    }
    return (output, status == Z_STREAM_END)
  }
}

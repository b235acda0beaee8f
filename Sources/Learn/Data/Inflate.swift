import CZlib

/// Undoes gzip.
enum Inflate {
  /// - Parameter limit: more bytes than this are an error: a small file may claim to be a large one.
  static func gunzip(_ bytes: [UInt8], limit: Int) throws(LearnError) -> [UInt8] {
    var stream = z_stream()
    guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw .data("zlib could not begin")
    }
    defer { inflateEnd(&stream) }
    var output: [UInt8] = []
    let piece = 1 << 18
    var status = Z_OK
    bytes.withUnsafeBufferPointer { input in
      stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      stream.avail_in = UInt32(clamping: input.count)
      repeat {
        output.append(contentsOf: repeatElement(0, count: piece))
        output.withUnsafeMutableBufferPointer { buffer in
          stream.next_out = buffer.baseAddress! + (buffer.count - piece)
          stream.avail_out = UInt32(piece)
          status = inflate(&stream, Z_NO_FLUSH)
        }
        output.removeLast(Int(stream.avail_out))
      } while status == Z_OK && output.count <= limit && (stream.avail_in > 0 || stream.avail_out == 0)
    }
    guard output.count <= limit else { throw .data("a gzip file holds more than \(limit) bytes") }
    guard status == Z_STREAM_END else { throw .data("a gzip file is damaged or cut short") }
    return output
  }
}

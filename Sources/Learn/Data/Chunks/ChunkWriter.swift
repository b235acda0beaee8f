import Glibc
import Runtime

/// Writes samples into files of chunks without holding more than one chunk in memory.
///
/// On the first way through the source every row is put into a scratch file, where the rows of one chunk lie together in the
/// order of the source; then each chunk is read back, put in its own order and written. Both files are written and read in runs.
public struct ChunkWriter: Sendable {
  /// Bytes of one chunk.
  public static let chunkLimit = 1 << 27
  private static let bufferBytes = 1 << 26

  public struct Written: Sendable, Equatable {
    public var file: String
    public var samples: Int
    public var bytes: Int
    public var digest: Digest
  }
  private let folder: String

  /// - Parameter folder: must be empty, or not there; its parent is.
  /// - Throws: `LearnError.data` where it cannot be made or holds something.
  public init(folder: String) throws(LearnError) {
    self.folder = folder
    if mkdir(folder, 0o777) != 0 {
      guard errno == EEXIST, let open = opendir(folder) else {
        throw .data("\(folder) cannot be made: \(String(cString: strerror(errno)))")
      }
      defer { closedir(open) }
      var names = 0
      while readdir(open) != nil { names += 1 }
      guard names <= 2 else { throw .data("\(folder) is not empty; name a folder that is new") }
    }
  }

  /// - Returns: what was written, chunk by chunk, and at last the test's samples.
  /// - Throws: `LearnError.data` where the source fails, a chunk would be too large, or the disk has no room.
  public func write(_ source: some RowSource, _ plan: RowPlan) throws(LearnError) -> [Written] {
    let form = source.form
    for part in 0..<plan.parts {
      try form.check(count: plan.size(part))
      let length = form.length(count: plan.size(part))
      guard length <= Self.chunkLimit else {
        let isTest = plan.hasTest && part == plan.parts - 1
        throw .data(
          "\(isTest ? "the samples for the test" : "chunk \(part)") would have \(length) bytes; at most "
            + "\(Self.chunkLimit) are made: \(isTest ? "hold back a smaller share" : "ask for more chunks")")
      }
    }
    let scratch = try OutputFile(path: "\(folder)/.scratch", isScratch: true)
    try scatter(source, plan, scratch)
    var written: [Written] = []
    for part in 0..<plan.parts {
      let isTest = plan.hasTest && part == plan.parts - 1
      let digits = String(part)
      let name =
        isTest ? "test.pmck" : "chunk-\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits).pmck"
      let bytes = try gather(part, form, plan, scratch)
      // What was written is read as a stranger would read it.
      _ = try Samples(bytes: bytes)
      let file = try OutputFile(path: "\(folder)/\(name)", isScratch: false)
      try bytes.withUnsafeBytes { raw in
        Result { () throws(LearnError) -> Void in try file.write(raw, at: 0) }
      }.get()
      written.append(
        Written(file: name, samples: plan.size(part), bytes: bytes.count, digest: Digest(of: bytes)))
    }
    return written
  }

  /// A record of the scratch file: the place (u32), the features, the targets.
  private static func recordBytes(_ form: SampleForm) -> Int { 4 + form.rowBytes + form.targetBytes }

  private func scatter(_ source: some RowSource, _ plan: RowPlan, _ scratch: OutputFile) throws(LearnError) {
    let record = Self.recordBytes(source.form)
    let room = min(1 << 18, Self.bufferBytes / plan.parts)
    var buffers = [[UInt8]](repeating: [], count: plan.parts)
    var ends = (0..<plan.parts).map { plan.starts[$0] * record }
    func flush(_ part: Int) throws(LearnError) {
      let end = ends[part]
      try buffers[part].withUnsafeBytes { raw in
        Result { () throws(LearnError) -> Void in try scratch.write(raw, at: end) }
      }.get()
      ends[part] += buffers[part].count
      buffers[part].removeAll(keepingCapacity: true)
    }
    var row = 0
    try source.forEach { features, targets throws(LearnError) in
      guard row < plan.places.count else { throw .data("\(source.name) became longer while it was read") }
      let place = plan.places[row]
      row += 1
      let part = plan.part(of: Int(place))
      withUnsafeBytes(of: place) { buffers[part].append(contentsOf: $0) }
      buffers[part].append(contentsOf: features)
      buffers[part].append(contentsOf: targets)
      if buffers[part].count + record > room { try flush(part) }
    }
    guard row == plan.places.count else { throw .data("\(source.name) became shorter while it was read") }
    for part in 0..<plan.parts { try flush(part) }
  }

  /// A chunk's bytes, its rows in its own order.
  private func gather(_ part: Int, _ form: SampleForm, _ plan: RowPlan, _ scratch: OutputFile) throws(LearnError)
    -> [UInt8]
  {
    let record = Self.recordBytes(form)
    let size = plan.size(part)
    let records = UnsafeMutableRawBufferPointer.allocate(byteCount: size * record, alignment: 16)
    defer { records.deallocate() }
    try scratch.read(at: plan.starts[part] * record, into: records)
    let targetStart = SampleForm.headerLength + size * form.rowBytes
    return [UInt8](unsafeUninitializedCapacity: form.length(count: size)) { buffer, count in
      let out = UnsafeMutableRawPointer(buffer.baseAddress!)
      form.header(count: size).withUnsafeBytes { out.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
      for index in 0..<size {
        let from = records.baseAddress!.advanced(by: index * record)
        let place = Int(from.loadUnaligned(as: UInt32.self)) - plan.starts[part]
        precondition(place >= 0 && place < size, "the scratch file holds what was written into it")
        out.advanced(by: SampleForm.headerLength + place * form.rowBytes)
          .copyMemory(from: from.advanced(by: 4), byteCount: form.rowBytes)
        out.advanced(by: targetStart + place * form.targetBytes)
          .copyMemory(from: from.advanced(by: 4 + form.rowBytes), byteCount: form.targetBytes)
      }
      count = form.length(count: size)
    }
  }
}

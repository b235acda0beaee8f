import Testing

@testable import Runtime

private struct Sample: Wire, Equatable {
  var number: UInt64 = 0
  var text = ""
  var inner: Inner?
  var list: [Inner] = []
  var digests: [Digest] = []
  var real = 0.0
  var span = Duration.zero
  struct Inner: Wire, Equatable {
    var count = 0
    var flag = false
    mutating func fields(_ codec: inout Codec) throws(WireError) {
      try codec(1, &count)
      try codec(2, &flag)
    }
  }
  mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &number)
    try codec(2, &text)
    try codec(3, &inner)
    try codec(4, &list, limit: 4)
    try codec(5, repeated: &digests, limit: 3)
    try codec(6, &real)
    try codec(7, &span)
  }
  static let full = Sample(
    number: 300, text: "hällo", inner: Inner(count: 7, flag: true), list: [Inner(), Inner(count: 1 << 40)],
    digests: [Digest(of: [1])], real: -2.5, span: .seconds(3))
}

@Suite struct CodecTests {
  @Test func `a value comes back from its bytes`() throws {
    #expect(try Sample(wireBytes: Sample.full.wireBytes) == .full)
    #expect(Sample().wireBytes.isEmpty)
    #expect(try Sample(wireBytes: []) == Sample())
  }

  @Test func `bytes are protobuf`() {
    var sample = Sample()
    sample.number = 150
    sample.text = "testing"
    // The example of the protobuf encoding guide: field 1 varint 150, field 2 string "testing".
    #expect(sample.wireBytes == [0x08, 0x96, 0x01, 0x12, 0x07] + Array("testing".utf8))
  }

  @Test func `every truncation is an error or a shorter value that writes to itself`() {
    let bytes = Sample.full.wireBytes
    for length in 0..<bytes.count {
      let cut = Array(bytes[..<length])
      if let read = try? Sample(wireBytes: cut) { #expect(read.wireBytes == cut) }
    }
  }

  @Test func `no mutation traps, and whatever is read is written back the same`() {
    var stream = Seed(3).stream
    let bytes = Sample.full.wireBytes
    for _ in 0..<20_000 {
      var mutated = bytes
      for _ in 0...stream.below(3) {
        switch stream.below(3) {
        case 0: mutated[stream.below(mutated.count)] = UInt8(stream.below(256))
        case 1: mutated.insert(UInt8(stream.below(256)), at: stream.below(mutated.count))
        default: mutated.remove(at: stream.below(mutated.count))
        }
      }
      if let read = try? Sample(wireBytes: mutated) { #expect(read.wireBytes == mutated) }
    }
  }

  @Test(
    arguments: [
      ([0x08, 0x80, 0x00], "a varint longer than it needs"),
      ([0x08, 0x00], "a default written out"),
      ([0x12, 0x01, 0x61, 0x08, 0x01], "fields out of order"),
      ([0x78, 0x01], "an unknown field"),
      ([0x0B], "a group"),
      ([0x12, 0x02, 0xC3, 0x28], "text that is not UTF-8"),
      ([0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], "a length beyond all bytes"),
    ] as [([UInt8], String)])
  func `a form that is not canonical is refused`(_ bytes: [UInt8], _ what: String) {
    #expect(throws: WireError.self, "\(what)") { try Sample(wireBytes: bytes) }
  }

  @Test func `a list longer than its limit is refused`() {
    var sample = Sample()
    sample.list = Array(repeating: .init(count: 1), count: 5)
    #expect(throws: WireError.tooLong(field: 4, limit: 4)) { try Sample(wireBytes: sample.wireBytes) }
  }
}

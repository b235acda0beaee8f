import Testing

@testable import Runtime

@Suite struct PrimitiveTests {
  @Test func `SHA-256 as FIPS 180-4 has it`() {
    #expect(
      Digest(of: Array("abc".utf8)).hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      Digest(of: [UInt8]()).hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    var hash = Hash()
    hash.update([0x61])
    hash.update([0x62, 0x63])
    #expect(hash.finish() == Digest(of: Array("abc".utf8)))
    #expect(Digest(hex: Digest(of: [1]).hex) == Digest(of: [1]))
    #expect(Digest(hex: "00") == nil && Digest(bytes: [1, 2]) == nil)
  }

  @Test func `Ed25519 as RFC 8032 has it, section 7.1, tests 1 and 2`() throws {
    let one = try #require([UInt8](hex: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    let key = try #require(SigningKey(secret: one))
    #expect(
      key.publicKey.bytes.hex == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    #expect(
      key.sign([]).bytes.hex
        == "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    let second = try #require([UInt8](hex: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    let two = try #require(SigningKey(secret: second))
    let signature = two.sign([0x72])
    #expect(two.publicKey.verifies(signature, of: [0x72]))
    #expect(!two.publicKey.verifies(signature, of: [0x73]))
    #expect(!key.publicKey.verifies(signature, of: [0x72]))
    #expect(!PublicKey.none.verifies(signature, of: [0x72]))
    #expect(!two.publicKey.verifies(.none, of: [0x72]))
    #expect(SigningKey(secret: [1, 2, 3]) == nil)
  }

  @Test func `a peer id is libp2p's`() throws {
    let key = try #require(SigningKey(secret: Array(repeating: 0, count: 32)))
    #expect("\(key.publicKey)".hasPrefix("12D3KooW"))
    #expect(base58([0, 0, 1]) == "112")
  }

  @Test func `SplitMix64 and xoshiro256** give their published outputs`() {
    // SplitMix64 from state 1234567: the reference C program's first outputs.
    var state: UInt64 = 1_234_567
    var outputs: [UInt64] = []
    for _ in 0..<3 {
      outputs.append(splitMix64(state))
      state &+= 0x9E37_79B9_7F4A_7C15
    }
    #expect(outputs == [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423])
  }

  @Test func `a stream depends on its seed and name alone`() {
    var a = Seed(7).stream("network")
    var b = Seed(7).stream("network")
    var c = Seed(7).stream("faults")
    let first = (0..<4).map { _ in a.next() }
    #expect(first == (0..<4).map { _ in b.next() })
    #expect(first != (0..<4).map { _ in c.next() })
  }

  @Test func `bounded draws stay in bounds and reach both ends`() {
    var stream = Seed(9).stream
    let draws = (0..<2_000).map { _ in stream.below(7) }
    #expect(Set(draws) == Set(0..<7))
    var items = Array(0..<50)
    stream.shuffle(&items)
    #expect(items.sorted() == Array(0..<50) && items != Array(0..<50))
  }

  @Test func `time saturates instead of overflowing`() {
    #expect(Instant.start.advanced(by: .seconds(-1)) == .start)
    #expect(Instant(nanoseconds: .max).advanced(by: .seconds(1)) == .never)
    #expect(Timestamp(nanoseconds: 5) - Timestamp(nanoseconds: 7) == .nanoseconds(-2))
    #expect(Duration.seconds(Int64.max).nanoseconds == .max)
    #expect(Duration(modelSeconds: .nan) == .zero)
  }

  /// RFC 6962 section 2.1, as written there.
  private func root(_ leaves: ArraySlice<Digest>) -> Digest {
    if leaves.count == 1 { return MerkleTree.leaf(leaves[leaves.startIndex]) }
    var split = 1
    while split * 2 < leaves.count { split *= 2 }
    return MerkleTree.node(root(leaves.prefix(split)), root(leaves.dropFirst(split)))
  }

  @Test func `a Merkle tree is RFC 6962's, and its paths prove their leaves alone`() {
    for count in 1...33 {
      let leaves = (0..<count).map { Digest(of: [UInt8($0)]) }
      let tree = MerkleTree(leaves: leaves)
      #expect(tree.root == root(leaves[...]))
      for index in leaves.indices {
        var path = tree.path(at: index)
        #expect(path.proves(leaves[index], under: tree.root))
        #expect(!path.proves(Digest(of: [255]), under: tree.root))
        path.siblings.append(.zero)
        #expect(!path.proves(leaves[index], under: tree.root))
      }
    }
  }

  @Test func `a journal comes back, a cut end is left out, damage is told`() throws {
    let journal = MemoryJournal()
    let records = (0..<20).map {
      JournalRecord(
        kind: UInt8($0), at: Timestamp(nanoseconds: UInt64($0)), body: Array(repeating: UInt8($0), count: $0))
    }
    for record in records { journal.append(record) }
    #expect(try journal.records() == records)
    for length in 5..<journal.bytes.count {
      let read = try MemoryJournal.read(Array(journal.bytes[..<length]))
      #expect(read == Array(records.prefix(read.count)))
    }
    var damaged = journal.bytes
    damaged[60] ^= 1
    #expect(throws: JournalError.self) { try MemoryJournal.read(damaged) }
    #expect(throws: JournalError.notAJournal) { try MemoryJournal.read([1, 2, 3]) }
    #expect(throws: JournalError.unknownVersion(9)) { try MemoryJournal.read(Array("PMJL".utf8) + [9]) }
  }
}

import Crypto
import Foundation
import Runtime
import Testing

@testable import ObjectStore

/// What every store must do; the memory version is one.
private func contract<S: ObjectStore & BlobTransfer>(_ store: inout S) async throws {
  let key = try ObjectKey("a/b-1.bin")
  let now = Timestamp(nanoseconds: 1_000_000_000_000)
  let later = now + .seconds(60)
  try await store.put(key, [1, 2, 3])
  try await store.put(key, [1, 2, 3])
  #expect(try await store.get(key) == [1, 2, 3])
  #expect(try await store.size(of: key) == 3)
  let get = try await store.presign(.get, key, expires: later, limit: 0)
  #expect(try await store.get(get, at: now) == [1, 2, 3])
  #expect(try await store.get(get, at: later) == [1, 2, 3])
  let put = try await store.presign(.put, key, expires: later, limit: 4)
  try await store.put(put, [9, 9, 9, 9], at: now)
  #expect(try await store.get(get, at: now) == [9, 9, 9, 9])
  func refuses(_ expected: ObjectStoreError, _ body: (inout S) async throws -> Void) async {
    var copy = store
    do {
      try await body(&copy)
      Issue.record("\(expected) was not thrown")
    } catch { #expect(error as? ObjectStoreError == expected) }
  }
  await refuses(.expired) { _ = try await $0.get(get, at: later + .seconds(1)) }
  await refuses(.wrongMethod) { _ = try await $0.get(put, at: now) }
  await refuses(.wrongMethod) { try await $0.put(get, [1], at: now) }
  await refuses(.tooLarge) { try await $0.put(put, [1, 2, 3, 4, 5], at: now) }
  try await store.delete(key)
  try await store.delete(key)
  await refuses(.notFound) { _ = try await $0.get(get, at: now) }
}

@Suite struct StoreTests {
  @Test func `the memory store keeps the contract`() async throws {
    var store = MemoryObjectStore(bucket: "test", secret: Array(1...32))
    try await contract(&store)
    #expect(store.objectCount == 0 && store.storedBytes == 0)
  }

  @Test func `no change to a URL is accepted`() throws {
    var store = MemoryObjectStore(bucket: "test", secret: Array(1...32))
    let key = try ObjectKey("k")
    store.put(key, [1])
    let url = store.presign(.get, key, expires: Timestamp(nanoseconds: 9_000_000_000))
    let now = Timestamp(nanoseconds: 1_000_000_000)
    var stream = Seed(1).stream
    let bytes = Array(url.text.utf8)
    for _ in 0..<10_000 {
      var mutated = bytes
      switch stream.below(3) {
      case 0: mutated[stream.below(mutated.count)] = UInt8(stream.below(128))
      case 1: mutated.removeLast(1 + stream.below(mutated.count - 1))
      default: mutated.insert(UInt8(32 + stream.below(90)), at: stream.below(mutated.count))
      }
      if mutated == bytes { continue }
      let text = String(decoding: mutated, as: UTF8.self)
      #expect(throws: ObjectStoreError.self) { try store.get(PresignedURL(text: text), at: now) }
    }
    let other = MemoryObjectStore(bucket: "test", secret: Array(2...33))
    #expect(throws: ObjectStoreError.badSignature) {
      var copy = other
      _ = try copy.get(url, at: now)
    }
    #expect(!"\(url)".contains("Signature") && !String(reflecting: url).contains(String(url.text.suffix(16))))
  }

  @Test(arguments: ["", "/a", "a/", "a//b", "../a", "a/../b", "a b", "a?b", "ä", "a\u{0}b"])
  func `a key that could leave its folder is refused`(_ text: String) {
    #expect(throws: ObjectStoreError.badKey) { try ObjectKey(text) }
  }
}

@Suite struct SealingTests {
  private let key = SecretKey(bytes: Array(0..<32))!

  @Test func `sealed bytes open with their key and context, and with nothing else`() throws {
    let plain: [UInt8] = Array(0..<200)
    let sealed = Seal.seal(plain, key: key, counter: 3, context: [1])
    #expect(sealed.count == plain.count + Seal.overhead)
    #expect(try Seal.open(sealed, key: key, context: [1]) == plain)
    #expect(throws: ObjectStoreError.sealBroken) { try Seal.open(sealed, key: key, context: [2]) }
    let other = try #require(SecretKey(bytes: Array(1..<33)))
    #expect(throws: ObjectStoreError.sealBroken) { try Seal.open(sealed, key: other, context: [1]) }
    for index in stride(from: 0, to: sealed.count, by: 7) {
      var changed = sealed
      changed[index] ^= 1
      #expect(throws: ObjectStoreError.sealBroken) { try Seal.open(changed, key: key, context: [1]) }
    }
    for length in [0, 5, 27] {
      #expect(throws: ObjectStoreError.sealBroken) {
        try Seal.open(Array(sealed.prefix(length)), key: key, context: [1])
      }
    }
    #expect(Seal.seal(plain, key: key, counter: 4, context: [1]) != sealed)
  }

  /// RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode.
  @Test func `HPKE as RFC 9180 has it`() throws {
    func bytes(_ hex: String) throws -> [UInt8] { try #require([UInt8](hex: hex)) }
    let ephemeral = try #require(
      SealingKey(secret: bytes("f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600")))
    let recipient = try #require(
      SealingKey(secret: bytes("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")))
    let info = try bytes("4f6465206f6e2061204772656369616e2055726e")
    #expect(ephemeral.publicKey.hex == "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
    #expect(recipient.publicKey.hex == "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
    let wrapped = try HPKEContext.seal([1, 2, 3], for: recipient.publicKey, info: info, ephemeral: ephemeral)
    #expect(try recipient.unwrap(wrapped, info: info) == [1, 2, 3])
  }

  @Test func `each sealer opens what the other wrapped`() throws {
    var stream = Seed(1).stream
    let recipient = SealingKey(drawnFrom: &stream)
    let secret = stream.bytes(32)
    let info: [UInt8] = [7, 7]
    for sealer in [RehearsalSealer(stream: stream), LiveSealer()] as [any Sealer] {
      let wrapped = try sealer.wrap(secret, for: recipient.publicKey, info: info)
      #expect(try recipient.unwrap(wrapped, info: info) == secret)
      #expect(throws: ObjectStoreError.sealBroken) { try recipient.unwrap(wrapped, info: [7]) }
    }
    let ours = try RehearsalSealer(stream: stream).wrap(secret, for: recipient.publicKey, info: info)
    var secretStream = Seed(1).stream
    let theirKey = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: secretStream.bytes(32))
    var theirs = try HPKE.Recipient(
      privateKey: theirKey, ciphersuite: .Curve25519_SHA256_ChachaPoly, info: Data(info),
      encapsulatedKey: Data(ours.encapsulated))
    #expect([UInt8](try theirs.open(Data(ours.ciphertext))) == secret)
  }

  @Test func `an envelope opens for its owner alone`() throws {
    var stream = Seed(2).stream
    let owner = SealingKey(drawnFrom: &stream)
    let other = SealingKey(drawnFrom: &stream)
    let envelope = try Envelope.seal(
      [5, 6], for: owner.publicKey, freshKey: key, info: [1], sealer: RehearsalSealer(stream: stream))
    let read = try Envelope(wireBytes: envelope.wireBytes)
    #expect(try read.open(with: owner, info: [1]) == [5, 6])
    #expect(throws: ObjectStoreError.self) { try read.open(with: other, info: [1]) }
  }

  @Test func `a manifest's root covers digests, counts and lengths`() {
    let entries = (0..<5).map { ManifestEntry(digest: Digest(of: [UInt8($0)]), samples: 10 + $0, length: 100) }
    let manifest = Manifest(entries: entries)
    for index in entries.indices {
      #expect(manifest.tree.path(at: index).proves(entries[index].leaf, under: manifest.root))
    }
    var changed = manifest
    changed.entries[2].samples += 1
    #expect(changed.root != manifest.root)
    #expect(manifest.samples == 60)
  }
}

@Suite struct ManifestNormalisationTests {
  @Test func `a manifest's root covers how features were moved, and chunks keep their places`() throws {
    let entries = (1...3).map { ManifestEntry(digest: Digest(of: [UInt8($0)]), samples: $0, length: 10 * $0) }
    var manifest = Manifest(entries: entries)
    let plain = manifest.root
    manifest.normalisation = [1, 2, 3]
    #expect(manifest.root != plain)
    #expect(try Manifest(wireBytes: manifest.wireBytes) == manifest)
    let path = manifest.tree.path(at: 1)
    #expect(path.root(of: entries[1].leaf) == manifest.root)
    manifest.normalisation = [1, 2, 4]
    #expect(path.root(of: entries[1].leaf) != manifest.root)
  }
}

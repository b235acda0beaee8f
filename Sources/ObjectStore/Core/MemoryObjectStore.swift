import Runtime

/// One bucket in memory, with the semantics of real presigned URLs: method, object, expiry, size and signature are checked.
/// It answers at once, which fulfils a port that may wait. Used by one thread.
public struct MemoryObjectStore: ObjectStore, BlobTransfer {
  public struct Counters: Equatable, Sendable {
    public var puts = 0
    public var gets = 0
    public var refused = 0
    public var bytesIn = 0
    public var bytesOut = 0
  }

  private let signer: URLSigner
  private var objects: [ObjectKey: [UInt8]] = [:]
  public private(set) var storedBytes = 0
  public private(set) var counters = Counters()

  /// - Parameter secret: with which URLs are signed; of this store alone.
  public init(bucket: String, secret: [UInt8]) { signer = URLSigner(bucket: bucket, secret: secret) }

  public var objectCount: Int { objects.count }

  public func presign(_ method: HTTPMethod, _ key: ObjectKey, expires: Timestamp, limit: Int = 0) -> PresignedURL {
    signer.sign(.init(method: method, key: key, expires: expires.unixSeconds, limit: limit))
  }

  /// Stores an object; the same one again changes nothing.
  public mutating func put(_ key: ObjectKey, _ bytes: [UInt8]) {
    counters.puts += 1
    counters.bytesIn += bytes.count
    storedBytes += bytes.count - (objects.updateValue(bytes, forKey: key)?.count ?? 0)
  }

  public mutating func get(_ key: ObjectKey) throws(ObjectStoreError) -> [UInt8] {
    guard let bytes = objects[key] else { throw .notFound }
    counters.gets += 1
    counters.bytesOut += bytes.count
    return bytes
  }

  public func size(of key: ObjectKey) throws(ObjectStoreError) -> Int {
    guard let bytes = objects[key] else { throw .notFound }
    return bytes.count
  }

  /// Deleting what is not there is no error.
  public mutating func delete(_ key: ObjectKey) {
    storedBytes -= objects.removeValue(forKey: key)?.count ?? 0
  }

  public mutating func get(_ url: PresignedURL, at now: Timestamp) throws(ObjectStoreError) -> [UInt8] {
    try get(admit(url, .get, at: now).key)
  }

  public mutating func put(_ url: PresignedURL, _ bytes: [UInt8], at now: Timestamp) throws(ObjectStoreError) {
    let claims = try admit(url, .put, at: now)
    guard bytes.count <= claims.limit else {
      counters.refused += 1
      throw .tooLarge
    }
    put(claims.key, bytes)
  }

  private mutating func admit(
    _ url: PresignedURL, _ method: HTTPMethod, at now: Timestamp
  ) throws(ObjectStoreError) -> URLSigner.Claims {
    do throws(ObjectStoreError) {
      let claims = try signer.check(url)
      guard claims.method == method else { throw .wrongMethod }
      guard now.unixSeconds <= claims.expires else { throw .expired }
      return claims
    } catch {
      counters.refused += 1
      throw error
    }
  }
}

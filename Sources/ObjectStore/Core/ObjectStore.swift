import Runtime

/// The port for whoever holds a store's credentials.
public protocol ObjectStore {
  mutating func presign(_ method: HTTPMethod, _ key: ObjectKey, expires: Timestamp, limit: Int)
    async throws(ObjectStoreError)
    -> PresignedURL
  mutating func put(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ObjectStoreError)
  mutating func get(_ key: ObjectKey) async throws(ObjectStoreError) -> [UInt8]
  /// How many bytes an object has.
  mutating func size(of key: ObjectKey) async throws(ObjectStoreError) -> Int
  mutating func delete(_ key: ObjectKey) async throws(ObjectStoreError)
}

/// The port for whoever holds only a URL.
public protocol BlobTransfer {
  mutating func get(_ url: PresignedURL, at now: Timestamp) async throws(ObjectStoreError) -> [UInt8]
  mutating func put(_ url: PresignedURL, _ bytes: [UInt8], at now: Timestamp) async throws(ObjectStoreError)
}

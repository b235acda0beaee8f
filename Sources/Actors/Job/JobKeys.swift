import ObjectStore
import Runtime

/// The secrets of one job and the places of its objects, all from the coordinator's secret, so that a crash loses none and a
/// journal holds none.
struct JobKeys: Sendable {
  let secret: Digest
  /// Of the job as it was asked for, in hexadecimal.
  let request: String

  /// - Parameter request: the job as the owner asked for it, before its manifest was known.
  init(secret: Digest, job: Job) {
    var asked = job
    asked.manifest = .zero
    self.secret = secret
    request = asked.digest.hex
  }

  func chunk(_ index: Int) -> SecretKey { SecretKey(derivedFrom: secret, label: "\(request) chunk \(index)") }
  /// Of the updates under one lease; its nonce counter is the round.
  func lease(slot: Int, nonce: UInt64) -> SecretKey {
    SecretKey(derivedFrom: secret, label: "\(request) lease \(slot) \(nonce)")
  }
  /// Of all checkpoints; its nonce counter is the round.
  var checkpoints: SecretKey { SecretKey(derivedFrom: secret, label: "\(request) checkpoints") }
  var result: SecretKey { SecretKey(derivedFrom: secret, label: "\(request) result") }

  func chunkObject(_ index: Int) -> ObjectKey { key("chunks/\(index)") }
  func checkpointObject(_ digest: Digest) -> ObjectKey { key("checkpoints/\(digest)") }
  func updateObject(round: Int, slot: Int, nonce: UInt64) -> ObjectKey { key("updates/\(round)/\(slot)-\(nonce)") }
  var resultObject: ObjectKey { key("result") }
  func publicObject(_ name: String) -> ObjectKey { key("public/\(name)") }

  private func key(_ suffix: String) -> ObjectKey {
    guard let key = try? ObjectKey("jobs/\(request)/\(suffix)") else {
      preconditionFailure("an object's name is made of digits and plain letters")
    }
    return key
  }
}

/// What is authenticated along with sealed bytes: what they are.
enum SealContext {
  static func chunk(_ entry: ManifestEntry) -> [UInt8] { Array("peermill chunk:".utf8) + entry.digest.bytes }
  static func checkpoint(_ digest: Digest) -> [UInt8] { Array("peermill checkpoint:".utf8) + digest.bytes }
  static func update(job: Digest, round: Int, slot: Int) -> [UInt8] {
    Array("peermill update \(round) \(slot):".utf8) + job.bytes
  }
  static func keys(job: Digest, slot: Int) -> [UInt8] { Array("peermill keys \(slot):".utf8) + job.bytes }
  static func result(job: Digest) -> [UInt8] { Array("peermill result:".utf8) + job.bytes }
}

/// Every secret of a job, for whoever looks whether one has got out.
public enum JobSecrets {
  /// - Parameter leases: how many leases each slot has had.
  public static func all(of job: Job, secret: Digest, leases: [UInt64]) -> [[UInt8]] {
    let keys = JobKeys(secret: secret, job: job)
    var secrets = [secret.bytes, keys.checkpoints.bytes, keys.result.bytes]
    for chunk in 0..<job.chunkCount { secrets.append(keys.chunk(chunk).bytes) }
    for (slot, count) in leases.enumerated() {
      for nonce in 0..<count { secrets.append(keys.lease(slot: slot, nonce: nonce + 1).bytes) }
    }
    return secrets
  }
}

import Runtime
import Transport

public struct Empty: Wire, Equatable {
  public init() {}
  public mutating func fields(_ codec: inout Codec) throws(WireError) {}
}

/// A peer to a bootstrap: I am here, tell me of others.
public struct Hello: Wire, Equatable {
  public var role = 0
  public init() {}
  public init(role: Role) { self.role = role.rawValue }
  public mutating func fields(_ codec: inout Codec) throws(WireError) { try codec(1, &role) }
}

/// What a peer does for a living.
public enum Role: Int, Sendable, CaseIterable {
  case owner = 1
  case coordinator = 2
  case trainer = 3
  case auditor = 4
  case bootstrap = 5
}

/// A bootstrap's answer: peers that were up not long ago.
public struct Neighbours: Wire, Equatable {
  public var peers: [PublicKey] = []
  public init() {}
  public init(peers: [PublicKey]) { self.peers = peers }
  public mutating func fields(_ codec: inout Codec) throws(WireError) { try codec(1, repeated: &peers, limit: 32) }
}

/// A topic message on its way over one link.
public struct TopicCarrier: Wire, Equatable {
  public var message = TopicMessage()
  public init() {}
  public init(_ message: TopicMessage) { self.message = message }
  public mutating func fields(_ codec: inout Codec) throws(WireError) { try codec(1, &message) }
}

public struct JobReference: Wire, Equatable {
  public var job = Digest.zero
  public init() {}
  public init(job: Digest) { self.job = job }
  public mutating func fields(_ codec: inout Codec) throws(WireError) { try codec(1, &job) }
}

import Runtime

/// A message that is meant for everybody on a topic: signed by whoever published it, so that those who pass it on cannot
/// change it.
public struct TopicMessage: Wire, Equatable {
  public static let bodyLimit = 1 << 16

  public var topic: String
  public var publisher: PublicKey
  /// Strictly rising for each publisher; together they name the message.
  public var sequence: UInt64
  public var body: [UInt8]
  public var signature: Signature

  public init(topic: Topic, publisher: SigningKey, sequence: UInt64, body: [UInt8]) {
    self.topic = topic.rawValue
    self.publisher = publisher.publicKey
    self.sequence = sequence
    self.body = body
    signature = .none
    signature = publisher.sign(signedBytes)
  }
  public init() {
    topic = ""
    publisher = .none
    sequence = 0
    body = []
    signature = .none
  }

  public mutating func fields(_ codec: inout Codec) throws(WireError) {
    try codec(1, &topic, limit: 128)
    try codec(2, &publisher)
    try codec(3, &sequence)
    try codec(4, &body, limit: Self.bodyLimit)
    try codec(5, &signature)
  }

  private var signedBytes: [UInt8] {
    var unsigned = self
    unsigned.signature = .none
    return Array("peermill topic message 1:".utf8) + unsigned.wireBytes
  }
  public var isAuthentic: Bool { publisher.verifies(signature, of: signedBytes) }
  public var id: Digest { Digest(of: signedBytes) }
}

/// Spreads topic messages over a fixed set of neighbours: whatever is new goes to all of them but the one it came from.
public struct Fanout: Sendable {
  /// As many neighbours as a peer seeks, and as many as it takes.
  public static let soughtNeighbours = 6
  public static let neighbourLimit = 12
  /// The most recent messages whose names are remembered, so that none goes round twice.
  public static let memory = 4_096
  /// The most recent messages of a topic that a new neighbour is told.
  public static let retained = 16

  public private(set) var neighbours: [PublicKey] = []
  private var seen: Set<Digest> = []
  private var order: [Digest] = []
  private var oldest = 0
  public private(set) var recent: [TopicMessage] = []

  public init() {}

  /// Takes a neighbour; false if it is one already or there are too many.
  public mutating func add(neighbour: PublicKey) -> Bool {
    guard neighbours.count < Self.neighbourLimit, !neighbours.contains(neighbour) else { return false }
    neighbours.append(neighbour)
    return true
  }
  public mutating func remove(neighbour: PublicKey) { neighbours.removeAll { $0 == neighbour } }

  /// Whether a message is new. Ask before its signature is checked, and `accept` it after.
  public func isNew(_ id: Digest) -> Bool { !seen.contains(id) }

  /// Remembers a message that was found good and tells whom to pass it on to.
  public mutating func accept(_ message: TopicMessage, id: Digest, from: PublicKey?) -> [PublicKey] {
    guard seen.insert(id).inserted else { return [] }
    if order.count < Self.memory {
      order.append(id)
    } else {
      seen.remove(order[oldest])
      order[oldest] = id
      oldest = (oldest + 1) % Self.memory
    }
    recent.append(message)
    if recent.count > Self.retained { recent.removeFirst() }
    return neighbours.filter { $0 != from && $0 != message.publisher }
  }
}

/// How fast one core of a machine does each kind of work: what turns a `LearnCost` into seconds.
public struct MachineProfile: Sendable, Equatable, Codable {
  public let instructionSet: String
  /// Seconds of one unit.
  var prices: Slots

  init(instructionSet: String, prices: Slots) {
    self.instructionSet = instructionSet
    self.prices = prices
  }

  private enum Key: String, CodingKey { case instructionSet, nanoseconds }
  public init(from decoder: any Decoder) throws {
    let box = try decoder.container(keyedBy: Key.self)
    instructionSet = try box.decode(String.self, forKey: .instructionSet)
    let named = try box.decode([String: Double].self, forKey: .nanoseconds)
    prices = Slots()
    for (slot, name) in Slots.names.enumerated() {
      let price = named[name] ?? 0
      guard price >= 0, price.isFinite else {
        throw DecodingError.dataCorruptedError(
          forKey: .nanoseconds, in: box, debugDescription: "'\(name)' takes \(price) ns")
      }
      prices.values[slot] = price / 1e9
    }
  }
  public func encode(to encoder: any Encoder) throws {
    var box = encoder.container(keyedBy: Key.self)
    try box.encode(instructionSet, forKey: .instructionSet)
    var named: [String: Double] = [:]
    for (slot, name) in Slots.names.enumerated() where prices.values[slot] > 0 {
      named[name] = prices.values[slot] * 1e9
    }
    try box.encode(named, forKey: .nanoseconds)
  }

  // MARK: what a person asks

  /// Multiplications and additions in a second: so many rows against weights of so many bytes.
  public func productRate(rows: Int, weightBytes: Int) -> Double {
    let meter = Meter(instructionSet)
    let columns = 256
    let depth = max(16, weightBytes / 4 / columns)
    let height = min(rows, meter.tiles.rows)
    let vectors = meter.tiles.vectors
    let tiles = Double(columns / 16 / vectors)
    meter.add(Slots.tile(isTransposed: false, vectors: vectors, height: height, isCall: false), tiles * Double(depth))
    meter.add(
      Slots.tile(isTransposed: false, vectors: vectors, height: height, isCall: true), tiles * Double(depth) / 128)
    if rows <= meter.tiles.rows { meter.lines(Double(depth * columns) / 16, distance: weightBytes, isPanel: true) }
    return 2 * Double(height * depth * columns) / meter.work.dot(prices)
  }
  /// Bytes in a second that a function of each element reads and writes, where as many are gone over again and again.
  public func streamRate(bytes: Int) -> Double {
    let meter = Meter(instructionSet)
    meter.add(Slots.unary(Int(Unary.affine.rawValue), gradient: false), Double(bytes) / 128)
    meter.lines(Double(bytes) / 64, distance: bytes, isPanel: false)
    return Double(bytes) / meter.work.dot(prices)
  }
  /// Exponentials and their kin in a second.
  public var tanhRate: Double { 16 / max(1e-12, prices.values[Slots.unary(Int(Unary.tanh.rawValue), gradient: false)]) }
}

import Foundation
import Learn
import Runtime

/// The protocol, whose other side is `python/peermill_torch.py`; it is told there in full.
///
/// A message is a length (u32, little-endian) of what follows, the length of the header (u32), the header as a JSON object in
/// UTF-8, and blobs of bytes, whose lengths stand in the header's `blobs`. Each request (`hello`, `model`, `train`) gets one
/// answer: `hello`, `ready`, `trained`, or `error` with words.
enum Message {
  static let version = 1
  /// Of a request.
  static let limit = 1 << 31
  /// Of an answer's header.
  static let headerLimit = 1 << 16

  struct Hello: Encodable {
    var kind = "hello"
    var `protocol` = Message.version
    var device: String
    var threads: Int
    var blobs: [Int] = []
  }

  struct Declared: Encodable {
    struct Parameter: Encodable {
      var name: String
      var shape: [Int]
      var isTrained: Bool
    }
    struct Layer: Encodable {
      var kind: String
      var outputs: Int
      var kernel: Int
    }
    var kind = "model"
    var loss: String
    var output: String
    var input: [Int]
    var normsAreFixed: Bool
    var hasNoDropout: Bool
    var parameters: [Parameter]
    var layers: [Layer]
    var blobs: [Int]

    init(_ model: Model) {
      let declaration = model.declaration
      loss = "\(declaration.loss)"
      output = declaration.output
      input = model.input
      normsAreFixed = declaration.normsAreFixed
      hasNoDropout = declaration.hasNoDropout
      parameters = model.parameters.map { Parameter(name: $0.name, shape: $0.shape, isTrained: $0.isTrained) }
      layers = declaration.layers.map { Layer(kind: "\($0.kind)", outputs: $0.outputs, kernel: $0.kernel) }
      blobs = [declaration.graph.count]
    }
  }

  struct Train: Encodable {
    struct Descent: Encodable {
      var kind: String
      var momentum: Double
      var isNesterov: Bool
      var weightDecay: Double
      var beta1: Double
      var beta2: Double
      var epsilon: Double
      var clipNorm: Double
      var proximal: Double

      init(_ optimizer: Optimizer) {
        kind = "\(optimizer.kind)"
        momentum = optimizer.momentum
        isNesterov = optimizer.isNesterov
        weightDecay = optimizer.weightDecay
        (beta1, beta2, epsilon) = (optimizer.beta1, optimizer.beta2, optimizer.epsilon)
        clipNorm = optimizer.clipNorm
        proximal = optimizer.proximal
      }
    }
    var kind = "train"
    var rate: Double
    var optimizer: Descent
    var batch: Int
    var epochs: Int
    var seed: UInt64
    var blobs: [Int]

    init(_ recipe: TrainingRecipe, seed: Seed, blobs: [[UInt8]]) {
      rate = recipe.learningRate
      optimizer = Descent(recipe.optimizer)
      batch = recipe.batch
      epochs = recipe.epochs
      self.seed = seed.child("dropout").value
      self.blobs = blobs.map(\.count)
    }
  }

  /// Any answer's header; nothing in it is believed before it was looked at.
  struct Answer: Decodable {
    var kind: String
    var `protocol`: Int?
    var torch: String?
    var device: String?
    var words: String?
    var loss: Double?
    var steps: Int?
    var verifiable: Bool?
    var blobs: [Int]?
  }

  /// The pieces of a request, to be sent one after the other.
  static func pieces(_ header: some Encodable, _ blobs: [[UInt8]]) throws(TorchError) -> [[UInt8]] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let json = try? encoder.encode(header) else { throw .request("its header holds a number that JSON has not") }
    let whole = 4 + json.count + blobs.reduce(0) { $0 + $1.count }
    guard whole <= limit else {
      throw .request("it has \(whole) bytes, and can have \(limit) at most; take smaller chunks or fewer epochs")
    }
    return [number(whole) + number(json.count) + Array(json)] + blobs
  }
  private static func number(_ value: Int) -> [UInt8] { numbers(CollectionOfOne(value)) }

  /// Numbers below 2³², four bytes each.
  static func numbers(_ values: some Collection<Int>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * values.count)
    for value in values {
      for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    return bytes
  }

  /// The header and the one blob (or none) of an answer that anybody may have written.
  static func read(_ bytes: [UInt8]) throws(TorchError) -> (header: Answer, blob: ArraySlice<UInt8>) {
    guard bytes.count >= 4 else { throw .answer("it has \(bytes.count) bytes") }
    let length = bytes[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= headerLimit, length <= bytes.count - 4 else {
      throw .answer("its header says \(length) bytes of \(bytes.count); at most \(headerLimit) can be")
    }
    guard let header = try? JSONDecoder().decode(Answer.self, from: Data(bytes[4..<(4 + length)])) else {
      throw .answer("its header is not what an answer's is")
    }
    let blob = bytes[(4 + length)...]
    let lengths = header.blobs ?? []
    guard lengths.count <= 1, (lengths.first ?? 0) == blob.count else {
      throw .answer("it has \(blob.count) bytes behind its header, which says \(lengths)")
    }
    return (header, blob)
  }

  /// Words of the other side, cut to what a person reads.
  static func tame(_ words: String?) -> String {
    let scalars = (words ?? "it gives no reason").unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }
    return String(String.UnicodeScalarView(scalars.prefix(1_000)))
  }
}

import Foundation

extension ONNXModel {
  func replaced(_ values: [String: [Float]]) throws(LearnError) -> [UInt8] {
    var known: Set<String> = []
    for tensor in initializers where values[tensor.name] != nil { known.insert(tensor.name) }
    if let stranger = values.keys.filter({ !known.contains($0) }).min() {
      throw .onnx("it has no initializer '\(stranger)' to be given other values")
    }
    var graph: [UInt8] = []
    graph.reserveCapacity(places.graph.count)
    var copied = places.graph.lowerBound
    for (tensor, place) in zip(initializers, places.initializers) {
      guard let floats = values[tensor.name], try Self.differs(tensor, floats) else { continue }
      graph.append(contentsOf: file[copied..<place.key])
      let inner = try Self.tensor(tensor, in: file, place.tensor, floats)
      Self.append(inner, key: place.key, old: place.tensor, of: file, to: &graph)
      copied = place.tensor.upperBound
    }
    if copied == places.graph.lowerBound { return file }
    graph.append(contentsOf: file[copied..<places.graph.upperBound])
    var result: [UInt8] = []
    result.reserveCapacity(file.count + max(0, graph.count - places.graph.count) + 16)
    result.append(contentsOf: file[..<places.graphKey])
    Self.append(graph, key: places.graphKey, old: places.graph, of: file, to: &result)
    result.append(contentsOf: file[places.graph.upperBound...])
    return result
  }

  /// A message in the place of another: its key and length stay as they were written, unless the length is another.
  private static func append(
    _ message: [UInt8], key: Int, old: Range<Int>, of file: [UInt8], to result: inout [UInt8]
  ) {
    if message.count == old.count {
      result.append(contentsOf: file[key..<old.lowerBound])
    } else {
      // The key ends with the first byte that no other follows.
      let end = file[key...].firstIndex { $0 < 0x80 } ?? key
      result.append(contentsOf: file[key...end])
      ProtobufWriter.varint(UInt64(message.count), to: &result)
    }
    result.append(contentsOf: message)
  }

  private static func differs(_ tensor: ONNXTensor, _ floats: [Float]) throws(LearnError) -> Bool {
    let name = tensor.name
    guard tensor.element.holdsFloats else {
      throw .onnx("initializer '\(name)' has whole numbers, which are not trained")
    }
    guard floats.count == tensor.count else {
      throw .onnx("initializer '\(name)' has \(tensor.count) elements and is given \(floats.count)")
    }
    if let index = ONNXElements.firstNaN(floats) {
      throw .onnx("initializer '\(name)': the new element \(index) is not a number")
    }
    if tensor.element.bytesEach == 2,
      let index = floats.firstIndex(where: { $0.isFinite && tensor.element.overflows($0) })
    {
      throw .onnx("initializer '\(name)': the new element \(index), \(floats[index]), is too large for its type")
    }
    guard case .floats(let old) = tensor.values else { return !floats.isEmpty }
    return old.withUnsafeBytes { old in
      floats.withUnsafeBytes { new in
        guard let old = old.baseAddress, let new = new.baseAddress else { return false }
        return memcmp(old, new, 4 * floats.count) != 0
      }
    }
  }

  /// The tensor's message with other values, which stand where and as the old ones did if those were in the file.
  private static func tensor(
    _ tensor: ONNXTensor, in file: [UInt8], _ range: Range<Int>, _ floats: [Float]
  ) throws(LearnError) -> [UInt8] {
    var data = ONNXElements.write(.floats(floats), as: tensor.element)
    let size = tensor.element.bytesEach
    var result: [UInt8] = []
    result.reserveCapacity(range.count + 32)
    var next = 0
    var isInside = false
    var wire = ProtobufReader(file, range, "initializer '\(tensor.name)'")
    while let field = try wire.next() {
      switch field.number {
      case 9:
        if tensor.element == .double { keepDoubles(tensor, of: file, field.range, &data, from: 0) }
        result.append(contentsOf: file[field.start..<field.range.lowerBound])
        result.append(contentsOf: data)
        isInside = isInside || !field.range.isEmpty
      case 4, 10:
        let end = next + field.range.count
        if tensor.element == .double { keepDoubles(tensor, of: file, field.range, &data, from: next) }
        result.append(contentsOf: file[field.start..<field.range.lowerBound])
        result.append(contentsOf: data[next..<end])
        next = end
        isInside = isInside || !field.range.isEmpty
      case 5:
        // Of half and bfloat16: their bits as numbers, which may take another number of bytes now.
        var list = ProtobufReader(file, field.range, "")
        var inner: [UInt8] = []
        while list.at < field.range.upperBound {
          _ = try list.varint()
          ProtobufWriter.varint(UInt64(data[next]) | UInt64(data[next + 1]) << 8, to: &inner)
          next += size
        }
        if field.kind == .delimited {
          append(inner, key: field.start, old: field.range, of: file, to: &result)
        } else {
          result.append(contentsOf: file[field.start..<field.range.lowerBound])
          result.append(contentsOf: inner)
        }
        isInside = isInside || !field.range.isEmpty
      case 13, 14: break
      default: result.append(contentsOf: file[field.start..<field.range.upperBound])
      }
    }
    if isInside { return result }
    ProtobufWriter.key(9, .delimited, to: &result)
    ProtobufWriter.varint(UInt64(data.count), to: &result)
    return result + data
  }

  /// Doubles whose float is the same stay as exact as they are.
  private static func keepDoubles(
    _ tensor: ONNXTensor, of file: [UInt8], _ range: Range<Int>, _ data: inout [UInt8], from start: Int
  ) {
    guard case .floats(let old) = ONNXElements.read(file, range, as: .double),
      case .floats(let new) = ONNXElements.read(data, start..<start + range.count, as: .double)
    else { return }
    for (index, pair) in zip(old, new).enumerated() where pair.0.bitPattern == pair.1.bitPattern {
      for byte in 0..<8 { data[start + 8 * index + byte] = file[range.lowerBound + 8 * index + byte] }
    }
  }
}

extension ONNXElement {
  fileprivate func overflows(_ value: Float) -> Bool {
    switch self {
    case .half: ONNXElements.toHalf(value) & 0x7FFF == 0x7C00
    case .bfloat16: ONNXElements.toBFloat(value) & 0x7FFF == 0x7F80
    default: false
    }
  }
}

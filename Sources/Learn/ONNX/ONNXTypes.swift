/// What a file may hold at most. Everything is checked before memory is taken.
public struct ONNXLimits: Sendable {
  /// Of the file, and of each file of external data.
  public var fileBytes = 512 << 20
  public var nodes = 20_000
  public var initializers = 5_000
  /// Inputs of the graph, initializers among them, and outputs of it.
  public var values = 16_384
  public var rank = 8
  public var dimension = 1 << 31
  /// Of one tensor.
  public var elements = 1 << 28
  /// Of all tensors and attributes together.
  public var totalElements = 1 << 28
  /// The same for whole numbers alone, which take eight bytes each once they are read.
  public var totalWholeElements = 1 << 25
  public var nameBytes = 1_024
  /// Inputs, outputs and attributes over all nodes.
  public var totalNames = 1 << 18
  /// Of an attribute's value as it stands in memory: 4 for a float, 8 for a whole number, 8 and its bytes for a string.
  public var attributeBytes = 64 << 10
  /// The same for an attribute that is a tensor.
  public var attributeTensorBytes = 1 << 24
  public var nodeInputs = 1_024
  public var nodeAttributes = 256

  public init() {}
  public static let usual = ONNXLimits()
}

/// The kinds of elements that are read, with their numbers in the file.
public enum ONNXElement: Int, Sendable {
  case float = 1
  case uint8 = 2
  case int8 = 3
  case uint16 = 4
  case int16 = 5
  case int32 = 6
  case int64 = 7
  case string = 8
  case bool = 9
  case half = 10
  case double = 11
  case uint32 = 12
  case uint64 = 13
  case bfloat16 = 16

  /// Of one element in raw data; a string has no such size.
  var bytesEach: Int {
    switch self {
    case .string: 0
    case .uint8, .int8, .bool: 1
    case .uint16, .int16, .half, .bfloat16: 2
    case .float, .int32, .uint32: 4
    case .int64, .uint64, .double: 8
    }
  }

  var holdsFloats: Bool {
    switch self {
    case .float, .half, .bfloat16, .double: true
    default: false
    }
  }

  /// What a whole number of this kind may be. A uint64 above an Int64 is not read.
  var wholeRange: ClosedRange<Int64> {
    switch self {
    case .bool: 0...1
    case .uint8: 0...255
    case .int8: -128...127
    case .uint16, .half, .bfloat16: 0...65_535
    case .int16: -32_768...32_767
    case .int32: -(1 << 31)...(1 << 31) - 1
    case .uint32: 0...(1 << 32) - 1
    case .uint64: 0...Int64.max
    case .int64, .float, .double, .string: Int64.min...Int64.max
    }
  }

  /// The field of a tensor that holds such elements when raw data do not.
  var typedField: Int {
    switch self {
    case .float: 4
    case .string: 6
    case .int64: 7
    case .double: 10
    case .uint32, .uint64: 11
    case .uint8, .int8, .uint16, .int16, .int32, .bool, .half, .bfloat16: 5
    }
  }
}

/// Numbers of one kind in one shape; no dimensions are one element.
public struct ONNXTensor: Sendable, Equatable {
  public var name: String
  public var element: ONNXElement
  public var shape: [Int]
  /// Floats for float, half, bfloat16 and double, which become Float; ints for all whole numbers and bool; absent for an
  /// initializer whose values are not in the file.
  public enum Values: Sendable, Equatable {
    case floats([Float])
    case ints([Int64])
    case absent
  }
  public var values: Values

  public var count: Int { shape.reduce(1, *) }
}

public enum ONNXAttribute: Sendable, Equatable {
  case float(Float)
  case int(Int64)
  case string(String)
  case tensor(ONNXTensor)
  case floats([Float])
  case ints([Int64])
  case strings([String])
}

/// One operation. An input or output without a name is left out.
public struct ONNXNode: Sendable {
  public var name: String
  public var op: String
  /// Empty for the operators of ONNX itself, whichever of their two names the file uses; or `ai.onnx.ml`.
  public var domain: String
  public var inputs: [String]
  public var outputs: [String]
  public var attributes: [String: ONNXAttribute]
  /// Its place among the model's nodes.
  public var index: Int

  /// How errors speak of it: node 17 'conv1' (Conv).
  public var place: String { name.isEmpty ? "node \(index) (\(op))" : "node \(index) '\(name)' (\(op))" }
}

public enum ONNXDimension: Sendable, Equatable {
  case fixed(Int)
  case named(String)
  case unknown
}

/// An input or an output of the graph.
public struct ONNXValue: Sendable {
  public var name: String
  public var element: ONNXElement
  public var shape: [ONNXDimension]?
}

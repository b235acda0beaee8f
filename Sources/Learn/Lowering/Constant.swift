/// Numbers known before anything runs. Whole numbers are exact up to 2^53, which no shape reaches.
struct Constant: Sendable, Equatable {
  var shape: [Int]
  var values: [Double]
  var isWhole: Bool

  var whole: [Int] {
    values.map { $0 >= 9e15 ? Int(9e15) : $0 <= -9e15 ? -Int(9e15) : $0.isNaN ? 0 : Int($0.rounded(.towardZero)) }
  }
  var steps: [Int] {
    var steps = Array(repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() { steps[axis] = steps[axis + 1] * shape[axis + 1] }
    return steps
  }
}

/// How much may be computed beforehand, so that a small file cannot ask for much.
struct FoldingBudget {
  static let each = 1 << 22
  static let total = 1 << 25
  private var spent = 0
  mutating func spend(_ count: Int, _ place: String) throws(LearnError) {
    guard count >= 0, count <= Self.each else {
      throw .onnx("\(place) computes \(count) elements beforehand; at most \(Self.each)")
    }
    spent += count + 16
    guard spent <= Self.total else { throw .onnx("\(place): the file computes too much beforehand") }
  }
}

/// Walks the indices of a shape in order, with the places they have under several sets of steps.
struct Odometer {
  private let shape: [Int]
  private var index: [Int]
  private(set) var places: [Int]
  private let steps: [[Int]]
  init(_ shape: [Int], _ steps: [[Int]], starts: [Int]? = nil) {
    self.shape = shape
    self.steps = steps
    index = shape.map { _ in 0 }
    places = starts ?? steps.map { _ in 0 }
  }
  mutating func next() {
    for axis in shape.indices.reversed() {
      index[axis] += 1
      for set in steps.indices { places[set] += steps[set][axis] }
      if index[axis] < shape[axis] { return }
      for set in steps.indices { places[set] -= steps[set][axis] * shape[axis] }
      index[axis] = 0
    }
  }
}

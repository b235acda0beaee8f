import CKernels

/// A stretch of an arena, whose place is decided when it is known for how long it is needed.
final class Piece {
  let floats: Int
  /// The first and the last moment at which it is needed; a piece that is never needed takes no place.
  private(set) var first = Int.max
  private(set) var last = -1
  var offset = 0
  fileprivate(set) var pointer: Floats

  init(_ floats: Int) {
    self.floats = floats
    pointer = Self.nowhere
  }
  func need(at moment: Int) {
    first = min(first, moment)
    last = max(last, moment)
  }
  func bind(_ base: Floats) { pointer = base + offset }

  nonisolated(unsafe) private static let nowhere = Floats.allocate(capacity: 16)
}

/// A value of a program: its shape, how it lies in memory, and where.
final class Tensor {
  let shape: [Int]
  let layout: Layout
  let rows: Int
  let width: Int
  /// Floats from one row to the next; lanes behind the width are zero.
  let stride: Int
  var value: Piece
  var gradient: Piece?

  init(shape: [Int], layout: Layout = .rows, stride: Int? = nil) {
    self.shape = shape
    self.layout = layout
    switch layout {
    case .rows: width = shape.last ?? 1
    case .channelsLast: width = shape[1]
    case .transposed, .kernel: width = shape[0]
    }
    rows = shape.reduce(1, *) / width
    self.stride = stride ?? padded(width)
    value = Piece(rows * self.stride)
  }

  var floats: Int { rows * stride }
  var data: Floats { value.pointer }
  /// Where there is one.
  var slope: Floats { gradient.map(\.pointer) ?? value.pointer }
  /// Whether all of it is one run without tails.
  var isDense: Bool { width == stride }

  /// Floats from one index to the next, for each dimension of the shape.
  var steps: [Int] {
    var steps = Array(repeating: 0, count: shape.count)
    switch layout {
    case .rows:
      var step = stride
      for axis in shape.indices.reversed() {
        if axis == shape.count - 1 {
          steps[axis] = 1
        } else {
          steps[axis] = step
          step *= shape[axis]
        }
      }
    case .channelsLast:
      var step = stride
      for axis in shape.indices.reversed() where axis != 1 {
        steps[axis] = step
        step *= shape[axis]
      }
      steps[1] = 1
    case .transposed:
      steps = [1, stride]
    case .kernel:
      steps = [1, stride, stride * shape[1] * shape[3], stride * shape[1]]
    }
    return steps
  }

  /// The sizes of its rows, outermost first.
  var rowAxes: [Int] {
    switch layout {
    case .rows: Array(shape.indices.dropLast())
    case .channelsLast: shape.indices.filter { $0 != 1 }
    case .transposed: [1]
    case .kernel: [2, 3, 1]
    }
  }
}

/// Numbers of rows, for kernels.
final class RowTable {
  let pointer: UnsafeMutablePointer<Int32>
  init(_ rows: [Int32]) {
    pointer = .allocate(capacity: max(1, rows.count))
    pointer.initialize(from: rows, count: rows.count)
  }
  deinit { pointer.deallocate() }
}

extension Tensor {
  /// For each row of `whole` the row of this tensor that it meets when this one is broadcast; nil where they are the same.
  func table(over whole: Tensor) -> RowTable? {
    let axes = whole.rowAxes
    if axes.allSatisfy({ shape[$0] == whole.shape[$0] }) { return nil }
    var factors = Array(repeating: 0, count: axes.count)
    var factor = 1
    for (place, axis) in axes.enumerated().reversed() {
      factors[place] = shape[axis] == 1 ? 0 : factor
      factor *= shape[axis]
    }
    var rows: [Int32] = []
    rows.reserveCapacity(whole.rows)
    var index = Array(repeating: 0, count: axes.count)
    for _ in 0..<whole.rows {
      var row = 0
      for place in axes.indices { row += index[place] * factors[place] }
      rows.append(Int32(row))
      var place = axes.count - 1
      while place >= 0 {
        index[place] += 1
        if index[place] < whole.shape[axes[place]] { break }
        index[place] = 0
        place -= 1
      }
    }
    return RowTable(rows)
  }
}

/// How many bytes were touched since a place was touched last: what decides in which cache it still is.
struct Recency {
  private let begin: Int
  private let shift: Int
  /// When each block was touched last; 0 for never.
  private var last: [Int32]
  /// How many blocks were touched last at each moment, as a tree of sums.
  private var tree: [Int32]
  private var now = 0
  private var live = 0

  /// - Parameter bytes: of all memory, which is cut into at most 16384 blocks.
  init(begin: Int, bytes: Int) {
    self.begin = begin
    var shift = 8
    while bytes >> shift > 16_384 { shift += 1 }
    self.shift = shift
    last = Array(repeating: 0, count: bytes >> shift + 2)
    tree = Array(repeating: 0, count: 4 * last.count + 1_024)
  }

  /// Tells for each block its distance in bytes, or nil where it was never touched, and its lines.
  mutating func touch(_ address: Int, bytes: Int, _ body: (_ distance: Int?, _ lines: Double) -> Void) {
    let from = (address - begin) >> shift
    let to = (address + max(bytes, 1) - 1 - begin) >> shift
    guard from >= 0, to < last.count else { return }
    let lines = Double(bytes) / 64 / Double(to - from + 1)
    for block in from...to {
      let before = Int(last[block])
      if before > 0, now - before < 4 {
        body(0, lines)
        continue
      }
      if before > 0 {
        body((live - sum(before)) << shift, lines)
        add(before, -1)
        last[block] = 0
      } else {
        body(nil, lines)
        live += 1
      }
      if now + 1 >= tree.count { compact() }
      now += 1
      last[block] = Int32(now)
      add(now, 1)
    }
  }
  private mutating func add(_ moment: Int, _ change: Int32) {
    var at = moment
    while at < tree.count {
      tree[at] += change
      at += at & -at
    }
  }
  private func sum(_ moment: Int) -> Int {
    var at = moment
    var sum = 0
    while at > 0 {
      sum += Int(tree[at])
      at -= at & -at
    }
    return sum
  }
  private mutating func compact() {
    let order = last.indices.filter { last[$0] > 0 }.sorted { last[$0] < last[$1] }
    for index in tree.indices { tree[index] = 0 }
    now = 0
    for block in order {
      now += 1
      last[block] = Int32(now)
      add(now, 1)
    }
    // And the block at hand, which comes back at once.
    live = order.count + 1
  }
}

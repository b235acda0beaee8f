/// A 4-ary min-heap on (instant, sequence): a total order, so that ties never depend on layout.
///
/// Keys are plain data and payloads sit in a slab, since a heap of payloads spends half its time counting references.
struct TimerHeap<Payload> {
  private struct Key: BitwiseCopyable {
    var at: UInt64
    var sequence: UInt64
    var slot: Int
    static func < (a: Key, b: Key) -> Bool { a.at != b.at ? a.at < b.at : a.sequence < b.sequence }
  }
  private var keys: [Key] = []
  private var slab: [Payload?] = []
  private var freeSlots: [Int] = []

  var count: Int { keys.count }
  var isEmpty: Bool { keys.isEmpty }
  /// When the earliest is due.
  var earliest: UInt64? { keys.first?.at }

  mutating func push(at instant: UInt64, sequence: UInt64, _ payload: consuming Payload) {
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
      slab[slot] = payload
    } else {
      slot = slab.count
      slab.append(payload)
    }
    let key = Key(at: instant, sequence: sequence, slot: slot)
    keys.append(key)
    keys.withUnsafeMutableBufferPointer { heap in
      var hole = heap.count - 1
      while hole > 0 {
        let parent = (hole - 1) >> 2
        if !(key < heap[parent]) { break }
        heap[hole] = heap[parent]
        hole = parent
      }
      heap[hole] = key
    }
  }

  mutating func popEarliest() -> (at: UInt64, payload: Payload)? {
    guard let top = keys.first else { return nil }
    let last = keys.removeLast()
    if !keys.isEmpty { sink(last) }
    guard let payload = slab[top.slot].take() else {
      preconditionFailure("a timer's payload is there until it is popped")
    }
    freeSlots.append(top.slot)
    return (top.at, payload)
  }

  private mutating func sink(_ last: Key) {
    keys.withUnsafeMutableBufferPointer { heap in
      var hole = 0
      let count = heap.count
      while true {
        let first = 4 * hole + 1
        if first >= count { break }
        var least = first
        var child = first + 1
        let end = min(first + 4, count)
        while child < end {
          if heap[child] < heap[least] { least = child }
          child += 1
        }
        if !(heap[least] < last) { break }
        heap[hole] = heap[least]
        hole = least
      }
      heap[hole] = last
    }
  }
}

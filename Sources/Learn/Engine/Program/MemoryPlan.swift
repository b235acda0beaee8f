/// Gives pieces places in one arena, so that pieces whose times overlap do not.
enum MemoryPlan {
  /// - Returns: the floats that the arena needs.
  static func place(_ pieces: [Piece]) -> Int {
    // The largest first, each in the lowest gap that its time leaves.
    let order = pieces.indices.filter { pieces[$0].last >= 0 && pieces[$0].floats > 0 }
      .sorted { pieces[$0].floats != pieces[$1].floats ? pieces[$0].floats > pieces[$1].floats : $0 < $1 }
    var placed: [Piece] = []
    var total = 0
    for index in order {
      let piece = pieces[index]
      let size = Arena.size(piece.floats)
      var offset = 0
      // `placed` is in the order of offsets.
      for other in placed where other.first <= piece.last && piece.first <= other.last {
        if offset + size <= other.offset { break }
        offset = max(offset, other.offset + Arena.size(other.floats))
      }
      piece.offset = offset
      total = max(total, offset + size)
      let place = placed.firstIndex { $0.offset > offset } ?? placed.count
      placed.insert(piece, at: place)
    }
    return total
  }
}

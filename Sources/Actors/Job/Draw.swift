import Runtime

extension Job {
  /// The chunks of a round, ascending: drawn from the job's seed over the manifest, never from who happens to be up.
  public func chunks(inRound round: Int) -> [Int] {
    if round < listedDraws.count { return listedDraws[round].chunks }
    var stream = Seed(seed).child("draw", round).stream
    var pool = Array(0..<chunkCount)
    let count = min(chunksPerRound, chunkCount)
    for index in 0..<count { pool.swapAt(index, index + stream.below(chunkCount - index)) }
    return pool.prefix(count).sorted()
  }

  /// The seed with which a chunk is trained in a round, whoever trains it.
  public func trainingSeed(chunk: Int, round: Int) -> Seed {
    Seed(seed).child("train", round).child("chunk", chunk)
  }
  public var initialSeed: Seed { Seed(seed).child("initial weights") }

  /// The units that are leased: for every chunk and span of rounds, the rounds in which the chunk is drawn. Spans without any
  /// are not made. In order of span, then chunk.
  public func slots() -> [SlotPlan] {
    var slots: [SlotPlan] = []
    var first = firstRound
    while first < rounds {
      let end = min(rounds, first + max(1, roundsPerLease))
      var active: [[Int]] = Array(repeating: [], count: chunkCount)
      for round in first..<end {
        for chunk in chunks(inRound: round) where chunk < chunkCount { active[chunk].append(round) }
      }
      for chunk in 0..<chunkCount where !active[chunk].isEmpty {
        slots.append(SlotPlan(chunk: chunk, rounds: active[chunk]))
      }
      first = end
    }
    return slots
  }
}

/// One chunk and the rounds in which it is trained under one lease.
public struct SlotPlan: Equatable, Sendable {
  public var chunk: Int
  /// Ascending, at least one.
  public var rounds: [Int]
}

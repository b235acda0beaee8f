import Actors
import Runtime

/// A run done again and compared with what it left behind.
public enum Replay {
  public struct Difference: Sendable {
    public var peer: String
    public var record: Int
    public var at: Double
    public var words: String
  }

  /// The first record of each journal in which the run that was kept and the run that was done again differ.
  public static func differences(_ folder: RunFolder, _ rehearsal: Rehearsal) throws(JournalError) -> [Difference] {
    var found: [Difference] = []
    var again: [String: [UInt8]] = [:]
    for journal in rehearsal.journals { again[journal.name] = journal.bytes }
    for name in folder.journalNames {
      guard let kept = folder.journal(name) else { continue }
      guard let new = again.removeValue(forKey: name) else {
        found.append(Difference(peer: name, record: 0, at: 0, words: "has no journal now"))
        continue
      }
      if kept == new { continue }
      let before = try MemoryJournal.read(kept)
      let after = try MemoryJournal.read(new)
      var place = 0
      while place < before.count, place < after.count, before[place] == after[place] { place += 1 }
      let record = place < before.count ? before[place] : after[min(place, after.count - 1)]
      found.append(
        Difference(
          peer: name, record: place, at: (record.at - World.epochStart).inSeconds,
          words: place >= before.count
            ? "goes on longer now" : place >= after.count ? "ends earlier now" : "took in something else"))
    }
    for name in again.keys.sorted() {
      found.append(Difference(peer: name, record: 0, at: 0, words: "had no journal then"))
    }
    return found.sorted { $0.at != $1.at ? $0.at < $1.at : $0.peer < $1.peer }
  }
}

import CKernels

/// One piece of memory, planned once: no step allocates.
final class Arena {
  private let base: UnsafeMutablePointer<Float>
  private var used = 0
  private let capacity: Int
  private let isImaginary: Bool

  /// - Parameters:
  ///   - floats: what all `take`s together ask for; see `size`.
  ///   - meter: where work is only counted, whoever gives addresses that hold nothing.
  init(floats: Int, meter: Meter? = nil) throws(LearnError) {
    isImaginary = meter != nil
    capacity = floats
    if let meter {
      base = meter.room(floats)
      return
    }
    guard let memory = pm_allocate(floats * 4) else {
      throw .training("there is no memory for \(floats * 4 / 1_048_576) MiB of activations and weights")
    }
    base = memory.bindMemory(to: Float.self, capacity: floats)
  }
  deinit { if !isImaginary { pm_free(base) } }
  /// The bytes that an arena of so many floats takes from the system.
  static func allocatedBytes(floats: Int) -> Int { pm_allocated_bytes(floats * 4) }

  /// A piece on a boundary of 64 bytes, zeroed.
  func take(_ floats: Int) -> UnsafeMutablePointer<Float> {
    let piece = base + used
    used += Self.size(floats)
    precondition(used <= capacity, "the arena was planned for all its pieces")
    return piece
  }
  /// What a piece takes, with room behind it for a vector that is read past its end.
  static func size(_ floats: Int) -> Int { (floats + 15) / 16 * 16 + 16 }
}

/// The next multiple of a vector's 16 floats.
func padded(_ count: Int) -> Int { (count + 15) / 16 * 16 }

/// The stride of a weight's rows: not a multiple of 256 floats, whose rows would all fall into the same cache sets.
func rowStride(_ count: Int) -> Int {
  let row = padded(count)
  return row >= 256 && row % 256 == 0 ? row + 16 : row
}

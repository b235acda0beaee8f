import CKernels
import Synchronization

/// Counts the work of a pass without doing it. An engine that has a meter holds addresses at which there is nothing, and
/// kernels that tell the meter what they were asked for: so a cost is read off the very code that will train.
final class Meter {
  /// What the tiles of an instruction set are made of.
  struct Tiles {
    let rows: Int
    let vectors: Int
    let dotInputs: Int
    let dotBatch: Int
    init(_ instructionSet: String) {
      (rows, vectors, dotInputs, dotBatch) = instructionSet == "avx512" ? (14, 2, 4, 5) : (6, 1, 2, 2)
    }
  }
  struct Part {
    var name: String
    var work = Slots()
  }

  let tiles: Tiles
  private(set) var work = Slots()
  /// Bytes that kernels read and write.
  private(set) var bytes = 0.0
  /// For each step and direction, where they are asked for.
  private(set) var parts: [Part] = []
  private let keepsParts: Bool
  private var calls = 0
  private var taken = 0
  private var recency: Recency?
  private var isInWindow = false

  static let base = 1 << 44
  /// Calls that are counted; what needs more is told to cost too much.
  static let callLimit = 30_000_000
  var isOverwhelmed: Bool { calls > Self.callLimit }

  init(_ instructionSet: String, keepsParts: Bool = false) {
    tiles = Tiles(instructionSet)
    self.keepsParts = keepsParts
  }

  /// An address for so many floats.
  func room(_ floats: Int) -> Floats {
    let address = Self.base + taken
    taken += (floats * 4 + 4_095) & ~4_095
    return Floats(bitPattern: address)!
  }
  /// Forgets amounts, but not what was touched when.
  func clear() {
    work = Slots()
    bytes = 0
    parts = []
  }

  // MARK: counting

  func add(_ unit: Unit, _ count: Double) { add(unit.rawValue, count) }
  func add(_ slot: Int, _ count: Double) {
    work.values[slot] += count
    if keepsParts, !parts.isEmpty { parts[parts.count - 1].work.values[slot] += count }
  }
  func begin(_ step: Step) {
    isInWindow = step is ConvolutionStep || step is TransposedConvolutionStep
    begin(keepsParts ? "\(type(of: step)) \(step.inputs.map(\.shape)) > \(step.output.shape)" : "")
    add(.step, 1)
  }
  func begin(_ name: String) {
    if keepsParts { parts.append(Part(name: name)) }
  }
  func touch(_ pointer: UnsafePointer<Float>, _ floats: Int, isPanel: Bool = false) {
    bytes += Double(floats * 4)
    let address = Int(bitPattern: pointer)
    guard address >= Self.base, address < Self.base + taken else { return }
    if recency == nil { recency = Recency(begin: Self.base, bytes: taken) }
    var met: [(Int, Double)] = []
    recency?.touch(address, bytes: floats * 4) { distance, lines in
      if let distance, distance > Slots.nearest { met.append((distance, lines)) }
    }
    for (distance, lines) in met { self.lines(lines, distance: distance, isPanel: isPanel) }
  }
  /// Rows of a width; where much lies between them, it is left out.
  func touch(_ pointer: UnsafePointer<Float>, rows: Int, width: Int, stride: Int, isPanel: Bool) {
    guard stride > 2 * width, rows <= 4_096 else {
      touch(pointer, (rows - 1) * stride + width, isPanel: isPanel)
      return
    }
    for row in 0..<rows { touch(pointer + row * stride, width, isPanel: isPanel) }
  }
  func touch(_ pointer: Floats, _ floats: Int) { touch(UnsafePointer(pointer), floats) }
  /// Lines that were last met so many bytes ago.
  func lines(_ lines: Double, distance: Int, isPanel: Bool) {
    guard distance > Slots.nearest, lines > 0 else { return }
    let whole = Int.bitWidth - 1 - (distance / Slots.nearest).leadingZeroBitCount
    guard whole < Slots.distances - 1 else {
      add(Slots.line(Slots.distances - 1, isPanel: isPanel), lines)
      return
    }
    let share = Double(distance) / Double(Slots.nearest << whole) - 1
    add(Slots.line(whole, isPanel: isPanel), lines * (1 - share))
    add(Slots.line(whole + 1, isPanel: isPanel), lines * share)
  }
  func call() {
    calls += 1
    add(.call, 1)
  }

  // MARK: products

  func product(
    _ isTransposed: Bool, _ rows: Int, _ columns: Int, _ s: pm_product_shape, _ a: UnsafePointer<Float>,
    _ b: UnsafePointer<Float>, _ c: UnsafePointer<Float>
  ) {
    calls += 1
    guard rows > 0, !isOverwhelmed else { return }
    add(isInWindow ? .windowCall : .productCall, 1)
    var repeats = s.s1 * s.s2
    var depth = s.depth * repeats
    if !isTransposed, let runs = s.runs {
      depth = UnsafeBufferPointer(start: runs, count: s.s1).reduce(0) { $0 + Int($1.count) }
      repeats = s.s1
    }
    let blocks = (rows + tiles.rows - 1) / tiles.rows
    let wide = tiles.vectors == 2 ? columns / 32 : 0
    let narrow = columns / 16 - 2 * wide
    for (height, count) in [(rows / blocks + 1, rows % blocks), (rows / blocks, blocks - rows % blocks)] where count > 0
    {
      for (vectors, pieces) in [(1, narrow), (2, wide)] where pieces > 0 {
        let these = Double(count * pieces)
        add(
          Slots.tile(isTransposed: isTransposed, vectors: vectors, height: height, isCall: false), these * Double(depth)
        )
        add(Slots.tile(isTransposed: isTransposed, vectors: vectors, height: height, isCall: true), these)
      }
    }
    add(.tileStretch, Double(blocks * (wide + narrow) * (repeats - 1)))
    let reach = depth / max(1, repeats)
    let aSpan = isTransposed ? (reach - 1) * s.a_step + rows : (rows - 1) * s.a_row + reach
    let bSpan = (reach - 1) * s.b_row + columns
    let (aRows, aWidth, aStride) = isTransposed ? (reach, rows, s.a_step) : (rows, reach, s.a_row)
    let steps = s.runs == nil ? (s.s1, s.s2) : (1, 1)
    if s.runs != nil {
      touch(a, depth * rows)
      touch(b, depth * s.b_row, isPanel: true)
    } else if steps.0 * steps.1 <= 256 {
      for s2 in 0..<steps.1 {
        for s1 in 0..<steps.0 {
          touch(a + s2 * s.a_s2 + s1 * s.a_s1, rows: aRows, width: aWidth, stride: aStride, isPanel: false)
          touch(b + s2 * s.b_s2 + s1 * s.b_s1, rows: reach, width: columns, stride: s.b_row, isPanel: true)
        }
      }
    } else {
      touch(a, (steps.1 - 1) * s.a_s2 + (steps.0 - 1) * s.a_s1 + aSpan)
      touch(b, (steps.1 - 1) * s.b_s2 + (steps.0 - 1) * s.b_s1 + bSpan, isPanel: true)
    }
    touch(c, rows: rows, width: columns, stride: s.c_row, isPanel: false)
    // What a product reads again itself: a panel of B for each block of rows, A for each panel.
    let panel = depth * 64 * tiles.vectors
    if blocks > 1 {
      lines(Double((blocks - 1) * depth * (columns / 16)), distance: panel + rows / blocks * depth * 4, isPanel: true)
    }
    let panels = wide + narrow
    if panels > 1 {
      lines(Double((panels - 1) * depth * rows) / 16, distance: depth * rows * 4 + panel, isPanel: false)
    }
  }
  func dots(
    _ batch: Int, _ inputs: Int, _ n: Int, _ dy: UnsafePointer<Float>, _ dyRow: Int, _ w: UnsafePointer<Float>,
    _ wRow: Int,
    _ dx: UnsafePointer<Float>, _ dxRow: Int
  ) {
    call()
    let wide = inputs / tiles.dotInputs
    let single = inputs % tiles.dotInputs
    let many = batch / tiles.dotBatch
    let rest = batch % tiles.dotBatch
    for (step, tile, count) in [
      (Unit.dotStep, Unit.dotTile, wide * many), (.thinDotStep, .thinDotTile, wide * rest),
      (.narrowDotStep, .narrowDotTile, single * many), (.singleDotStep, .singleDotTile, single * rest),
    ] where count > 0 {
      add(tile, Double(count))
      add(step, Double(count * (n / 16)))
    }
    touch(dy, (batch - 1) * dyRow + n)
    touch(w, (inputs - 1) * wRow + n, isPanel: true)
    touch(dx, (batch - 1) * dxRow + inputs)
  }

  // MARK: copies

  func copy(_ s: pm_copy_shape, _ from: UnsafePointer<Float>, _ to: UnsafePointer<Float>, _ adds: Bool) {
    call()
    let n = [s.size.0, s.size.1, s.size.2, s.size.3, s.size.4, s.size.5]
    let reads = [s.in_step.0, s.in_step.1, s.in_step.2, s.in_step.3, s.in_step.4, s.in_step.5]
    let writes = [s.out_step.0, s.out_step.1, s.out_step.2, s.out_step.3, s.out_step.4, s.out_step.5]
    let outer = Double(n[0] * n[1] * n[2] * n[3])
    if !adds, reads[4] == 1, writes[5] == 1, n[4] >= 8, n[5] >= 8 {
      turn(n[5], n[4], outer)
    } else {
      let lines = outer * Double(n[4])
      add(.copyLine, lines)
      if reads[5] == 1 && writes[5] == 1 {
        add(adds ? .copyAddVector : .copyVector, lines * Double(n[5] / 16))
        add(adds ? .copyAddTail : .copyTail, lines * Double(n[5] % 16))
      } else {
        add(adds ? .copyAddApart : .copyApart, lines * Double(n[5]))
      }
    }
    func span(_ steps: [Int]) -> Int { zip(n, steps).reduce(1) { $0 + ($1.0 - 1) * $1.1 } }
    touch(from, span(reads))
    touch(to, span(writes))
  }
  func turn(_ rows: Int, _ columns: Int, _ times: Double) {
    let whole = (rows / 8) * (columns / 8)
    add(.turnSquare, times * Double(whole))
    add(.turnEdge, times * Double(rows * columns - whole * 64))
  }
}

extension Meter {
  private static let turn = Mutex<Void>(())
  /// Whom kernels tell: one meter at a time, for as long as `turn` is held.
  nonisolated(unsafe) private(set) static var active: Meter?

  /// Runs with the kernels of `kernels` telling this meter.
  func count<R>(_ body: () throws(LearnError) -> R) throws(LearnError) -> R {
    // A lock's body can throw one kind of error only; it is handed out as a value.
    let result = Self.turn.withLock { _ -> Result<R, LearnError> in
      Self.active = self
      defer { Self.active = nil }
      do throws(LearnError) { return .success(try body()) } catch { return .failure(error) }
    }
    return try result.get()
  }
}

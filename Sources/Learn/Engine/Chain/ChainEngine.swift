import CKernels
import Runtime

/// The engine of the models that are trained most: dense layers and convolutions in a row, ReLUs and pools between them, plain
/// descent or momentum. It goes around zeros, keeps images in the second-level cache through all convolutions, and lets plain
/// descent be the last step of a product.
final class ChainEngine: Engine, @unchecked Sendable {
  /// Who keeps this engine, and outlives it.
  unowned let model: Model
  let maxBatch: Int
  let trains: Bool
  let kernels: pm_kernels
  let imagesPerChunk: Int
  private let arena: Arena
  private let meter: Meter?
  /// Bytes that were planned and are allocated.
  let plannedBytes: Int
  var blocks: [BlockState] = []
  /// Scores of the last block, and their gradient.
  let scores: Floats
  let scoreGradient: Floats
  let labels: UnsafeMutablePointer<Int32>
  private let sampleRow: Floats
  /// For a dense first block: the inputs of the batch at hand that are not all zero, in runs.
  let liveRuns: UnsafeMutablePointer<pm_run>?
  var liveCount = 0

  /// Steps of a reduction whose weights stay in the first-level cache.
  static let piece = 64
  /// Rows of the largest tile there is.
  static let tileRows = 14

  /// - Parameter meter: where there is one, passes are counted and nothing is computed or allocated.
  init(
    _ model: Model, _ blocks: [Block], maxBatch: Int, trains: Bool, meter: Meter? = nil
  ) throws(LearnError) {
    self.model = model
    self.maxBatch = maxBatch
    self.trains = trains
    self.meter = meter
    kernels = meter?.kernels ?? model.kernels.pointee
    let plan = ChainPlan(model, blocks, batch: maxBatch, trains: trains)
    imagesPerChunk = plan.imagesPerChunk
    let chunk = imagesPerChunk
    let scoreRow = padded(model.classes)
    plannedBytes = plan.bytes
    arena = try Arena(floats: plan.floats, meter: meter)
    scores = arena.take(maxBatch * scoreRow)
    scoreGradient = arena.take(maxBatch * scoreRow)
    labels = UnsafeMutableRawPointer(arena.take(maxBatch)).bindMemory(to: Int32.self, capacity: maxBatch)
    sampleRow = arena.take(model.features)
    liveRuns = plan.runs == 0 ? nil : .allocate(capacity: plan.runs)
    self.blocks = plan.blocks.map { lay($0, chunk: chunk) }
  }

  deinit { liveRuns?.deallocate() }

  private func lay(_ plan: BlockPlan, chunk: Int) -> BlockState {
    let sizes = ChainPlan.sizes(plan, batch: maxBatch, chunk: chunk, trains: trains)
    let pieces = sizes.map { arena.take($0) }
    func piece(_ index: Int) -> Floats? { sizes[index] > 0 ? pieces[index] : nil }
    var state = BlockState(
      block: plan.block, isFirst: plan.isFirst, inputRows: plan.inputRows, outputs: plan.outputs,
      paddedOutputs: plan.paddedOutputs, stride: plan.stride, weight: pieces[0], bias: pieces[1], input: pieces[2],
      inputStride: plan.inputStride)
    state.weightGradient = piece(3)
    state.biasGradient = piece(4)
    state.weightVelocity = piece(5)
    state.biasVelocity = piece(6)
    state.inputGradient = piece(7)
    state.channels = plan.channels
    state.height = plan.height
    state.width = plan.width
    state.kernel = plan.kernel
    state.rowStep = plan.rowStep
    state.unpooled = piece(8)
    state.poolIndex = piece(9).map {
      UnsafeMutableRawPointer($0).bindMemory(to: UInt8.self, capacity: sizes[9] * 4)
    }
    state.outputGradient = piece(10)
    state.turnedWeight = piece(11)
    return state
  }

  // MARK: batches

  /// Puts samples into the first block's input, pixels of an image side by side.
  func load(_ samples: Samples, rows: ArraySlice<Int>) {
    let first = blocks[0]
    for (place, row) in rows.enumerated() {
      samples.labels(row, into: labels + place)
      let input = first.input + place * first.inputStride
      guard case .convolution(let channels, let height, let width, _, _) = first.block.kind else {
        samples.load(row, into: input, kernels)
        continue
      }
      samples.load(row, into: sampleRow, kernels)
      let inner = input + first.border * first.rowStep + first.border * channels
      for y in 0..<height {
        let line = inner + y * first.rowStep
        if channels == 1 {
          UnsafeMutableRawPointer(line).copyMemory(from: sampleRow + y * width, byteCount: width * 4)
        } else {
          for x in 0..<width {
            for channel in 0..<channels { line[x * channels + channel] = sampleRow[(channel * height + y) * width + x] }
          }
        }
      }
    }
  }

  /// Counts what loading as many samples takes.
  func meterLoad(batch: Int) {
    guard let meter else { return }
    let first = blocks[0]
    meter.begin("samples")
    meter.add(.batch, 1)
    meter.add(.sample, Double(batch))
    meter.add(.target, Double(batch))
    meter.add(.moveVector, Double(batch * model.features / 16))
    if first.kernel > 0 {
      if first.block.channels > 1 {
        meter.add(.borderElement, Double(batch * model.features))
      } else {
        meter.add(.sampleLine, Double(batch * first.height))
      }
    }
    meter.touch(first.input, batch * first.inputStride)
  }
}

import CKernels

/// What the engine of a chain will hold, decided before any of it is allocated.
struct ChainPlan {
  let blocks: [BlockPlan]
  let imagesPerChunk: Int
  /// Inputs of a dense first block that may be gone around; 0 where none are.
  let runs: Int
  /// Of the arena.
  let floats: Int

  var bytes: Int { floats * 4 + runs * MemoryLayout<pm_run>.stride }
  var allocatedBytes: Int { Arena.allocatedBytes(floats: floats) + runs * MemoryLayout<pm_run>.stride }

  init(_ model: Model, _ blocks: [Block], batch: Int, trains: Bool) {
    var plans: [BlockPlan] = []
    for (index, block) in blocks.enumerated() {
      plans.append(
        BlockPlan(block, isFirst: index == 0, followsConvolution: plans.last?.isConvolution ?? false, batch: batch))
    }
    imagesPerChunk = BlockPlan.imagesPerChunk(plans, batch: batch)
    let chunk = imagesPerChunk
    let scoreRow = padded(model.classes)
    var total = Arena.size(batch * scoreRow) * 2 + Arena.size(batch) + Arena.size(model.features)
    // Where few outputs hang on an input, looking for zeros costs more than it saves.
    runs = plans[0].isConvolution || plans[0].paddedOutputs < 64 ? 0 : plans[0].inputRows
    for plan in plans {
      total += Self.sizes(plan, batch: batch, chunk: chunk, trains: trains).reduce(0) { $0 + Arena.size($1) }
    }
    self.blocks = plans
    floats = total
  }

  /// Pieces in the order in which `lay` takes them; 0 for those that a block does not need.
  static func sizes(_ plan: BlockPlan, batch: Int, chunk: Int, trains: Bool) -> [Int] {
    let weight = plan.inputRows * plan.stride
    let image = plan.height * plan.width * plan.paddedOutputs
    let isPooled = plan.isConvolution && plan.block.hasPool
    return [
      weight, plan.stride, plan.inputCount,
      trains ? weight : 0, trains ? plan.stride : 0, trains ? weight : 0, trains ? plan.stride : 0,
      trains && !plan.isFirst
        ? batch * (plan.isConvolution ? plan.height * plan.width * plan.channels : plan.inputStride) : 0,
      isPooled ? chunk * image : 0, isPooled ? batch * image / 16 + 16 : 0,
      trains && plan.isConvolution ? chunk * plan.gradientImage : 0,
      trains && plan.isConvolution && !plan.isFirst
        ? plan.kernel * plan.kernel * plan.paddedOutputs * plan.channels : 0,
    ]
  }
}

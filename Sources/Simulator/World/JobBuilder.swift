import Actors
import Chain
import Learn
import Runtime

extension Scenario {
  /// The job of this story, as its owner asks for it.
  ///
  /// - Throws: `ScenarioError` for what cannot work: a model that does not fit, sums that could overflow, too small a budget.
  func job(_ data: ScenarioData, ownerSealingKey: [UInt8]) throws -> Job {
    var job = Job()
    job.name = self.job.name
    job.seed = jobSeed ?? seed
    job.numerics = numericsVersion
    job.model = data.declaration
    job.model.arithmetic = self.job.arithmetic
    guard job.model.arithmetic == .reproducible || self.job.auditRate == 0 else {
      throw ScenarioError(
        file: file,
        message: "job.train.arithmetic is blas, whose bits differ between processors: audits by digest would slash the "
          + "honest, so set job.audit.rate to 0, or use reproducible")
    }
    job.recipe = self.job.recipe
    job.chunkCount = self.job.chunks
    job.rounds = self.job.rounds
    job.chunksPerRound = self.job.perRound
    job.roundsPerLease = self.job.roundsPerLease ?? self.job.rounds
    job.clip = self.job.clip
    job.fractionBits = RoundSum.usualFractionBits
    job.stop.targetMillionths = self.job.target.map { Int(($0 * 1_000_000).rounded()) } ?? 0
    job.stop.patience = self.job.patience
    job.stop.deadline = self.job.deadline
    job.stop.deliversBest = self.job.deliversBest
    job.audit.rateMillionths = Int((self.job.auditRate * 1_000_000).rounded())
    job.audit.newcomerAudits = self.job.newcomerAudits
    job.ownerSealingKey = ownerSealingKey
    do {
      let model = try Model(job.model)
      try job.recipe.check()
      try RoundSum.check(clip: job.clip, fractionBits: job.fractionBits, totalSamples: data.train.count)
      if let resume = self.job.resume {
        job.firstRound = resume.round
      }
      if let start = data.start { job.startingWeights = try Weights(safetensors: start, for: model).digest }
      guard model.loss != .crossEntropy || model.classes >= data.classes else {
        throw LearnError.model("its last layer has \(model.classes) outputs for \(data.classes) classes")
      }
      try model.check(data.test)
      if data.file != nil { try checkBatches(model, data, job) }
      if model.loss == .squared, self.job.target != nil {
        throw LearnError.training("job.stop.target is a share of right answers, which squared differences have none of")
      }
    } catch let error as LearnError {
      throw ScenarioError(file: file, message: "\(error)")
    }
    guard job.firstRound < job.rounds else {
      throw ScenarioError(
        file: file, message: "the job resumes at round \(job.firstRound) of \(job.rounds): nothing is left")
    }
    try setMarket(&job)
    return job
  }

  /// Every size of batch that the chunks will have must be one that the model can be trained with, and the samples ones that it can
  /// read: nobody should find out with money locked.
  private func checkBatches(_ model: Model, _ data: ScenarioData, _ job: Job) throws {
    var batches: Set<Int> = []
    for rows in try self.job.partition.rows(
      data.train, chunks: job.chunkCount, seed: Split.partitionSeed(Seed(job.seed)))
    {
      batches.insert(min(job.recipe.batch, rows.count))
      if rows.count % job.recipe.batch > 0 { batches.insert(rows.count % job.recipe.batch) }
    }
    for batch in batches.sorted() {
      do {
        try model.checkBatch(batch, job.recipe.optimizer)
      } catch {
        throw LearnError.training(
          "the chunks come to a batch of \(batch) (job.train.batch is \(job.recipe.batch)), and: \(error)")
      }
    }
    let first = min(data.test.count, 64)
    _ = try model.evaluate(model.initialWeights(seed: Seed(1)), on: data.test, rows: 0..<first)
  }

  private func setMarket(_ job: inout Job) throws {
    let draws = job.slots().reduce(0) { $0 + $1.rounds.count }
    job.market = .usual
    job.market.isAuction = self.job.isAuction
    job.market.ceiling = self.job.ceiling
    job.market.stakePerSlot = self.job.stake
    job.market.bond = self.job.bond
    job.market.auditFee = self.job.auditFee
    job.market.offerWindow = self.job.offerWindow
    job.market.challengeWindow = self.job.challengeWindow
    job.market.budget = self.job.budget
    // Enough for every audit that the rules can draw, and for the coordinator's transactions.
    let trainers = peers.trainers.reduce(0) { $0 + $1.count }
    let audits =
      job.audit.isOff
      ? 0
      : min(
        draws * 2, draws * job.audit.rateMillionths / 1_000_000 * 2 + trainers * (job.audit.newcomerAudits + 1) + 20)
    let calls = 60 + job.rounds * 4 + draws / 4
    guard let fund = job.market.auditFee.times(audits), let fees = LedgerFees.usual.call.times(calls),
      let work = job.market.ceiling.times(draws), let needed = work.adding(fund).flatMap({ $0.adding(fees) })
    else { throw ScenarioError(file: file, message: "the job costs more than all the money there is") }
    job.market.auditFund = fund
    job.market.feeBound = fees
    let others = 2 + peers.bootstraps + peers.auditors
    guard
      ledger.funds.times(trainers + others).flatMap({ $0.adding(job.market.budget) }) != nil
    else {
      throw ScenarioError(
        file: file,
        message: "\(ledger.funds) in each of \(trainers + others) wallets is more than all the money there is: "
          + "\(Amount(tinybars: Amount.limit) ?? .zero); lower ledger.funds")
    }
    guard needed <= job.market.budget else {
      throw ScenarioError(
        file: file,
        message:
          "a budget of \(job.market.budget) is too small: \(draws) updates at most \(job.market.ceiling) each, audits "
          + "and fees need \(needed)")
    }
  }
}

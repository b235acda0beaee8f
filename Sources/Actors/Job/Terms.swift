import Chain
import ObjectStore
import Runtime

extension JobTerms {
  /// What an owner locks for a job; both owner and coordinator make it, and it must come out the same.
  public init(
    for job: Job, digest: Digest, owner: PublicKey, coordinator: PublicKey, arbiters: [PublicKey],
    finalDeadline: Timestamp, manifest: Manifest
  ) {
    self.init()
    self.job = digest
    self.owner = owner
    self.coordinator = coordinator
    self.arbiters = arbiters
    slots = job.slots().map { plan in
      var slot = SlotTerms()
      slot.chunk = plan.chunk < manifest.entries.count ? manifest.entries[plan.chunk].digest : .zero
      slot.rounds = plan.rounds
      slot.ceiling = job.market.ceiling
      return slot
    }
    stakePerSlot = job.market.stakePerSlot
    auditFund = job.market.auditFund
    auditFee = job.market.auditFee
    feeBound = job.market.feeBound
    bond = job.market.bond
    forfeitBasisPoints = job.market.forfeitBasisPoints
    slashRewardBasisPoints = job.market.slashRewardBasisPoints
    challengeWindow = job.market.challengeWindow
    unreceiptedWindow = job.market.unreceiptedWindow
    rulingWindow = job.market.rulingWindow
    answerWindow = job.market.answerWindow
    leaseLimit = job.stop.deadline
    self.finalDeadline = finalDeadline
  }
}

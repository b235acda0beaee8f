import Chain
import Runtime
import Transport

extension TrainerMachine {
  /// An offer on the market: bid, if the work is worth it and fits.
  mutating func hear(_ message: TopicMessage, at now: Timestamp) -> Effects {
    guard message.topic == Topic.market.rawValue, let offer = try? Offer(wireBytes: message.body),
      offer.coordinator == message.publisher
    else { return [] }
    if let known = index(ofJob: offer.job) {
      // The offer was made again: some slots found nobody. A bid that stands need not be repeated.
      return jobs[known].bid == nil || jobs[known].isOver ? [] : standingBid(known)
    }
    guard jobs.count < Self.jobLimit, offer.ceiling >= settings.price,
      offer.chunkBytes / 8 + offer.weightBytes <= settings.memoryBytes / 8
    else { return [] }
    var desk = JobDesk(digest: offer.job, coordinator: offer.coordinator, offer: offer)
    var bid = Bid()
    bid.job = offer.job
    bid.bidder = me
    bid.price = settings.price
    bid.slots = min(settings.slots, Bid.slotLimit)
    bid.megaflops = settings.megaflops
    bid.sealingKey = settings.sealingKey
    desk.bid = bid
    desk.salt = Digest(of: [settings.secret.bytes, Array("bid".utf8), offer.job.bytes])
    jobs.append(desk)
    if now >= offer.closes { return standingBid(jobs.count - 1) }
    return [
      .send(.sealedBid(SealedBid(job: offer.job, seal: bid.sealed(salt: desk.salt))), to: offer.coordinator),
      .note(Milestone(.bidSealed, peer: me, amount: bid.price, count: bid.slots)),
    ]
  }

  /// Too late for the auction: an open bid for whatever falls free.
  private func standingBid(_ index: Int) -> Effects {
    guard let bid = jobs[index].bid else { return [] }
    return [.send(.bidReveal(BidReveal(bid: bid, salt: jobs[index].salt)), to: jobs[index].coordinator)]
  }

  mutating func reveal(_ closed: BidsClosed, from sender: PublicKey) -> Effects {
    guard let index = index(ofJob: closed.job), jobs[index].coordinator == sender, let bid = jobs[index].bid else {
      return []
    }
    jobs[index].isRevealed = true
    return [
      .send(.bidReveal(BidReveal(bid: bid, salt: jobs[index].salt)), to: sender),
      .note(Milestone(.bidRevealed, peer: me, amount: bid.price)),
    ]
  }

  /// Leases: whatever was not bid for, is not signed by the coordinator, or pays less than was asked, is not taken.
  mutating func take(_ grants: Grants, from sender: PublicKey, at now: Timestamp) -> Effects {
    guard let index = index(ofJob: grants.job), jobs[index].coordinator == sender, let bid = jobs[index].bid,
      let job = try? Job(wireBytes: grants.declaration), job.digest == grants.job
    else { return [] }
    var effects: Effects = []
    // A lease that was asked for and never given holds no place.
    jobs[index].leases.removeAll { $0.state == .requested && now - $0.mentioned > .seconds(60) }
    for grant in grants.grants {
      let lease = grant.lease.lease
      guard lease.job == grants.job, lease.trainer == me, lease.price >= bid.price,
        grant.proof.index == grant.chunk, grant.proof.proves(grant.entry.leaf, under: job.manifest),
        !grant.rounds.isEmpty
      else { continue }
      if let held = jobs[index].lease(lease.slot) {
        // Told again, with fresh URLs.
        if jobs[index].leases[held].nonce != lease.nonce {
          jobs[index].leases.remove(at: held)
        } else {
          if jobs[index].leases[held].chunk == .absent && jobs[index].leases[held].state == .active {
            jobs[index].leases[held].chunk = .fetching
            effects.append(.work(.fetchChunk(job: grants.job, slot: lease.slot)))
          }
          continue
        }
      }
      guard jobs[index].leases.count < bid.slots, grant.lease.isSigned(by: sender) else { continue }
      jobs[index].leases.append(
        HeldLease(
          slot: lease.slot, chunkIndex: grant.chunk, price: lease.price, nonce: lease.nonce, mentioned: now))
      effects.append(.transact(.acceptLease(grant.lease)))
    }
    return effects
  }
}

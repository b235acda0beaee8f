import Chain
import Runtime

extension Coordination {
  // MARK: bids come in

  mutating func take(_ sealed: SealedBid, from sender: PublicKey, at now: Timestamp) -> Effects {
    guard phase == .offering, sealed.job == jobDigest, bids.lines[sender] == nil, bids.order.count < BidDesk.limit
    else {
      return []
    }
    bids.order.append(sender)
    bids.lines[sender] = BidDesk.Line(seal: sealed.seal)
    return []
  }

  /// The auction's randomness is asked for when nobody can bid any more.
  mutating func closeBids(at now: Timestamp) -> Effects {
    guard phase == .offering else { return [] }
    phase = .revealing
    bids.revealBy = now + job.market.revealWindow
    bids.closed = now
    var effects: Effects = bids.order.map {
      .send(.bidsClosed(BidsClosed(job: jobDigest, revealBy: bids.revealBy)), to: $0)
    }
    effects.append(.transact(.drawBeacon(topic: jobDigest, label: Self.auctionLabel)))
    effects.append(.wake(after: job.market.revealWindow, timer: Timer.revealsClose.rawValue))
    return effects
  }

  static let auctionLabel: UInt64 = 0

  mutating func take(_ reveal: BidReveal, from sender: PublicKey, at now: Timestamp) -> Effects {
    let bid = reveal.bid
    guard bid.job == jobDigest, bid.bidder == sender, bid.sealingKey.count == 32, bid.slots > 0,
      bid.slots <= Bid.slotLimit,
      bid.price <= job.market.ceiling || phase == .revealing
    else { return [] }
    switch phase {
    case .revealing:
      guard bids.lines[sender]?.seal == bid.sealed(salt: reveal.salt) else {
        return refuseBid(sender, .bidMismatch)
      }
      bids.lines[sender]?.bid = bid
      bids.lines[sender]?.salt = reveal.salt
      return []
    case .running:
      // Too late for the auction: stands for whatever falls free.
      if let line = bids.lines[sender], line.bid != nil {
        guard line.isAway, now >= line.blamedUntil else { return [] }
        bids.lines[sender]?.isAway = false
        return place(at: now)
      }
      if bids.lines[sender] == nil {
        guard bids.order.count < BidDesk.limit else { return [] }
        bids.order.append(sender)
      }
      bids.lines[sender, default: BidDesk.Line()].bid = bid
      bids.lines[sender]?.isStanding = true
      return place(at: now)
    default: return []
    }
  }

  private func refuseBid(_ bidder: PublicKey, _ reason: Reason) -> Effects {
    var result = BidResult()
    result.job = jobDigest
    result.reason = reason.rawValue
    return [.send(.bidResult(result), to: bidder), .note(Milestone(.bidLost, peer: bidder, reason: reason))]
  }

  // MARK: the auction

  mutating func closeReveals(at now: Timestamp) -> Effects {
    guard phase == .revealing, bids.beacon != nil, now >= bids.revealBy else { return [] }
    phase = .running
    var effects: Effects = [.note(Milestone(.auctioned, peer: me, count: bids.order.count))]
    var lost: [(PublicKey, Reason)] = []
    for bidder in bids.order {
      guard let bid = bids.lines[bidder]?.bid else {
        lost.append((bidder, .bidNotRevealed))
        continue
      }
      if bid.price > job.market.ceiling { lost.append((bidder, .bidTooHigh)) }
    }
    effects += publishBook()
    effects += begin(round: job.firstRound, at: now)
    bids.isSettled = true
    for bidder in bids.order where bids.lines[bidder]?.bid != nil && bids.lines[bidder]?.held == 0 {
      if bids.lines[bidder]?.bid.map({ $0.price <= job.market.ceiling }) == true { lost.append((bidder, .outbid)) }
    }
    for (bidder, reason) in lost { effects += refuseBid(bidder, reason) }
    return effects + keepTicking()
  }

  /// The whole book, on the job's topic by its digest, so that whoever bid can recompute the result.
  private func publishBook() -> Effects {
    var book = BidBook()
    book.job = jobDigest
    book.beacon = bids.beacon ?? .zero
    for entry in auctionEntries() {
      var line = BidBook.Line()
      line.bid = entry.bid
      line.salt = bids.lines[entry.bid.bidder]?.salt ?? .zero
      line.quality = entry.quality
      book.entries.append(line)
    }
    let bytes = book.wireBytes
    return [
      .work(.publish(name: "bid-book", bytes: bytes)),
      .transact(.post(topic: jobDigest, message: JobPost.bidBook(Digest(of: bytes)).wireBytes)),
    ]
  }

  /// Whoever has a bid that stands, with as many slots as it has free.
  private func auctionEntries() -> [Auction.Entry] {
    var speeds = bids.order.compactMap { bids.lines[$0]?.bid?.megaflops }
    speeds.sort()
    let typical = speeds.isEmpty ? 0 : speeds[speeds.count / 2]
    return bids.order.compactMap { bidder in
      guard let line = bids.lines[bidder], var bid = line.bid, !line.isAway else { return nil }
      bid.slots -= line.held
      guard bid.slots > 0 else { return nil }
      return Auction.Entry(
        bid: bid, quality: (standings[bidder] ?? Standing()).quality(megaflops: bid.megaflops, typical: typical))
    }
  }

  // MARK: leases

  /// The slots that this round and those that come with it need, and that nobody holds, are auctioned among the bids that
  /// stand; a lease that was lost is auctioned again, alone.
  mutating func place(at now: Timestamp) -> Effects {
    guard phase == .running, let round, let beacon = bids.beacon else { return [] }
    let spanEnd = self.spanEnd(of: round.number)
    let open = slots.indices.filter { index in
      guard slots[index].state == .free, let first = slots[index].plan.rounds.first, first < spanEnd else {
        return false
      }
      return slots[index].plan.rounds.contains { $0 >= round.number && !slots[index].doneRounds.contains($0) }
    }
    if open.isEmpty { return [] }
    let outcome = Auction(
      slots: open.count, ceiling: job.market.ceiling, beacon: beacon, isPosted: !job.market.isAuction
    ).run(auctionEntries())
    var grants: [(PublicKey, [Grant])] = []
    // Slots go round among the winners, so that each holds chunks that are spread over the manifest.
    var left = outcome.awards.map(\.slots)
    var given: [[Int]] = outcome.awards.map { _ in [] }
    var winner = 0
    for slot in open {
      var tried = 0
      while tried < left.count, left[winner] == 0 {
        winner = (winner + 1) % left.count
        tried += 1
      }
      if tried == left.count { break }
      left[winner] -= 1
      given[winner].append(slot)
      winner = (winner + 1) % left.count
    }
    for (award, indices) in zip(outcome.awards, given) where !indices.isEmpty {
      grants.append((award.bidder, indices.map { grant($0, to: award.bidder, price: award.price, at: now) }))
    }
    var effects: Effects = []
    for (bidder, list) in grants {
      effects += send(list, to: bidder)
      effects.append(
        .note(
          Milestone(
            .leaseGranted, peer: bidder, round: round.number, amount: list[0].lease.lease.price, count: list.count)))
    }
    return effects
  }

  func spanEnd(of round: Int) -> Int {
    let span = max(1, job.roundsPerLease)
    return min(job.rounds, job.firstRound + ((round - job.firstRound) / span + 1) * span)
  }

  private mutating func grant(_ slot: Int, to trainer: PublicKey, price: Amount, at now: Timestamp) -> Grant {
    slots[slot].nonce += 1
    let desk = LeaseDesk(
      trainer: trainer, price: price, nonce: slots[slot].nonce, since: now, deadline: opened + job.stop.deadline)
    slots[slot].state = .granted(desk)
    bids.lines[trainer]?.held += 1
    return grant(slot, desk)
  }

  func grant(_ slot: Int, _ desk: LeaseDesk) -> Grant {
    var lease = Lease()
    lease.job = jobDigest
    lease.slot = slot
    lease.trainer = desk.trainer
    lease.price = desk.price
    lease.deadline = desk.deadline
    lease.nonce = desk.nonce
    let plan = slots[slot].plan
    var grant = Grant()
    grant.lease = lease.signed(by: key)
    grant.chunk = plan.chunk
    grant.entry = manifest.entries[plan.chunk]
    grant.proof = tree.path(at: plan.chunk)
    grant.rounds = plan.rounds
    return grant
  }

  func send(_ grants: [Grant], to trainer: PublicKey) -> Effects {
    guard let sealingKey = bids.lines[trainer]?.bid?.sealingKey else { return [] }
    return stride(from: 0, to: grants.count, by: Grants.limit).map { start in
      var message = Grants()
      message.job = jobDigest
      message.declaration = declaration
      message.grants = Array(grants[start..<min(start + Grants.limit, grants.count)])
      return .work(.grant(message, to: trainer, sealingKey: sealingKey))
    }
  }

  mutating func lookAtMarket(at now: Timestamp) -> Effects {
    if phase == .revealing && now >= bids.revealBy { return closeReveals(at: now) }
    return []
  }

  /// A lease ends: its slot is free again once the ledger says so, and the trainer's hands too.
  mutating func freeSlot(_ slot: Int) {
    if let lease = slots[slot].lease { bids.lines[lease.trainer]?.held -= 1 }
    slots[slot].state = .free
  }
}

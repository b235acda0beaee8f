import Actors
import Runtime
import Transport

extension World {
  func scheduleFaults() {
    for (number, fault) in scenario.faults.enumerated() {
      if case .liar = fault.what { continue }
      var moment = fault.at
      let end = fault.until ?? fault.at
      var turn = 0
      repeat {
        let place = turn
        loop.schedule(at: Instant.start.advanced(by: moment), on: narrator) { [unowned self] in
          begin(fault, number: number, turn: place)
        }
        turn += 1
        guard let every = fault.every, every > .zero else { break }
        moment += every
      } while moment <= end
    }
  }

  /// Those that the fault strikes this time: a share of those selected, by the run's seed.
  private func struck(_ selector: Selector, _ fault: Fault, _ number: Int, _ turn: Int) -> [SimulatedPeer] {
    var chosen = peers.filter { selector.matches($0.name, isTrainer: $0.role == .trainer) }
    guard fault.share < 1 else { return chosen }
    var stream = seed.child("fault", number).child("turn", turn).stream
    stream.shuffle(&chosen)
    let count = Int((Double(chosen.count) * fault.share).rounded())
    return chosen.prefix(count).sorted { $0.index < $1.index }
  }

  private func begin(_ fault: Fault, number: Int, turn: Int) {
    func later(_ body: @escaping @Sendable () -> Void) {
      if let lasts = fault.lasts { loop.schedule(after: lasts, on: narrator, body) }
    }
    switch fault.what {
    case .crash(let selector, let keepsMemory):
      for peer in struck(selector, fault, number, turn) where peer.isUp || peer.crashes > 0 {
        peer.crashes += 1
        crash(peer, keepsMemory: keepsMemory)
        if let lasts = fault.lasts {
          loop.schedule(after: lasts, on: peer.executor) { [unowned self] in
            peer.crashes -= 1
            if peer.crashes == 0 { start(peer) }
          }
        }
      }
    case .pause(let selector):
      for peer in struck(selector, fault, number, turn) where peer.isUp {
        peer.pauses += 1
        if let lasts = fault.lasts {
          let life = peer.life
          loop.schedule(after: lasts, on: peer.executor) { [unowned self] in
            guard peer.life === life else { return }
            peer.pauses -= 1
            if peer.pauses == 0 { goOn(peer) }
          }
        }
      }
    case .partition(let selector):
      let cut = struck(selector, fault, number, turn)
      for peer in cut { peer.cuts += 1 }
      later { [unowned self] in
        for peer in cut {
          peer.cuts -= 1
          loop.schedule(after: .zero, on: peer.executor) { [unowned self] in ledger.flush(to: peer) }
        }
      }
    case .slowStore(let factor):
      store.slowness *= factor
      later { [unowned self] in store.slowness /= factor }
    case .stopStore:
      store.stops += 1
      later { [unowned self] in store.stops -= 1 }
    case .stallLedger:
      ledger.stalledUntil = max(ledger.stalledUntil, fault.lasts.map { loop.now.advanced(by: $0) } ?? .never)
    case .cancelJob: cancelJob()
    case .liar: break
    }
  }

  /// A paused peer goes on: what it missed comes to it in order.
  private func goOn(_ peer: SimulatedPeer) {
    let held = peer.held
    peer.held = []
    for body in held { body() }
  }

  /// The owner's person tells the owner's own machine, which sees to the rest.
  private func cancelJob() {
    guard let owner = peers.first(where: { $0.role == .owner }) else { return }
    let word = Frame(body: Message.cancel(JobReference(job: .zero)).wireBytes)
    loop.schedule(after: .zero, on: owner.executor) { [unowned self] in
      network.deliver(word, owner.key.publicKey, owner, to: owner)
    }
  }

  /// The job's digest once its manifest is known.
  var preparedJob: Digest {
    chronicle.entries.first { $0.milestone.kind == .jobPrepared }?.milestone.digest ?? .zero
  }
}

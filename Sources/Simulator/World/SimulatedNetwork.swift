import Actors
import Runtime
import Transport

/// Streams between peers over links with latency, jitter, bandwidth and loss.
final class SimulatedNetwork: @unchecked Sendable {
  private unowned let world: World
  private(set) var sent = 0
  private(set) var lost = 0
  private(set) var bytes = 0

  init(world: World) { self.world = world }

  func send(_ frame: Frame, from sender: SimulatedPeer, to target: PublicKey) {
    sent += 1
    guard let index = world.places[target], !sender.isCutOff else {
      lost += 1
      return
    }
    let receiver = world.peers[index]
    let size = frame.bytesOnTheWire
    bytes += size
    var far = receiver.downLink
    far.latency = receiver.link.latency
    far.jitter = receiver.link.jitter
    far.loss = receiver.link.loss
    guard let delay = sender.upLink.delay(to: far, bytes: size, chance: &sender.chance) else {
      lost += 1
      return
    }
    var arrival = world.loop.now.advanced(by: delay)
    if let last = sender.lastArrival[index], last >= arrival { arrival = last.advanced(by: .nanoseconds(1)) }
    sender.lastArrival[index] = arrival
    let from = sender.key.publicKey
    world.loop.schedule(at: arrival, on: receiver.executor) { [self] in
      deliver(frame, from, sender, to: receiver)
    }
  }

  /// A frame on its way is lost if its receiver is down, or either end is cut off when it arrives.
  func deliver(_ frame: Frame, _ from: PublicKey, _ sender: SimulatedPeer, to receiver: SimulatedPeer) {
    guard let living = receiver.living, sender === receiver || (!receiver.isCutOff && !sender.isCutOff) else {
      lost += 1
      return
    }
    if receiver.isPaused {
      receiver.held.append { [self] in deliver(frame, from, sender, to: receiver) }
    } else {
      living.receive(.frame(frame, from: from))
    }
  }
}

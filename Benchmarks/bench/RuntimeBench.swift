import ArgumentParser
import Foundation
import Runtime

/// Messages between actors that do nothing else: the loop, its heap, the hop.
struct RuntimeBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runtime", abstract: "Events per second, and memory per idle peer.")
  @Option var peers = 1_000
  @Option var hops = 2_000_000

  func run() throws {
    let before = Self.residentBytes
    let loop = Loop(seed: Seed(1))
    var ring: [Hopper] = []
    for number in 0..<peers { ring.append(Hopper(loop, number)) }
    let idle = Double(Self.residentBytes - before) / Double(peers)
    let router = Router(ring, loop, hops)
    let tokens = min(peers, 100)
    for token in 0..<tokens { router.send(to: token * (peers / tokens), value: UInt64(token)) }
    let start = Spent.now
    loop.run()
    let spent = Spent.now - start
    precondition(loop.violations.isEmpty, "\(loop.violations)")
    print(
      String(
        format: "runtime: %d peers, %d events, %.0f ns of CPU an event, %.2f M events/s, %.0f bytes an idle peer",
        peers, loop.eventCount, spent.cpu * 1e9 / Double(loop.eventCount), Double(loop.eventCount) / spent.wall / 1e6,
        idle))
  }

  static var residentBytes: Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return (Int(text.split(separator: " ").dropFirst().first ?? "0") ?? 0) * 4_096
  }
}

actor Hopper {
  private let executor: ActorExecutor
  private var seen: UInt64 = 0
  private let number: Int
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
  nonisolated var place: ActorExecutor { executor }
  init(_ loop: Loop, _ number: Int) {
    executor = loop.executor("hopper")
    self.number = number
  }
  func take(_ value: UInt64) -> UInt64 {
    seen &+= value
    return splitMix64(value &+ seen &+ UInt64(number))
  }
}

final class Router: @unchecked Sendable {
  private let ring: [Hopper]
  private let loop: Loop
  private var left: Int
  init(_ ring: [Hopper], _ loop: Loop, _ hops: Int) {
    self.ring = ring
    self.loop = loop
    left = hops
  }
  func send(to index: Int, value: UInt64) {
    guard left > 0 else { return }
    left -= 1
    let hopper = ring[index]
    loop.schedule(after: .nanoseconds(20_000_000 + Int64(value % 30_000_000)), on: hopper.place) { [self] in
      let next = hopper.assumeIsolated { $0.take(value) }
      send(to: Int(next % UInt64(ring.count)), value: next)
    }
  }
}

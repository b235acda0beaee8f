import Runtime
import Testing
import Transport

@Suite struct LinkTests {
  @Test func `a frame takes latency and the time of its bytes over the narrower link`() {
    var chance = Seed(1).stream
    let near = Link(latency: .milliseconds(10), bandwidth: 1_000_000)
    let far = Link(latency: .milliseconds(30), bandwidth: 500_000)
    #expect(near.delay(to: far, bytes: 100_000, chance: &chance) == .milliseconds(240))
    #expect(near.transferTime(bytes: 0, to: far) == .zero)
    #expect(Link(latency: .zero).transferTime(bytes: 1 << 40, to: Link(latency: .zero)) == .zero)
  }

  @Test func `loss costs time, and rarely the frame`() {
    var chance = Seed(2).stream
    let clean = Link(latency: .milliseconds(10))
    let lossy = Link(latency: .milliseconds(10), loss: 0.2)
    let base = Duration.milliseconds(20)
    var later = 0
    var lost = 0
    for _ in 0..<2_000 {
      guard let delay = clean.delay(to: lossy, bytes: 100, chance: &chance) else {
        lost += 1
        continue
      }
      #expect(delay >= base)
      if delay > base { later += 1 }
    }
    #expect(later > 300 && later < 500)
    #expect(lost < 5)
  }

  @Test func `a topic message cannot be changed on its way`() throws {
    var stream = Seed(3).stream
    let key = SigningKey(drawnFrom: &stream)
    let message = TopicMessage(topic: .market, publisher: key, sequence: 1, body: [1, 2, 3])
    #expect(message.isAuthentic)
    #expect(try TopicMessage(wireBytes: message.wireBytes) == message)
    var changed = message
    changed.body = [1, 2, 4]
    #expect(!changed.isAuthentic && changed.id != message.id)
  }

  @Test func `whatever is new goes to every neighbour but the one it came from, once`() {
    var stream = Seed(4).stream
    let keys = (0..<20).map { _ in SigningKey(drawnFrom: &stream) }
    var fanout = Fanout()
    let taken = keys.prefix(15).filter { fanout.add(neighbour: $0.publicKey) }
    #expect(taken.count == Fanout.neighbourLimit)
    let message = TopicMessage(topic: .market, publisher: keys[19], sequence: 1, body: [])
    let onward = fanout.accept(message, id: message.id, from: keys[0].publicKey)
    #expect(onward.count == Fanout.neighbourLimit - 1 && !onward.contains(keys[0].publicKey))
    #expect(!fanout.isNew(message.id))
    #expect(fanout.accept(message, id: message.id, from: nil).isEmpty)
  }
}

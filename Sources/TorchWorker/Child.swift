import Glibc
import Synchronization

/// A child process, spoken to over its stdin and stdout; what it says on stderr is kept for the error's words.
///
/// One thread at a time exchanges messages with it; `kill` may come from any.
final class Child: @unchecked Sendable {
  private static let tailLimit = 2_000
  private static let blockBytes = 1 << 20

  /// Nil once it was reaped, when its number may be another's.
  private let living: Mutex<pid_t?>
  let pid: pid_t
  private let input: Int32
  private let output: Int32
  private let errors: Int32
  private var tail: [UInt8] = []
  private var hasErrors = true

  /// - Parameters:
  ///   - path: the program's; it is not looked for, and no shell sees it.
  ///   - environment: all that the child knows of ours.
  init(path: String, arguments: [String], environment: [String: String]) throws(TorchError) {
    var ends: [Int32] = []
    // Sockets, because writing into a pipe whose reader died raises a signal; and closed in others' children from birth.
    func pair() throws(TorchError) -> (ours: Int32, theirs: Int32) {
      var two: [Int32] = [-1, -1]
      guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &two) == 0 else {
        throw .start("no pipe can be made: \(String(cString: strerror(errno)))")
      }
      ends += two
      return (two[0], two[1])
    }
    var spawned = false
    defer { if !spawned { for end in ends { close(end) } } }
    let (ourInput, theirInput) = try pair()
    let (ourOutput, theirOutput) = try pair()
    let (ourErrors, theirErrors) = try pair()
    for end in [ourInput, ourOutput, ourErrors] { _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK) }

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // Away from 0 to 2 first, so that none is overwritten before it was copied.
    let theirs = [theirInput, theirOutput, theirErrors].map { fcntl($0, F_DUPFD_CLOEXEC, 3) }
    ends += theirs
    guard !theirs.contains(-1) else { throw .start("no pipe can be made: \(String(cString: strerror(errno)))") }
    for (number, end) in theirs.enumerated() { posix_spawn_file_actions_adddup2(&actions, end, Int32(number)) }
    for end in Self.inherited() { posix_spawn_file_actions_addclose(&actions, end) }

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    // A group of its own, so that its children end with it.
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] =
      environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in words + variables { free(pointer) } }
    var number = pid_t()
    let failed = posix_spawn(&number, path, &actions, &attributes, &words, &variables)
    guard failed == 0 else { throw .start("\(path) cannot be started: \(String(cString: strerror(failed)))") }
    spawned = true
    for end in [theirInput, theirOutput, theirErrors] + theirs { close(end) }
    pid = number
    living = Mutex(number)
    (input, output, errors) = (ourInput, ourOutput, ourErrors)
  }

  /// Open files of ours that children would inherit.
  private static func inherited() -> [Int32] {
    guard let folder = opendir("/proc/self/fd") else { return [] }
    defer { closedir(folder) }
    var found: [Int32] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
      }
      guard let number = Int32(name), number > 2 else { continue }
      let flags = fcntl(number, F_GETFD)
      if flags >= 0, flags & FD_CLOEXEC == 0 { found.append(number) }
    }
    return found
  }

  deinit {
    kill()
    var status: Int32 = 0
    reap(&status)
    for end in [input, output, errors] { close(end) }
  }

  func kill() {
    living.withLock { number in
      if let number { _ = Glibc.kill(-number, SIGKILL) }
    }
  }

  /// Gives it a moment to end by itself, kills it and all that it started, and reaps it. Says how it ended and what it said
  /// last.
  func end() -> String {
    guard let number = living.withLock({ $0 }) else { return "it ended" }
    var ended = siginfo_t()
    for _ in 0..<20 {
      // It is looked at and not reaped, so that its number stays its own until its group is dead.
      guard waitid(P_PID, id_t(number), &ended, WEXITED | WNOWAIT | WNOHANG) == 0, ended.si_signo == 0 else { break }
      usleep(10_000)
    }
    kill()
    readErrors()
    var status: Int32 = 0
    reap(&status)
    let signal = status & 0x7F
    var words = signal == 0 ? "it ended with code \(status >> 8 & 0xFF)" : "it ended by signal \(signal)"
    if !said.isEmpty { words += "; it said: \(said)" }
    return words
  }
  /// Waits for what was killed, which takes no longer than the system does.
  private func reap(_ status: inout Int32) {
    living.withLock { number in
      guard let known = number else { return }
      while waitpid(known, &status, 0) == -1 && errno == EINTR {}
      number = nil
    }
  }

  /// The last of what it said on stderr, as text without control characters.
  private var said: String {
    let text = String(decoding: tail, as: UTF8.self).split(whereSeparator: \.isNewline).suffix(6).joined(
      separator: " | ")
    return String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }))
  }

  // MARK: messages

  /// Sends the pieces of one request, and waits for the one answer.
  ///
  /// - Parameter limit: the most bytes that the answer may have.
  func exchange(_ pieces: [[UInt8]], limit: Int, until deadline: Deadline) throws(TorchError) -> [UInt8] {
    try checkSilent()
    var outgoing = Outgoing(pieces)
    var incoming = Incoming(limit: limit)
    while true {
      guard let left = deadline.milliseconds else {
        throw .late("no answer in \(deadline.words)")
      }
      var polled = [
        pollfd(fd: output, events: Int16(POLLIN), revents: 0),
        pollfd(fd: hasErrors ? errors : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: outgoing.isDone ? -1 : input, events: Int16(POLLOUT), revents: 0),
      ]
      let ready = poll(&polled, nfds_t(polled.count), Int32(min(left, 1_000)))
      if ready < 0 && errno != EINTR { throw .start("poll failed: \(String(cString: strerror(errno)))") }
      guard ready > 0 else { continue }
      if polled[1].revents != 0 { readErrors() }
      if polled[2].revents != 0 { try outgoing.send(input) }
      if polled[0].revents != 0, try incoming.receive(output) {
        guard outgoing.isDone else { throw .answer("it answered before it was asked") }
        return incoming.bytes
      }
    }
  }

  /// Whether its end of the conversation is closed and nothing is left to be read.
  var hasEnded: Bool { peek() == 0 }

  /// What was not asked for must not be taken for the next answer.
  private func checkSilent() throws(TorchError) {
    if peek() > 0 { throw .answer("it said something without being asked") }
  }
  /// How much there is of a byte to be read: one, none at its end, or less than none while it says nothing.
  private func peek() -> Int {
    var byte: UInt8 = 0
    return recv(output, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
  }

  private func readErrors() {
    var block = [UInt8](repeating: 0, count: 4_096)
    while hasErrors {
      let got = read(errors, &block, block.count)
      if got < 0 && errno == EINTR { continue }
      if got < 0 && errno == EAGAIN { return }
      guard got > 0 else {
        hasErrors = false
        return
      }
      tail += block[..<got]
      if tail.count > Self.tailLimit { tail.removeFirst(tail.count - Self.tailLimit) }
    }
  }

  private struct Outgoing {
    private let pieces: [[UInt8]]
    private var index = 0
    private var sent = 0
    init(_ pieces: [[UInt8]]) { self.pieces = pieces.filter { !$0.isEmpty } }
    var isDone: Bool { index == pieces.count }

    mutating func send(_ descriptor: Int32) throws(TorchError) {
      while index < pieces.count {
        let put = pieces[index].withUnsafeBytes {
          Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
        }
        if put < 0 && errno == EINTR { continue }
        if put < 0 && errno == EAGAIN { return }
        guard put >= 0 else { throw .ended("it does not listen any more") }
        sent += put
        if sent == pieces[index].count { (index, sent) = (index + 1, 0) }
      }
    }
  }

  private struct Incoming {
    private let limit: Int
    private var head: [UInt8] = []
    private(set) var bytes: [UInt8] = []
    private var count: Int?
    init(limit: Int) { self.limit = limit }

    /// Takes what is there; whether the answer is whole. Never more than it, so that what follows is seen as such.
    mutating func receive(_ descriptor: Int32) throws(TorchError) -> Bool {
      var block = [UInt8](repeating: 0, count: min(Child.blockBytes, max(4, (count ?? 4) - bytes.count)))
      while true {
        let wanted = count.map { min(block.count, $0 - bytes.count) } ?? 4 - head.count
        let got = read(descriptor, &block, wanted)
        if got < 0 && errno == EINTR { continue }
        if got < 0 && errno == EAGAIN { return false }
        guard got > 0 else { throw .ended(head.isEmpty ? "it ended without an answer" : "it ended within its answer") }
        if let count {
          bytes += block[..<got]
          if bytes.count == count { return true }
          continue
        }
        head += block[..<got]
        guard head.count == 4 else { continue }
        let length = head.reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length >= 4, length <= limit else {
          throw .answer("it announced an answer of \(length) bytes, and can have \(limit) at most")
        }
        count = length
        block = [UInt8](repeating: 0, count: min(Child.blockBytes, length))
      }
    }
  }
}

/// A point in the machine's monotonic time.
struct Deadline {
  let words: String
  private let due: Int

  init(after patience: Duration) {
    words = "\(patience)"
    let seconds = min(patience.components.seconds, 1 << 30)
    due = Self.now() + Int(seconds) * 1_000 + Int(patience.components.attoseconds / 1_000_000_000_000_000)
  }
  /// What is left, or nil.
  var milliseconds: Int? {
    let left = due - Self.now()
    return left > 0 ? left : nil
  }
  private static func now() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
  }
}

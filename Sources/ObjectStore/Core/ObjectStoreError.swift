import Runtime

/// What can go wrong with a store, in words that say what to do. The number is what a journal keeps.
public enum ObjectStoreError: Int, Error, Sendable, CaseIterable, Equatable {
  case notFound = 101
  case malformedURL = 102
  case badSignature = 103
  case wrongMethod = 104
  case expired = 105
  case tooLarge = 106
  case unavailable = 107
  case digestMismatch = 108
  case badKey = 109
  case sealBroken = 110

  public var words: String {
    switch self {
    case .notFound: "there is no such object; it was never stored, or was deleted after settlement"
    case .malformedURL: "this is not a URL of this store"
    case .badSignature: "the URL was not signed by this store, or was changed"
    case .wrongMethod: "the URL is for another method"
    case .expired: "the URL has expired; ask for a fresh one"
    case .tooLarge: "the upload is larger than the URL allows"
    case .unavailable: "the store does not answer; try again"
    case .digestMismatch: "the bytes are not those that were named"
    case .badKey: "an object key has 1 to 1,024 characters of a-z A-Z 0-9 - _ . /, no '..' and no '/' at its ends"
    case .sealBroken: "the bytes do not open with this key"
    }
  }
  /// Whether the same request may succeed later.
  public var isTransient: Bool { self == .unavailable || self == .notFound }
}

import Foundation
import Runtime
import Testing

@testable import Learn

func write(_ path: String, _ bytes: [UInt8]) throws {
  try Data(bytes).write(to: URL(fileURLWithPath: path))
}
func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
/// A folder of its own for a test.
func newFolder(_ name: String) throws -> String {
  var template = Array("/tmp/peermill-\(name)-XXXXXX".utf8CString)
  guard let path = mkdtemp(&template) else { throw LearnError.data("no folder for a test") }
  return String(cString: path)
}

/// Text and pictures. The pictures were written by Pillow.
@Suite struct FileTests {
  private func words(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "it was read"
    } catch { return "\(error)" }
  }

  @Test func `text becomes windows, and the byte that follows each`() throws {
    let text = try TextFile(Array("hello world".utf8), window: 3, named: "t")
    #expect(text.dataset.count == 3 && text.dataset.shape == [3] && text.dataset.classes == 256)
    #expect(text.vocabulary == nil && text.dataset.form.divisor == 1)
    guard case .bytes(let bytes, _) = text.dataset.features else { return }
    #expect(bytes == Array("hello wor".utf8) && text.dataset.labels == Array("ello worl".utf8).map(Int.init))
  }

  @Test func `a vocabulary of the bytes that occur is sorted and kept`() throws {
    let text = try TextFile(Array("abacabad".utf8), window: 7, vocabulary: .occurring, named: "t")
    #expect(text.vocabulary == Array("abcd".utf8) && text.dataset.classes == 4 && text.dataset.count == 1)
    guard case .bytes(let bytes, _) = text.dataset.features else { return }
    #expect(bytes == [0, 1, 0, 2, 0, 1, 0] && text.dataset.labels == [1, 0, 2, 0, 1, 0, 3])
    #expect(
      words { _ = try TextFile(Array("aaaa".utf8), window: 2, vocabulary: .occurring, named: "t") }.contains("one byte")
    )
    #expect(words { _ = try TextFile(Array("aa".utf8), window: 2, named: "t") }.contains("needs at least 3"))
    #expect(words { _ = try TextFile(Array("aa".utf8), window: 0, named: "t") }.contains("1 to 65536"))
  }

  static let pictures: [String: String] = [
    "rgb":
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAGElEQVR4nGP4z8DA8J+BgeE/I5eIHAQAADEzA++e06gjAAAAAElFTkSuQmCC",
    "grey":
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAEElEQVR4nGNkMDJimHbiPwAGhwLD7bQTrAAAAABJRU5ErkJggg==",
    "rgba":
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAYAAACddGYaAAAAIUlEQVR4nAXBsQ0AAAjDsHRCYmbO/18WO4VJgZTsOSoqD0MHBABK9wBBAAAAAElFTkSuQmCC",
    "palette":
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACBAMAAABvWnspAAAAElBMVEUA/wBGUFooMjwKFB7/AAAAAP+LQjFZAAAADklEQVR4nGN0EGD5dAEABEwCGFbUOpoAAAAASUVORK5CYII=",
    "wide":
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACEAAAAADoj+WFAAAAFklEQVR4nGNkYDBiMGJgmMZwguH/fwANpQPCIkN04QAAAABJRU5ErkJggg==",
    "jpeg":
      "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAIAAgDAREAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDPr+Vz+2D/2Q==",
    "grey jpeg":
      "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/wAALCAAIAAgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AP0gr//Z",
  ]
  private func picture(_ name: String) -> [UInt8] { [UInt8](Data(base64Encoded: Self.pictures[name] ?? "") ?? Data()) }

  @Test func `PNG of every kind, channel by channel`() throws {
    let planes: [UInt8] = [255, 0, 0, 10, 40, 70, 0, 255, 0, 20, 50, 80, 0, 0, 255, 30, 60, 90]
    for name in ["rgb", "rgba", "palette"] {
      let read = try ImageFolder.decode(picture(name), .rgb, named: name)
      #expect(read.width == 3 && read.height == 2 && read.pixels == planes, "\(name)")
      #expect(try ImageFolder.decode(picture(name), .grey, named: name).pixels == [76, 150, 29, 18, 48, 78], "\(name)")
    }
    for name in ["grey", "wide"] {
      #expect(try ImageFolder.decode(picture(name), .grey, named: name).pixels == [0, 50, 100, 150, 200, 255])
      let three: [UInt8] = [0, 50, 100, 150, 200, 255]
      #expect(try ImageFolder.decode(picture(name), .rgb, named: name).pixels == three + three + three)
    }
  }

  @Test func `JPEG in colour and in grey`() throws {
    let read = try ImageFolder.decode(picture("jpeg"), .rgb, named: "t")
    #expect(read.width == 8 && read.height == 8)
    #expect(
      read.pixels == [UInt8](repeating: 200, count: 64) + .init(repeating: 100, count: 64)
        + .init(repeating: 50, count: 64))
    #expect(try ImageFolder.decode(picture("grey jpeg"), .grey, named: "t").pixels == .init(repeating: 200, count: 64))
  }

  @Test func `pictures that are damaged are refused, whatever is wrong with them`() throws {
    for name in Self.pictures.keys.sorted() {
      let good = picture(name)
      // The last bytes of a PNG are its end's checksum, which libpng reads; those of a JPEG are its end mark.
      for length in 0..<(good.count - 2) {
        #expect(throws: LearnError.self, "\(name) \(length)") {
          try ImageFolder.decode(Array(good.prefix(length)), .rgb, named: name)
        }
      }
      var stream = Seed(7).stream
      for _ in 0..<2_000 {
        var bad = good
        for _ in 0...stream.below(3) { bad[stream.below(bad.count)] = UInt8(stream.below(256)) }
        _ = try? ImageFolder.decode(bad, .rgb, named: name)
      }
    }
    // A header that claims 2^31 - 1 pixels a side, its checksum right.
    var huge = picture("grey")
    huge.replaceSubrange(16..<24, with: [0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF])
    #expect(words { _ = try ImageFolder.decode(huge, .grey, named: "t") }.contains("cannot be decoded"))
    #expect(words { _ = try ImageFolder.decode([1, 2, 3], .grey, named: "t.gif") }.contains("neither PNG nor JPEG"))
  }

  @Test func `folders are classes in the order of their names`() throws {
    let folder = try newFolder("pictures")
    defer { remove(folder) }
    for (name, kind) in [("b/2.png", "rgb"), ("b/1.png", "palette"), ("a/x.png", "grey"), (".hidden/x.txt", "grey")] {
      try FileManager.default.createDirectory(
        atPath: folder + "/" + name.split(separator: "/")[0], withIntermediateDirectories: true)
      try write(folder + "/" + name, picture(kind))
    }
    let read = try ImageFolder(folder: folder)
    #expect(read.classes == ["a", "b"] && read.dataset.labels == [0, 1, 1] && read.dataset.shape == [3, 2, 3])
    #expect(try ImageFolder(folder: folder, colour: .grey).dataset.shape == [1, 2, 3])
    try write(folder + "/b/3.jpg", picture("jpeg"))
    let told = words { _ = try ImageFolder(folder: folder) }
    #expect(told.contains("b/3.jpg has 8 x 8 pixels") && told.contains("a/x.png has 3 x 2"), "\(told)")
    try write(folder + "/b/3.jpg", Array("words".utf8))
    #expect(words { _ = try ImageFolder(folder: folder) }.contains("b/3.jpg is neither PNG nor JPEG"))
    #expect(words { _ = try ImageFolder(folder: folder + "/a") }.contains("0 folders"))
    #expect(words { _ = try ImageFolder(folder: folder + "/none") }.contains("not a folder"))
  }
}

import CImages
import Foundation

/// Pictures in folders, a folder a class: `FOLDER/CLASS/NAME.png` or `.jpg`.
public struct ImageFolder: Sendable {
  public enum Colour: String, Sendable, CaseIterable {
    case rgb
    case grey
    var channels: Int { self == .rgb ? 3 : 1 }
  }
  static let fileLimit = 1 << 26
  static let sideLimit = 1 << 14
  static let pixelLimit = 1 << 24
  static let byteLimit = 1 << 31

  /// Pixels as bytes to be divided by 255; a sample's shape is [channels, height, width].
  public let dataset: Dataset
  /// The folders' names, in the order of the classes: that of their UTF-8.
  public let classes: [String]

  /// Names that begin with a dot are passed over; whatever else is no picture is an error, and so is one of another size.
  ///
  /// - Throws: `LearnError.data` with the file's name.
  public init(folder: String, colour: Colour = .rgb) throws(LearnError) {
    let names = try Self.list(folder).filter { Self.isFolder("\(folder)/\($0)") }
    guard names.count >= 2, names.count <= SampleForm.classLimit else {
      throw .data(
        "\(folder) has \(names.count) folders in it; each is a class, and 2 to \(SampleForm.classLimit) can be told apart"
      )
    }
    var pixels: [UInt8] = []
    var labels: [Int] = []
    var first: (name: String, width: Int, height: Int)?
    for (label, name) in names.enumerated() {
      let files = try Self.list("\(folder)/\(name)")
      guard !files.isEmpty else {
        throw .data("\(folder)/\(name) is an empty folder; a class has at least one picture")
      }
      for file in files {
        let path = "\(folder)/\(name)/\(file)"
        let (width, height) = try Self.append(path, colour, to: &pixels)
        if let first, first.width != width || first.height != height {
          throw .data(
            "\(path) has \(width) x \(height) pixels and \(first.name) has \(first.width) x \(first.height); all pictures "
              + "must have one size")
        }
        first = first ?? (path, width, height)
        labels.append(label)
        guard pixels.count <= Self.byteLimit else {
          throw .data("the pictures in \(folder) come to more than \(Self.byteLimit) bytes")
        }
      }
    }
    guard let first else { throw .data("\(folder) has no pictures") }
    classes = names
    dataset = try Dataset(
      features: .bytes(pixels, divisor: 255), targets: .classes(labels, per: 1, of: names.count),
      shape: [colour.channels, first.height, first.width])
  }

  /// Reads one file and appends its pixels, channel by channel.
  private static func append(_ path: String, _ colour: Colour, to pixels: inout [UInt8]) throws(LearnError) -> (
    Int, Int
  ) {
    let file = try FileReader(path: path)
    guard file.count <= fileLimit else { throw .data("\(path) is larger than \(fileLimit) bytes") }
    let picture = try decode(try file.all(), colour, named: path)
    pixels += picture.pixels
    return (picture.width, picture.height)
  }

  /// A PNG or JPEG file, told apart by its first bytes.
  ///
  /// - Returns: pixels channel by channel, row by row.
  static func decode(_ bytes: [UInt8], _ colour: Colour, named name: String) throws(LearnError)
    -> (width: Int, height: Int, pixels: [UInt8])
  {
    let isPNG = bytes.starts(with: [0x89, 0x50, 0x4E, 0x47])
    guard isPNG || bytes.starts(with: [0xFF, 0xD8, 0xFF]) else {
      throw .data("\(name) is neither PNG nor JPEG")
    }
    let channels = Int32(colour.channels)
    var image = pm_image()
    let result =
      isPNG
      ? pm_png_decode(bytes, bytes.count, channels, Int32(sideLimit), pixelLimit, &image)
      : pm_jpeg_decode(bytes, bytes.count, channels, Int32(sideLimit), pixelLimit, &image)
    defer { pm_image_free(&image) }
    guard result == 0, let pixels = image.pixels else {
      let words = withUnsafeBytes(of: &image.words) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      throw .data("\(name) cannot be decoded: \(words)")
    }
    let (width, height) = (Int(image.width), Int(image.height))
    return (width, height, Array(UnsafeBufferPointer(start: pixels, count: width * height * colour.channels)))
  }

  /// What is in a folder, in the order of UTF-8.
  private static func list(_ folder: String) throws(LearnError) -> [String] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
      throw .data("\(folder) is not a folder that can be read")
    }
    return names.filter { !$0.hasPrefix(".") }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }
}

import Foundation
import Runtime

/// The IDX form of MNIST and its kin, plain or gzipped: two zero bytes, a type, a rank, big-endian sizes, data.
public enum IDX {
  static let sizeLimit = 1 << 31

  /// Unsigned bytes of any rank from 1 to 4.
  static func read(_ file: [UInt8], named name: String) throws(LearnError) -> (shape: [Int], values: ArraySlice<UInt8>)
  {
    let bytes = file.starts(with: [0x1F, 0x8B]) ? try Inflate.gunzip(file, limit: sizeLimit) : file
    let (shape, start) = try header(bytes, length: bytes.count, named: name)
    return (shape, bytes[start...])
  }

  /// The shape that a file tells in its first bytes, and where its values begin.
  ///
  /// - Parameter length: of the whole file, which must be what the shape says.
  static func header(_ bytes: [UInt8], length: Int, named name: String) throws(LearnError) -> (shape: [Int], start: Int)
  {
    guard bytes.count >= 4, bytes[0] == 0, bytes[1] == 0 else {
      throw .data("\(name) is not an IDX file" + (bytes.starts(with: [0x1F, 0x8B]) ? "; unpack it with gunzip" : ""))
    }
    guard bytes[2] == 0x08 else { throw .data("\(name) holds values of type \(bytes[2]); unsigned bytes (8) are read") }
    let rank = Int(bytes[3])
    guard rank >= 1, rank <= 4, bytes.count >= 4 + 4 * rank else {
      throw .data("\(name) has rank \(rank) or is cut short")
    }
    var shape: [Int] = []
    var count = 1
    for axis in 0..<rank {
      let at = 4 + 4 * axis
      let size = Int(bytes[at]) << 24 | Int(bytes[at + 1]) << 16 | Int(bytes[at + 2]) << 8 | Int(bytes[at + 3])
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow else { throw .data("\(name) claims a shape too large") }
      count = product
      shape.append(size)
    }
    let start = 4 + 4 * rank
    guard length - start == count else {
      throw .data("\(name) has \(length - start) values where its header says \(count)")
    }
    return (shape, start)
  }

  /// Images and labels of the same count. Pixels are divided by 255 when they are used.
  public static func dataset(images: [UInt8], labels: [UInt8], named name: String) throws(LearnError) -> Dataset {
    let pictures = try read(images, named: "\(name) images")
    let marks = try read(labels, named: "\(name) labels")
    guard pictures.shape.count >= 2, marks.shape.count == 1, pictures.shape[0] == marks.shape[0], pictures.shape[0] > 0
    else {
      throw .data("\(name) has images of shape \(pictures.shape) and labels of shape \(marks.shape)")
    }
    let values = marks.values.map(Int.init)
    return try Dataset(
      features: .bytes(Array(pictures.values), divisor: 255),
      targets: .classes(values, per: 1, of: max(2, (values.max() ?? 0) + 1)), shape: Array(pictures.shape.dropFirst()))
  }

  /// Fashion-MNIST as Debian's `dataset-fashion-mnist` installs it.
  public static func fashionMNIST(train: Bool, folder: String) throws(LearnError) -> Dataset {
    let stem = train ? "train" : "t10k"
    func file(_ kind: String) throws(LearnError) -> [UInt8] {
      let path = "\(folder)/\(stem)-\(kind)-ubyte.gz"
      guard let data = FileManager.default.contents(atPath: path) else {
        throw .data(
          "\(path) is not there; install the package dataset-fashion-mnist, or name its folder in FASHION_MNIST_DIR")
      }
      return [UInt8](data)
    }
    return try dataset(images: file("images-idx3"), labels: file("labels-idx1"), named: "Fashion-MNIST")
  }
}

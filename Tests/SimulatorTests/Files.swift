import Foundation

func writeFile(_ path: String, _ bytes: [UInt8]) -> Bool {
  FileManager.default.createFile(atPath: path, contents: Data(bytes))
}
func removeFile(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
func readFile(_ path: String) -> String? {
  FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
}

/// The checkout that these tests stand in.
let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path

func swiftFiles(under folder: String) -> [String] {
  let root = checkout + "/" + folder
  return (FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? [])
    .filter { $0.hasSuffix(".swift") }.map { root + "/" + $0 }.sorted()
}

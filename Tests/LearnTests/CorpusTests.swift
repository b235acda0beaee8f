import Foundation
import Testing

@testable import Learn

@Suite struct CorpusTests {
  @Test(arguments: FuzzReaders.all.map(\.name)) func `every file of the corpus is read, or refused in words`(
    _ name: String
  )
    throws
  {
    let reader = try #require(FuzzReaders.all.first { $0.name == name }).read
    let folder = ArrayTests.corpus + "/" + name
    let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    var read = 0
    for file in files {
      do throws(LearnError) {
        try reader(try FileReader.all(path: "\(folder)/\(file)", limit: 1 << 20))
        read += 1
      } catch { #expect("\(error)".count > 10) }
    }
    #expect(files.count >= 3 && read >= 1)
  }
}

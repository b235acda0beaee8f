import Learn
import Runtime
import Testing

@testable import Simulator

@Suite struct ScenarioDataTests {
  private func decode(_ data: String) throws -> Scenario {
    try Scenario.decode(
      ScenarioFileTests.good.replacing(
        "data: { blobs: { samples: 300, features: 8, classes: 3 } }", with: "data: \(data)"),
      file: "s.yaml")
  }

  @Test func `data of every kind are read as they are written`() throws {
    func part(_ data: String) throws -> JobPart { try decode(data).job }
    #expect(
      try part("{ npz: a.npz, features: f, targets: t, target: numbers, divide: 255, scale: channels, test: 10% }").data
        == .npz(path: "a.npz", options: ArrayOptions(features: "f", targets: "t", choice: .numbers, divisor: 255)))
    let npz = try part("{ npz: a.npz, scale: channels, test: 10% }")
    #expect(npz.data == .npz(path: "a.npz", options: ArrayOptions()))
    #expect(npz.scaling == .channels && npz.testShare == 0.1)
    #expect(
      try part("{ npy: { features: x.npy, targets: y.npy }, target: classes }").data
        == .npy(features: "x.npy", targets: "y.npy", options: ArrayOptions(choice: .classes)))
    #expect(try part("{ safetensors: a.st }").data == .safetensors(path: "a.st", options: ArrayOptions()))
    #expect(
      try part("{ text: a.txt, window: 64, vocabulary: occurring }").data
        == .text(path: "a.txt", window: 64, vocabulary: .occurring))
    #expect(try part("{ images: pictures, colour: grey }").data == .images(folder: "pictures", colour: .grey))
    let csv = try part("{ csv: a.csv, label: y, target: numbers }")
    #expect(csv.data == .csv(path: "a.csv", label: "y", choice: .numbers) && csv.scaling == .zscore)
    #expect(try part("{ blobs: { test: 50% } }").testShare == 0.5)
  }

  @Test(arguments: [
    ("{ npz: a.npz, fetures: f }", "'fetures' is not a word of job.data; did you mean 'features'?"),
    ("{ npy: { features: x.npy } }", "job.data.npy lacks 'targets'"),
    ("{ npy: { features: x, targets: y }, features: x }", "'features' is not a word of job.data"),
    ("{ text: a.txt }", "job.data lacks 'window'"),
    ("{ text: a.txt, window: 0 }", "a whole number from 1 to 65536"),
    ("{ text: a.txt, window: 8, scale: zscore }", "'scale' is not a word of job.data"),
    ("{ images: p, colour: blue }", "one of rgb, grey"),
    ("{ csv: a.csv, label: y, target: words }", "one of classes, numbers"),
    ("{ npz: a.npz, divide: 0 }", "job.data.divide must be a number"),
    ("{ parquet: a }", "names no data: one of set, csv, idx, npy, npz, safetensors, text, images, blobs"),
  ])
  func `a mistake in the data's words is told`(_ data: String, _ expected: String) {
    do {
      _ = try decode(data)
      Issue.record("it was read")
    } catch { #expect("\(error)".contains(expected), "\(error)") }
  }

  private func load(_ data: JobPart.Data, _ change: (inout JobPart) -> Void = { _ in }) throws -> ScenarioData {
    try ScenarioData(
      Stories.scenario { scenario in
        scenario.job.data = data
        scenario.job.partition = .iid
        change(&scenario.job)
      }, folder: checkout + "/Tests/Fuzz/corpus", fashionFolder: "/nowhere")
  }

  @Test func `arrays and tables of files become what is trained on`() throws {
    let npz = try load(.npz(path: "npz/images.npz", options: ArrayOptions())) { $0.layers = .named("cnn") }
    #expect(npz.train.count == 3 && npz.test.count == 1 && npz.input == [1, 2, 3] && npz.classes == 3)
    let tensors = try load(.safetensors(path: "safetensors/floats.safetensors", options: ArrayOptions()))
    let npy = try load(.npy(features: "npy/plain-f4.npy", targets: "npy/vector.npy", options: ArrayOptions()))
    #expect(npy.test.bytes == tensors.test.bytes && npy.input == [3])
    let words = try load(.csv(path: "csv/words.csv", label: "y", choice: .classes)) { $0.scaling = .zscore }
    #expect(words.notes.count == 1 && words.train.featureCount == 3 && words.normalisation?.features == 3)
    // Of words nothing is subtracted, and the mean of the numbers is that of the two rows that are trained on.
    #expect(words.normalisation?.means.prefix(2) == [0, 0])
    guard case .floats(let values) = words.train.features else {
      Issue.record("floats")
      return
    }
    #expect(values.count == 6 && values[2] == -values[5] && abs(values[2]) == 1)
    let text = try load(.text(path: "csv/plain.csv", window: 4, vocabulary: .occurring))
    #expect(text.notes.count == 1 && text.train.targetCount == 4)
  }

  @Test func `targets that the model does not learn are refused before anything runs`() throws {
    do {
      _ = try Rehearsal(
        Stories.scenario { scenario in
          scenario.job.data = .csv(path: "csv/numbers.csv", label: "y", choice: .numbers)
          scenario.job.partition = .iid
          scenario.job.layers = .listed([.dense(3)])
          scenario.job.chunks = 1
          scenario.job.perRound = 1
        }, folder: checkout + "/Tests/Fuzz/corpus", fashionFolder: "/nowhere", workers: 0)
      Issue.record("it was taken")
    } catch { #expect("\(error)".contains("learns 1 class of each sample"), "\(error)") }
  }
}

import Learn
import Runtime

/// What a scenario's data are, as they lie in their files.
struct ScenarioFiles {
  let all: Dataset
  /// Samples for the test, where the data have some of their own.
  var held: Dataset?
  /// Features that a normalisation leaves as they are.
  var leaving: Set<Int> = []
  /// What was done that the scenario does not say, a line each.
  var notes: [String] = []

  /// - Parameters:
  ///   - folder: where relative paths begin.
  ///   - fashionFolder: where Fashion-MNIST lies.
  init(_ scenario: Scenario, folder: String, fashionFolder: String) throws(LearnError) {
    func full(_ path: String) -> String { path.hasPrefix("/") ? path : folder + "/" + path }
    func read(_ path: String) throws(LearnError) -> [UInt8] { try FileReader.all(path: full(path), limit: 1 << 31) }
    switch scenario.job.data {
    case .fashionMNIST(let trainCount, let testCount):
      all = try IDX.fashionMNIST(train: true, folder: fashionFolder).prefix(trainCount)
      held = try IDX.fashionMNIST(train: false, folder: fashionFolder).prefix(testCount)
    case .idx(let images, let labels, let testImages, let testLabels):
      all = try IDX.dataset(images: read(images), labels: read(labels), named: images)
      held = try IDX.dataset(images: read(testImages), labels: read(testLabels), named: testImages)
    case .csv(let path, let label, let choice):
      let (dataset, table) = try CSV.dataset(read(path), label: label, choice: choice, named: path)
      all = dataset
      leaving = table.wordFeatures
      notes = table.notes
    case .blobs(let samples, let features, let classes):
      all = try Blobs.dataset(
        samples: samples, features: features, classes: classes,
        seed: Seed(scenario.jobSeed ?? scenario.seed).child("blobs"))
    case .npz(let path, let options): all = try NPZ.dataset(read(path), options: options, named: path)
    case .npy(let features, let targets, let options):
      all = try NPY.dataset(
        features: read(features), targets: read(targets), options: options, named: features, targetsNamed: targets)
    case .safetensors(let path, let options):
      all = try SafetensorsData.dataset(read(path), options: options, named: path)
    case .text(let path, let window, let vocabulary):
      let text = try TextFile(read(path), window: window, vocabulary: vocabulary, named: path)
      all = text.dataset
      if let occurring = text.vocabulary {
        notes = ["\(path): a class is the place of a byte among the \(occurring.count) that occur: \(occurring)"]
      }
    case .images(let path, let colour):
      let pictures = try ImageFolder(folder: full(path), colour: colour)
      all = pictures.dataset
      let shown = pictures.classes.prefix(12).joined(separator: ", ") + (pictures.classes.count > 12 ? ", …" : "")
      notes = ["\(path): classes are the folders \(shown)"]
    }
  }
}

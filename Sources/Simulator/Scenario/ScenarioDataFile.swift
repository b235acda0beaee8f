import Learn

extension JobPart {
  /// What follows `data:`, one of several kinds; every word belongs to its kind.
  mutating func readData(_ reader: inout Reader) throws(ScenarioError) {
    if let set = try reader.text("set") {
      guard set == "fashion-mnist" else {
        throw reader.error(at: "set", "there is no data set '\(set)'; 'fashion-mnist' is one")
      }
      data = .fashionMNIST(
        train: try reader.count("train", 1...60_000) ?? 60_000, test: try reader.count("test", 1...10_000) ?? 10_000)
      try readScaling(&reader)
    } else if let path = try reader.text("csv") {
      guard let label = try reader.text("label") else { throw reader.lacks("label", ", the column of targets") }
      data = .csv(path: path, label: label, choice: try reader.choice("target", TargetChoice.self) ?? .classes)
      try readScaling(&reader, usual: .zscore)
      try readTest(&reader)
    } else if var idx = try reader.reader("idx") {
      data = .idx(
        images: try idx.path("images"), labels: try idx.path("labels"), testImages: try idx.path("test-images"),
        testLabels: try idx.path("test-labels"))
      try idx.finish()
      try readScaling(&reader)
    } else if var blobs = try reader.reader("blobs") {
      data = .blobs(
        samples: try blobs.count("samples", 10...1_000_000) ?? 1_000,
        features: try blobs.count("features", 1...4_096) ?? 16, classes: try blobs.count("classes", 2...1_000) ?? 4)
      try readTest(&blobs)
      try blobs.finish()
    } else {
      try readFile(&reader)
    }
    try reader.finish()
  }

  private mutating func readFile(_ reader: inout Reader) throws(ScenarioError) {
    if let path = try reader.text("npz") {
      data = .npz(path: path, options: try Self.options(&reader, hasNames: true))
      try readScaling(&reader)
    } else if var npy = try reader.reader("npy") {
      let (features, targets) = (try npy.path("features"), try npy.path("targets"))
      try npy.finish()
      data = .npy(features: features, targets: targets, options: try Self.options(&reader, hasNames: false))
      try readScaling(&reader)
    } else if let path = try reader.text("safetensors") {
      data = .safetensors(path: path, options: try Self.options(&reader, hasNames: true))
      try readScaling(&reader)
    } else if let path = try reader.text("text") {
      guard let window = try reader.count("window", 1...TextFile.windowLimit) else {
        throw reader.lacks("window", ", the bytes of a sample")
      }
      data = .text(
        path: path, window: window, vocabulary: try reader.choice("vocabulary", TextFile.Vocabulary.self) ?? .bytes)
    } else if let folder = try reader.text("images") {
      data = .images(folder: folder, colour: try reader.choice("colour", ImageFolder.Colour.self) ?? .rgb)
      try readScaling(&reader)
    } else {
      throw reader.error(
        "job.data names no data: one of set, csv, idx, npy, npz, safetensors, text, images, blobs")
    }
    try readTest(&reader)
  }

  private static func options(_ reader: inout Reader, hasNames: Bool) throws(ScenarioError) -> ArrayOptions {
    var options = ArrayOptions()
    if hasNames {
      options.features = try reader.text("features") ?? options.features
      options.targets = try reader.text("targets") ?? options.targets
    }
    options.choice = try reader.choice("target", TargetChoice.self)
    options.divisor = try reader.number("divide", 1e-6...1e9).map { Float($0) }
    return options
  }

  private mutating func readScaling(_ reader: inout Reader, usual: Normalisation.Scaling = .none) throws(ScenarioError)
  {
    scaling = try reader.choice("scale", Normalisation.Scaling.self) ?? usual
  }
  private mutating func readTest(_ reader: inout Reader) throws(ScenarioError) {
    testShare = try reader.share("test") ?? testShare
  }
}

extension Reader {
  fileprivate mutating func path(_ key: String) throws(ScenarioError) -> String {
    guard let path = try text(key) else { throw lacks(key) }
    return path
  }
}

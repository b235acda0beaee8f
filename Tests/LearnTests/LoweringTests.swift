import Runtime
import Testing

@testable import Learn

/// Graphs that anybody may send: what is understood, and what is refused in words.
@Suite struct LoweringTests {
  private func declaration(_ draft: ONNXDraft, _ loss: Loss = .squared) -> ModelDeclaration {
    var declaration = ModelDeclaration()
    declaration.graph = draft.bytes
    declaration.loss = loss
    return declaration
  }
  private func words(_ draft: ONNXDraft) -> String {
    do throws(LearnError) {
      let model = try Model(declaration(draft))
      _ = try model.evaluate(
        model.initialWeights(seed: Seed(1)), on: Self.samples(model), rows: 0..<3)
      return "it was run"
    } catch { return error.description }
  }
  private static func samples(_ model: Model) throws(LearnError) -> Samples {
    try Dataset(
      features: .floats(Array(repeating: 0.5, count: 3 * model.features)),
      targets: .values(Array(repeating: 0, count: 3 * model.targets), per: model.targets), shape: [model.features]
    ).chunk(rows: 0..<3)
  }
  private func ints(_ name: String, _ values: [Int64]) -> Proto {
    onnxTensor(name, 7, [Int64(values.count)]).content(9, values.flatMap { littleBytes($0) })
  }
  private func list(_ name: String, _ values: [Int64]) -> Proto {
    values.reduce(onnxAttribute(name, 7)) { $0.int(8, $1) }
  }
  private func draft(
    _ nodes: [Proto], _ initializers: [Proto] = [], input: [Int64] = [4], weight: Bool = true, output: String = "y"
  ) -> ONNXDraft {
    ONNXDraft().with {
      $0.nodes = [onnxNode("Mul", ["x", "w0"], ["h"])] + nodes
      $0.initializers = [onnxTensor("w0", [1]).content(9, rawFloats([2]))] + initializers
      $0.inputs = [onnxValue("x", 1, [Proto().text(2, "batch")] + input.map { Proto().int(1, $0) })]
      $0.outputs = [onnxValue(output)]
    }
  }

  @Test func `a small graph is run`() {
    #expect(words(draft([onnxNode("Relu", ["h"], ["y"])])) == "it was run")
  }

  @Test func `the batch is bound wherever shapes are computed`() throws {
    // Shape, Gather, Concat and Reshape, as exporters write a view.
    let file = draft(
      [
        onnxNode("Shape", ["h"], ["s"]),
        onnxNode("Gather", ["s", "zero"], ["n"], [onnxAttribute("axis", 2).int(3, 0)]),
        onnxNode("Unsqueeze", ["n", "axes"], ["u"]),
        onnxNode("Concat", ["u", "rest"], ["shape"], [onnxAttribute("axis", 2).int(3, 0)]),
        onnxNode("Reshape", ["h", "shape"], ["y"]),
      ],
      [
        onnxTensor("zero", 7, []).content(9, littleBytes(Int64(0))), ints("axes", [0]), ints("rest", [2, 2]),
      ])
    let model = try Model(declaration(file))
    #expect(model.output == [2, 2] && model.input == [4])
    let scores = try model.scores(
      model.initialWeights(seed: Seed(1)), on: Self.samples(model), rows: 0..<3)
    #expect(scores.count == 12 && Set(scores).count == 1)
  }

  /// What is refused, and a word of the reason.
  @Test func `graphs that cannot be are refused, by name and in words`() {
    let big = Int64(1) << 30
    let cases: [(ONNXDraft, String)] = [
      (draft([onnxNode("Hardmax", ["h"], ["y"])]), "Hardmax is not supported"),
      (draft([onnxNode("Relu", ["h"], ["y"])]).with { $0.imports = [("", 9)] }, "opset"),
      (draft([onnxNode("Reshape", ["h", "s"], ["y"])], [ints("s", [-1, -1])]), "cannot give"),
      (draft([onnxNode("Reshape", ["h", "s"], ["y"])], [ints("s", [big, big, big])]), "cannot give"),
      (draft([onnxNode("Expand", ["h", "s"], ["y"])], [ints("s", [big, big, 4])]), "Expand"),
      (
        draft(
          [onnxNode("ConstantOfShape", ["s"], ["c"]), onnxNode("Add", ["h", "c"], ["y"])], [ints("s", [big, big])]),
        "ConstantOfShape"
      ),
      (
        draft(
          [onnxNode("Range", ["a", "b", "c"], ["r"]), onnxNode("Add", ["h", "r"], ["y"])],
          [
            onnxTensor("a", 7, []).content(9, littleBytes(Int64(0))),
            onnxTensor("b", 7, []).content(9, littleBytes(Int64.max)),
            onnxTensor("c", 7, []).content(9, littleBytes(Int64(1))),
          ]), "too long a range"
      ),
      (draft([onnxNode("Transpose", ["h"], ["y"], [list("perm", [0, 0])])]), "not an order"),
      (draft([onnxNode("Softmax", ["h"], ["y"], [onnxAttribute("axis", 2).int(3, .min)])]), "axis"),
      (draft([onnxNode("Softmax", ["h"], ["y"], [onnxAttribute("axis", 2).int(3, 7)])]), "no axis 7"),
      (
        draft(
          [onnxNode("Slice", ["h", "s", "e", "a", "t"], ["y"])],
          [ints("s", [0]), ints("e", [4]), ints("a", [1]), ints("t", [0])]), "steps of 0"
      ),
      (
        draft([onnxNode("Pad", ["h", "p"], ["y"])], [ints("p", [0, big, 0, big])]), "Pad"
      ),
      (
        draft(
          [onnxNode("Split", ["h", "p"], ["y", "z"], [onnxAttribute("axis", 2).int(3, 1)])], [ints("p", [1, 9])]),
        "splits"
      ),
      (
        draft(
          [onnxNode("MatMul", ["h", "k"], ["y"])],
          [onnxTensor("k", [5, 2]).content(9, rawFloats(Array(repeating: 1, count: 10)))]), "does not fit"
      ),
      (
        draft([onnxNode("Add", ["h", "k"], ["y"])], [onnxTensor("k", [3]).content(9, rawFloats([1, 2, 3]))]),
        "do not fit together"
      ),
      (draft([onnxNode("Gemm", ["h"], ["y"])]), "inputs"),
      (draft([onnxNode("Relu", ["h"], ["y"])], input: [0]), "1"),
      (draft([onnxNode("Relu", ["h"], ["y"])], input: [big, big]), "shape"),
      (
        draft(
          [onnxNode("Conv", ["h", "k"], ["y"], [list("strides", [0, 1])])],
          [onnxTensor("k", [1, 1, 1, 1]).content(9, rawFloats([1]))], input: [1, 4, 4]), "stride"
      ),
      (
        draft(
          [onnxNode("Conv", ["h", "k"], ["y"], [list("pads", [-1, 0, 0, 0])])],
          [onnxTensor("k", [1, 1, 1, 1]).content(9, rawFloats([1]))], input: [1, 4, 4]), "padding"
      ),
      (
        draft(
          [onnxNode("Conv", ["h", "k"], ["y"])],
          [onnxTensor("k", [1, 1, 9, 9]).content(9, rawFloats(Array(repeating: 1, count: 81)))], input: [1, 4, 4]),
        "does not fit"
      ),
      (
        draft(
          [onnxNode("MaxPool", ["h"], ["y"], [list("kernel_shape", [2, 2]), list("pads", [2, 2, 2, 2])])],
          input: [1, 4, 4]),
        "reaches as far"
      ),
      (
        draft([onnxNode("Dropout", ["h", "k"], ["y"])], [onnxTensor("k", []).content(9, rawFloats([1]))]),
        "drops a share"
      ),
      (draft([onnxNode("Relu", ["h"], ["y"])], output: "h2"), "h2"),
    ]
    for (file, reason) in cases {
      let said = words(file)
      #expect(said.contains(reason), "\(said)")
    }
  }

  @Test func `a value that doubles sixty times is refused`() {
    var nodes: [Proto] = []
    for turn in 0..<60 {
      let from = turn == 0 ? "h" : "h\(turn)"
      nodes.append(onnxNode("Concat", [from, from], ["h\(turn + 1)"], [onnxAttribute("axis", 2).int(3, 1)]))
    }
    nodes.append(onnxNode("Relu", ["h60"], ["y"]))
    #expect(words(draft(nodes)).contains("the most"))
  }

  @Test func `a product that squares a long axis is refused`() {
    // [n, 30000, 1] times [n, 1, 30000].
    let nodes = [
      onnxNode("Reshape", ["h", "a"], ["p"]), onnxNode("Reshape", ["h", "b"], ["q"]),
      onnxNode("MatMul", ["p", "q"], ["y"]),
    ]
    let file = draft(nodes, [ints("a", [0, 30_000, 1]), ints("b", [0, 1, 30_000])], input: [30_000])
    #expect(words(file).contains("the most"))
  }

  @Test func `thousands of trivial nodes are run`() {
    var nodes: [Proto] = []
    for turn in 0..<3_000 { nodes.append(onnxNode("Relu", [turn == 0 ? "h" : "h\(turn)"], ["h\(turn + 1)"])) }
    nodes.append(onnxNode("Relu", ["h3000"], ["y"]))
    #expect(words(draft(nodes)) == "it was run")
  }

  @Test func `token numbers outside their table are an error, not a trap`() throws {
    let file = ONNXDraft().with {
      $0.nodes = [onnxNode("Gather", ["t", "x"], ["y"])]
      $0.initializers = [onnxTensor("t", [5, 2]).content(9, rawFloats(Array(repeating: 0.5, count: 10)))]
      $0.inputs = [onnxValue("x", 7, [Proto().text(2, "batch"), Proto().int(1, 2)])]
      $0.outputs = [onnxValue("y")]
    }
    let model = try Model(declaration(file))
    let good = try Dataset(
      features: .floats([0, 4]), targets: .values([0, 0, 0, 0], per: 4), shape: [2]
    ).chunk(rows: 0..<1)
    let recipe = TrainingRecipe(learningRate: 0.1, batch: 1)
    let start = model.initialWeights(seed: Seed(1))
    _ = try model.train(from: start, on: good, recipe: recipe, seed: Seed(1))
    for bad: Float in [5, -1, 0.5, 1e30] {
      let samples = try Dataset(
        features: .floats([0, bad]), targets: .values([0, 0, 0, 0], per: 4), shape: [2]
      ).chunk(rows: 0..<1)
      #expect(throws: LearnError.self) { try model.train(from: start, on: samples, recipe: recipe, seed: Seed(1)) }
    }
    // And after a fault, good samples are trained on again.
    _ = try model.train(from: start, on: good, recipe: recipe, seed: Seed(1))
  }
}

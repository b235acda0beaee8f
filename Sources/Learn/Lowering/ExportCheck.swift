/// What an export may have lost, so that an owner hears of it before any money moves.
enum ExportCheck {
  static func warnings(_ model: ONNXModel, _ graph: Graph) -> [String] {
    var warnings: [String] = []
    var users: [String: [(node: ONNXNode, slot: Int)]] = [:]
    for node in model.nodes {
      for (slot, name) in node.inputs.enumerated() { users[name, default: []].append((node, slot)) }
    }
    let trained = Set(graph.parameters.filter(\.isTrained).map(\.name))
    for tensor in model.initializers where trained.contains(tensor.name) {
      guard case .floats(let values) = tensor.values, let first = values.first, values.count > 1 else { continue }
      let slots = (users[tensor.name] ?? []).filter { isScaleOrBias($0.node, $0.slot) }
      if slots.count > 1, values.allSatisfy({ $0 == first }) {
        warnings.append(
          "'\(tensor.name)' is the scale or bias of \(slots.count) nodes and all its values are \(first): the exporter has "
            + "probably merged parameters that were equal, and training will tie them; export again with "
            + "python/peermill_export.py")
      }
      // The newer exporter copies an initializer as 'alias' where it meant no more than that.
      let all = users[tensor.name] ?? []
      for user in all
      where user.node.op == "Identity" && all.count > 1 && isParameterName(user.node.outputs.first ?? "") {
        warnings.append(
          "'\(user.node.outputs.first ?? "")' is a copy of '\(tensor.name)': the exporter merged two parameters that were "
            + "equal, and training will tie them; export again with python/peermill_export.py")
      }
    }
    let renamed = trained.filter { $0.hasPrefix("onnx::") || $0.hasPrefix("val_") }.sorted()
    if let first = renamed.first {
      warnings.append(
        "\(renamed.count) weight\(renamed.count == 1 ? " has" : "s have") lost \(renamed.count == 1 ? "its name" : "their names") "
          + "('\(first)'), so that they cannot be loaded back by name; export again with python/peermill_export.py")
    }
    warnings += splitTies(model, trained)
    if warnings.count > 12 { warnings = warnings.prefix(12) + ["and \(warnings.count - 12) more of this kind"] }
    return warnings
  }

  private static func isParameterName(_ name: String) -> Bool {
    name.hasPrefix("onnx::") || name.hasSuffix("weight") || name.hasSuffix("bias")
  }

  private static func isScaleOrBias(_ node: ONNXNode, _ slot: Int) -> Bool {
    switch node.op {
    case "LayerNormalization", "BatchNormalization", "InstanceNormalization", "GroupNormalization":
      slot == 1 || slot == 2
    case "Conv", "Gemm": slot == 2
    case "Add", "Mul": true
    default: false
    }
  }

  /// A table that is looked up, and a matrix that is its transpose: one weight before, two now.
  private static func splitTies(_ model: ONNXModel, _ trained: Set<String>) -> [String] {
    var warnings: [String] = []
    let tables = Set(model.nodes.filter { $0.op == "Gather" }.compactMap(\.inputs.first)).intersection(trained)
    // A model has a table or two; more than that is no model, and looking at all pairs would take long.
    guard tables.count <= 8 else { return [] }
    for table in model.initializers where tables.contains(table.name) {
      guard case .floats(let a) = table.values, table.shape.count == 2 else { continue }
      for other in model.initializers where other.name != table.name && trained.contains(other.name) {
        guard other.shape == table.shape.reversed(), case .floats(let b) = other.values else { continue }
        let (rows, columns) = (table.shape[0], table.shape[1])
        guard warnings.count < 12 else { return warnings }
        let isTransposed = (0..<rows).allSatisfy { row in
          (0..<columns).allSatisfy { a[row * columns + $0] == b[$0 * rows + row] }
        }
        if isTransposed {
          warnings.append(
            "'\(other.name)' is '\(table.name)' transposed: the exporter has split a tied weight, and the two will be trained "
              + "apart; export again with python/peermill_export.py")
        }
      }
    }
    return warnings
  }
}

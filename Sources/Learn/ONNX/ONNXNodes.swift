extension ONNXParser {
  mutating func readNode(_ range: Range<Int>, index: Int) throws(LearnError) -> ONNXNode {
    let unnamed = "node \(index)"
    var wire = ProtobufReader(bytes, range, unnamed)
    var node = ONNXNode(name: "", op: "", domain: "", inputs: [], outputs: [], attributes: [:], index: index)
    var attributes: [Range<Int>] = []
    while let field = try wire.next() {
      switch field.number {
      case 1:
        guard node.inputs.count < limits.nodeInputs else {
          throw .onnx("\(unnamed) has more than \(limits.nodeInputs) inputs")
        }
        node.inputs.append(try connection(field))
      case 2:
        guard node.outputs.count < limits.nodeInputs else {
          throw .onnx("\(unnamed) has more than \(limits.nodeInputs) outputs")
        }
        node.outputs.append(try connection(field))
      case 3: node.name = try name(field, "its name")
      case 4: node.op = try name(field, "its operator")
      case 5:
        guard attributes.count < limits.nodeAttributes else {
          throw .onnx("\(unnamed) has more than \(limits.nodeAttributes) attributes")
        }
        try spendName()
        attributes.append(try field.content())
      case 7: node.domain = Self.domain(try name(field, "its domain"))
      case 8:
        guard try field.content().isEmpty else {
          throw .onnx("\(unnamed) calls an overload, which only functions have")
        }
      default: break
      }
    }
    guard !node.op.isEmpty else { throw .onnx("\(unnamed) names no operator") }
    switch node.domain {
    case "": break
    case "ai.onnx.ml":
      if mlOpset == nil { throw .onnx("\(node.place) is of ai.onnx.ml, which the file does not import") }
    default:
      throw .onnx("\(node.place) is of the domain '\(node.domain)'; only ai.onnx and ai.onnx.ml are read")
    }
    if node.domain.isEmpty, ["If", "Loop", "Scan"].contains(node.op) { throw subgraph(node) }
    for range in attributes {
      let (name, attribute) = try readAttribute(range, of: node)
      guard node.attributes.updateValue(attribute, forKey: name) == nil else {
        throw .onnx("\(node.place) has the attribute '\(name)' twice")
      }
    }
    return node
  }

  func subgraph(_ node: ONNXNode) -> LearnError {
    let opset = node.domain.isEmpty ? self.opset : mlOpset ?? 0
    return .onnx(
      "\(node.place), opset \(opset), holds a graph of its own; conditions and loops are not read, so export it without"
    )
  }

  private mutating func connection(_ field: ProtobufReader.Field) throws(LearnError) -> String {
    try spendName()
    return try name(field, "an input or output")
  }

  private mutating func spendName() throws(LearnError) {
    namesLeft -= 1
    guard namesLeft >= 0 else {
      throw .onnx("its nodes have more than \(limits.totalNames) inputs, outputs and attributes")
    }
  }
}

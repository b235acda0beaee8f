/// What holds between the parts of a graph: every name is defined once, and before it is read.
enum ONNXGraph {
  /// The nodes, each after those it reads from: as they stand where that is so, and moved as little as it takes otherwise.
  static func check(
    nodes: [ONNXNode], inputs: [ONNXValue], initializers: [ONNXTensor], outputs: [ONNXValue]
  ) throws(LearnError) -> [ONNXNode] {
    guard !nodes.isEmpty else { throw .onnx("its graph has no nodes") }
    guard !outputs.isEmpty else { throw .onnx("its graph has no outputs") }
    var given: [String: Int] = [:]
    for (index, tensor) in initializers.enumerated() {
      guard given.updateValue(index, forKey: tensor.name) == nil else {
        throw .onnx("there are two initializers '\(tensor.name)'")
      }
    }
    var seen: Set<String> = []
    for input in inputs {
      guard seen.insert(input.name).inserted else { throw .onnx("there are two inputs '\(input.name)'") }
      // Old files list initializers among the inputs, and others do so for those that may be given anew.
      if let index = given[input.name] {
        try compare(input, initializers[index])
      } else {
        given[input.name] = -1
      }
    }
    var producers: [String: Int] = [:]
    for node in nodes {
      for output in node.outputs where !output.isEmpty {
        guard given[output] == nil else { throw .onnx("\(node.place) computes '\(output)', which is given already") }
        if let other = producers.updateValue(node.index, forKey: output) {
          throw .onnx("\(node.place) computes '\(output)', as \(nodes[other].place) does")
        }
      }
      guard node.outputs.contains(where: { !$0.isEmpty }) else { throw .onnx("\(node.place) has no output") }
    }
    var wanted: Set<String> = []
    for output in outputs {
      guard wanted.insert(output.name).inserted else { throw .onnx("there are two outputs '\(output.name)'") }
      guard producers[output.name] != nil || given[output.name] != nil else {
        throw .onnx("nothing computes the output '\(output.name)'")
      }
    }
    var reads: [[Int]] = []
    reads.reserveCapacity(nodes.count)
    for node in nodes {
      var sources: [Int] = []
      for input in node.inputs where !input.isEmpty {
        if let source = producers[input] {
          guard source != node.index else { throw .onnx("\(node.place) reads '\(input)', its own output") }
          sources.append(source)
        } else if given[input] == nil {
          throw .onnx("\(node.place) reads '\(input)', which nothing defines")
        }
      }
      reads.append(sources)
    }
    return try sort(nodes, reads)
  }

  private static func compare(_ input: ONNXValue, _ tensor: ONNXTensor) throws(LearnError) {
    var isSame = input.element == tensor.element
    if let shape = input.shape {
      isSame = isSame && shape.count == tensor.shape.count
      for case (.fixed(let size), let actual) in zip(shape, tensor.shape) where size != actual { isSame = false }
    }
    guard isSame else { throw .onnx("'\(input.name)' is an input of another type or shape than its initializer") }
  }

  /// Depth first and in the order of the file, with a stack of its own: a node that is in order stays where it is.
  private static func sort(_ nodes: [ONNXNode], _ reads: [[Int]]) throws(LearnError) -> [ONNXNode] {
    var sorted: [ONNXNode] = []
    sorted.reserveCapacity(nodes.count)
    var isOpen = [Bool](repeating: false, count: nodes.count)
    var isDone = isOpen
    var stack: [(node: Int, next: Int)] = []
    for first in nodes.indices where !isDone[first] {
      stack.append((first, 0))
      isOpen[first] = true
      while let top = stack.last {
        let sources = reads[top.node]
        if top.next < sources.count {
          stack[stack.count - 1].next += 1
          let source = sources[top.next]
          if isDone[source] { continue }
          guard !isOpen[source] else {
            throw .onnx("\(nodes[top.node].place) reads from \(nodes[source].place), which waits for it: a cycle")
          }
          isOpen[source] = true
          stack.append((source, 0))
        } else {
          isDone[top.node] = true
          stack.removeLast()
          var node = nodes[top.node]
          node.index = sorted.count
          sorted.append(node)
        }
      }
    }
    return sorted
  }
}

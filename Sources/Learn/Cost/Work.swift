/// What a kernel's time is made of, one price for each.
enum Unit: Int, CaseIterable, Sendable {
  // how passes are driven
  case pass, step, call, windowCall, batch, sample, sampleLine, target
  // products
  case productCall, tileStretch, dotStep, dotTile, thinDotStep, thinDotTile, narrowDotStep, narrowDotTile, singleDotStep
  case singleDotTile
  // maps: a vector is 16 elements
  case mapRow, binaryVector, divideVector, binaryGradientVector, divideGradientVector, operandRow, chooseVector,
    chooseRow
  case columnsVector, spreadVector, spreadRow, sumVector, sumRow, largestElement, searchElement, dropoutElement
  // moves
  case copyLine, copyVector, copyTail, copyAddVector, copyAddTail, copyApart, copyAddApart, turnSquare, turnEdge,
    clearRow
  case clearElement, fillVector, moveVector, borderElement, gatherRow, scatterElement, biasElement, channelElement
  // norms and losses
  case softmaxVector, softmaxRow, logSoftmaxRow, softmaxGradientVector, softmaxGradientRow, logSoftmaxGradientVector
  case rowNormVector, rowNormRow, rowNormGradientVector, rowNormGradientRow, momentsVector, channelNormVector
  case channelGradientVector, channelMoveVector, lossRow, lossClass, lossVector, squaredVector, logitsVector,
    sharesVector
  case valueRow
  // windows
  case windowPixel, maxTap, maxGradientTap, meanTap, meanGradientTap, depthTap, depthGradientTap, depthKernelTap
  case poolVector, poolGradientVector
  // recurrent cells
  case lstmVector, lstmPart, lstmGradientVector, lstmGradientPart, gruVector, gruPart, gruGradientVector,
    gruGradientPart
  // descent
  case momentumVector, plainVector, adamVector, squaresVector, descendVector, descendMomentumVector
  // chains
  case reluVector, reluGradientVector, columnSumsVector, runsVector
}

/// Amounts of work, or the seconds that a unit of each takes: a number for each slot.
struct Slots: Sendable, Equatable {
  static let units = Unit.allCases.count
  static let functions = 19
  static let heights = 15
  /// Distances in bytes, doubling, after which a line of memory is met again: 8 KiB to 64 MiB.
  static let distances = 14
  static let nearest = 8_192
  static let count = units + 2 * functions + 2 * 2 * 2 * heights + 2 * distances

  static func slot(_ unit: Unit) -> Int { unit.rawValue }
  static func unary(_ op: Int, gradient: Bool) -> Int { units + (gradient ? functions : 0) + op }
  /// Steps along the reduction of a tile of so many rows and vectors, or how many tiles there are.
  static func tile(isTransposed: Bool, vectors: Int, height: Int, isCall: Bool) -> Int {
    let shape = ((isTransposed ? 2 : 0) + vectors - 1) * 2 + (isCall ? 1 : 0)
    return units + 2 * functions + shape * heights + height
  }
  /// Lines of 64 bytes met again at a distance: of what is streamed, or of the panels of a product.
  static func line(_ distance: Int, isPanel: Bool) -> Int {
    units + 2 * functions + 8 * heights + (isPanel ? distances : 0) + distance
  }

  static let names: [String] = {
    var names = Array(repeating: "", count: count)
    for unit in Unit.allCases { names[slot(unit)] = "\(unit)" }
    for op in 0..<functions {
      let name = Unary(rawValue: UInt32(op)).map { "\($0)" } ?? "\(op)"
      names[unary(op, gradient: false)] = "unary.\(name)"
      names[unary(op, gradient: true)] = "unaryGradient.\(name)"
    }
    for isTransposed in [false, true] {
      for vectors in 1...2 {
        for height in 0..<heights {
          let place = "\(isTransposed ? "transposed" : "straight").\(height)x\(16 * vectors)"
          names[tile(isTransposed: isTransposed, vectors: vectors, height: height, isCall: false)] = "tileStep.\(place)"
          names[tile(isTransposed: isTransposed, vectors: vectors, height: height, isCall: true)] = "tile.\(place)"
        }
      }
    }
    for distance in 0..<distances {
      names[line(distance, isPanel: false)] = "line.\((nearest << distance) / 1_024)K"
      names[line(distance, isPanel: true)] = "panelLine.\((nearest << distance) / 1_024)K"
    }
    return names
  }()

  var values = Array(repeating: 0.0, count: count)
  subscript(unit: Unit) -> Double {
    get { values[unit.rawValue] }
    set { values[unit.rawValue] = newValue }
  }
  func dot(_ prices: Slots) -> Double { zip(values, prices.values).reduce(0) { $0 + $1.0 * $1.1 } }
}

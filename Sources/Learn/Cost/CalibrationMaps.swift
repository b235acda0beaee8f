import CKernels

/// Probes of what goes over elements.
extension Calibration {
  mutating func maps() throws(LearnError) {
    let (a, b, c) = (a, b, c)
    try probe(.mapRow) { $0.unary(Int32(Unary.relu.rawValue), 64, 16, 16, 0, 0, a, c) }
    for op in 0..<Slots.functions {
      // Logarithms and roots take what is above 0.
      try probe(Slots.unary(op, gradient: false)) { $0.unary(Int32(op), 4, 256, 256, 0.3, 0.7, b, c) }
      try probe(Slots.unary(op, gradient: true)) { $0.unary_gradient(Int32(op), 4, 256, 256, 0.3, 0.7, b, b, a, c, 0) }
    }
    var x = pm_operand(data: UnsafePointer(a), table: nil, stride: 256, is_scalar: 0)
    var y = pm_operand(data: UnsafePointer(b), table: nil, stride: 256, is_scalar: 0)
    for (unit, gradient, op) in [
      (Unit.binaryVector, Unit.binaryGradientVector, Binary.multiply), (.divideVector, .divideGradientVector, .divide),
    ] {
      try probe(unit) { $0.binary(Int32(op.rawValue), 4, 256, &x, &y, c, 256) }
      try probe(gradient) { $0.binary_gradient(Int32(op.rawValue), 1, 4, 256, &x, &y, a, c, 256, 0) }
    }
    let rows = RowTable((0..<64).map { Int32($0 / 8) })
    var few = pm_operand(data: UnsafePointer(b), table: UnsafePointer(rows.pointer), stride: 16, is_scalar: 0)
    var narrow = pm_operand(data: UnsafePointer(a), table: nil, stride: 16, is_scalar: 0)
    try probe(.operandRow) { $0.binary(Int32(Binary.add.rawValue), 64, 16, &narrow, &few, c, 16) }
    try probe(.chooseVector) { $0.choose(4, 256, &x, &y, &x, c, 256, 0) }
    try probe(.chooseRow) { $0.choose(64, 16, &narrow, &narrow, &narrow, c, 16, 0) }
    try probe(.columnsVector) { $0.reduce(64, 64, 64, a, nil, 0, 1, c, 64) }
    try probe(.spreadVector) { $0.reduce(4, 256, 256, a, rows.pointer, 0, 1, c, 256) }
    try probe(.spreadRow) { $0.reduce(64, 16, 16, a, rows.pointer, 0, 1, c, 16) }
    let each = RowTable((0..<64).map { Int32($0) })
    try probe(.sumVector) { $0.reduce(4, 256, 256, a, each.pointer, 1, 1, c, 16) }
    try probe(.sumRow) { $0.reduce(64, 16, 16, a, each.pointer, 1, 1, c, 16) }
    try probe(.largestElement) { $0.largest(16, 64, 64, a, each.pointer, 1, c, 16) }
    try probe(.dropoutElement) { $0.dropout(4, 256, 256, 7, 0.3, a, c, 0) }
    try probe(.plainVector) { kernels in
      var descent = pm_descent()
      kernels.momentum_step(1_024, &descent, a, nil, nil, c)
    }
    try probe(.momentumVector) { kernels in
      var descent = pm_descent()
      descent.step = 2
      kernels.momentum_step(1_024, &descent, a, nil, b + 4_096 + 144, c)
    }
    try probe(.adamVector) { kernels in
      var descent = pm_descent()
      (descent.beta1, descent.beta2, descent.epsilon, descent.root2, descent.keep) = (0.9, 0.999, 1e-8, 1, 1)
      kernels.adam_step(1_024, &descent, a, nil, b + 8_192 + 144, b + 16_384 + 592, c)
    }
    try probe(.squaresVector) { _ = $0.squares(1_024, a) }
    try probe(.descendVector) { $0.descend(1_024, 0, a, c) }
    try probe(.descendMomentumVector) { $0.descend_with_momentum(1_024, 0, 0, a, b + 4_096 + 144, c) }
    try probe(.reluVector) { $0.relu(1_024, c) }
    try probe(.reluGradientVector) { $0.relu_backward(1_024, a, c) }
    try probe(.columnSumsVector) { $0.column_sums(64, 64, 64, a, c, 0) }
    let runs = UnsafeMutablePointer<pm_run>.allocate(capacity: 64)
    defer { runs.deallocate() }
    try probe(.runsVector) { _ = $0.live_runs(16, 64, 64, b, 4, 64, runs) }
  }

  mutating func moves() throws(LearnError) {
    let (a, c) = (a, c)
    func shape(_ size: [Int], _ from: [Int], _ to: [Int]) -> pm_copy_shape {
      var shape = pm_copy_shape()
      shape.size = (1, 1, 1, 1, size[0], size[1])
      shape.in_step = (0, 0, 0, 0, from[0], from[1])
      shape.out_step = (0, 0, 0, 0, to[0], to[1])
      return shape
    }
    for (unit, shape, adds) in [
      (Unit.copyLine, shape([64, 16], [32, 1], [48, 1]), Int32(0)),
      (.copyVector, shape([4, 512], [512, 1], [512, 1]), 0),
      (.copyTail, shape([64, 15], [16, 1], [16, 1]), 0), (.copyAddVector, shape([4, 512], [512, 1], [512, 1]), 1),
      (.copyAddTail, shape([64, 15], [16, 1], [16, 1]), 1), (.copyApart, shape([16, 64], [1, 16], [64, 2]), 0),
      (.copyAddApart, shape([16, 64], [1, 16], [64, 1]), 1), (.turnSquare, shape([32, 32], [1, 48], [48, 1]), 0),
    ] {
      var shape = shape
      try probe(unit) { $0.copy(&shape, a, c, adds) }
    }
    try probe(.turnEdge) { $0.transpose(63, 7, a, 16, c, 64) }
    try probe(.clearRow) { $0.clear_tails(64, 15, 16, c) }
    try probe(.clearElement) { $0.clear_tails(64, 4, 16, c) }
    try probe(.fillVector) { $0.fill(2_048, 0, c) }
    try probe(.moveVector) { $0.move(2_048, a, c) }
    try loops()
  }

  /// What is done in Swift, element by element.
  private mutating func loops() throws(LearnError) {
    let (a, c) = (a, c)
    func work(_ unit: Unit, _ count: Int) -> Slots {
      var work = Slots()
      work[unit] = Double(count)
      return work
    }
    let places = (0..<512).map { Int32(($0 * 37) % 512) }
    try probe(.scatterElement, work: work(.scatterElement, 512)) {
      for index in places.indices { c[Int(places[index])] = a[Int(places[index])] }
    }
    let (rows, channels) = (64, 3)
    try probe(.borderElement, work: work(.borderElement, rows * channels)) {
      for pixel in 0..<rows {
        for channel in 0..<channels { c[pixel * channels + channel] = a[pixel + channel * rows] }
      }
    }
    try probe(.biasElement, work: work(.biasElement, 512)) {
      for index in 0..<512 { c[index] = index < 500 ? a[index] + a[512 + index] : 0 }
    }
    try probe(.channelElement, work: work(.channelElement, 512)) {
      for index in 0..<512 { c[index] = 0.9 * a[index] + 1 / (a[1_024 + index] + 3).squareRoot() }
    }
    try probe(.gatherRow, work: work(.gatherRow, 64)) {
      for row in 0..<64 { (c + row * 16).update(from: a + Int(places[row]) * 16, count: 16) }
    }
    try probe(.searchElement, work: work(.searchElement, 512)) {
      var found: Float = 0
      for index in places.indices where Int(places[index]) == 7 { found += a[index] }
      c[0] = found
    }
    try probe(.sampleLine, work: work(.sampleLine, 64)) {
      for row in 0..<64 { (c + row * 16).update(from: a + row * 12, count: 12) }
    }
    try probe(.target, work: work(.target, 512)) {
      for index in places.indices { c[index] = Float(places[index]) }
    }
  }

  mutating func norms() throws(LearnError) {
    let (a, b, c) = (a, b, c)
    for (unit, rows, width, isLog) in [
      (Unit.softmaxVector, 4, 256, Int32(0)), (.softmaxRow, 32, 16, 0), (.logSoftmaxRow, 32, 16, 1),
    ] {
      try probe(unit) { $0.softmax(rows, width, width, isLog, a, c) }
    }
    for (unit, rows, width, isLog) in [
      (Unit.softmaxGradientVector, 4, 256, Int32(0)), (.softmaxGradientRow, 32, 16, 0),
      (.logSoftmaxGradientVector, 4, 256, 1),
    ] {
      try probe(unit) { $0.softmax_gradient(rows, width, width, isLog, a, b, c, 0) }
    }
    let saved = c + 32_768
    for (unit, rows, width) in [(Unit.rowNormVector, 4, 256), (.rowNormRow, 32, 16)] {
      try probe(unit) { $0.row_norm(rows, width, width, 1e-5, b, b, a, c, saved) }
    }
    for (unit, rows, width) in [(Unit.rowNormGradientVector, 4, 256), (.rowNormGradientRow, 32, 16)] {
      try probe(unit) {
        $0.row_norm_gradient(rows, width, width, b, a, saved, b, c, 0, c + 16_384 + 144, c + 20_480 + 592)
      }
    }
    let (mean, moment) = (b + 32_768, b + 33_024)
    try probe(.momentsVector) { $0.channel_moments(64, 32, 32, a, mean, moment) }
    try probe(.channelNormVector) { $0.channel_norm(64, 32, 32, a, mean, moment, b, b, 1, c) }
    try probe(.channelGradientVector) {
      $0.channel_norm_gradient(64, 32, 32, a, mean, moment, b, nil, a, 1, nil, 0, c + 16_384 + 144, c + 20_480 + 592)
    }
    try probe(.channelMoveVector) {
      $0.channel_norm_gradient(64, 32, 32, a, mean, moment, b, nil, a, 1, c, 0, c + 16_384 + 144, c + 20_480 + 592)
    }
    let labels = UnsafeMutablePointer<Int32>.allocate(capacity: 64)
    labels.initialize(repeating: 1, count: 64)
    defer { labels.deallocate() }
    var correct = 0
    for (unit, rows, classes, row) in [
      (Unit.lossRow, 32, 2, 16), (.lossClass, 32, 16, 16), (.lossVector, 4, 240, 256),
    ] {
      try probe(unit) { _ = $0.softmax_loss(rows, classes, row, a, labels, c, 1, &correct) }
    }
    for (unit, kind) in [
      (Unit.squaredVector, pm_squared), (.logitsVector, pm_binary_logits), (.sharesVector, pm_binary_shares),
    ] {
      try probe(unit) { _ = $0.value_loss(Int32(kind.rawValue), 4, 128, 128, b, a, c, 1, &correct) }
    }
    try probe(.valueRow) { _ = $0.value_loss(Int32(pm_squared.rawValue), 32, 1, 16, b, a, c, 1, &correct) }
  }

  mutating func windows() throws(LearnError) {
    let (a, b, c) = (a, b, c)
    var window = pm_window()
    (window.images, window.height, window.width, window.channels, window.stride) = (1, 8, 8, 32, 32)
    (window.row_step, window.column_step, window.row_gap, window.column_gap) = (1, 1, 1, 1)
    let index = UnsafeMutableRawPointer(c + 32_768).bindMemory(to: UInt8.self, capacity: 8_192)
    (window.height_taps, window.width_taps, window.out_height, window.out_width) = (1, 1, 8, 8)
    var single = window
    try probe(.windowPixel) { $0.max_window(&single, a, c, index) }
    (window.height_taps, window.width_taps, window.out_height, window.out_width) = (3, 3, 8, 8)
    (window.top, window.left, window.bottom, window.right) = (1, 1, 1, 1)
    try probe(.maxTap) { $0.max_window(&window, a, c, index) }
    try probe(.maxGradientTap) { $0.max_window_gradient(&window, index, a, c) }
    try probe(.meanTap) { $0.mean_window(&window, a, c) }
    try probe(.meanGradientTap) { $0.mean_window_gradient(&window, a, c) }
    try probe(.depthTap) { $0.depthwise(&window, a, b, b, c) }
    try probe(.depthGradientTap) { $0.depthwise_gradient(&window, a, b, a, c, c + 16_384) }
    try probe(.depthKernelTap) { $0.depthwise_gradient(&window, a, b, a, nil, c + 16_384) }
    try probe(.poolVector) { $0.pool(1, 4, 4, 32, 1, a, c, 128, 512, index) }
    try probe(.poolGradientVector) {
      $0.pool_backward(1, 4, 4, 32, 1, a, 128, 512, b, 128, 512, index, c, 256, 2_048, c + 16_384)
    }
  }

  mutating func cells() throws(LearnError) {
    let (a, b, c) = (a, b, c)
    for (units, lstm, lstmGradient, gru, gruGradient) in [
      (32, Unit.lstmVector, Unit.lstmGradientVector, Unit.gruVector, Unit.gruGradientVector),
      (8, .lstmPart, .lstmGradientPart, .gruPart, .gruGradientPart),
    ] {
      try probe(lstm) { $0.lstm_cell(8, units, a, 128, b, c, c + 4_096 + 144, 32) }
      try probe(lstmGradient) { $0.lstm_cell_gradient(8, units, a, 128, b, b, b, c, 32) }
      try probe(gru) { $0.gru_cell(8, units, a, b, 128, b + 4_096 + 144, c, 32) }
      try probe(gruGradient) { $0.gru_cell_gradient(8, units, a, b + 8_192 + 144, 128, b, c, 32) }
    }
  }
}

import CKernels

/// A convolution over channels-last images, as products: one for each row of outputs and tap. What lies in the padding is left
/// out, since adding a zero changes nothing. Sums begin with the bias; taps come in order, but that one that meets every
/// output of the row goes first.
final class ConvolutionStep: Step {
  private let window: Window
  private let products: Products
  /// Images of fewer channels than a vector are copied into a border without gaps between channels, so that a row of taps is
  /// one reduction.
  private let compact: Piece?
  private var turned: Piece?
  private let channels: Int
  private let outputs: Int
  private let height: Int
  private let width: Int
  private let outHeight: Int
  private let outWidth: Int
  private let imagesAtOnce: Int
  private let xSteps: [Int]

  /// Whether the images may lie as the model's input does, channel after channel.
  static func takesRows(_ window: Window, channels: Int) -> Bool { isCompact(window, channels) }
  private static func isCompact(_ window: Window, _ channels: Int) -> Bool {
    channels < 16 && window.gaps[1] == 1 && !window.isWhole
  }

  init(_ window: Window, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.window = window
    products = Products(kernels: kernels)
    let x = inputs[0]
    channels = x.shape[1]
    height = x.shape[2]
    width = x.shape[3]
    outputs = output.width
    outHeight = output.shape[2]
    outWidth = output.shape[3]
    let isCompact = Self.isCompact(window, channels)
    xSteps = x.steps
    let floats = height * width * x.stride + outHeight * outWidth * output.stride
    imagesAtOnce = max(1, min(x.shape[0], (1 << 17) / floats))
    let border = Self.border(window, height, width, channels)
    compact = isCompact ? Piece(x.shape[0] * border.image) : nil
    super.init(inputs, output, kernels)
    if let compact { keep(compact) }
  }
  private static func border(_ window: Window, _ height: Int, _ width: Int, _ channels: Int) -> (row: Int, image: Int) {
    let row = (width + window.before[1] + window.after[1]) * channels
    // Room for the last vector, which reads past the end.
    return (row, (height + window.before[0] + window.after[0]) * row)
  }
  private var x: Tensor { inputs[0] }
  private var weight: Tensor { inputs[1] }
  private var columns: Int { output.stride }
  private var images: Int { x.shape[0] }
  private var taps: Int { window.taps[0] * window.taps[1] }
  override func prepareBackward() {
    if wants[0] { turned = needBackward(taps * outputs * x.stride) }
  }

  // MARK: forward

  override func forward(_ run: Run) {
    let bias = inputs.count > 2 ? inputs[2].data : nil
    if window.isWhole {
      products.multiply(
        rows: x.rows, depth: channels, columns: columns, x.data, x.stride, weight.data, weight.stride, output.data,
        output.stride, from: bias == nil ? pm_from_zero : pm_from_bias, bias: bias)
      return
    }
    if let compact {
      fill(compact.pointer, run)
      forwardCompact(compact.pointer, bias)
      return
    }
    var shape = pm_product_shape()
    shape.a_row = window.steps[1] * x.stride
    shape.a_step = 1
    shape.b_row = weight.stride
    shape.c_row = output.stride
    shape.depth = channels
    shape.s1 = 1
    shape.s2 = 1
    shape.bias = bias.map { UnsafePointer($0) }
    shape.epilogue = Int32(pm_store.rawValue)
    for image in 0..<images {
      for row in 0..<outHeight {
        let target = output.data + (image * outHeight + row) * outWidth * output.stride
        let lines = inputRows(row)
        let first = lines.isEmpty ? nil : wholeTap
        if first == nil { kernels.fill_rows(outWidth, columns, output.stride, bias, target) }
        shape.start = Int32((bias == nil ? pm_from_zero : pm_from_bias).rawValue)
        if let first {
          sweep(&shape, image, lines[lines.count / 2], first, 0..<outWidth, target)
        }
        shape.start = Int32(pm_from_sums.rawValue)
        for (place, line) in lines.enumerated() {
          for column in 0..<window.taps[1] where !(first == column && place == lines.count / 2) {
            let pixels = window.outputs(tap: column, size: width, outputs: outWidth, 1)
            if pixels.isEmpty { continue }
            sweep(&shape, image, line, column, pixels, target)
          }
        }
      }
    }
  }
  private func sweep(
    _ shape: inout pm_product_shape, _ image: Int, _ line: (tap: Int, row: Int), _ column: Int, _ pixels: Range<Int>,
    _ target: Floats
  ) {
    let from = pixels.lowerBound * window.steps[1] + column * window.gaps[1] - window.before[1]
    kernels.product(
      0, pixels.count, columns, &shape, x.data + ((image * height + line.row) * width + from) * x.stride,
      weight.data + (line.tap * window.taps[1] + column) * channels * weight.stride,
      target + pixels.lowerBound * output.stride)
  }
  /// The rows of taps that meet the image at a row of outputs, with the image's rows.
  private func inputRows(_ row: Int) -> [(tap: Int, row: Int)] { rowsOfTaps[row] }
  private lazy var rowsOfTaps: [[(tap: Int, row: Int)]] = (0..<outHeight).map { row in
    (0..<window.taps[0]).compactMap { tap in
      let from = row * window.steps[0] + tap * window.gaps[0] - window.before[0]
      return from >= 0 && from < height ? (tap, from) : nil
    }
  }
  /// A column of taps that meets every output of a row.
  private lazy var wholeTap: Int? = (0..<window.taps[1]).first {
    window.outputs(tap: $0, size: width, outputs: outWidth, 1) == 0..<outWidth
  }

  /// The images with their border of zeros, channels side by side.
  private func fill(_ target: Floats, _ run: Run) {
    let border = Self.border(window, height, width, channels)
    let steps = xSteps
    kernels.fill(images * border.image, 0, target)
    if let meter = run.meter {
      meter.add(.borderElement, Double(images * height * width * channels))
      meter.touch(x.data, x.floats)
      meter.touch(target, images * border.image)
      return
    }
    for image in 0..<images {
      for row in 0..<height {
        let line =
          target + image * border.image + (row + window.before[0]) * border.row + window.before[1] * channels
        let source = x.data + image * steps[0] + row * steps[2]
        for pixel in 0..<width {
          for channel in 0..<channels {
            line[pixel * channels + channel] = source[pixel * steps[3] + channel * steps[1]]
          }
        }
      }
    }
  }
  private func forwardCompact(_ compact: Floats, _ bias: Floats?) {
    let border = Self.border(window, height, width, channels)
    var shape = pm_product_shape()
    shape.a_row = window.steps[1] * channels
    shape.a_step = 1
    shape.b_row = weight.stride
    shape.c_row = output.stride
    shape.depth = window.taps[1] * channels
    shape.s1 = window.taps[0]
    shape.a_s1 = window.gaps[0] * border.row
    shape.b_s1 = window.taps[1] * channels * weight.stride
    shape.s2 = 1
    shape.bias = bias.map { UnsafePointer($0) }
    shape.start = Int32((bias == nil ? pm_from_zero : pm_from_bias).rawValue)
    shape.epilogue = Int32(pm_store.rawValue)
    for image in 0..<images {
      for row in 0..<outHeight {
        kernels.product(
          0, outWidth, columns, &shape, compact + image * border.image + row * window.steps[0] * border.row,
          weight.data, output.data + (image * outHeight + row) * outWidth * output.stride)
      }
    }
  }

  // MARK: backward

  override func backward(_ run: Run) {
    if inputs.count > 2, wants[2] {
      if !adds[2] { kernels.clear(inputs[2]) }
      kernels.reduce(
        output.rows, output.width, output.stride, output.slope, nil, 0, 1, inputs[2].slope, inputs[2].stride)
    }
    if wants[1] { weightGradient() }
    if wants[0], let turned { inputGradient(turned.pointer) }
  }

  private func weightGradient() {
    if window.isWhole {
      products.multiplyTransposed(
        rows: channels, depth: x.rows, columns: columns, x.data, x.stride, output.slope, output.stride, weight.slope,
        weight.stride, adds: adds[1])
      return
    }
    if !adds[1] { kernels.clear(weight) }
    let border = Self.border(window, height, width, channels)
    var shape = pm_product_shape()
    shape.a_row = 1
    shape.b_row = output.stride
    shape.c_row = weight.stride
    shape.start = Int32(pm_from_sums.rawValue)
    shape.epilogue = Int32(pm_store.rawValue)
    shape.b_s1 = outWidth * output.stride
    shape.b_s2 = outHeight * shape.b_s1
    var first = 0
    while first < images {
      let count = min(imagesAtOnce, images - first)
      shape.s2 = count
      for tap in 0..<window.taps[0] {
        if let compact {
          shape.a_step = window.steps[1] * channels
          shape.depth = outWidth
          shape.s1 = outHeight
          shape.a_s1 = window.steps[0] * border.row
          shape.a_s2 = border.image
          kernels.product(
            1, window.taps[1] * channels, columns, &shape,
            compact.pointer + first * border.image + tap * window.gaps[0] * border.row,
            output.slope + first * shape.b_s2, weight.slope + tap * window.taps[1] * channels * weight.stride)
          continue
        }
        let rows = window.outputs(tap: tap, size: height, outputs: outHeight, 0)
        shape.a_step = window.steps[1] * x.stride
        shape.s1 = rows.count
        shape.a_s1 = window.steps[0] * width * x.stride
        shape.a_s2 = height * width * x.stride
        if rows.isEmpty { continue }
        let line = rows.lowerBound * window.steps[0] + tap * window.gaps[0] - window.before[0]
        for column in 0..<window.taps[1] {
          let pixels = window.outputs(tap: column, size: width, outputs: outWidth, 1)
          if pixels.isEmpty { continue }
          shape.depth = pixels.count
          let from = pixels.lowerBound * window.steps[1] + column * window.gaps[1] - window.before[1]
          kernels.product(
            1, channels, columns, &shape, x.data + ((first * height + line) * width + from) * x.stride,
            output.slope + first * shape.b_s2 + rows.lowerBound * shape.b_s1 + pixels.lowerBound * output.stride,
            weight.slope + (tap * window.taps[1] + column) * channels * weight.stride)
        }
      }
      first += count
    }
  }

  /// Every tap adds its share to the pixels that it met.
  private func inputGradient(_ turned: Floats) {
    for tap in 0..<taps {
      let target = turned + tap * outputs * x.stride
      if channels < x.stride { kernels.fill(outputs * x.stride, 0, target) }
      products.transpose(
        rows: channels, columns: outputs, weight.data + tap * channels * weight.stride, weight.stride, target, x.stride)
    }
    if window.isWhole {
      products.multiply(
        rows: x.rows, depth: outputs, columns: x.stride, output.slope, output.stride, turned, x.stride, x.slope,
        x.stride, from: adds[0] ? pm_from_sums : pm_from_zero)
      return
    }
    if !adds[0] { kernels.clear(x) }
    var shape = pm_product_shape()
    shape.a_row = output.stride
    shape.a_step = 1
    shape.b_row = x.stride
    shape.c_row = window.steps[1] * x.stride
    shape.depth = outputs
    shape.s1 = 1
    shape.s2 = 1
    shape.start = Int32(pm_from_sums.rawValue)
    shape.epilogue = Int32(pm_store.rawValue)
    for image in 0..<images {
      for row in 0..<outHeight {
        let slope = output.slope + (image * outHeight + row) * outWidth * output.stride
        for line in inputRows(row) {
          let target = x.slope + (image * height + line.row) * width * x.stride
          for column in 0..<window.taps[1] {
            let pixels = window.outputs(tap: column, size: width, outputs: outWidth, 1)
            if pixels.isEmpty { continue }
            let from = pixels.lowerBound * window.steps[1] + column * window.gaps[1] - window.before[1]
            kernels.product(
              0, pixels.count, x.stride, &shape, slope + pixels.lowerBound * output.stride,
              turned + (line.tap * window.taps[1] + column) * outputs * x.stride, target + from * x.stride)
          }
        }
      }
    }
  }
}

/// A convolution of every channel by itself.
final class DepthwiseStep: Step {
  private var window: pm_window
  init(_ window: Window, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels) {
    self.window = pm_window(window, inputs[0], output)
    super.init(inputs, output, kernels)
  }
  override func forward(_ run: Run) {
    kernels.depthwise(
      &window, inputs[0].data, inputs[1].data, inputs.count > 2 ? inputs[2].data : nil, output.data)
  }
  override func backward(_ run: Run) {
    if inputs.count > 2, wants[2] {
      if !adds[2] { kernels.clear(inputs[2]) }
      kernels.reduce(
        output.rows, output.width, output.stride, output.slope, nil, 0, 1, inputs[2].slope, inputs[2].stride)
    }
    for index in 0..<2 where wants[index] && !adds[index] { kernels.clear(inputs[index]) }
    guard wants[1] else { return }
    kernels.depthwise_gradient(
      &window, inputs[0].data, inputs[1].data, output.slope, wants[0] ? inputs[0].slope : nil, inputs[1].slope)
  }
}

/// The gradient of a convolution's input as an operation of its own; its weight is [in, out, th, tw] in rows.
final class TransposedConvolutionStep: Step {
  private let window: Window
  private let products: Products
  /// The weight by taps: [tap, in, out], its gradient, and [tap, out, in].
  private let byTap: Piece
  private var slopeByTap: Piece?
  private var turned: Piece?
  private let plan: CopyPlan
  private let back: CopyPlan

  init(_ window: Window, _ inputs: [Tensor], _ output: Tensor, _ kernels: pm_kernels, _ place: String)
    throws(LearnError)
  {
    self.window = window
    products = Products(kernels: kernels)
    let weight = inputs[1]
    let row = output.stride
    let tapSteps = [row, 1, window.taps[1] * weight.shape[0] * row, weight.shape[0] * row]
    func dimensions(_ swap: Bool) -> [(size: Int, from: Int, to: Int)] {
      (0..<4).map {
        (weight.shape[$0], swap ? tapSteps[$0] : weight.steps[$0], swap ? weight.steps[$0] : tapSteps[$0])
      }
    }
    plan = try CopyPlan(dimensions(false), place)
    back = try CopyPlan(dimensions(true), place)
    byTap = Piece(window.taps[0] * window.taps[1] * weight.shape[0] * row)
    super.init(inputs, output, kernels)
    keep(byTap)
  }
  private var x: Tensor { inputs[0] }
  private var weight: Tensor { inputs[1] }
  private var taps: Int { window.taps[0] * window.taps[1] }
  override func prepareBackward() {
    if wants[1] { slopeByTap = needBackward(byTap.floats) }
    if wants[0] { turned = needBackward(taps * output.width * x.stride) }
  }
  override func forward(_ run: Run) {
    var shape = plan.shape
    kernels.fill(byTap.floats, 0, byTap.pointer)
    kernels.copy(&shape, weight.data, byTap.pointer, 0)
    kernels.fill_rows(
      output.rows, output.stride, output.stride, inputs.count > 2 ? inputs[2].data : nil, output.data)
    visit { pixels, source, target, tap in
      var shape = pm_product_shape()
      shape.a_row = x.stride
      shape.a_step = 1
      shape.b_row = output.stride
      shape.c_row = window.steps[1] * output.stride
      shape.depth = x.width
      shape.s1 = 1
      shape.s2 = 1
      shape.start = Int32(pm_from_sums.rawValue)
      kernels.product(
        0, pixels, output.stride, &shape, x.data + source, byTap.pointer + tap * x.width * output.stride,
        output.data + target)
    }
  }
  override func backward(_ run: Run) {
    if inputs.count > 2, wants[2] {
      if !adds[2] { kernels.clear(inputs[2]) }
      kernels.reduce(
        output.rows, output.width, output.stride, output.slope, nil, 0, 1, inputs[2].slope, inputs[2].stride)
    }
    if wants[0], let turned {
      kernels.fill(turned.floats, 0, turned.pointer)
      for tap in 0..<taps {
        products.transpose(
          rows: x.width, columns: output.width, byTap.pointer + tap * x.width * output.stride, output.stride,
          turned.pointer + tap * output.width * x.stride, x.stride)
      }
      if !adds[0] { kernels.clear(x) }
      visit { pixels, source, target, tap in
        var shape = pm_product_shape()
        shape.a_row = window.steps[1] * output.stride
        shape.a_step = 1
        shape.b_row = x.stride
        shape.c_row = x.stride
        shape.depth = output.width
        shape.s1 = 1
        shape.s2 = 1
        shape.start = Int32(pm_from_sums.rawValue)
        kernels.product(
          0, pixels, x.stride, &shape, output.slope + target, turned.pointer + tap * output.width * x.stride,
          x.slope + source)
      }
    }
    if wants[1], let slopeByTap {
      kernels.fill(slopeByTap.floats, 0, slopeByTap.pointer)
      visit { pixels, source, target, tap in
        var shape = pm_product_shape()
        shape.a_row = 1
        shape.a_step = x.stride
        shape.b_row = window.steps[1] * output.stride
        shape.c_row = output.stride
        shape.depth = pixels
        shape.s1 = 1
        shape.s2 = 1
        shape.start = Int32(pm_from_sums.rawValue)
        kernels.product(
          1, x.width, output.stride, &shape, x.data + source, output.slope + target,
          slopeByTap.pointer + tap * x.width * output.stride)
      }
      if !adds[1] { kernels.clear(weight) }
      var shape = back.shape
      kernels.copy(&shape, slopeByTap.pointer, weight.slope, 1)
    }
  }
  /// For each row of x and each tap: pixels in a row, where they begin, where the first of them goes.
  private func visit(_ body: (_ pixels: Int, _ source: Int, _ target: Int, _ tap: Int) -> Void) {
    let (height, width) = (x.shape[2], x.shape[3])
    let (outHeight, outWidth) = (output.shape[2], output.shape[3])
    for image in 0..<x.shape[0] {
      for row in 0..<height {
        for tap in 0..<window.taps[0] {
          let line = row * window.steps[0] + tap * window.gaps[0] - window.before[0]
          if line < 0 || line >= outHeight { continue }
          for column in 0..<window.taps[1] {
            // The same arithmetic as a convolution from the output to x.
            let pixels = window.outputs(tap: column, size: outWidth, outputs: width, 1)
            if pixels.isEmpty { continue }
            let to = pixels.lowerBound * window.steps[1] + column * window.gaps[1] - window.before[1]
            body(
              pixels.count, ((image * height + row) * width + pixels.lowerBound) * x.stride,
              ((image * outHeight + line) * outWidth + to) * output.stride, tap * window.taps[1] + column)
          }
        }
      }
    }
  }
}

/// Line charts as inline SVG: no script, no outside.
struct Chart {
  struct Line {
    var name: String
    var style: String
    var points: [(x: Double, y: Double)]
  }
  var title: String
  var lines: [Line]
  var xName: String
  var yFormat: (Double) -> String
  var xFormat: (Double) -> String
  /// The bottom of the axis; nil for the least value.
  var least: Double?
  var isStepped = false

  private static let width = 560.0
  private static let height = 220.0
  private static let left = 64.0
  private static let right = 12.0
  private static let top = 14.0
  private static let bottom = 34.0

  func svg() -> String {
    let all = lines.flatMap(\.points).filter { $0.x.isFinite && $0.y.isFinite }
    guard let first = all.first else { return figure("<p class=\"none\">nothing to draw</p>") }
    var low = (x: first.x, y: least ?? first.y)
    var high = first
    for point in all {
      low = (min(low.x, point.x), min(low.y, point.y))
      high = (max(high.x, point.x), max(high.y, point.y))
    }
    if high.x == low.x { high.x = low.x + 1 }
    if high.y == low.y { high.y = low.y + max(1e-9, abs(low.y) * 0.1) }
    func x(_ value: Double) -> Double {
      Self.left + (value - low.x) / (high.x - low.x) * (Self.width - Self.left - Self.right)
    }
    func y(_ value: Double) -> Double {
      Self.height - Self.bottom - (value - low.y) / (high.y - low.y) * (Self.height - Self.top - Self.bottom)
    }
    var body = ""
    for part in 0...4 {
      let value = low.y + (high.y - low.y) * Double(part) / 4
      body +=
        "<line class=\"grid\" x1=\"\(n(Self.left))\" x2=\"\(n(Self.width - Self.right))\" y1=\"\(n(y(value)))\" y2=\"\(n(y(value)))\"/>"
      body +=
        "<text class=\"tick\" x=\"\(n(Self.left - 6))\" y=\"\(n(y(value) + 4))\" text-anchor=\"end\">\(HTML.escape(yFormat(value)))</text>"
    }
    for part in 0...4 {
      let value = low.x + (high.x - low.x) * Double(part) / 4
      // The last one ends where the chart ends.
      let anchor = part == 4 ? "end" : "middle"
      body +=
        "<text class=\"tick\" x=\"\(n(x(value)))\" y=\"\(n(Self.height - 16))\" text-anchor=\"\(anchor)\">\(HTML.escape(xFormat(value)))</text>"
    }
    body +=
      "<text class=\"tick\" x=\"\(n(Self.width / 2))\" y=\"\(n(Self.height - 2))\" text-anchor=\"middle\">\(HTML.escape(xName))</text>"
    for line in lines {
      let points = line.points.filter { $0.x.isFinite && $0.y.isFinite }
      guard !points.isEmpty else { continue }
      var path = ""
      var last = points[0].y
      for (index, point) in points.enumerated() {
        if index == 0 {
          path += "M\(n(x(point.x))) \(n(y(point.y)))"
        } else {
          if isStepped { path += "L\(n(x(point.x))) \(n(y(last)))" }
          path += "L\(n(x(point.x))) \(n(y(point.y)))"
        }
        last = point.y
      }
      body += "<path class=\"line \(line.style)\" d=\"\(path)\"/>"
      if points.count <= 40 {
        for point in points {
          body +=
            "<circle class=\"dot \(line.style)\" cx=\"\(n(x(point.x)))\" cy=\"\(n(y(point.y)))\" r=\"2.5\"><title>\(HTML.escape(xFormat(point.x))): \(HTML.escape(yFormat(point.y)))</title></circle>"
        }
      }
    }
    return figure(
      "<svg viewBox=\"0 0 \(n(Self.width)) \(n(Self.height))\" role=\"img\" aria-label=\"\(HTML.escape(title))\">\(body)</svg>"
    )
  }

  private func figure(_ content: String) -> String {
    let legend =
      lines.count > 1
      ? "<span class=\"legend\">"
        + lines.map { "<i class=\"\($0.style)\"></i>\(HTML.escape($0.name))" }.joined(separator: " ") + "</span>" : ""
    return "<figure><figcaption>\(HTML.escape(title)) \(legend)</figcaption>\(content)</figure>"
  }
  private func n(_ value: Double) -> String { Narration.fixed(value, 1) }
}

enum HTML {
  static func escape(_ text: String) -> String {
    var safe = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": safe += "&amp;"
      case "<": safe += "&lt;"
      case ">": safe += "&gt;"
      case "\"": safe += "&quot;"
      case "'": safe += "&#39;"
      default: safe.unicodeScalars.append(character)
      }
    }
    return safe
  }
}

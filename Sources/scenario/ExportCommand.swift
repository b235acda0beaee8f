import ArgumentParser
import Foundation
import Learn
import Simulator

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write the weights that a run delivered for another program, and show how it loads them.",
    discussion: """
      Examples:
        scenario export runs/0123456789abcdef --to onnx --out model.onnx
        scenario export runs/0123456789abcdef --to safetensors --out weights.safetensors
      """)

  enum Target: String, ExpressibleByArgument, CaseIterable { case onnx, safetensors }

  @Argument(help: "The run's folder, runs/<digest>.") var run_folder: String
  @Option(help: "onnx or safetensors.") var to: Target = .onnx
  @Option(help: "The file to write. Default: model.onnx or weights.safetensors here.") var out: String?

  func run() throws {
    do {
      let subject = try Subject(path: run_folder)
      let path = out ?? (to == .onnx ? "model.onnx" : "weights.safetensors")
      let bytes: [UInt8]
      switch to {
      case .safetensors: bytes = subject.weights.bytes
      case .onnx:
        bytes =
          try subject.file?.forUse(subject.model.named(subject.weights))
          ?? LayerExport.onnx(subject.model, subject.weights)
      }
      do {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
      } catch { throw ScenarioError(file: path, message: "this cannot be written") }
      print("\(path): \(bytes.count) bytes, \(subject.model.parameters.count) tensors\n")
      print(to == .onnx ? Self.onnxRuntime(path) : Self.pytorch(path))
    } catch { throw ScenarioCommand.userError(error) }
  }

  private static func pytorch(_ path: String) -> String {
    """
    In PyTorch, where MODEL is the module that was exported:
      from safetensors.torch import load_file
      missing, unexpected = MODEL.load_state_dict(load_file("\(path)"), strict=False)
      assert not unexpected, unexpected
      MODEL.eval()
    """
  }
  private static func onnxRuntime(_ path: String) -> String {
    """
    In ONNX Runtime:
      import onnxruntime
      session = onnxruntime.InferenceSession("\(path)")
      name = session.get_inputs()[0].name
      scores = session.run(None, {name: rows})[0]
    """
  }
}

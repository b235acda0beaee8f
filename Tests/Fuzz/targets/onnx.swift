@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  _ = try? ONNXModel(bytes: Array(UnsafeBufferPointer(start: start, count: count)), named: "f")
  return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  try? FuzzReaders.csv(Array(UnsafeBufferPointer(start: start, count: count)))
  return 0
}

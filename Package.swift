// swift-tools-version: 6.2
// The layers of Peermill, bottom first. An arrow that points up does not build:
// everything is built with --explicit-target-dependency-import-check error.
import PackageDescription

let swift: [SwiftSetting] = [
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
]
/// Kernels are optimised in every configuration: at -O0 they are twenty times slower, and debug runs are runs too.
let kernels: [CSetting] = [.unsafeFlags(["-O3", "-fno-math-errno", "-Wall", "-Werror", "-Wno-psabi"])]

/// Pictures are decoded before a job begins, many of them.
let images: [CSetting] = [.unsafeFlags(["-O2", "-Wall", "-Werror"])]

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "peermill",
  products: [
    .executable(name: "scenario", targets: ["scenario"]),
    .executable(name: "node", targets: ["node"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // C
    .systemLibrary(name: "CZlib", path: "Sources/CZlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "COpenBLAS", path: "Sources/COpenBLAS", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CPNG", path: "Sources/CPNG", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CJPEG", path: "Sources/CJPEG", providers: [.apt(["libjpeg62-turbo-dev"])]),
    .target(
      name: "CImages", dependencies: ["CPNG", "CJPEG"], path: "Sources/CImages", cSettings: images,
      linkerSettings: [.linkedLibrary("png"), .linkedLibrary("jpeg")]),
    .target(name: "CKernels", path: "Sources/CKernels", cSettings: kernels),

    // time, chance, order; knows nothing of learning or money
    .target(name: "Runtime", dependencies: [crypto, "CZlib"], path: "Sources/Runtime/Core", swiftSettings: swift),
    .target(name: "RuntimeLive", dependencies: ["Runtime"], path: "Sources/Runtime/Live", swiftSettings: swift),

    // numbers
    .target(
      name: "Learn", dependencies: ["Runtime", "CKernels", "CImages", "CZlib"], path: "Sources/Learn",
      swiftSettings: swift),

    // the ports and what fulfils them in memory
    .target(name: "Transport", dependencies: ["Runtime"], path: "Sources/Transport/Core", swiftSettings: swift),
    .target(name: "Chain", dependencies: ["Runtime"], path: "Sources/Chain/Core", swiftSettings: swift),
    .target(
      name: "ObjectStore", dependencies: ["Runtime", crypto], path: "Sources/ObjectStore/Core", swiftSettings: swift),

    // the flow: the only place where peers, money, bytes and models meet
    .target(
      name: "Actors", dependencies: ["Runtime", "Learn", "Transport", "Chain", "ObjectStore"], path: "Sources/Actors",
      swiftSettings: swift),

    // one world in one thread
    .target(
      name: "Simulator",
      dependencies: ["Runtime", "Learn", "Transport", "Chain", "ObjectStore", "Actors", "Yams"],
      path: "Sources/Simulator", swiftSettings: swift),

    // training by PyTorch in a process of its own, for whoever wants it; no rehearsal does
    .target(
      name: "TorchWorker", dependencies: ["Learn", "Runtime"], path: "Sources/TorchWorker", swiftSettings: swift),

    // command lines
    .executableTarget(
      name: "scenario", dependencies: ["Simulator", "Runtime", "Learn", arguments], path: "Sources/scenario",
      swiftSettings: swift),
    .executableTarget(
      name: "node", dependencies: ["Runtime", "RuntimeLive", "Learn", "Transport", arguments], path: "Sources/node",
      swiftSettings: swift),

    // measurements
    .executableTarget(
      name: "bench",
      dependencies: ["Simulator", "Actors", "Runtime", "Learn", "Chain", "ObjectStore", arguments],
      path: "Benchmarks/bench", swiftSettings: swift),

    // what tests drive from outside
    .executableTarget(
      name: "probe", dependencies: ["Learn", "Runtime", "TorchWorker"], path: "Tests/Interop/probe",
      swiftSettings: swift),

    // tests mirror the sources
    .testTarget(name: "RuntimeTests", dependencies: ["Runtime", "RuntimeLive"], swiftSettings: swift),
    .testTarget(
      name: "LearnTests", dependencies: ["Learn", "Runtime", "CKernels", "COpenBLAS"], exclude: ["Fixtures"],
      swiftSettings: swift),
    .testTarget(
      name: "TorchWorkerTests", dependencies: ["TorchWorker", "Learn", "Runtime"], exclude: ["Fixtures"],
      swiftSettings: swift),
    .testTarget(name: "TransportTests", dependencies: ["Transport", "Runtime"], swiftSettings: swift),
    .testTarget(name: "ChainTests", dependencies: ["Chain", "Runtime"], swiftSettings: swift),
    .testTarget(name: "ObjectStoreTests", dependencies: ["ObjectStore", "Runtime", crypto], swiftSettings: swift),
    .testTarget(
      name: "ActorsTests", dependencies: ["Actors", "Runtime", "Learn", "Transport", "Chain", "ObjectStore"],
      swiftSettings: swift),
    .testTarget(
      name: "SimulatorTests", dependencies: ["Simulator", "Actors", "Runtime", "Learn", "Chain"], swiftSettings: swift),
  ],
  swiftLanguageModes: [.v6]
)

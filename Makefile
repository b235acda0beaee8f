# Every target with a sentence; `make` alone lists them.
SWIFT_FLAGS := --explicit-target-dependency-import-check error
RELEASE := .build/release
DEBUG := .build/debug
PREFIX ?= /usr/local
ZOO := .build/zoo
SOURCES := Sources Tests Benchmarks Package.swift

.DEFAULT_GOAL := help
.PHONY: help setup build release demo test unit scenarios fuzz format format-check bench bench-peers bench-learn bench-cost interop \
  interop-learn interop-kernels soak install clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the Debian packages that are missing; nothing twice.
	@scripts/setup

build: setup ## Build everything, debug.
	swift build --build-tests $(SWIFT_FLAGS)

release: setup ## Build the programs, release.
	swift build -c release --product scenario $(SWIFT_FLAGS)

demo: release ## Rehearse a whole job: 100 trainers, a real model on real data, faults and liars; then look at the report.
	$(RELEASE)/scenario run Scenarios/quickstart.yaml

test: format-check build release unit scenarios ## Set up, build, check the format, run every test and every scenario twice.

unit:
	swift test $(SWIFT_FLAGS)
	scripts/small-matrix $(DEBUG)/scenario $(RELEASE)/scenario
	scripts/bad-input $(RELEASE)/scenario
	swift build -c release --product bench $(SWIFT_FLAGS)
	scripts/same-bits $(DEBUG)/bench $(RELEASE)/bench

scenarios: ## Run every scenario twice in release and compare.
	scripts/scenarios-twice $(RELEASE)/scenario

FUZZ_SECONDS ?= 600
fuzz: build ## Feed every reader with files that nobody would write, for ten minutes each.
	for name in onnx csv safetensors npz npy images; do Tests/Fuzz/run $$name $(FUZZ_SECONDS) || exit 1; done

format: ## Put the sources into their form.
	swift format -i -p -r --configuration .swift-format $(SOURCES)

format-check: ## Say where the sources are not in their form.
	swift format lint -s -p -r --configuration .swift-format $(SOURCES)

interop: interop-learn interop-kernels ## The suites against software that others wrote.

interop-learn: setup ## Train a zoo of ONNX models here and in PyTorch, and compare; look at what comes out in ONNX Runtime.
	swift build -c release --product probe $(SWIFT_FLAGS)
	python=$$(scripts/venv interop-learn Tests/Interop/learn/requirements.txt) && \
	  $$python Tests/Interop/learn/parity.py --probe $(RELEASE)/probe && \
	  $$python Tests/Interop/learn/torch_worker.py --probe $(RELEASE)/probe --recipes sgd --exporters A,K,S

bench-learn: setup ## Training steps of nine models beside PyTorch, in pairs.
	swift build -c release --product bench $(SWIFT_FLAGS)
	python=$$(scripts/venv interop-learn Tests/Interop/learn/requirements.txt) && \
	  $$python Tests/Interop/learn/bench.py --bench $(RELEASE)/bench --keep .build/bench-learn.json

bench: setup ## Measure the engine, the whole flow, the runtime, and raw PyTorch beside them.
	swift build -c release --product bench $(SWIFT_FLAGS)
	Benchmarks/run $(RELEASE)/bench

bench-cost: setup ## Export the zoo from PyTorch, tell what its training steps will take, and measure them.
	swift build -c release --product bench $(SWIFT_FLAGS)
	python=$$(scripts/venv interop-learn Tests/Interop/learn/requirements.txt) && \
	  { [ -e $(ZOO)/done ] || { $$python Tests/Interop/learn/parity.py --write $(ZOO) && touch $(ZOO)/done; }; }
	$(RELEASE)/bench learn-cost $(ZOO)/*.onnx

bench-peers: setup ## Run the scripts of other systems beside ours: make bench-peers PEERS=DIR.
	@[ -n "$(PEERS)" ] || { echo "make bench-peers PEERS=DIR, the folder that holds their scripts" >&2; exit 2; }
	swift build -c release --product bench $(SWIFT_FLAGS)
	Benchmarks/peers $(RELEASE)/bench $(PEERS)

interop-kernels: ## Every kernel on every instruction set there is, and on aarch64 under emulation: the same bits.
	@scripts/setup-interop
	Tests/Interop/kernels/run

soak: release build ## The whole matrix of workers and builds for the quickstart; takes long.
	scripts/small-matrix $(DEBUG)/scenario $(RELEASE)/scenario Scenarios/quickstart.yaml
	scripts/same-bits $(DEBUG)/bench $(RELEASE)/bench --epoch

install: setup ## Install scenario, and node as peermill-node, under PREFIX.
	swift build -c release --product scenario $(SWIFT_FLAGS)
	swift build -c release --product node $(SWIFT_FLAGS)
	install -D -m 755 $(RELEASE)/scenario $(DESTDIR)$(PREFIX)/bin/scenario
	install -D -m 755 $(RELEASE)/node $(DESTDIR)$(PREFIX)/bin/peermill-node

clean: ## Remove what was built.
	rm -rf .build

#!/usr/bin/env python3
"""Times training steps of our engine and of PyTorch in alternation, and prints how many times as fast ours is.

    bench.py --bench PROGRAM [--only NAME,...] [--pairs N] [--seconds S] [--keep FILE.json] [--files DIR]
    bench.py --torch-alone                    PyTorch's figures alone

PROGRAM is called as `PROGRAM learn-bench MODEL.onnx --batch B --seconds S --loss L [--instruction-set avx2]` and prints one line
of JSON: {"samples_per_second": x, "flops_share": y}. Models of 28x28 images learn Fashion-MNIST, the first 64 batches of it on both
sides; the others learn rows made at random, of the same shapes on both sides.

Both sides train by plain SGD in float32, one thread for each process, pinned to one core. PyTorch tries its plain layout, and
channels-last where there are images, and the faster goes into the pairs. Three figures come of a pair:
alone      one process of ours over one of PyTorch, the other core idle
two        two processes of ours at once over two of PyTorch at once, each pair on its own cores
avx2       one process of ours held to AVX2 over the same one of PyTorch, which may use all it finds
A ratio is the median of the pairs' ratios, since what else the machine does falls on both sides of a pair.
"""

import argparse
import dataclasses
import gzip
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def workloads():
    """Name to zoo.Model. Importing the zoo imports PyTorch."""
    import zoo
    from torch import nn

    def sized(name, batch):
        return dataclasses.replace(zoo.MODELS[name], name=f"{name}-{batch}", batch=batch)

    def made(name, batch, rows, build):
        return zoo.Model(name, 0, "softmax_cross_entropy", build, rows, ("A",), batch=batch)

    entries = [sized(name, batch) for name in ("softmax-regression", "mlp", "cnn") for batch in (10, 32)]
    entries.append(sized("resnet", 32))
    entries.append(made("gpt-8", 8, zoo.tokens(256, 64), lambda: zoo.GPT(vocabulary=256, length=64, layers=4, heads=4, width=128)))
    entries.append(made("lstm-32", 32, zoo.series(32, 32, 10), lambda: zoo.Recurrent(nn.LSTM, 32, 128, 10)))
    return {entry.name: entry for entry in entries}


FASHION = pathlib.Path(os.environ.get("FASHION_MNIST_DIR", "/usr/share/datasets/fashion-mnist"))
FASHION_BATCHES = 64


def learns_fashion(entry):
    return entry.name.rsplit("-", 1)[0] in ("softmax-regression", "mlp", "cnn")


def rows_of(entry):
    """Rows of both sides' kind: inputs and targets as arrays."""
    import numpy

    if not learns_fashion(entry):
        return entry.data(entry.batch * 4)
    count = entry.batch * FASHION_BATCHES

    def read(name, skip, kind):
        for path, open_file in ((FASHION / name, open), (FASHION / f"{name}.gz", gzip.open)):
            if path.exists():
                with open_file(path, "rb") as file:
                    return numpy.frombuffer(file.read(), numpy.uint8)[skip:].astype(kind)
        sys.exit(f"{FASHION} has no {name}: install Debian's dataset-fashion-mnist, or name a folder in FASHION_MNIST_DIR")

    shape = entry.data(1)[0].shape[1:]
    images = read("train-images-idx3-ubyte", 16, numpy.float32) / numpy.float32(255)
    return images.reshape(-1, *shape)[:count], read("train-labels-idx1-ubyte", 8, numpy.int64)[:count]


def pin(core):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


# --- PyTorch ----------------------------------------------------------------------------------------------------------


def torch_worker(core, pipe):
    """Answers (name, layout, seconds) with samples a second, until None comes."""
    pin(core)
    import torch
    import zoo

    torch.set_num_threads(1)
    known = workloads()
    while (asked := pipe.recv()) is not None:
        name, layout, seconds = asked
        entry = known[name]
        model = entry.module()
        inputs, targets = rows_of(entry)
        inputs, targets = zoo.as_input(model, inputs), torch.tensor(targets)
        batches = [(inputs[i : i + entry.batch], targets[i : i + entry.batch]) for i in range(0, len(inputs), entry.batch)]
        if layout == "channels-last":
            model = model.to(memory_format=torch.channels_last)
            batches = [(x.to(memory_format=torch.channels_last), y) for x, y in batches]
        # Class numbers as PyTorch wants them, so that no step pays for turning them.
        batches = [(x, y.to(torch.int64)) for x, y in batches]
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, fused=True)

        def step(i):
            x, y = batches[i % len(batches)]
            optimizer.zero_grad()
            zoo.measure(entry.loss, model(x), y).backward()
            optimizer.step()

        for i in range(3):
            step(i)
        begin, steps = time.perf_counter(), 0
        while (spent := time.perf_counter() - begin) < seconds:
            step(steps)
            steps += 1
        pipe.send(steps * entry.batch / spent)


class Torch:
    """As many workers as there are cores to use, at most two, kept for the whole run."""

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self.pipes, self.processes = [], []
        for core in CORES[:2]:
            here, there = context.Pipe()
            process = context.Process(target=torch_worker, args=(core, there), daemon=True)
            process.start()
            self.pipes.append(here)
            self.processes.append(process)

    def rate(self, name, layout, seconds, count=1):
        for pipe in self.pipes[:count]:
            pipe.send((name, layout, seconds))
        return sum(pipe.recv() for pipe in self.pipes[:count])

    def best_layout(self, name, images, seconds):
        layouts = ["plain", "channels-last"] if images else ["plain"]
        return max(layouts, key=lambda layout: self.rate(name, layout, seconds))

    def close(self):
        for pipe in self.pipes:
            pipe.send(None)
        for process in self.processes:
            process.join()


# --- Ours -------------------------------------------------------------------------------------------------------------


def ours(program, file, entry, seconds, count=1, instruction_set=None):
    """Samples a second of `count` processes together, and the share of the arithmetic rate that the first tells."""
    command = [program, "learn-bench", file, "--batch", str(entry.batch), "--seconds", str(seconds), "--loss", entry.loss]
    if learns_fashion(entry):
        command += ["--fashion", str(FASHION)]
    if instruction_set:
        command += ["--instruction-set", instruction_set]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=lambda core=core: pin(core))
        for core in CORES[:count]
    ]
    told = []
    for process in running:
        out, words = process.communicate()
        if process.returncode != 0 or not out.strip():
            raise RuntimeError((words.strip().splitlines() or [f"exit code {process.returncode}"])[-1])
        told.append(json.loads(out.strip().splitlines()[-1]))
    return sum(t["samples_per_second"] for t in told), told[0].get("flops_share")


# --- Pairs ------------------------------------------------------------------------------------------------------------


def measure(options, torch_side, file, entry):
    """The figures of one workload: lists of pairs, ours and PyTorch's, for alone, two and avx2."""
    images = len(entry.data(1)[0].shape) == 4
    layout = torch_side.best_layout(entry.name, images, options.seconds / 2)
    figures = {"layout": layout, "alone": [], "two": [], "avx2": []}
    for _ in range(options.pairs):
        theirs = torch_side.rate(entry.name, layout, options.seconds)
        rate, share = ours(options.bench, file, entry, options.seconds)
        figures["alone"].append((rate, theirs))
        if share is not None:
            figures["flops_share"] = share
        if not options.without_avx2:
            figures["avx2"].append((ours(options.bench, file, entry, options.seconds, instruction_set="avx2")[0], theirs))
        if len(CORES) > 1:
            theirs = torch_side.rate(entry.name, layout, options.seconds, 2)
            figures["two"].append((ours(options.bench, file, entry, options.seconds, 2)[0], theirs))
    return figures


def ratio(pairs):
    return f"{statistics.median(a / b for a, b in pairs):.2f}" if pairs else "-"


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def row(*cells):
    print(f"{cells[0]:24}" + "".join(f"{cell:>15}" for cell in cells[1:]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=pathlib.Path)
    parser.add_argument("--torch-alone", action="store_true")
    parser.add_argument("--only", default="", help="workloads, with commas between them")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--without-avx2", action="store_true")
    parser.add_argument("--files", type=pathlib.Path, metavar="DIR", help="where to leave the ONNX files")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FILE.json", help="where to leave every figure")
    options = parser.parse_args()
    if not options.bench and not options.torch_alone:
        parser.error("--bench or --torch-alone is needed")
    known = workloads()
    only = [name for name in options.only.split(",") if name]
    unknown = [name for name in only if name not in known]
    if unknown:
        parser.error(f"there is no workload {unknown[0]}: {', '.join(known)}")
    chosen = [entry for name, entry in known.items() if not only or name in only]
    torch_side, kept, failed = Torch(), {}, 0
    if options.torch_alone:
        row("workload, samples/s", "alone", "two", "layout")
        for entry in chosen:
            layout = torch_side.best_layout(entry.name, len(entry.data(1)[0].shape) == 4, options.seconds / 2)
            rates = [torch_side.rate(entry.name, layout, options.seconds, count) for count in range(1, len(torch_side.pipes) + 1)]
            row(entry.name, *map(number, rates), layout)
        return torch_side.close()
    options.bench = options.bench.resolve()
    row("workload, samples/s", "ours", "PyTorch", "layout", "flops share", "alone", "two", "avx2")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.files or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for entry in chosen:
            file = folder / f"{entry.name}.onnx"
            entry.export(entry.module(), file, "A")
            try:
                figures = kept[entry.name] = measure(options, torch_side, file, entry)
            except (RuntimeError, ValueError, KeyError) as error:
                failed += 1
                row(entry.name, f"failed: {error}")
                continue
            mine, theirs = (statistics.median(side) for side in zip(*figures["alone"]))
            share = figures.get("flops_share")
            row(entry.name, number(mine), number(theirs), figures["layout"], "-" if share is None else f"{share:.0%}",
                *(ratio(figures[sort]) for sort in ("alone", "two", "avx2")))
    torch_side.close()
    if options.keep:
        options.keep.write_text(json.dumps(kept, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

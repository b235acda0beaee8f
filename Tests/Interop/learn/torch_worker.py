#!/usr/bin/env python3
"""Trains models of the zoo by our engine and by the torch worker, from one ONNX file and the same rows, and compares them.

    torch_worker.py --probe PROBE [--only NAME,...] [--exporters A,B] [--recipes sgd,adam] [--seed 1]

The probe is called with `--engine torch`, and drives python/peermill_torch.py with this interpreter. The largest difference of
a tensor is told in shares of its largest weight, or of the way that it may go where that is more, as in parity.py: within 2e-5
for SGD, 5e-4 for Adam, whose first steps are decided by signs. A loose audit must accept every one of them.

A ReLU or a pool whose input lies within rounding of a tie goes the other way in another engine, and its gradient jumps. An
order of the rows that meets one can be 1e-4 apart where the next is 2e-7. So what is too far apart by less than 1e-3 is tried
again in two other orders, which is told; a mistake in an operator or an optimizer is seen in every order.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy
import safetensors.numpy
import torch

import parity
import zoo

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "python" / "peermill_torch.py"


def recipes_of(entry, exporter):
    chosen = parity.recipes_of(entry, exporter)
    if exporter == entry.exporters[0] and "sgd" in chosen:
        chosen["proximal"] = {**chosen["sgd"], "proximal": 0.1}
    return chosen


def compare(out, recipe):
    """The worst difference and where; the losses' difference."""
    adam, worst = recipe["optimizer"] != "sgd", (0.0, "")
    steepest = max(numpy.abs(t).max() for n, t in out.items() if n.startswith("gradient."))
    for name in [n[7:] for n in out if n.startswith("native.")]:
        native, other = out[f"native.{name}"].astype("f8"), out[f"torch.{name}"].astype("f8")
        size, apart = numpy.abs(native).max(), numpy.abs(native - other)
        gradient = out.get(f"gradient.{name}")
        if gradient is not None:
            slope = numpy.abs(gradient)
            size = max(size, recipe["rate"] * recipe["steps"] * (1 if adam else max(slope.max(), 1e-3 * steepest)))
            if adam:  # where rounding decides, a weight may go astray by the rate
                unsure = slope < max(1e-3 * slope.max(), 1e-6 * steepest)
                apart = numpy.where(unsure & (apart <= 2 * recipe["rate"] * recipe["steps"]), 0, apart)
                # and so may those whose gradient is small in a later step
                apart = numpy.sort(apart, axis=None)[: max(1, apart.size - apart.size // 200)]
        elif name.endswith("running_mean"):
            size = max(size, numpy.sqrt(numpy.abs(out.get(f"native.{name[:-4]}var", numpy.ones(1))).max()))
        if size:
            worst = max(worst, (apart.max() / size, name))
    native, other = out["losses"]
    return worst, abs(native - other) / max(abs(native), 1e-9)


def once(options, folder, recipe, seed):
    """Figures to be printed, what is wrong, and whether a tie may be to blame."""
    command = [options.probe.resolve(), folder / "model.onnx", "--data", folder / "data", "--recipe", folder / "recipe",
               "--out", folder / "out", "--engine", "torch", "--python", sys.executable, "--script", SCRIPT,
               "--device", options.device, "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    words = done.stderr.strip().splitlines()
    if done.returncode != 0:
        return "", words[-1] if words else f"exit code {done.returncode}", False
    out = safetensors.numpy.load_file(folder / "out")
    (error, place), loss = compare(out, recipe)
    figures = f"{error:8.1e} {loss:8.1e} {out['audit'][1]:8.1e}"
    limit = 5e-4 if recipe["optimizer"] != "sgd" else 2e-5
    if not error <= limit:
        return figures, f"{error:.2g} apart at {place}, allowed {limit:.0e}", error < 1e-3
    if not loss <= 1e-4:
        return figures, f"losses {loss:.2g} apart", False
    return figures, "" if out["audit"][0] else words[-1], True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probe", type=pathlib.Path, required=True)
    parser.add_argument("--only", default="", help="models, with commas between them")
    parser.add_argument("--exporters", default="A,B,K,S")
    parser.add_argument("--recipes", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the rows")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    only, exporters, recipes = (tuple(filter(None, t.split(","))) for t in (options.only, options.exporters, options.recipes))
    passed = failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for entry in zoo.MODELS.values():
            if only and entry.name not in only:
                continue
            inputs, targets = entry.data()
            safetensors.numpy.save_file({"input": inputs, "target": targets}, folder / "data")
            for exporter in [e for e in entry.exporters if e[0] in exporters]:
                entry.export(entry.module(), folder / "model.onnx", exporter)
                for title, recipe in recipes_of(entry, exporter).items():
                    if recipes and title not in recipes:
                        continue
                    (folder / "recipe").write_text(json.dumps(recipe))
                    for seed in range(options.seed, options.seed + 3):
                        figures, trouble, is_close = once(options, folder, recipe, seed)
                        if not trouble or not is_close:
                            break
                    if entry.name == "sklearn-logistic" and "ai.onnx.ml" in trouble:
                        figures, trouble = "refused, as it may be", ""
                    elif seed > options.seed:
                        figures += f"  in order {seed}"
                    passed, failed = passed + (not trouble), failed + bool(trouble)
                    result = f"FAIL {trouble}" if trouble else "ok"
                    print(f"{entry.name:20} {exporter:4} {title:12} {figures}  {result}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

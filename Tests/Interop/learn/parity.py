#!/usr/bin/env python3
"""Trains every model of the zoo in PyTorch and in a probe of our engine, from one ONNX file, and compares them.

    parity.py --probe PROBE [--only NAME,...] [--exporters A,B] [--recipes sgd,adam] [--keep DIR]
    parity.py --write DIR [--only NAME,...]      the files and PyTorch's answers alone, without a probe

The probe is called once for each model, exporter and recipe:

    PROBE MODEL.onnx --data DATA.safetensors --recipe RECIPE.json --out OUT.safetensors [--onnx OUT.onnx]

DATA holds `input` and `target`, float32; rows are taken in order, batch by batch, from the start again after the end. OUT
holds, float32: `logits` of the first batch in training mode before any step, `losses` before each step, `gradient.NAME` of
the first batch, not clipped and without weight decay, for every trained initializer, `weight.NAME` and `buffer.NAME` after the
steps. Exit code 0 with warnings on stderr, or 2 with one line for what is refused.

An error is of one kind each:
logits     largest difference over the largest |logit|                                                1e-5, 5e-5 where sensitive
loss       largest difference over the loss; first batch, then all          2e-6 (5e-6 where sensitive), then 2e-5 (1e-4 with Adam)
gradient   length of the difference over the length of the gradient, or a floor                       1e-5, 5e-5 where sensitive
weights    largest difference over the tensor's largest |weight|                                      2e-5, 5e-4 with Adam
buffers    as weights; running statistics                                                             2e-5, 5e-4 with Adam
file       logits of the updated ONNX file in onnxruntime and of its weights in PyTorch, eval mode    1e-4

Sensitive are models with batch norms, instance norms or recurrence: they amplify rounding.

Floors. A bias before a batch norm and the bias of attention's keys have a true gradient of 0; what is computed is rounding.
So a gradient's length counts as at least 1e-2 of that of all gradients together. A fresh bias is 0, so a tensor's largest
weight counts as at least the way that SGD may go, rate · steps · its largest gradient (or 1e-3 of the largest of any), or
Adam, rate · steps. A running mean counts as at least the largest running deviation beside it.
Adam divides a gradient by its own size, so rounding moves a weight without gradient by a full rate. Where PyTorch in float64
saw a gradient below 1e-3 of the tensor's largest (or below 1e-6 of the largest of any) in some step, the weight is let go by
2 · rate · steps; and so are running means where a parameter has no gradient at all, and one weight in 500 of sensitive models.

A ReLU or a pool whose input lies within rounding of a tie goes the other way in another engine, and its gradient jumps. Rates
of convolutional nets are small so that one such jump stays within bounds. PyTorch's own float32 lies within a third of every
tolerance of its float64 on these models, with and without oneDNN; within a half for the residual net under Adam.
"""

import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy
import onnx
import safetensors.numpy
import torch

import zoo

PLAIN = {"optimizer": "sgd", "rate": 0.05, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.999,
         "epsilon": 1e-8, "clip_norm": 0.0, "steps": 8, "norms": "train", "arithmetic": "reproducible"}
ADAM = {**PLAIN, "optimizer": "adam", "rate": 1e-3}
RECIPES = {"sgd": PLAIN, "adam": ADAM}
EXTRAS = {
    "momentum": {**PLAIN, "momentum": 0.9},
    "nesterov": {**PLAIN, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "decay": {**PLAIN, "weight_decay": 1e-2},
    "clip": {**PLAIN, "clip_norm": 0.5, "momentum": 0.5},
    "adamw": {**ADAM, "optimizer": "adamw", "weight_decay": 1e-2},
    "frozen-norms": {**PLAIN, "norms": "eval"},
}
KINDS = ("logits", "loss", "gradient", "weights", "buffers", "file")
NORMS = torch.nn.modules.batchnorm._BatchNorm
# Exporters that lose what training needs. They must import, with a warning; only what they kept is compared.
LOSSY = "CD"


# --- PyTorch's side ---------------------------------------------------------------------------------------------------


def recipes_of(entry, exporter):
    """The recipes by name, in full. The extra ones run on the first exporter alone."""
    chosen = dict(RECIPES)
    if exporter == entry.exporters[0]:
        chosen.update({name: EXTRAS[name] for name in entry.extras})
    if exporter[0] in LOSSY:
        chosen = {"sgd": PLAIN}
    out = {}
    for name, recipe in chosen.items():
        recipe = {"loss": entry.loss, "batch": entry.batch, **recipe}
        # Momentum adds steps up; what they add up to is the same. Adam's steps are as large as its rate.
        recipe["rate"] = entry.rate * (1 - recipe["momentum"] if recipe["optimizer"] == "sgd" else 0.02)
        if exporter[0] in LOSSY and folds(entry):
            recipe["norms"] = "eval"
        if exporter == "S":
            recipe["output"] = "probabilities"
        out[name] = recipe
    return out


def folds(entry):
    return any(isinstance(module, NORMS) for module in entry.module().modules())


def optimizer_of(recipe, parameters):
    if recipe["optimizer"] == "sgd":
        return torch.optim.SGD(parameters, lr=recipe["rate"], momentum=recipe["momentum"], nesterov=recipe["nesterov"],
                               weight_decay=recipe["weight_decay"])
    kind = torch.optim.Adam if recipe["optimizer"] == "adam" else torch.optim.AdamW
    return kind(parameters, lr=recipe["rate"], betas=(recipe["beta1"], recipe["beta2"]), eps=recipe["epsilon"],
                weight_decay=recipe["weight_decay"])


class Answers:
    """What PyTorch makes of a recipe: `tensors` in the layout of OUT, and the gradients of every step.

    `unsure` tells for each parameter where Adam's step is decided by rounding; `steepest` is its largest gradient.
    """

    def __init__(self, entry, recipe, dtype=torch.float32):
        # A Keras model takes its dtype from its layers, so it answers in float32 alone.
        dtype = torch.float32 if entry.exporters == ("K",) else dtype
        model = entry.module().to(dtype)
        if recipe["norms"] == "eval":
            for module in model.modules():
                if isinstance(module, NORMS):
                    module.eval()
        inputs, targets = entry.data()
        inputs, targets = zoo.as_input(model, inputs), torch.tensor(targets)
        parameters = dict(model.named_parameters())
        optimizer = optimizer_of(recipe, parameters.values())
        self.tensors, self.losses = {}, []
        self.unsure = {name: torch.zeros(p.shape, dtype=torch.bool) for name, p in parameters.items()}
        self.steepest = {name: 0.0 for name in parameters}
        for step in range(recipe["steps"]):
            rows = [(step * recipe["batch"] + i) % len(inputs) for i in range(recipe["batch"])]
            optimizer.zero_grad()
            prediction = model(inputs[rows])
            loss = zoo.measure(recipe["loss"], prediction, targets[rows])
            loss.backward()
            if step == 0:
                self.tensors["logits"] = prediction.detach()
                self.tensors.update({f"gradient.{name}": p.grad.detach().clone() for name, p in parameters.items()})
            largest = max(p.grad.abs().max().item() for p in parameters.values())
            for name, p in parameters.items():
                here = p.grad.abs()
                self.steepest[name] = max(self.steepest[name], here.max().item())
                self.unsure[name] |= here < max(1e-3 * here.max().item(), 1e-6 * largest)
            self.losses.append(loss.item())
            if recipe["clip_norm"]:
                torch.nn.utils.clip_grad_norm_(parameters.values(), recipe["clip_norm"])
            optimizer.step()
        self.tensors["losses"] = torch.tensor(self.losses, dtype=dtype)
        self.tensors.update({f"weight.{name}": p.detach() for name, p in parameters.items()})
        self.tensors.update({f"buffer.{name}": b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))})
        self.tensors = {name: numpy.ascontiguousarray(t.numpy()) for name, t in self.tensors.items()}


# --- Names: which initializer is which parameter ------------------------------------------------------------------------


def pairs_of(file, entry):
    """For each initializer of `file` that is a parameter or a buffer: its name there, and how to bring one to the other.

    {parameter: (initializer, perm, shape)}: the initializer is parameter.transpose(perm).reshape(shape). By name where the name
    was kept; else by value, over every transposition, where exactly one fits.
    """
    module = entry.module()
    graph = onnx.load(file).graph
    initializers = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == 1}
    ours = {name: t.detach().numpy() for name, t in itertools.chain(module.named_parameters(remove_duplicate=False), module.named_buffers())}
    merged = {n.input[0] for n in graph.node if n.op_type == "Identity" and n.output[0] in ours}
    pairs = {}
    for name, value in ours.items():
        # Dynamo stores what it folded under the old name, so the values must agree too.
        if name in initializers and numpy.array_equal(initializers[name], value):
            pairs[name] = (name, tuple(range(value.ndim)), value.shape)
    taken = {pair[0] for pair in pairs.values()}
    for name, value in ours.items():
        if name in pairs or value.dtype != numpy.float32 or value.ndim == 0:
            continue
        found = []
        for other, there in initializers.items():
            if other in taken or there.size != value.size:
                continue
            for perm in itertools.permutations(range(value.ndim)):
                turned = value.transpose(perm)
                if [d for d in turned.shape if d != 1] == [d for d in there.shape if d != 1] and (turned.reshape(there.shape) == there).all():
                    found.append((other, perm, there.shape))
                    break
        if len(found) == 1 and found[0][0] not in merged:
            pairs[name] = found[0]
    # An initializer that may stand for several parameters tells nothing of any one of them.
    names = first_name(entry)
    kept = {names.get(name, name) for name in pairs}
    lost = [ours[name] for name, key in names.items() if key not in kept]
    return {name: pair for name, pair in pairs.items() if not any(numpy.array_equal(ours[name], value) for value in lost)}


def first_name(entry):
    """For tied parameters: each name to the one that PyTorch lists."""
    module = entry.module()
    listed = {id(p): name for name, p in module.named_parameters()}
    return {name: listed[id(p)] for name, p in module.named_parameters(remove_duplicate=False)}


# --- Comparison -------------------------------------------------------------------------------------------------------


def softened(value, ends_in):
    if ends_in == "Sigmoid":
        return 1 / (1 + numpy.exp(-value))
    return value


def shown(name, pair, tensor):
    return tensor.transpose(pair[1]).reshape(pair[2])


class Comparison:
    """The errors of one run of the probe, the largest of each kind over its tolerance, and what went wrong in words."""

    def __init__(self):
        self.errors, self.trouble = {}, []

    def note(self, kind, error, tolerance, words):
        error = float(error) if numpy.isfinite(error) else float("inf")
        self.errors[kind] = max(self.errors.get(kind, 0.0), error)
        if not error <= tolerance:
            self.trouble.append(f"{kind} {words}: {error:.2g}, allowed {tolerance:.0e}")

    def merge(self, other):
        for kind, error in other.errors.items():
            self.errors[kind] = max(self.errors.get(kind, 0.0), error)
        self.trouble += other.trouble


def compare(entry, exporter, recipe, pairs, got, single, double):
    """One run of the probe (`got`, the layout of OUT) against PyTorch in float32 (`single`) and in float64 (`double`)."""
    result = Comparison()
    lossy = exporter[0] in LOSSY
    want = single.tensors
    logits = got.get("logits")
    if logits is None:
        result.trouble.append("no logits")
        return result
    tolerance = 5e-5 if entry.sensitive else 1e-5
    candidates = [want["logits"]]
    if entry.ends_in == "Sigmoid":  # before or after the activation that the loss takes in
        candidates.append(numpy.log(double.tensors["logits"] / (1 - double.tensors["logits"])))
    elif entry.ends_in == "Softmax":
        candidates.append(torch.softmax(torch.tensor(double.tensors["logits"]), -1).numpy())
    fits = [numpy.abs(logits - c).max() / numpy.abs(c).max() if logits.shape == c.shape else numpy.inf for c in candidates]
    result.note("logits", min(fits), tolerance, f"of shape {logits.shape}")
    losses = got.get("losses")
    if losses is None or losses.shape != want["losses"].shape:
        result.trouble.append("no losses, or not one for each step")
    elif not lossy:
        apart = numpy.abs(losses - want["losses"]) / numpy.abs(want["losses"])
        result.note("loss", apart[0], 5e-6 if entry.sensitive else 2e-6, "of the first batch")
        result.note("loss", apart.max(), 1e-4 if "adam" in recipe["optimizer"] else 2e-5, "of the steps")

    names = first_name(entry)
    whole = numpy.sqrt(sum((t.astype("f8") ** 2).sum() for n, t in double.tensors.items() if n.startswith("gradient.")))
    trained = set()
    for name, pair in pairs.items():
        key = names.get(name)
        if key is None or f"gradient.{key}" not in want:
            continue
        if lossy and list(names.values()).count(key) > 1:  # these exporters cut ties
            continue
        trained.add(pair[0])
        true = shown(name, pair, double.tensors[f"gradient.{key}"])
        mine = got.get(f"gradient.{pair[0]}")
        # Tied parameters may be stored under any of their names.
        if mine is None:
            if not lossy and not any(f"gradient.{pairs[n][0]}" in got for n in names if names[n] == key and n in pairs):
                result.trouble.append(f"no gradient of {pair[0]}")
            continue
        if mine.shape != true.shape:
            result.trouble.append(f"gradient of {pair[0]} has shape {mine.shape}, not {true.shape}")
            continue
        size = max(numpy.sqrt((true.astype("f8") ** 2).sum()), 1e-2 * whole)
        result.note("gradient", numpy.sqrt(((mine - true).astype("f8") ** 2).sum()) / size, tolerance, f"of {pair[0]}")
    strange = [n for n in got if n.startswith("gradient.") and n[9:] not in trained]
    if strange and not lossy:
        result.trouble.append(f"{strange[0]} is trained, but is no parameter")
    if lossy:
        return result

    adam = recipe["optimizer"] != "sgd"
    limit = 5e-4 if adam else 2e-5
    adrift = 2 * recipe["rate"] * recipe["steps"]
    steepest = max(double.steepest.values())
    no_gradient = adam and any(gradient <= 1e-6 * steepest for gradient in double.steepest.values())
    for name, pair in pairs.items():
        key = names.get(name, name)
        for sort in ("weight", "buffer"):
            if f"{sort}.{key}" not in want:
                continue
            true, mine = shown(name, pair, want[f"{sort}.{key}"]), got.get(f"{sort}.{pair[0]}")
            if mine is None:
                if sort == "buffer" or not any(f"weight.{pairs[n][0]}" in got for n in names if names[n] == key and n in pairs):
                    result.trouble.append(f"no {sort} {pair[0]}")
                continue
            apart, size = numpy.abs(mine.astype("f8") - true), numpy.abs(true).max()
            if sort == "weight":
                size = max(size, recipe["rate"] * recipe["steps"] * (1 if adam else max(double.steepest[key], 1e-3 * steepest)))
                if adam:
                    unsure = shown(name, pair, double.unsure[key].numpy())
                    apart = numpy.where(unsure & (apart <= adrift), 0, apart)
                    few = apart.size // 500 if entry.sensitive else 0
                    if few and apart.max() <= adrift:
                        apart = numpy.sort(apart, axis=None)[:-few]
            elif key.endswith("running_mean"):
                size = max(size, numpy.sqrt(want[f"buffer.{key[:-4]}var"].max()))
                if no_gradient:
                    apart = numpy.where(apart <= adrift, 0, apart)
            if size:
                result.note("weights" if sort == "weight" else "buffers", apart.max() / size, limit, f"of {pair[0]}")
    return result


def compare_file(entry, exporter, pairs, got, updated):
    """The updated ONNX file: in onnxruntime, and its weights in PyTorch, against PyTorch with the probe's weights."""
    import onnxruntime

    result = Comparison()
    file = onnx.load(updated)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in file.graph.initializer}
    for name, value in got.items():
        sort, _, bare = name.partition(".")
        if sort in ("weight", "buffer") and not (bare in stored and numpy.array_equal(stored[bare], value)):
            result.trouble.append(f"{bare} in the updated file is not the probe's {sort}")
            return result
    inputs, _ = entry.data(entry.batch)
    module = entry.module()
    with torch.no_grad():
        for name, tensor in itertools.chain(module.named_parameters(remove_duplicate=False), module.named_buffers()):
            if name in pairs and pairs[name][0] in stored:
                other, perm, _ = pairs[name]
                turned = stored[other].reshape([tensor.shape[axis] for axis in perm])
                tensor.copy_(torch.tensor(turned.transpose(numpy.argsort(perm))))
        module.eval()
        want = module(zoo.as_input(module, inputs)).numpy()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0]
    outputs = [o.name for o in session.get_outputs()]
    output = "probabilities" if exporter == "S" else outputs[0]
    answer = session.run([output], {feed.name: inputs.astype("i8" if "int64" in feed.type else "f4")})[0]
    if entry.ends_in == "Softmax":
        want = torch.softmax(torch.tensor(want), -1).numpy()
    result.note("file", numpy.abs(answer - want).max() / max(numpy.abs(want).max(), 1e-6), 1e-4, "in onnxruntime")
    return result


# --- Running ----------------------------------------------------------------------------------------------------------


def renamed(answers, pairs, entry):
    """PyTorch's answers under the file's names, in the layout of OUT."""
    names = first_name(entry)
    out = {name: answers.tensors[name] for name in ("logits", "losses")}
    for name, pair in pairs.items():
        for sort in ("gradient", "weight", "buffer"):
            key = f"{sort}.{names.get(name, name)}"
            if key in answers.tensors:
                out[f"{sort}.{pair[0]}"] = numpy.ascontiguousarray(shown(name, pair, answers.tensors[key]))
    return out


def write(folder, entries, chosen):
    """Files, rows, recipes and PyTorch's answers, without a probe."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        inputs, targets = entry.data()
        safetensors.numpy.save_file({"input": inputs, "target": targets}, folder / f"{entry.name}.DATA.safetensors")
        known = {}
        for exporter in [e for e in entry.exporters if not chosen or e in chosen]:
            name = f"{entry.name}-{exporter}"
            entry.export(entry.module(), folder / f"{name}.onnx", exporter)
            pairs = pairs_of(folder / f"{name}.onnx", entry)
            for title, recipe in recipes_of(entry, exporter).items():
                (folder / f"{name}.{title}.RECIPE.json").write_text(json.dumps(recipe))
                key = json.dumps(recipe)
                known[key] = known.get(key) or Answers(entry, recipe)
                safetensors.numpy.save_file(renamed(known[key], pairs, entry), folder / f"{name}.{title}.REF.safetensors")
            print(name, flush=True)


def probe_once(options, folder, stem, title, recipe, onnx_out):
    """Runs the probe. Gives OUT's tensors, or None; and what it said."""
    paths = {sort: folder / f"{stem}.{title}.{sort}" for sort in ("RECIPE.json", "OUT.safetensors", "OUT.onnx")}
    paths["RECIPE.json"].write_text(json.dumps(recipe))
    command = [options.probe, folder / f"{stem}.onnx", "--data", folder / f"{stem.rsplit('-', 1)[0]}.DATA.safetensors",
               "--recipe", paths["RECIPE.json"], "--out", paths["OUT.safetensors"]]
    if onnx_out:
        command += ["--onnx", paths["OUT.onnx"]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.seconds)
    except subprocess.TimeoutExpired:
        return None, None, f"no answer in {options.seconds} s", paths["OUT.onnx"]
    words = done.stderr.strip()
    if done.returncode != 0 or not paths["OUT.safetensors"].exists():
        return None, done.returncode, words or f"exit code {done.returncode}", paths["OUT.onnx"]
    return safetensors.numpy.load_file(paths["OUT.safetensors"]), 0, words, paths["OUT.onnx"]


def judge(options, folder, entry, exporter, known):
    """Everything of one model from one exporter. A Comparison and a note."""
    result, note = Comparison(), ""
    stem = f"{entry.name}-{exporter}"
    lost = entry.export(entry.module(), folder / f"{stem}.onnx", exporter)
    if lost:
        result.trouble.append(f"the export lost something: {lost[0]}")
    pairs = pairs_of(folder / f"{stem}.onnx", entry)
    for title, recipe in recipes_of(entry, exporter).items():
        if options.recipes and title not in options.recipes:
            continue
        key = json.dumps(recipe)
        if key not in known:
            known[key] = (Answers(entry, recipe), Answers(entry, recipe, torch.float64))
        round_trip = title in ("sgd", "frozen-norms") and exporter[0] not in LOSSY
        got, code, words, updated = probe_once(options, folder, stem, title, recipe, round_trip)
        if got is None:
            if code == 2 and entry.name == "sklearn-logistic" and "LinearClassifier" in words:
                return result, "refused, as it may be: " + words.splitlines()[0]
            result.trouble.append(f"{title}: the probe failed: {words.splitlines()[-1] if words else code}")
            break
        if words and not note:
            note = "warned"
        one = compare(entry, exporter, recipe, pairs, got, *known[key])
        if round_trip:
            if updated.exists():
                one.merge(compare_file(entry, exporter, pairs, got, updated))
            else:
                one.trouble.append("no updated ONNX file")
        one.trouble = [f"{title}: {words}" for words in one.trouble]
        result.merge(one)
    return result, note


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probe", type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--only", default="", help="models, with commas between them")
    parser.add_argument("--exporters", default="")
    parser.add_argument("--recipes", default="")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="where to leave the files")
    parser.add_argument("--seconds", type=float, default=300, help="how long the probe may take")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    only, exporters, options.recipes = (tuple(filter(None, text.split(","))) for text in (options.only, options.exporters, options.recipes))
    unknown = [name for name in only if name not in zoo.MODELS]
    if unknown:
        parser.error(f"there is no model {unknown[0]}: {', '.join(zoo.MODELS)}")
    entries = [entry for name, entry in zoo.MODELS.items() if not only or name in only]
    if options.write:
        return write(options.write, entries, exporters)
    if not options.probe:
        parser.error("--probe or --write is needed")
    options.probe = options.probe.resolve()
    passed = failed = 0
    print(f"{'model':20} {'by':4} {'tier':>4}  " + "  ".join(f"{kind:>8}" for kind in KINDS), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for entry in entries:
            folder = options.keep or pathlib.Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            inputs, targets = entry.data()
            safetensors.numpy.save_file({"input": inputs, "target": targets}, folder / f"{entry.name}.DATA.safetensors")
            known = {}
            for exporter in [e for e in entry.exporters if not exporters or e in exporters]:
                try:
                    result, note = judge(options, folder, entry, exporter, known)
                except Exception as error:  # one model must not end the rest
                    result, note = Comparison(), ""
                    result.trouble.append(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
                good = not result.trouble
                passed, failed = passed + good, failed + (not good)
                cells = "  ".join(f"{result.errors[k]:8.1e}" if k in result.errors else f"{'-':>8}" for k in KINDS)
                print(f"{entry.name:20} {exporter:4} {entry.tier:4}  {cells}  {'ok' if good else 'FAIL'} {note}".rstrip(), flush=True)
                for words in result.trouble[:6]:
                    print(f"    {words}", flush=True)
                if len(result.trouble) > 6:
                    print(f"    and {len(result.trouble) - 6} more", flush=True)
                if not options.keep:
                    for file in folder.glob(f"{entry.name}-{exporter}.*"):
                        file.unlink()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

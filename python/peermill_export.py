#!/usr/bin/env python3
"""Writes a PyTorch module as an ONNX file that can be trained, and tells what a file has lost.

    from peermill_export import export
    export(model, (example,), "model.onnx")

    python peermill_export.py check model.onnx

PyTorch's exporters are made for inference. Left to themselves they fold batch normalisation into convolutions, rename and
transpose weights, and store equal weights once. A file like that computes the same, but trains into another model. `export`
asks them for none of this, then compares the file with the module and says in words what is missing.

Needs torch alone. The dynamo exporter also needs the packages onnx and onnxscript; without them the older one is used.
`check` needs nothing but Python.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import logging
import os
import re
import struct
import sys
import tempfile
import warnings

SCALES_AND_BIASES = {  # op: the input slots that hold a scale or a bias
    "LayerNormalization": (1, 2), "BatchNormalization": (1, 2), "InstanceNormalization": (1, 2), "GroupNormalization": (1, 2),
    "Conv": (2,), "ConvTranspose": (2,), "Gemm": (2,), "Add": (0, 1), "Mul": (0, 1), "PRelu": (1,),
}
RENAMED = ("onnx::", "val_", "embedding_", "ortshared_", "_val_")
FLOATS = {1: 4, 10: 2, 11: 8, 16: 2}  # element types that are floats, and their bytes


# --- Protobuf, as much of it as ONNX files use ------------------------------------------------------------------------


class Malformed(ValueError):
    """The bytes are not an ONNX file, or are cut off."""


def varint(data, at):
    """One varint at `at`: its value and where the next byte is. Raises Malformed."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Malformed("this is not an ONNX file, or it is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def fields(data):
    """Each field of a message: its number, its wire type, its value, and where its key and its value begin and end.

    A length-delimited value is a memoryview, any other a whole number. Raises Malformed.
    """
    at = 0
    while at < len(data):
        begin = at
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
        elif wire == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise Malformed("this is not an ONNX file: it has a field of an unknown kind")
        if at > len(data) or number == 0:
            raise Malformed("this is not an ONNX file, or it is cut off")
        yield number, wire, value, begin, at


def whole_numbers(value, wire):
    """The numbers of a repeated field, packed or not; 64 bits with a sign."""
    out, at = [], 0
    if wire == 2:
        while at < len(value):
            one, at = varint(value, at)
            out.append(one)
    else:
        out.append(value)
    return [n - (1 << 64) if n >> 63 else n for n in out]


# Fields to leave out of a message, and those that hold a message of their own. What goes are doc strings and metadata, which
# carry source lines and paths of the exporting machine.
NOISE = {
    "Model": ({6, 14}, {7: "Graph", 25: "Function"}),
    "Graph": ({10, 16}, {1: "Node", 5: "Tensor", 11: "Value", 12: "Value", 13: "Value"}),
    "Function": ({8, 14}, {7: "Node", 11: "Attribute", 12: "Value"}),
    "Node": ({6, 9}, {5: "Attribute"}),
    "Attribute": ({13}, {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph"}),
    "Tensor": ({12, 16}, {}),
    "Value": ({3, 4}, {}),
}


def stripped(data, values=None, message="Model"):
    """The same message without doc strings and metadata. Bytes in, bytes out; raises Malformed.

    `values` gives some initializers other values: by name, as many bytes as they have.
    """
    leave_out, inside = NOISE[message]
    out = []
    other = (values or {}).get(Tensor(data).name) if values and message == "Tensor" else None
    for number, wire, value, begin, end in fields(memoryview(data)):
        if number in leave_out:
            continue
        if other is not None and number == 9 and len(value) == len(other):
            out += [encoded(number << 3 | 2), encoded(len(other)), other]
        elif wire == 2 and number in inside:
            body = stripped(value, values, inside[number])
            out += [encoded(number << 3 | 2), encoded(len(body)), body]
        else:
            out.append(bytes(data[begin:end]))
    return b"".join(out)


def encoded(value):
    """A whole number as a varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Tensor:
    """An initializer: `name`, `shape`, element `kind` (1 is float32), its bytes, and whether these lie in another file."""

    def __init__(self, data):
        self.name, self.shape, self.kind, self.raw, self.external, typed = "", [], 0, b"", False, []
        for number, wire, value, _, _ in fields(data):
            if number == 1:
                self.shape += whole_numbers(value, wire)
            elif number == 2:
                self.kind = value
            elif number == 4:
                typed.append(bytes(value) if wire == 2 else struct.pack("<I", value))
            elif number == 8:
                self.name = str(value, "utf-8", "replace")
            elif number == 9:
                self.raw = value
            elif number == 13:
                self.external = True
            elif number == 14:
                self.external = self.external or value == 1
        if typed:
            self.raw = b"".join(typed)

    def all_equal(self):
        """Whether it has at least two elements and all are one value."""
        size = FLOATS.get(self.kind, 8)
        raw = bytes(self.raw)
        return not self.external and len(raw) >= 2 * size and raw == raw[:size] * (len(raw) // size)


class Node:
    """A node: `op`, its `domain`, the names of its `inputs` and `outputs`."""

    def __init__(self, data):
        self.op, self.domain, self.inputs, self.outputs = "", "", [], []
        for number, _, value, _, _ in fields(data):
            if number in (1, 2):
                (self.inputs if number == 1 else self.outputs).append(str(value, "utf-8", "replace"))
            elif number == 4:
                self.op = str(value, "utf-8", "replace")
            elif number == 7:
                self.domain = str(value, "utf-8", "replace")


class Graph:
    """What `check` reads of a model: `opsets`, `nodes`, `initializers` by name, `inputs` and `outputs` as (name, dims).

    A dim is a number, or its name where it is free. Raises Malformed.
    """

    def __init__(self, data):
        self.opsets, self.nodes, self.initializers, self.inputs, self.outputs, self.noise = {}, [], {}, [], [], False
        graph = None
        for number, wire, value, _, _ in fields(memoryview(data)):
            if number == 7 and wire == 2:
                graph = value
            elif number == 8 and wire == 2:
                opset = {n: v for n, _, v, _, _ in fields(value)}
                self.opsets[str(opset.get(1, b""), "utf-8", "replace")] = opset.get(2, 0)
        if graph is None:
            raise Malformed("this is not an ONNX file: it has no graph")
        values = {11: self.inputs, 12: self.outputs}
        for number, _, value, _, _ in fields(graph):
            if number == 1:
                self.nodes.append(Node(value))
            elif number == 5:
                tensor = Tensor(value)
                self.initializers[tensor.name] = tensor
            elif number in values:
                values[number].append(named_dims(value))
        # Files of old list every initializer among the inputs too.
        self.inputs = [pair for pair in self.inputs if pair[0] not in self.initializers]
        self.noise = len(stripped(data)) < len(data)


def named_dims(data):
    """The name and the dims of a ValueInfo."""
    name, dims = "", []
    for number, _, value, _, _ in fields(data):
        if number == 1:
            name = str(value, "utf-8", "replace")
        elif number == 2:
            tensor = dict((n, v) for n, _, v, _, _ in fields(value)).get(1, b"")
            shape = dict((n, v) for n, _, v, _, _ in fields(tensor)).get(2, b"")
            for n, _, dim, _, _ in fields(shape):
                parts = {m: v for m, _, v, _, _ in fields(dim)}
                dims.append(parts[1] if 1 in parts else str(parts.get(2, b""), "utf-8", "replace"))
    return name, dims


# --- What a file has lost --------------------------------------------------------------------------------------------


def check(path):
    """What would make the file at `path` train otherwise than the module it came from: a list of sentences.

    Knows nothing of the module, so some of them are guesses and say so. Raises Malformed and OSError.
    """
    with open(path, "rb") as file:
        graph = Graph(file.read())
    said = []
    users = {}
    for node in graph.nodes:
        for slot, name in enumerate(node.inputs):
            if name in graph.initializers:
                users.setdefault(name, []).append((node, slot))

    for name, uses in users.items():
        slots = [node.op for node, slot in uses if slot in SCALES_AND_BIASES.get(node.op, ())]
        if len(slots) > 1 and graph.initializers[name].shape and graph.initializers[name].all_equal():
            said.append(
                f"'{name}' is the scale or bias of {len(slots)} nodes ({', '.join(sorted(set(slots)))}), and all its values are equal. "
                "The exporter has probably merged weights that were equal at the start. They would train as one. "
                "Export again with peermill_export."
            )
    # A single Identity that is all an initializer feeds is another name of it: dynamo writes one for a slice that cuts nothing.
    merged = [
        node.outputs[0] for node in graph.nodes
        if node.op == "Identity" and node.inputs[0] in graph.initializers and len(users[node.inputs[0]]) > 1
        and not node.outputs[0].startswith("alias")
    ]
    if merged:
        said.append(
            f"{listed(merged)}: merged with an equal weight, and kept as Identity of it. "
            "Each is taken for a weight of its own. If they were tied on purpose, that tie is lost."
        )
    renamed = [
        name for name in users
        if name.startswith(RENAMED) and len(graph.initializers[name].shape) > 1 and graph.initializers[name].kind in FLOATS
    ]
    if renamed:
        said.append(
            f"{listed(renamed)}: named by the exporter, and perhaps transposed. "
            "They train, but the result cannot be put back into the module by name. Export again with peermill_export."
        )
    for kind, pairs in (("input", graph.inputs), ("output", graph.outputs)):
        for name, dims in pairs:
            if dims and isinstance(dims[0], int):
                said.append(
                    f"{kind} '{name}' has {dims[0]} as its first dimension, not a free one. "
                    "If that is the batch, it is taken as free, but the graph may hold the number elsewhere. Export with batch_axis=True."
                )
    if not any(node.op == "BatchNormalization" for node in graph.nodes):
        makers = {output: node for node in graph.nodes for output in node.outputs}
        folded = [
            node for node in graph.nodes
            if node.op in ("Relu", "Clip", "HardSwish")
            and node.inputs[0] in makers and folded_conv(makers[node.inputs[0]])
        ]
        if folded:
            said.append(
                "hint: there is no BatchNormalization, and convolutions are followed straight by an activation. "
                "If the module has batch normalisation, the exporter has folded it away. Export with peermill_export."
            )
    if any(tensor.external for tensor in graph.initializers.values()):
        said.append(
            "weights lie in another file beside this one. Hand in both, or export with external_data=False."
        )
    foreign = sorted({f"{node.domain}.{node.op}" for node in graph.nodes if node.domain not in ("", "ai.onnx")})
    if foreign:
        said.append(
            f"{listed(foreign)}: not operators of ONNX itself. Coefficients kept in their attributes are not initializers and do not train."
        )
    if graph.noise:
        said.append("hint: it carries doc strings or metadata, which may tell source paths of the exporting machine. `strip` takes them out.")
    return said


def folded_conv(node):
    """Whether a convolution may hold a folded batch norm: it has a bias, or dynamo's name for what a batch norm gives."""
    return node.op == "Conv" and (len(node.inputs) > 2 or node.outputs[0].startswith("getitem"))


def listed(names, most=4):
    """The first few names, quoted, and how many more there are."""
    rest = len(names) - most
    return ", ".join(f"'{name}'" for name in names[:most]) + (f" and {rest} more" if rest > 0 else "")


def compared(path, model, batch_axis=True):
    """What of `model` is not in the file at `path` as it is in the module: a list of sentences, empty if all is there.

    Every parameter must be an initializer of its own name, shape and values. Tied parameters must be one initializer, untied
    ones must not. There must be a BatchNormalization for each batch norm. The batch must be free. Raises Malformed and OSError.
    """
    import torch

    with open(path, "rb") as file:
        graph = Graph(file.read())
    said = []
    used = {name for node in graph.nodes for name in node.inputs}
    groups = {}  # parameters that are one tensor, by their identity
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), (parameter, []))[1].append(name)
    for parameter, names in groups.values():
        here = [name for name in names if name in graph.initializers]
        if not here:
            said.append(
                f"{listed(names)}: not in the file under its own name. It was renamed, transposed, folded or is never used. "
                "A trained file cannot give it back by name."
            )
            continue
        for name in here:
            tensor = graph.initializers[name]
            if list(parameter.shape) != tensor.shape:
                said.append(f"'{name}' has shape {tensor.shape} in the file and {list(parameter.shape)} in the module.")
            elif tensor.kind == 1 and parameter.dtype == torch.float32 and bytes(tensor.raw) != little_endian(parameter):
                said.append(f"'{name}' has other values in the file than in the module.")
        if len([name for name in here if name in used]) > 1:
            said.append(f"{listed(here)}: one weight in the module, several in the file. They would train apart.")
        if not any(name in used for name in here):
            said.append(f"{listed(here)}: in the file, but nothing uses it. It will not train.")
    for name, buffer in model.named_buffers():
        tensor = graph.initializers.get(name)
        if tensor and tensor.kind == 1 and buffer.dtype == torch.float32 and bytes(tensor.raw) != little_endian(buffer):
            said.append(f"'{name}' has other values in the file than in the module.")
    kept = sum(node.op == "BatchNormalization" for node in graph.nodes)
    norms = [
        name for name, module in model.named_modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None
    ]
    lost = [name for name in norms if f"{name}.running_mean" not in graph.initializers]
    if kept < len(norms) or lost:
        said.append(f"{listed(lost or norms)}: batch normalisation was folded into other weights. Export with the module in train().")
    everyone = {name for _, names in groups.values() for name in names}
    taken = [node.outputs[0] for node in graph.nodes if node.op == "Identity" and node.outputs[0] in everyone]
    if taken:
        said.append(f"{listed(taken)}: merged with another weight of equal value.")
    if batch_axis:
        for kind, pairs in (("input", graph.inputs), ("output", graph.outputs)):
            for name, dims in pairs:
                if dims and isinstance(dims[0], int):
                    said.append(
                        f"{kind} '{name}' has a fixed batch of {dims[0]}. Something in forward() depends on it: "
                        "use x.shape[0] or -1 instead of a number."
                    )
    return said


def little_endian(parameter):
    """The bytes of a float32 tensor, as ONNX stores them."""
    flat = parameter.detach().cpu().contiguous().reshape(-1)
    try:
        return flat.numpy().astype("<f4").tobytes()
    except (ImportError, RuntimeError):
        return struct.pack(f"<{flat.numel()}f", *flat.tolist())


# --- Export ----------------------------------------------------------------------------------------------------------


def export(model, example_inputs, path, *, batch_axis=True, opset=18, exporter="auto", input_names=None, output_names=None, report=None):
    """Writes `model` to `path` so that it can be trained, and says what was lost.

    model           a torch.nn.Module in float32. It comes back as it was: mode, buffers and all.
    example_inputs  a tensor or a tuple of tensors, each [batch, ...]. A batch of 1 is doubled, since PyTorch would fix it.
    batch_axis      whether the first axis of every input and output is the batch, and free.
    opset           the ONNX opset: 13 to 20 for "torchscript", 18 and later for "dynamo".
    exporter        "dynamo", "torchscript" or "auto": dynamo if its packages are there, else torchscript; and the one that
                    loses nothing if the first loses something.
    report          a function that takes a sentence; print to stderr if None.

    Modules all in eval() are exported in train(), so that dropout and batch normalisation stay. Mixed modes stay mixed.
    Returns the list of what was lost, empty if nothing. Raises ValueError for an unknown exporter or a model without
    parameters, and whatever PyTorch raises where it cannot export at all.
    """
    import torch

    say = report or (lambda words: print(f"peermill_export: {words}", file=sys.stderr))
    if exporter not in ("auto", "dynamo", "torchscript"):
        raise ValueError(f"there is no exporter '{exporter}': auto, dynamo or torchscript")
    if not any(True for _ in model.parameters()):
        raise ValueError("the module has no parameters, so there is nothing to train")
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    if batch_axis:
        inputs = tuple(torch.cat([x, x]) if x.shape[0] == 1 else x for x in inputs)
    names = list(input_names or (["input"] if len(inputs) == 1 else [f"input_{i}" for i in range(len(inputs))]))
    results = list(output_names or ["output"])
    orders = {"dynamo": [with_dynamo], "torchscript": [with_torchscript]}.get(exporter)
    if orders is None:
        orders = [with_torchscript]
        if all(importlib.util.find_spec(package) for package in ("onnx", "onnxscript")):
            orders.insert(0, with_dynamo)
        else:
            say("the packages onnx and onnxscript are not here, so the older exporter is used. It serves most models.")
    if batch_axis and not follows_batch(model, inputs):
        fixed = ["the module takes no other batch than the example's. Use x.shape[0] or -1 in forward() instead of a number."]
    else:
        fixed = []
    best, failure = None, None
    for order in orders:
        with tempfile.TemporaryDirectory() as folder, kept_as_it_was(model):
            if not any(module.training for module in model.modules()):
                model.train()
            file = os.path.join(folder, "model.onnx")
            try:
                order(model, inputs, file, names, results, batch_axis, opset)
            except Exception as error:  # PyTorch raises many kinds; the next exporter may do
                failure = error
                if order is not orders[-1]:
                    say(f"the dynamo exporter cannot write this module ({first_line(error)}); trying the older one.")
                continue
            with open(file, "rb") as written:
                data = written.read()
        # The older exporter runs the module before it writes, and stores the running statistics that this moved.
        data = stripped(data, {name: little_endian(b) for name, b in model.named_buffers() if b.dtype == torch.float32})
        with tempfile.NamedTemporaryFile(suffix=".onnx", delete=False) as written:
            written.write(data)
        try:
            lost = fixed + compared(written.name, model, batch_axis)
        finally:
            os.unlink(written.name)
        if best is None or len(lost) < len(best[1]):
            best = (data, lost)
        if not lost:
            break
    if best is None:
        raise failure
    data, lost = best
    with open(path, "wb") as written:
        written.write(data)
    for words in lost:
        say(words)
    if lost:
        say(f"{path} was written, but lost {len(lost)} thing{'s' if len(lost) > 1 else ''}.")
    return lost


def first_line(error):
    """What an error says, cut to a line and without colours."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\x1b\[[0-9;]*m", "", line).split(" This is step")[0][:160]


def follows_batch(model, inputs):
    """Whether the module takes another batch than the example's, and gives as many rows."""
    import torch

    rows = 2 * inputs[0].shape[0] + 1
    longer = [torch.cat([x] * 3)[:rows] for x in inputs]
    with kept_as_it_was(model), torch.no_grad():
        model.eval()
        try:
            output = model(*longer)
        except Exception:  # whatever forward() raises
            return False
    first = output[0] if isinstance(output, (tuple, list)) else output
    return not isinstance(first, torch.Tensor) or first.ndim == 0 or first.shape[0] == rows


@contextlib.contextmanager
def quietly():
    """Without the warnings and logs of the exporters, which are of no use to the user."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def without_onnx():
    """Lets the older exporter do without the package onnx, which it uses for functions written in onnxscript alone."""
    place = None
    if importlib.util.find_spec("onnx") is None:
        for name in ("torch.onnx._internal.torchscript_exporter.onnx_proto_utils", "torch.onnx._internal.onnx_proto_utils"):
            with contextlib.suppress(ImportError):
                place = importlib.import_module(name)
                break
    kept = getattr(place, "_add_onnxscript_fn", None)
    if kept is None:
        yield
        return
    place._add_onnxscript_fn = lambda model_bytes, custom_opsets: model_bytes
    try:
        yield
    finally:
        place._add_onnxscript_fn = kept


class kept_as_it_was:
    """Puts a module's modes and buffers back after a trace, which runs it; and the state of the random numbers."""

    def __init__(self, model):
        self.model = model

    def __enter__(self):
        import torch

        self.modes = [(module, module.training) for module in self.model.modules()]
        self.buffers = [(buffer, buffer.detach().clone()) for buffer in self.model.buffers()]
        self.random = torch.get_rng_state()

    def __exit__(self, *_):
        import torch

        for module, training in self.modes:
            module.training = training
        with torch.no_grad():
            for buffer, was in self.buffers:
                buffer.copy_(was)
        torch.set_rng_state(self.random)


def with_torchscript(model, inputs, file, names, results, batch_axis, opset):
    """Recipe A: the older exporter, training mode, no constant folding."""
    import torch

    modes = {module.training for module in model.modules()}
    mode = torch.onnx.TrainingMode.TRAINING if modes == {True} else torch.onnx.TrainingMode.PRESERVE
    with quietly(), without_onnx():
        torch.onnx.export(
            model, inputs, file, dynamo=False, opset_version=opset, training=mode, do_constant_folding=False,
            input_names=names, output_names=results,
            dynamic_axes={name: {0: "batch"} for name in names + results} if batch_axis else None,
        )


def with_dynamo(model, inputs, file, names, results, batch_axis, opset):
    """Recipe B: the dynamo exporter, not optimised, all in one file."""
    import torch

    batch = torch.export.Dim("batch")
    with quietly():
        torch.onnx.export(
            model, inputs, file, dynamo=True, optimize=False, external_data=False, opset_version=opset,
            input_names=names, output_names=results, verbose=False,
            dynamic_shapes=tuple({0: batch} for _ in inputs) if batch_axis else None,
        )


# --- Command line ----------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(
        description="Tells what an ONNX file has lost for training, or takes doc strings and metadata out of it.",
        epilog="To export a module, call peermill_export.export from Python; see the top of this file.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="tell what a file has lost; exit code 1 if there is something, hints aside")
    checking.add_argument("files", nargs="+", metavar="FILE.onnx")
    stripping = commands.add_parser("strip", help="write a file without doc strings and metadata")
    stripping.add_argument("file", metavar="FILE.onnx")
    stripping.add_argument("out", metavar="OUT.onnx")
    options = parser.parse_args()
    try:
        if options.command == "strip":
            with open(options.file, "rb") as file:
                data = stripped(file.read())
            with open(options.out, "wb") as file:
                file.write(data)
            return 0
        found = 0
        for path in options.files:
            said = check(path)
            found += sum(not words.startswith("hint:") for words in said)
            for words in said:
                print(f"{path}: {words}")
            if not said:
                print(f"{path}: nothing amiss")
        return 1 if found else 0
    except (Malformed, OSError) as error:
        print(f"peermill_export: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

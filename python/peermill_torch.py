#!/usr/bin/env python3
"""Trains Peermill's models with PyTorch, as a worker process: on a GPU where there is one, on the processor otherwise.

    python3 peermill_torch.py        (started by Peermill's TorchWorker; speaks on stdin and stdout; needs torch alone)

The same graph, the same rows in the same order, the same optimizer. But other arithmetic: sums go in another order, and do so
again on the next machine. What comes out is near to what Peermill's own engine gives, and never the same bits, so no digest
can verify it. Dropout's masks are PyTorch's own and cannot equal the engine's; a model with dropout comes out as another
training of the same kind.

Messages. Each is: length (u32, little-endian) of what follows; length of the header (u32); the header, a JSON object in UTF-8;
then blobs of bytes, whose lengths stand in the header's `blobs`. Every request gets one answer.

hello   `protocol` 1; `device` auto, cpu or cuda; `threads`, 0 for torch's own choice.
        Answer hello: `protocol`, `torch` (its version), `device`.
model   `loss` crossEntropy, binaryLogits, binaryShares or squared; `output`, the prediction's name or empty; `input`, one
        sample's shape; `normsAreFixed`; `hasNoDropout`; `parameters`, a list of {`name`, `shape`, `isTrained`} in the order of
        their weights; `layers`, a list of {`kind` dense, convolution, relu or maxPool, `outputs`, `kernel`}, where the model
        is not a graph. Blob: the graph as an ONNX file, where the parameters have no values; or nothing.
        Answer ready: `dropouts`, how many there are.
train   `rate`; `optimizer` {`kind` sgd, adam or adamW, `momentum`, `isNesterov`, `weightDecay`, `beta1`, `beta2`, `epsilon`,
        `clipNorm`, `proximal`}; `batch`; `epochs`; `seed`, for dropout. Blobs: the weights as canonical safetensors; the chunk
        of samples, form 2; the order of the rows of every epoch, one after the other (u32).
        Answer trained: `loss`, the mean over all samples seen; `steps`; `verifiable` false. Blob: the weights, under the same
        header.
error   an answer to any of them: `words`. The worker goes on.
"""

import ctypes
import json
import math
import os
import struct
import sys

import torch
from torch.nn import functional

PROTOCOL = 1
LIMIT = 1 << 31
FLOATS = {1: torch.float32, 10: torch.float16, 11: torch.float64, 16: torch.bfloat16}
WHOLES = {2: torch.uint8, 3: torch.int8, 4: torch.int16, 5: torch.int16, 6: torch.int32, 7: torch.int64, 12: torch.int32, 13: torch.int64}


class Refused(ValueError):
    """What cannot be done, in words."""


# --- ONNX: a walk over protobuf ---------------------------------------------------------------------------------------


def varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Refused("the graph is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def fields(data):
    """Each field of a message: its number and its value, which is a memoryview or a whole number."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = data[at : at + size], at + size
        elif wire == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise Refused("the graph has a field of an unknown kind")
        if at > len(data):
            raise Refused("the graph is cut off")
        yield number, value


def text(value):
    return bytes(value).decode("utf-8")


def signed(value):
    return value - (1 << 64) if value >= 1 << 63 else value


def add_wholes(into, value):
    """A repeated whole number, packed or not."""
    if isinstance(value, int):
        into.append(signed(value))
        return
    at = 0
    while at < len(value):
        one, at = varint(value, at)
        into.append(signed(one))


def add_floats(into, value, code="f"):
    into.extend(struct.unpack(f"<{len(value) // struct.calcsize(code)}{code}", value))


def read_tensor(data):
    """A tensor's name and its values: float32, int64 or bool; None where they were left out."""
    name, kind, shape, raw, floats, wholes = "", 1, [], None, [], []
    for number, value in fields(data):
        if number == 1:
            add_wholes(shape, value)
        elif number == 2:
            kind = value
        elif number == 4:
            add_floats(floats, value)
        elif number in (5, 7):
            add_wholes(wholes, value)
        elif number == 8:
            name = text(value)
        elif number == 9:
            raw = bytearray(value)
        elif number == 10:
            add_floats(floats, value, "d")
    count = math.prod(shape)
    if kind == 9:
        dtype, stored = torch.bool, torch.uint8
    elif kind in FLOATS:
        dtype, stored = torch.float32, FLOATS[kind]
    elif kind in WHOLES:
        dtype, stored = torch.int64, WHOLES[kind]
    else:
        raise Refused(f"'{name}' holds elements of kind {kind}")
    if count == 0:
        values = torch.empty(0)
    elif raw:
        values = torch.frombuffer(raw, dtype=stored)
        if kind in (4, 12):  # torch reads these as signed
            values = values.to(torch.int64) & (0xFFFF if kind == 4 else 0xFFFFFFFF)
    elif floats or wholes:
        values = torch.tensor(floats or wholes)
        if kind in (10, 16):
            values = values.to(torch.int32).to(torch.int16).view(FLOATS[kind])
    else:
        return name, None
    if values.numel() != count:
        raise Refused(f"'{name}' has {values.numel()} values for the shape {shape}")
    return name, values.to(dtype).reshape(shape)


def read_attribute(data):
    name, kind, found, wholes, floats, strings = "", 0, {}, [], [], []
    for number, value in fields(data):
        if number == 1:
            name = text(value)
        elif number == 7:
            add_floats(floats, value)
        elif number == 8:
            add_wholes(wholes, value)
        elif number == 9:
            strings.append(text(value))
        elif number == 20:
            kind = value
        else:
            found[number] = value
    if kind == 1:
        return name, struct.unpack("<f", found[2])[0] if 2 in found else 0.0
    if kind == 2:
        return name, signed(found.get(3, 0))
    if kind == 3:
        return name, text(found.get(4, b""))
    if kind == 4:
        return name, read_tensor(found[5])[1]
    if kind in (6, 7, 8):
        return name, {6: floats, 7: wholes, 8: strings}[kind]
    raise Refused(f"the attribute '{name}' is of kind {kind}")


class Node:
    def __init__(self, op, inputs, outputs, attributes=None, name=""):
        self.op, self.inputs, self.outputs = op, inputs, outputs
        self.attributes = attributes or {}
        self.place = f"{op} '{name or (outputs[0] if outputs else '')}'"

    @staticmethod
    def read(data):
        inputs, outputs, attributes, op, name, domain = [], [], {}, "", "", ""
        for number, value in fields(data):
            if number == 1:
                inputs.append(text(value))
            elif number == 2:
                outputs.append(text(value))
            elif number == 3:
                name = text(value)
            elif number == 4:
                op = text(value)
            elif number == 5:
                key, attribute = read_attribute(value)
                attributes[key] = attribute
            elif number == 7:
                domain = text(value)
        return Node(f"{domain}.{op}" if domain not in ("", "ai.onnx") else op, inputs, outputs, attributes, name)

    def get(self, name, usual=None):
        return self.attributes.get(name, usual)


def read_value(data):
    """The name, the kind of element and the first dimension (None where it is open) of an input or an output."""
    name, kind, first, has_first = "", 0, None, False
    for number, value in fields(data):
        if number == 1:
            name = text(value)
        elif number == 2:
            for sort, tensor in fields(value):
                if sort != 1:
                    continue
                for part, inner in fields(tensor):
                    if part == 1:
                        kind = inner
                    elif part == 2:
                        for _, dimension in fields(inner):
                            if not has_first:
                                sizes = dict(fields(dimension))
                                first, has_first = sizes.get(1), True
    return name, kind, first


class File:
    """The graph of an ONNX file, as far as it is needed."""

    def __init__(self, data):
        self.nodes, self.initializers, self.inputs, self.outputs = [], {}, [], []
        for number, value in fields(data):
            if number != 7:
                continue
            for part, inner in fields(value):
                if part == 1:
                    self.nodes.append(Node.read(inner))
                elif part == 5:
                    name, tensor = read_tensor(inner)
                    self.initializers[name] = tensor
                elif part == 11:
                    self.inputs.append(read_value(inner))
                elif part == 12:
                    self.outputs.append(read_value(inner))


# --- Operators --------------------------------------------------------------------------------------------------------

OPERATORS = {}
# Their inputs must lie on one device; what stands on the processor (shapes, masks) goes over to the samples.
MIXED = set()


def operator(*names, mixed=False):
    def add(function):
        for name in names:
            OPERATORS[name] = function
            if mixed:
                MIXED.add(name)
        return function

    return add


def together(tensors):
    device = next((t.device for t in tensors if isinstance(t, torch.Tensor) and t.device.type != "cpu"), None)
    if device is None:
        return tensors
    return [t.to(device) if isinstance(t, torch.Tensor) else t for t in tensors]


def optional(inputs, index):
    return inputs[index] if index < len(inputs) else None


def numbers(tensor):
    return [int(v) for v in tensor.flatten().tolist()]


def number(inputs, index):
    tensor = optional(inputs, index)
    return None if tensor is None else tensor.item()


def axes_of(node, inputs, index=1):
    """Axes are an attribute before opset 13 or 18, and an input later."""
    given = node.get("axes")
    if given is None and optional(inputs, index) is not None:
        given = numbers(inputs[index])
    return given


def elementwise(name, function):
    operator(name)(lambda run, node, inputs: function(node, inputs[0]))


def of_two(name, function):
    operator(name, mixed=True)(lambda run, node, inputs: function(node, inputs[0], inputs[1]))


for _name, _function in {
    "Relu": torch.relu, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt,
    "Abs": torch.abs, "Erf": torch.erf, "Softplus": functional.softplus, "HardSwish": functional.hardswish, "Neg": torch.neg,
    "Reciprocal": torch.reciprocal, "Mish": functional.mish, "Softsign": functional.softsign, "Identity": lambda x: x,
    "Floor": torch.floor, "Ceil": torch.ceil, "Round": torch.round, "Sign": torch.sign, "Not": torch.logical_not,
}.items():
    elementwise(_name, lambda node, x, function=_function: function(x))

elementwise("LeakyRelu", lambda node, x: functional.leaky_relu(x, node.get("alpha", 0.01)))
elementwise("Elu", lambda node, x: functional.elu(x, node.get("alpha", 1.0)))
elementwise("Celu", lambda node, x: functional.celu(x, node.get("alpha", 1.0)))
elementwise("Selu", lambda node, x: node.get("gamma", 1.0507010) * functional.elu(x, node.get("alpha", 1.6732632)))
elementwise("Gelu", lambda node, x: functional.gelu(x, approximate=node.get("approximate", "none")))
elementwise("HardSigmoid", lambda node, x: torch.clamp(node.get("alpha", 0.2) * x + node.get("beta", 0.5), 0, 1))
elementwise("Softmax", lambda node, x: torch.softmax(x, node.get("axis", -1)))
elementwise("LogSoftmax", lambda node, x: torch.log_softmax(x, node.get("axis", -1)))
elementwise("Size", lambda node, x: torch.tensor(x.numel()))
elementwise("GlobalAveragePool", lambda node, x: x.mean(tuple(range(2, x.ndim)), keepdim=True))
elementwise("GlobalMaxPool", lambda node, x: x.amax(tuple(range(2, x.ndim)), keepdim=True))
elementwise("Transpose", lambda node, x: x.permute(node.get("perm") or list(reversed(range(x.ndim)))))

for _name, _function in {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "MatMul": torch.matmul, "Equal": torch.eq, "Less": torch.lt,
    "Greater": torch.gt, "LessOrEqual": torch.le, "GreaterOrEqual": torch.ge, "And": torch.logical_and, "Or": torch.logical_or,
    "Xor": torch.logical_xor,
}.items():
    of_two(_name, lambda node, a, b, function=_function: function(a, b))

of_two("Mod", lambda node, a, b: torch.fmod(a, b) if node.get("fmod", 0) else torch.remainder(a, b))
of_two("PRelu", lambda node, x, slope: torch.relu(x) + (x - torch.relu(x)) * slope)
of_two("CastLike", lambda node, x, like: x.to(like.dtype))


@operator("Div", mixed=True)
def _(run, node, inputs):
    a, b = inputs
    is_float = a.is_floating_point() or b.is_floating_point()
    return a / b if is_float else torch.div(a, b, rounding_mode="trunc")


@operator("Pow")
def _(run, node, inputs):
    x, exponent = inputs
    return x ** exponent.item() if exponent.numel() == 1 else torch.pow(*together(inputs))


@operator("Sum", "Max", "Min", mixed=True)
def _(run, node, inputs):
    function = {"Sum": torch.add, "Max": torch.maximum, "Min": torch.minimum}[node.op]
    y = inputs[0]
    for other in inputs[1:]:
        y = function(y, other)
    return y


@operator("Clip")
def _(run, node, inputs):
    low, high = number(inputs, 1), number(inputs, 2)
    return inputs[0] if low is None and high is None else torch.clamp(inputs[0], low, high)


@operator("Cast")
def _(run, node, inputs):
    kind = node.get("to", 1)
    if kind in FLOATS:
        return inputs[0].to(torch.float32)
    if kind != 9 and kind not in WHOLES:
        raise Refused(f"{node.place} casts to elements of kind {kind}")
    return inputs[0].to(torch.bool if kind == 9 else torch.int64)


@operator("Constant")
def _(run, node, inputs):
    return node.constant


def constant_of(node):
    for name, attribute in sorted(node.attributes.items()):
        if name == "value" and attribute is not None:
            return attribute
        if name in ("value_float", "value_floats"):
            return torch.tensor(attribute, dtype=torch.float32)
        if name in ("value_int", "value_ints"):
            return torch.tensor(attribute, dtype=torch.int64)
    raise Refused(f"{node.place} holds no numbers")


@operator("Where", mixed=True)
def _(run, node, inputs):
    return torch.where(inputs[0].to(torch.bool), inputs[1], inputs[2])


@operator("Trilu")
def _(run, node, inputs):
    return (torch.triu if node.get("upper", 1) else torch.tril)(inputs[0], int(number(inputs, 1) or 0))


@operator("Range")
def _(run, node, inputs):
    start, limit, step = (t.item() for t in inputs)
    return torch.arange(start, limit, step, dtype=inputs[0].dtype)


@operator("ConstantOfShape")
def _(run, node, inputs):
    value = node.get("value")
    if value is None:
        return torch.zeros(numbers(inputs[0]))
    return torch.full(numbers(inputs[0]), value.item(), dtype=value.dtype)


@operator("Dropout")
def _(run, node, inputs):
    ratio = number(inputs, 1)
    return functional.dropout(inputs[0], 0.5 if ratio is None else ratio, run.has_dropout)


@operator("Gemm", mixed=True)
def _(run, node, inputs):
    a, b, c = inputs[0], inputs[1], optional(inputs, 2)
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    a = a.T if node.get("transA", 0) else a
    outward = b if node.get("transB", 0) else b.T
    if alpha == 1 and beta == 1 and (c is None or c.ndim == 1 and c.shape[0] == outward.shape[0]):
        return functional.linear(a, outward, c)
    y = functional.linear(a, outward)
    y = y if alpha == 1 else alpha * y
    return y if c is None or beta == 0 else y + (c if beta == 1 else beta * c)


@operator("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd")
def _(run, node, inputs):
    x, axes, keeps = inputs[0], axes_of(node, inputs), bool(node.get("keepdims", 1))
    if not axes:
        if node.get("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.ndim))
    if node.op == "ReduceProd":
        for axis in sorted((a % x.ndim for a in axes), reverse=True):
            x = x.prod(axis, keepdim=keeps)
        return x
    if node.op == "ReduceMean":
        return x.mean(axes, keepdim=keeps)
    if node.op == "ReduceSum":
        return x.sum(axes, keepdim=keeps)
    return (x.amax if node.op == "ReduceMax" else x.amin)(axes, keepdim=keeps)


# Moves


@operator("Shape")
def _(run, node, inputs):
    sizes = list(inputs[0].shape)
    return torch.tensor(sizes[node.get("start", 0) : node.get("end", len(sizes))], dtype=torch.int64)


@operator("Reshape")
def _(run, node, inputs):
    x, target = inputs[0], numbers(inputs[1])
    attempts = [target]
    # A batch that was fixed when the file was written stands in the shape itself.
    if run.baked_batch and target and target[0] > 0:
        if target[0] == run.baked_batch:
            attempts.append([run.batch] + target[1:])
        if target[0] % run.baked_batch == 0:
            attempts.append([target[0] // run.baked_batch * run.batch] + target[1:])
    for attempt in attempts:
        sizes = [
            x.shape[axis] if size == 0 and not node.get("allowzero", 0) and axis < x.ndim else size
            for axis, size in enumerate(attempt)
        ]
        known = math.prod(s for s in sizes if s != -1)
        fits = x.numel() % known == 0 if -1 in sizes and known else x.numel() == known
        if fits and sizes.count(-1) <= 1:
            return x.reshape(sizes)
    raise Refused(f"{node.place} cannot give {list(x.shape)} the shape {target}")


@operator("Flatten")
def _(run, node, inputs):
    x, axis = inputs[0], node.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator("Squeeze")
def _(run, node, inputs):
    x, axes = inputs[0], axes_of(node, inputs)
    if axes is None:
        return x.squeeze()
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in {a % x.ndim for a in axes} or size != 1])


@operator("Unsqueeze")
def _(run, node, inputs):
    y, axes = inputs[0], axes_of(node, inputs)
    rank = y.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        y = y.unsqueeze(axis)
    return y


@operator("Expand")
def _(run, node, inputs):
    return inputs[0].expand(torch.broadcast_shapes(tuple(inputs[0].shape), tuple(numbers(inputs[1]))))


@operator("Concat", mixed=True)
def _(run, node, inputs):
    return torch.cat(inputs, node.get("axis", 0))


@operator("Slice")
def _(run, node, inputs):
    y, starts, ends = inputs[0], numbers(inputs[1]), numbers(inputs[2])
    axes = numbers(inputs[3]) if optional(inputs, 3) is not None else list(range(len(starts)))
    steps = numbers(inputs[4]) if optional(inputs, 4) is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps):
        size = y.shape[axis]
        start += size if start < 0 else 0
        end += size if end < 0 else 0
        if step > 0:
            start, end = min(max(start, 0), size), min(max(end, 0), size)
        else:
            start, end = min(max(start, -1), size - 1), min(max(end, -1), size - 1)
        if step == 1:
            y = y.narrow(axis, start, max(0, end - start))
        else:
            y = y.index_select(axis, torch.tensor(list(range(start, end, step)), dtype=torch.int64, device=y.device))
    return y


@operator("Split", "SplitToSequence")
def _(run, node, inputs):
    x, axis, sizes = inputs[0], node.get("axis", 0), optional(inputs, 1)
    size = x.shape[axis]
    is_sequence, keeps = node.op == "SplitToSequence", True
    if node.get("split"):
        parts = torch.split(x, node.get("split"), axis)
    elif sizes is not None:
        parts = torch.split(x, int(sizes.item()) if is_sequence and sizes.ndim == 0 else numbers(sizes), axis)
    else:
        count = size if is_sequence else node.get("num_outputs", len(node.outputs))
        parts = torch.split(x, -(-size // count), axis)
        keeps = not is_sequence or bool(node.get("keepdims", 1))
    parts = [part if keeps else part.squeeze(axis) for part in parts]
    return [parts] if is_sequence else parts


@operator("SequenceConstruct")
def _(run, node, inputs):
    return [list(inputs)]


@operator("SequenceAt")
def _(run, node, inputs):
    return inputs[0][int(inputs[1].item())]


@operator("Gather", mixed=True)
def _(run, node, inputs):
    x, ids = inputs[0], inputs[1].to(torch.int64)
    axis = node.get("axis", 0) % max(1, x.ndim)
    ids = torch.where(ids < 0, ids + x.shape[axis], ids)
    if axis == 0 and x.ndim == 2 and x.is_floating_point():
        return functional.embedding(ids, x)
    picked = x.index_select(axis, ids.flatten())
    return picked.reshape(list(x.shape[:axis]) + list(ids.shape) + list(x.shape[axis + 1 :]))


def padded(x, before, after, value=0.0):
    """Pads the last axes; a negative padding cuts."""
    flat = [size for pair in zip(reversed(before), reversed(after)) for size in pair]
    return functional.pad(x, flat, value=value) if any(flat) else x


@operator("Pad")
def _(run, node, inputs):
    x, pads, fill = inputs[0], numbers(inputs[1]), number(inputs, 2) or 0.0
    if node.get("mode", "constant") != "constant":
        raise Refused(f"{node.place}: of padding, only the mode 'constant' is supported")
    axes = numbers(inputs[3]) if optional(inputs, 3) is not None else list(range(x.ndim))
    before, after = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(axes):
        before[axis], after[axis] = pads[place], pads[place + len(axes)]
    return padded(x, before, after, fill)


# Images


def window(node, sizes, taps):
    """Strides, dilations, and the padding before and behind."""
    sides = len(taps)
    steps = node.get("strides") or [1] * sides
    gaps = node.get("dilations") or [1] * sides
    pads = list(node.get("pads") or [0] * 2 * sides)
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        for side in range(sides):
            whole = max(0, (-(-sizes[side] // steps[side]) - 1) * steps[side] + gaps[side] * (taps[side] - 1) + 1 - sizes[side])
            pads[side] = whole // 2 if auto == "SAME_UPPER" else whole - whole // 2
            pads[side + sides] = whole - pads[side]
    return steps, gaps, pads[:sides], pads[sides:]


@operator("Conv", mixed=True)
def _(run, node, inputs):
    x, kernel = inputs[:2]
    steps, gaps, before, after = window(node, x.shape[2:], kernel.shape[2:])
    function = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}.get(x.ndim)
    if function is None:
        raise Refused(f"{node.place}: images of shape {list(x.shape)}")
    if before != after:
        x, before = padded(x, before, after), [0] * len(before)
    return function(x, kernel, optional(inputs, 2), steps, before, gaps, node.get("group", 1))


@operator("ConvTranspose", mixed=True)
def _(run, node, inputs):
    x, kernel, bias = inputs[0], inputs[1], optional(inputs, 2)
    if node.get("auto_pad", "NOTSET") != "NOTSET" or node.get("output_shape"):
        raise Refused(f"{node.place}: output_shape and auto_pad are not supported")
    steps, gaps, before, after = window(node, x.shape[2:], kernel.shape[2:])
    extra = node.get("output_padding") or [0] * len(steps)
    function = {3: functional.conv_transpose1d, 4: functional.conv_transpose2d}.get(x.ndim)
    if function is None:
        raise Refused(f"{node.place}: images of shape {list(x.shape)}")
    y = function(x, kernel, None, steps, 0, 0, node.get("group", 1), gaps)
    y = padded(y, [-size for size in before], [more - size for more, size in zip(extra, after)])
    return y if bias is None else y + bias.reshape([-1] + [1] * len(steps))


@operator("MaxPool", "AveragePool")
def _(run, node, inputs):
    x, taps = inputs[0], node.get("kernel_shape")
    steps, gaps, before, after = window(node, x.shape[2:], taps)
    counts = bool(node.get("count_include_pad", 0))
    if node.get("ceil_mode", 0):
        if counts and node.op == "AveragePool":
            raise Refused(f"{node.place}: ceil_mode together with count_include_pad is not supported")
        for side, size in enumerate(x.shape[2:]):
            whole = size + before[side] + after[side] - gaps[side] * (taps[side] - 1) - 1
            outputs = -(-whole // steps[side]) + 1
            # A window that would begin in the padding behind the image is left out.
            if (outputs - 1) * steps[side] >= size + before[side]:
                outputs -= 1
            after[side] += max(0, (outputs - 1) * steps[side] - whole)
    if x.ndim not in (3, 4):
        raise Refused(f"{node.place}: images of shape {list(x.shape)}")
    if node.op == "MaxPool":
        function = functional.max_pool1d if x.ndim == 3 else functional.max_pool2d
        return function(padded(x, before, after, -math.inf), taps, steps, 0, gaps)
    if any(gap != 1 for gap in gaps):
        raise Refused(f"{node.place}: dilations are not supported")
    function = functional.avg_pool1d if x.ndim == 3 else functional.avg_pool2d
    y = function(padded(x, before, after), taps, steps)
    if counts or not any(before + after):
        return y
    return y / function(padded(torch.ones_like(x[:1, :1]), before, after), taps, steps)


# Norms


@operator("BatchNormalization", mixed=True)
def _(run, node, inputs):
    x, scale, bias, mean, variance = inputs[:5]
    epsilon, momentum = node.get("epsilon", 1e-5), node.get("momentum", 0.9)
    trains = not run.norms_are_fixed and all(name in run.parameters for name in node.inputs[3:5])
    if trains and x.numel() == x.shape[1]:  # torch refuses a batch of one value for each channel
        with torch.no_grad():
            mean.mul_(momentum).add_(x.detach().flatten(), alpha=1 - momentum)
            variance.mul_(momentum)
        return bias.reshape(x.shape) + 0 * (x * scale.reshape(x.shape))
    # The running statistics move in place.
    return functional.batch_norm(x, mean, variance, scale, bias, trains, 1 - momentum, epsilon)


@operator("LayerNormalization", mixed=True)
def _(run, node, inputs):
    x, bias = inputs[0], optional(inputs, 2)
    shape = list(x.shape[node.get("axis", -1) % x.ndim :])
    bias = None if bias is None else bias.reshape(shape)
    return functional.layer_norm(x, shape, inputs[1].reshape(shape), bias, node.get("epsilon", 1e-5))


@operator("InstanceNormalization", "GroupNormalization", mixed=True)
def _(run, node, inputs):
    x, scale, bias = inputs[:3]
    channels = x.shape[1]
    groups = channels if node.op == "InstanceNormalization" else node.get("num_groups", 1)
    # Before opset 21 there was a scale for each group. Exporters' own scales may be of size 1.
    scale, bias = (t.flatten().repeat_interleave(channels // t.numel()) for t in (scale, bias))
    return functional.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


# Sequences

CELLS = {  # torch's function, and torch's gates among those of ONNX
    "LSTM": (torch.lstm, [0, 2, 3, 1]), "GRU": (torch.gru, [1, 0, 2]), "RNN": (torch.rnn_tanh, [0]),
}
ACTIVATIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}


@operator("LSTM", "GRU", "RNN", mixed=True)
def _(run, node, inputs):
    function, gates = CELLS[node.op]
    usual = ACTIVATIONS[node.op]
    for index, name in enumerate(node.get("activations") or []):
        if name.lower() != usual[index % len(usual)]:
            raise Refused(f"{node.place}: the activation {name} is not supported")
    unusual = [name for name in ("clip", "layout", "input_forget") if node.get(name)]
    if unusual or optional(inputs, 4) is not None or optional(inputs, 7) is not None:
        raise Refused(f"{node.place}: {unusual[0] if unusual else 'lengths and peepholes'} cannot be computed")
    if node.op == "GRU" and not node.get("linear_before_reset", 0):
        raise Refused(f"{node.place}: linear_before_reset 0 is not supported")
    x, w, r, b = inputs[0], inputs[1], inputs[2], optional(inputs, 3)
    units, batch = r.shape[2], x.shape[1]
    count = 2 if node.get("direction", "forward") == "bidirectional" else 1
    is_reversed = node.get("direction", "forward") == "reverse"

    def turned(part):
        chunks = part.chunk(len(gates))
        return torch.cat([chunks[gate] for gate in gates])

    flat = []
    for direction in range(count):
        flat += [turned(w[direction]), turned(r[direction])]
        if b is not None:
            flat += [turned(part) for part in b[direction].chunk(2)]
    states = [optional(inputs, index) for index in (5, 6)]
    states = [x.new_zeros(count, batch, units) if state is None else state for state in states]
    first = tuple(states) if node.op == "LSTM" else states[0]
    x = x.flip(0) if is_reversed else x
    y, *last = function(x, first, flat, b is not None, 1, 0.0, True, count == 2, False)
    y = y.flip(0) if is_reversed else y
    return [y.reshape(-1, batch, count, units).permute(0, 2, 1, 3)] + last


# --- The model --------------------------------------------------------------------------------------------------------


def layered(layers, input_shape):
    """The nodes of a model of layers, and the name of its output."""
    nodes, name, rank = [], "input", len(input_shape) + 1
    for index, layer in enumerate(layers):
        kind, out, weights = layer["kind"], f"{index}", [f"layers.{index}.weight", f"layers.{index}.bias"]
        if kind == "dense":
            if rank > 2:
                nodes.append(Node("Flatten", [name], [f"{index} flat"]))
                name, rank = f"{index} flat", 2
            nodes.append(Node("Gemm", [name] + weights, [out], {"transB": 1}))
        elif kind == "convolution":
            nodes.append(Node("Conv", [name] + weights, [out], {"pads": [layer["kernel"] // 2] * 4}))
        elif kind == "relu":
            nodes.append(Node("Relu", [name], [out]))
        elif kind == "maxPool":
            nodes.append(Node("MaxPool", [name], [out], {"kernel_shape": [2, 2], "strides": [2, 2]}))
        else:
            raise Refused(f"there is no layer '{kind}'")
        name = out
    return nodes, name


class Model:
    """What must be computed, and in which order."""

    def __init__(self, header, graph, device):
        self.device, self.loss = device, header["loss"]
        if self.loss not in ("crossEntropy", "binaryLogits", "binaryShares", "squared"):
            raise Refused(f"there is no loss '{self.loss}'")
        self.described = header["parameters"]
        self.input_shape = header["input"]
        self.norms_are_fixed = header["normsAreFixed"]
        self.has_dropout = not header["hasNoDropout"]
        self.baked_batch, self.batch, self.input_kind = None, 0, 1
        self.parameters = {}
        constants, inputs = {}, [("input", 1, None)]
        if header["layers"]:
            nodes, output = layered(header["layers"], self.input_shape)
        else:
            file = File(memoryview(graph))
            nodes, constants, inputs = file.nodes, file.initializers, file.inputs
            floats = [name for name, kind, _ in file.outputs if kind in FLOATS]
            output = header["output"] or (floats[0] if floats else "")
        self.makers = {out: node for node in nodes for out in node.outputs if out}
        self.output = self.without_last(output)
        self.nodes = self.needed(nodes)
        used = {name for node in self.nodes for name in node.inputs}
        names = {parameter["name"] for parameter in self.described}
        inputs = [value for value in inputs if value[0] in used and value[0] not in constants and value[0] not in names]
        if len(inputs) != 1:
            raise Refused(f"the prediction hangs on {len(inputs)} inputs; on one it can be trained")
        self.input, self.input_kind, self.baked_batch = inputs[0]
        self.constants = {}
        for name in used - names:
            if name in constants:
                if constants[name] is None:
                    raise Refused(f"the values of '{name}' are needed and are not in the graph")
                self.constants[name] = self.placed(constants[name])
        for node in self.nodes:
            if node.op not in OPERATORS:
                raise Refused(f"{node.place}: the operator {node.op} is not supported")
            if node.op == "Constant":
                node.constant = self.placed(constant_of(node))
        self.dropouts = sum(node.op == "Dropout" for node in self.nodes)
        for parameter in self.described:
            if parameter["isTrained"] and parameter["name"] not in used:
                raise Refused(f"nothing computes with '{parameter['name']}'")

    def placed(self, tensor):
        """Whole numbers are mostly shapes, and stay on the processor."""
        return tensor.to(self.device) if tensor.is_floating_point() and tensor.ndim > 0 else tensor

    def without_last(self, name):
        """What a loss takes into itself is left out at the end."""
        seen = name
        while seen in self.makers and self.makers[seen].op in ("Identity", "Cast", "CastLike"):
            seen = self.makers[seen].inputs[0]
        node = self.makers.get(seen)
        if node and node.op == "Softmax" and self.loss == "crossEntropy" and node.get("axis", -1) == -1:
            return node.inputs[0]
        if node and node.op == "Sigmoid" and self.loss == "binaryShares":
            self.loss = "binaryLogits"
            return node.inputs[0]
        return name

    def needed(self, nodes):
        wanted, out = {self.output}, []
        for node in reversed(nodes):
            if wanted.intersection(node.outputs):
                wanted.update(node.inputs)
                out.append(node)
        return out[::-1]

    def load(self, weights):
        """Takes the canonical safetensors of the weights; returns their header."""
        start = 8 + int.from_bytes(weights[:8], "little")
        if (len(weights) - start) != 4 * sum(math.prod(p["shape"]) for p in self.described):
            raise Refused("the weights are not this model's")
        values = torch.frombuffer(weights, dtype=torch.float32, offset=start)
        self.parameters, at = {}, 0
        for parameter in self.described:
            count = math.prod(parameter["shape"])
            tensor = values[at : at + count].reshape(parameter["shape"]).to(self.device, copy=True)
            self.parameters[parameter["name"]] = tensor.requires_grad_(parameter["isTrained"])
            at += count
        return bytes(weights[:start])

    def store(self, header):
        parts = [self.parameters[p["name"]].detach().reshape(-1).cpu() for p in self.described]
        values = torch.cat(parts).contiguous()
        if not bool(torch.isfinite(values).all()):
            raise Refused("it diverged: weights are not finite any more; lower the learning rate")
        return header + ctypes.string_at(values.data_ptr(), 4 * values.numel())

    def predict(self, x):
        self.batch = x.shape[0]
        known = {**self.constants, **self.parameters}
        x = x.reshape([self.batch] + self.input_shape)
        known[self.input] = x if self.input_kind in FLOATS else x.to(torch.int64)
        for node in self.nodes:
            inputs = [known[name] if name else None for name in node.inputs]
            if node.op in MIXED:
                inputs = together(inputs)
            try:
                results = OPERATORS[node.op](self, node, inputs)
            except Refused:
                raise
            except (RuntimeError, IndexError, TypeError, ValueError) as error:
                raise Refused(f"{node.place}: {error}") from error
            for name, result in zip(node.outputs, results if isinstance(results, list) else [results]):
                known[name] = result
        return known[self.output]

    def measure(self, prediction, target):
        if self.loss == "crossEntropy":
            return functional.cross_entropy(prediction.reshape(-1, prediction.shape[-1]), target.reshape(-1))
        target = target.to(torch.float32).reshape(prediction.shape)
        if self.loss == "squared":
            return functional.mse_loss(prediction, target)
        if self.loss == "binaryShares":
            return functional.binary_cross_entropy(prediction, target)
        return functional.binary_cross_entropy_with_logits(prediction, target)


# --- Training ---------------------------------------------------------------------------------------------------------


class Samples:
    """A chunk of form 2: PMCK, version, storage, kind of target, 0, classes, samples, features, targets, divisor; rows."""

    def __init__(self, data, device):
        magic, version, storage, kind, _, _, count, features, targets, divisor = struct.unpack("<4sBBBBIIIIf", data[:28])
        if magic != b"PMCK" or version != 2 or storage not in (1, 2) or kind not in (1, 2):
            raise Refused("this is no chunk of form 2")
        self.count = count
        end = 28 + count * features * (1 if storage == 1 else 4)
        if len(data) != end + count * targets * (2 if kind == 1 else 4):
            raise Refused("the chunk's length is not what its header says")
        rows = torch.frombuffer(bytearray(data[28:end]), dtype=torch.uint8 if storage == 1 else torch.float32)
        self.rows = rows.reshape(count, features).to(device)
        # By a table, divided on the processor: elsewhere a division may be a product with a rounded reciprocal.
        table = torch.arange(256, dtype=torch.float32) / torch.full((256,), divisor)
        self.table = table.to(device) if storage == 1 else None
        values = torch.frombuffer(bytearray(data[end:]), dtype=torch.int16 if kind == 1 else torch.float32)
        if kind == 1:
            values = values.to(torch.int64) & 0xFFFF
        self.targets = values.reshape(count, targets).to(device)

    def batch(self, rows):
        x = self.rows[rows]
        return (x if self.table is None else self.table[x.to(torch.int64)]), self.targets[rows]


def optimizer_of(wanted, rate, trained):
    kind = wanted["kind"]
    if kind == "sgd":
        return torch.optim.SGD(
            trained, lr=rate, momentum=wanted["momentum"], nesterov=wanted["isNesterov"], weight_decay=wanted["weightDecay"]
        )
    if kind not in ("adam", "adamW"):
        raise Refused(f"there is no optimizer '{kind}'")
    return (torch.optim.Adam if kind == "adam" else torch.optim.AdamW)(
        trained, lr=rate, betas=(wanted["beta1"], wanted["beta2"]), eps=wanted["epsilon"], weight_decay=wanted["weightDecay"]
    )


def train(model, header, weights, chunk, order):
    """Trains as Peermill's engine does; returns the weights' bytes, the mean loss and the number of steps."""
    samples = Samples(chunk, model.device)
    epochs, batch, wanted = header["epochs"], header["batch"], header["optimizer"]
    if len(order) != 4 * epochs * samples.count:
        raise Refused("the order of the rows does not fit the chunk")
    order = torch.frombuffer(order, dtype=torch.int32).to(torch.int64).reshape(epochs, samples.count).to(model.device)
    if int(order.min()) < 0 or int(order.max()) >= samples.count:
        raise Refused("the order names rows that the chunk does not have")
    form = model.load(weights)
    trained = [model.parameters[p["name"]] for p in model.described if p["isTrained"]]
    origins = [p.detach().clone() for p in trained] if wanted["proximal"] > 0 else []
    optimizer = optimizer_of(wanted, header["rate"], trained)
    torch.manual_seed(header["seed"])
    total, steps = torch.zeros((), dtype=torch.float64, device=model.device), 0
    for epoch in order:
        for rows in epoch.split(batch):
            x, target = samples.batch(rows)
            optimizer.zero_grad()
            loss = model.measure(model.predict(x), target)
            loss.backward()
            for parameter in trained:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            if wanted["clipNorm"] > 0:
                torch.nn.utils.clip_grad_norm_(trained, wanted["clipNorm"])
            for parameter, origin in zip(trained, origins):
                parameter.grad.add_(parameter.detach() - origin, alpha=wanted["proximal"])
            optimizer.step()
            total += loss.detach().to(torch.float64) * len(rows)
            steps += 1
    mean = float(total) / (samples.count * epochs)
    if not math.isfinite(mean):
        raise Refused(f"it diverged: a loss of {mean}; lower the learning rate")
    return model.store(form), mean, steps


# --- Messages ---------------------------------------------------------------------------------------------------------


def read(stream, count):
    """So many bytes; None where the stream ends before the first."""
    data = bytearray(count)
    view, at = memoryview(data), 0
    while at < count:
        got = stream.readinto(view[at:])
        if not got:
            if at == 0:
                return None
            raise EOFError("a message is cut off")
        at += got
    return data


def receive(stream):
    """The header and the blobs of the next message; None at the end."""
    head = read(stream, 8)
    if head is None:
        return None
    whole, size = struct.unpack("<II", head)
    if whole > LIMIT or size + 4 > whole:
        raise ValueError(f"a message of {whole} bytes with a header of {size}")
    header = json.loads(bytes(read(stream, size) or b""))
    lengths = header.get("blobs", [])
    if sum(lengths) != whole - 4 - size:
        raise ValueError("a message whose blobs do not fill it")
    return header, [read(stream, length) if length else bytearray() for length in lengths]


def send(stream, header, *blobs):
    text = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}, allow_nan=False).encode()
    stream.write(struct.pack("<II", 4 + len(text) + sum(map(len, blobs)), len(text)) + text)
    for blob in blobs:
        stream.write(blob)
    stream.flush()


class Worker:
    def __init__(self):
        self.device, self.model = torch.device("cpu"), None

    def answer(self, header, blobs):
        kind = header["kind"]
        if kind == "hello":
            return self.hello(header)
        if kind == "model":
            self.model = None
            self.model = Model(header, blobs[0], self.device)
            return {"kind": "ready", "dropouts": self.model.dropouts}, []
        if kind == "train":
            if self.model is None:
                raise Refused("there is no model yet")
            weights, loss, steps = train(self.model, header, *blobs)
            return {"kind": "trained", "loss": loss, "steps": steps, "verifiable": False}, [weights]
        raise Refused(f"there is no message '{kind}'")

    def hello(self, header):
        if header["protocol"] != PROTOCOL:
            raise Refused(f"this worker speaks protocol {PROTOCOL}, not {header['protocol']}")
        wanted = header["device"]
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(wanted)
        if header["threads"] > 0:
            torch.set_num_threads(header["threads"])
        # As near to float32 as the device can.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
        torch.zeros(1, device=self.device)
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return {"kind": "hello", "protocol": PROTOCOL, "torch": str(torch.__version__), "device": name}, []


def main():
    # Whatever a library prints must not come between messages.
    stdin, stdout = os.fdopen(os.dup(0), "rb", buffering=1 << 16), os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)
    worker = Worker()
    while (message := receive(stdin)) is not None:
        try:
            header, blobs = worker.answer(*message)
        except Exception as error:  # the other side decides what becomes of it
            known = isinstance(error, Refused)
            words = str(error) if known else f"{type(error).__name__}: {error}"
            header, blobs = {"kind": "error", "words": words[:1000]}, []
        send(stdout, header, *blobs)


if __name__ == "__main__":
    sys.exit(main())

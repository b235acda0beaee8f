"""Small models of every kind that people bring, and the ways they are written as ONNX.

Each model is a function under `@model(...)` that returns a torch module. Beside it stand how its rows are made, its loss and
its exporters. Weights and rows come from fixed seeds, so a model is the same every time.

Exporters, by their letter in the reference on training:
A  the older exporter in training mode          B  dynamo, not optimised          (both by python/peermill_export.py)
C  dynamo as it comes: folds, renames, merges   D  the older exporter as it comes: folds, renames
A number after the letter is the opset. K is Keras and S is scikit-learn, each with its own exporter.
"""

import dataclasses
import logging
import math
import os
import pathlib
import sys
import warnings

os.environ.setdefault("KERAS_BACKEND", "torch")
import numpy
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "python"))
import peermill_export

OPSETS = {"A": 17, "B": 18, "C": 18, "D": 17, "K": 18, "S": 17}


@dataclasses.dataclass
class Model:
    """One entry of the zoo. `build` gives the module; `rows(generator, n)` gives input [n, ...] and target as numpy arrays."""

    name: str
    tier: int
    loss: str
    build: callable
    rows: callable
    exporters: tuple
    batch: int = 8
    rate: float = 0.05
    extras: tuple = ()  # more recipes than plain SGD and Adam: keys of parity.EXTRAS
    sensitive: bool = False  # has batch norms or recurrence: gradients within 5e-5, not 1e-5
    ends_in: str = ""  # the activation that the loss takes in: "Sigmoid" or "Softmax"
    write: callable = None  # writes the file itself: write(module, path, exporter)
    surplus: int = 0  # rows beyond four batches
    seed: int = 0  # of the rows; another where some sum comes to lie within rounding of a ReLU's corner

    def module(self):
        torch.manual_seed(20_000 + sum(map(ord, self.name)))
        return self.build().train()

    def data(self, count=None):
        generator = numpy.random.default_rng(sum(map(ord, self.name)) + self.seed)
        return self.rows(generator, count or 4 * self.batch + self.surplus)

    def export(self, module, path, exporter, report=lambda words: None):
        """Writes `module` to `path`. Returns what peermill_export says was lost; nothing for exporters other than A and B."""
        if self.write:
            return self.write(self, module, path, exporter)
        example = as_input(module, self.data(2)[0])
        opset = int(exporter[1:] or OPSETS[exporter[0]])
        if exporter[0] in "AB":
            return peermill_export.export(
                module, (example,), path, opset=opset, exporter="torchscript" if exporter[0] == "A" else "dynamo", report=report
            )
        logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
        with warnings.catch_warnings(), peermill_export.kept_as_it_was(module):
            warnings.simplefilter("ignore")
            if exporter[0] == "C":
                torch.onnx.export(module, (example,), path, dynamo=True, opset_version=opset, external_data=False, verbose=False,
                                  dynamic_shapes=({0: torch.export.Dim("batch")},), input_names=["input"], output_names=["output"])
            else:
                torch.onnx.export(module, (example,), path, dynamo=False, opset_version=opset, input_names=["input"],
                                  output_names=["output"], dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}})
        return []


MODELS = {}


def model(name, tier, loss, rows, exporters="A B", **more):
    def add(build):
        MODELS[name] = Model(name, tier, loss, build, rows, tuple(exporters.split()), **more)
        return build

    return add


def as_input(module, array):
    """Rows as the module takes them: whole numbers where its first layer is an embedding."""
    tokens = any(isinstance(part, nn.Embedding) for part in module.modules())
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    return torch.tensor(array).to(torch.int64 if tokens else dtype)


def measure(name, prediction, target):
    """The loss by its name, as a mean. Class numbers come as floats, [n] or [n, t]; the rest has the prediction's shape."""
    if name == "softmax_cross_entropy":
        return functional.cross_entropy(prediction.reshape(-1, prediction.shape[-1]), target.reshape(-1).to(torch.int64))
    target = target.to(prediction.dtype)
    if name == "mse":
        return functional.mse_loss(prediction, target)
    if name == "bce":
        return functional.binary_cross_entropy(prediction, target)
    return functional.binary_cross_entropy_with_logits(prediction, target)


def uneven(module):
    """The module with norms that have learned something: no scale is 1 and no bias is 0, so that none can be taken for another."""
    for part in module.modules():
        if isinstance(part, (nn.modules.batchnorm._NormBase, nn.GroupNorm)) and part.weight is not None:
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return module


# --- Rows ------------------------------------------------------------------------------------------------------------


def features(width, classes):
    def make(generator, n):
        x = generator.standard_normal((n, width)).astype("f4")
        return x, generator.integers(0, classes, n).astype("f4")

    return make


def images(channels, side, classes, last=False):
    def make(generator, n):
        shape = (n, side, side, channels) if last else (n, channels, side, side)
        x = generator.random(shape).astype("f4")
        return x, generator.integers(0, classes, n).astype("f4")

    return make


def values(width, out):
    def make(generator, n):
        x = generator.standard_normal((n, width)).astype("f4")
        return x, (x[:, :out] * 0.5 + 0.1 * generator.standard_normal((n, out))).astype("f4")

    return make


def yes_or_no(width, out):
    def make(generator, n):
        return generator.standard_normal((n, width)).astype("f4"), generator.integers(0, 2, (n, out)).astype("f4")

    return make


def tokens(vocabulary, length, classes=0):
    """Texts; the target is the next token at each place, or a class for the whole."""

    def make(generator, n):
        x = generator.integers(0, vocabulary, (n, length + 1)).astype("f4")
        return x[:, :-1].copy(), generator.integers(0, classes, n).astype("f4") if classes else x[:, 1:].copy()

    return make


def series(length, width, classes):
    def make(generator, n):
        x = generator.standard_normal((n, length, width)).astype("f4")
        return x, generator.integers(0, classes, n).astype("f4")

    return make


# --- Tier 1: dense layers and plain convolutions ---------------------------------------------------------------------


@model("softmax-regression", 1, "softmax_cross_entropy", features(784, 10), "A B C D", batch=10, extras=("momentum", "decay"), surplus=3)
def softmax_regression():
    return nn.Linear(784, 10)


@model("mlp", 1, "softmax_cross_entropy", features(784, 10), "A B A13 B20 C D", batch=10,
       extras=("momentum", "nesterov", "decay", "clip", "adamw"))
def mlp():
    return nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10))


@model("mlp-activations", 1, "softmax_cross_entropy", features(40, 6))
def mlp_activations():
    return nn.Sequential(
        nn.Linear(40, 32), nn.Tanh(), nn.Linear(32, 32), nn.Sigmoid(), nn.Linear(32, 32), nn.LeakyReLU(0.1), nn.Linear(32, 32), nn.ELU(),
        nn.Linear(32, 24), nn.SiLU(), nn.Linear(24, 6),
    )


@model("rare-activations", 1, "softmax_cross_entropy", features(40, 6))
def rare_activations():
    return nn.Sequential(nn.Linear(40, 32), nn.Softplus(), nn.Linear(32, 32), nn.SELU(), nn.Linear(32, 32), nn.Hardtanh(), nn.Linear(32, 6))


class ByHand(nn.Module):
    """Weights that are used as MatMul and Add, not as Linear; and a LogSoftmax at the end, which the loss makes harmless."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.randn(20, 16) * 0.2)
        self.offset = nn.Parameter(torch.zeros(16))
        self.second = nn.Linear(16, 5, bias=False)
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x):
        hidden = torch.tanh(x @ self.first + self.offset)
        return functional.log_softmax(self.second(hidden) * self.scale - hidden.mean(1, keepdim=True), dim=-1)


@model("by-hand", 1, "softmax_cross_entropy", features(20, 5), "A B C D")
def by_hand():
    return ByHand()


class Branches(nn.Module):
    """A trunk that is added to what comes of it, two heads on it, and a choice that has no gradient of its own."""

    def __init__(self):
        super().__init__()
        self.trunk, self.branch = nn.Linear(12, 16), nn.Linear(16, 16)
        self.left, self.right = nn.Linear(16, 16), nn.Linear(16, 16)
        self.out = nn.Linear(32, 5)

    def forward(self, x):
        x = torch.tanh(self.trunk(x))
        x = x + torch.tanh(self.branch(x))
        y = self.left(x) * torch.sigmoid(self.right(x))
        y = torch.where(y.abs() > 0.1, y, 0.1 * y)
        return self.out(torch.cat([x, y], 1))


@model("branches", 1, "softmax_cross_entropy", features(12, 5), "A B", batch=8)
def branches():
    return Branches()


@model("branches-many", 1, "softmax_cross_entropy", features(12, 5), "A B", batch=40)
def branches_many():
    return Branches()


@model("cnn", 1, "softmax_cross_entropy", images(1, 28, 10), "A B", batch=10, extras=("momentum",), rate=0.01, seed=1)
def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10),
    )


class OddCNN(nn.Module):
    """Strides, dilations, pads that differ by side, overlapping and rounded-up pools, both ways of averaging."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 8, (3, 5), stride=(2, 1), padding=(1, 2))
        self.second = nn.Conv2d(8, 12, 3, dilation=2, padding=2)
        self.third = nn.Conv2d(12, 8, (2, 4), padding="same")
        self.fourth = nn.Conv2d(8, 8, 3, stride=2, bias=False)
        self.out = nn.Linear(32, 4)

    def forward(self, x):
        x = functional.relu(self.first(functional.pad(x, (2, 1, 0, 3))))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        x = functional.leaky_relu(self.second(x), 0.05)
        x = functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        x = functional.relu(self.third(x))
        x = functional.avg_pool2d(x, (2, 3), stride=(1, 2), padding=(1, 1), count_include_pad=True)
        x = functional.relu(self.fourth(x))
        x = functional.max_pool2d(x, 2, stride=1, ceil_mode=True)
        return self.out(torch.flatten(x, 1))


@model("cnn-odd", 1, "softmax_cross_entropy", images(2, 22, 4), "A B A13", rate=0.02)
def cnn_odd():
    return OddCNN()


@model("regression", 1, "mse", values(12, 1), rate=0.02)
def regression():
    return nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 1))


@model("binary", 1, "bce_with_logits", yes_or_no(12, 1), extras=("nesterov",))
def binary():
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 1))


@model("binary-sigmoid", 1, "bce", yes_or_no(12, 3), ends_in="Sigmoid")
def binary_sigmoid():
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 3), nn.Sigmoid())


# --- Tier 2: batch norms, grouped convolutions, and what mobile nets use -----------------------------------------------


class Block(nn.Module):
    def __init__(self, inner, outer, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.shortcut = nn.Sequential()
        if stride != 1 or inner != outer:
            self.shortcut = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, widths=(16, 32, 64), classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        self.stages = nn.Sequential(*(Block(widths[max(i - 1, 0)], w, 1 if i == 0 else 2) for i, w in enumerate(widths)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.pool(self.stages(self.stem(x))), 1))


@model("resnet", 2, "softmax_cross_entropy", images(3, 32, 10), "A B C D", extras=("momentum", "frozen-norms"), sensitive=True, rate=0.01)
def resnet():
    return uneven(ResNet())


class SqueezeExcite(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.down, self.up = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x):
        return x * functional.hardsigmoid(self.up(functional.relu(self.down(x.mean((2, 3), keepdim=True)))))


def inverted(inner, outer, stride, activation, squeeze):
    wide = inner * 3
    parts = [nn.Conv2d(inner, wide, 1, bias=False), nn.BatchNorm2d(wide), activation(),
             nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), activation()]
    return nn.Sequential(*parts, *([SqueezeExcite(wide)] if squeeze else []), nn.Conv2d(wide, outer, 1, bias=False), nn.BatchNorm2d(outer))


@model("mobilenet", 2, "softmax_cross_entropy", images(3, 32, 10), "A B A13", sensitive=True, rate=0.01)
def mobilenet():
    return uneven(nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
        inverted(8, 12, 2, nn.ReLU6, False), inverted(12, 16, 2, nn.Hardswish, True),
        nn.Conv2d(16, 32, 1, groups=4), nn.BatchNorm2d(32), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    ))


class Mixed(nn.Module):
    """Group and instance norms, PReLU, a transposed convolution, Pad, Concat, a channel shuffle, ReduceMax."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.group = nn.GroupNorm(4, 8)
        self.prelu = nn.PReLU(8)
        self.left = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2)
        self.instance = nn.InstanceNorm2d(8, affine=True)
        self.up = nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1)
        self.slope = nn.PReLU()
        self.last = nn.Conv2d(14, 12, 3, stride=2)
        self.plain = nn.InstanceNorm2d(12)
        self.out = nn.Linear(24, 5)

    def forward(self, x):
        wide = self.prelu(self.group(self.first(x)))
        deep = self.slope(self.up(self.instance(self.left(wide))))
        both = torch.cat([wide, deep], 1)
        n, c, h, w = both.shape
        both = both.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        both = functional.relu(self.plain(self.last(functional.pad(both, (1, 0, 0, 1)))))
        return self.out(torch.cat([both.mean((2, 3)), both.amax((2, 3))], 1))


@model("mixed-norms", 2, "softmax_cross_entropy", images(3, 16, 5), "A B", sensitive=True)
def mixed_norms():
    return uneven(Mixed())


@model("dropout-zero", 2, "softmax_cross_entropy", features(30, 5), "A B", sensitive=True)
def dropout_zero():
    return nn.Sequential(nn.Linear(30, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.0), nn.Linear(24, 16), nn.GELU(), nn.Dropout(0.0), nn.Linear(16, 5))


class UNet(nn.Module):
    """A prediction for every pixel: nearest and transposed upsampling with a skip, under mse."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.out = nn.Conv2d(9, 1, 1)

    def forward(self, x):
        y = functional.relu(self.deep(functional.relu(self.down(x))))
        return self.out(torch.cat([x, functional.relu(self.up(y))], 1))


def pictures(generator, n):
    x = generator.random((n, 1, 12, 12)).astype("f4")
    return x, (x * x).astype("f4")


@model("unet", 2, "mse", pictures, "A B")
def unet():
    return UNet()


# --- Tier 3: transformers --------------------------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self, width, heads, length, explicit):
        super().__init__()
        self.heads, self.explicit = heads, explicit
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        if explicit:
            self.register_buffer("mask", torch.tril(torch.ones(length, length)).view(1, 1, length, length), persistent=False)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).split(d, dim=2)
        q, k, v = (y.view(b, t, self.heads, d // self.heads).transpose(1, 2) for y in (q, k, v))
        if self.explicit:
            scores = q @ k.transpose(-2, -1) * (1.0 / math.sqrt(k.shape[-1]))
            y = functional.softmax(scores.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf")), dim=-1) @ v
        else:
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).contiguous().view(b, t, d))


class Layer(nn.Module):
    def __init__(self, width, heads, length, explicit, approximate):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, length, explicit)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate=approximate), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    """tokens [b, t] → logits [b, t, vocabulary]."""

    def __init__(self, vocabulary=65, length=32, layers=2, heads=4, width=64, explicit=False, approximate="none", tied=False):
        super().__init__()
        self.tok = nn.Embedding(vocabulary, width)
        self.pos = nn.Embedding(length, width)
        self.layers = nn.Sequential(*(Layer(width, heads, length, explicit, approximate) for _ in range(layers)))
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            nn.init.normal_(self.tok.weight, std=0.1)
            self.head.weight = self.tok.weight

    def forward(self, x):
        h = self.tok(x) + self.pos(torch.arange(x.shape[1], device=x.device))
        return self.head(self.ln(self.layers(h)))


@model("gpt", 3, "softmax_cross_entropy", tokens(65, 32), "A B A14 B20 C D", batch=4, extras=("adamw", "clip"))
def gpt():
    return GPT()


@model("gpt-tied", 3, "softmax_cross_entropy", tokens(65, 32), "A B C D", batch=4)
def gpt_tied():
    return GPT(tied=True)


@model("gpt-explicit", 3, "softmax_cross_entropy", tokens(96, 48), "A B A20 B20", batch=4, extras=("decay",))
def gpt_explicit():
    return GPT(vocabulary=96, length=48, explicit=True, approximate="tanh")


class Bert(nn.Module):
    """tokens [b, t] → logits [b, classes]: PyTorch's own encoder, after-norms, mean over the places."""

    def __init__(self, vocabulary=128, length=24, width=64, heads=4, classes=4):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(torch.randn(1, length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.pooler = nn.Linear(width, width)
        self.out = nn.Linear(width, classes)

    def forward(self, x):
        h = self.encoder(self.words(x) + self.places[:, : x.shape[1]])
        return self.out(torch.tanh(self.pooler(h.mean(dim=1))))


@model("bert", 3, "softmax_cross_entropy", tokens(128, 24, 4))
def bert():
    return Bert()


class ViT(nn.Module):
    """images [b, 3, 16, 16] → logits [b, classes]: patches by a convolution, a class token in front, before-norms."""

    def __init__(self, width=48, heads=4, classes=10):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 17, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.ln = nn.LayerNorm(width)
        self.out = nn.Linear(width, classes)

    def forward(self, x):
        p = self.patches(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(x.shape[0], -1, -1), p], dim=1) + self.places
        return self.out(self.ln(self.encoder(h)[:, 0]))


@model("vit", 3, "softmax_cross_entropy", images(3, 16, 10))
def vit():
    return ViT()


# --- Tier 4: recurrence ----------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """series [b, t, width] → logits [b, classes], from the last step."""

    def __init__(self, kind, width, hidden, classes, **more):
        super().__init__()
        self.rnn = kind(width, hidden, batch_first=True, **more)
        self.out = nn.Linear(hidden * (2 if more.get("bidirectional") else 1), classes)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


@model("lstm", 4, "softmax_cross_entropy", series(20, 12, 5), "A B D", extras=("clip",), sensitive=True)
def lstm():
    return Recurrent(nn.LSTM, 12, 24, 5, num_layers=2)


@model("gru", 4, "softmax_cross_entropy", series(20, 12, 5), sensitive=True)
def gru():
    return Recurrent(nn.GRU, 12, 24, 5)


@model("bilstm", 4, "softmax_cross_entropy", series(16, 10, 5), sensitive=True)
def bilstm():
    return Recurrent(nn.LSTM, 10, 16, 5, bidirectional=True)


@model("rnn", 4, "softmax_cross_entropy", series(16, 10, 5), sensitive=True)
def rnn():
    return Recurrent(nn.RNN, 10, 20, 5)


class CharLSTM(nn.Module):
    """tokens [b, t] → logits [b, t, vocabulary]: an embedding, an LSTM, a prediction at every place."""

    def __init__(self, vocabulary=40, width=16, hidden=32):
        super().__init__()
        self.tok = nn.Embedding(vocabulary, width)
        self.rnn = nn.LSTM(width, hidden, batch_first=True)
        self.out = nn.Linear(hidden, vocabulary)

    def forward(self, x):
        return self.out(self.rnn(self.tok(x))[0])


@model("char-lstm", 4, "softmax_cross_entropy", tokens(40, 20), batch=4, sensitive=True)
def char_lstm():
    return CharLSTM()


# --- Other libraries -------------------------------------------------------------------------------------------------


def write_keras(entry, module, path, exporter):
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module(as_input(module, entry.data(2)[0]))  # Keras exports what was called once.
        module.export(str(path), format="onnx", verbose=False)
    return []


@model("keras-mlp", 1, "softmax_cross_entropy", features(20, 4), "K", write=write_keras)
def keras_mlp():
    import keras

    keras.utils.clear_session()  # or names would count on
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((20,)), keras.layers.Dense(16, activation="relu", bias_initializer="normal"), keras.layers.Dense(4, bias_initializer="normal")])


@model("keras-cnn", 1, "softmax_cross_entropy", images(1, 12, 4, last=True), "K", write=write_keras)
def keras_cnn():
    import keras

    keras.utils.clear_session()  # or names would count on
    keras.utils.set_random_seed(4)
    layers = keras.layers
    return keras.Sequential([
        keras.Input((12, 12, 1)), layers.Conv2D(8, 3, activation="relu", padding="same", bias_initializer="normal"), layers.MaxPooling2D(2),
        layers.Conv2D(12, 3, activation="relu", bias_initializer="normal"), layers.Flatten(), layers.Dense(4, bias_initializer="normal"),
    ])


def write_sklearn(entry, module, path, exporter):
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    fitted = module.fitted
    made = skl2onnx.convert_sklearn(
        fitted, initial_types=[("input", FloatTensorType([None, fitted.n_features_in_]))], target_opset=17, options={id(fitted): {"zipmap": False}}
    )
    pathlib.Path(path).write_bytes(made.SerializeToString())
    return []


class FromSklearn(nn.Module):
    """A fitted scikit-learn classifier as a torch module, without its Softmax. Weights are [in, out], as scikit-learn has them."""

    def __init__(self, fitted, weights, biases):
        super().__init__()
        self.fitted = fitted
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor(w, dtype=torch.float32)) for w in weights])
        self.biases = nn.ParameterList([nn.Parameter(torch.tensor(b, dtype=torch.float32)) for b in biases])

    def forward(self, x):
        for i, (w, b) in enumerate(zip(self.weights, self.biases)):
            x = (torch.relu(x) if i else x) @ w + b
        return x


def fitted_rows():
    x, y = features(10, 3)(numpy.random.default_rng(5), 90)
    return x, y.astype(int)


@model("sklearn-mlp", 1, "softmax_cross_entropy", features(10, 3), "S", write=write_sklearn, ends_in="Softmax")
def sklearn_mlp():
    from sklearn.neural_network import MLPClassifier

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = MLPClassifier((12, 8), max_iter=5, random_state=0).fit(*fitted_rows())
    return FromSklearn(fitted, fitted.coefs_, fitted.intercepts_)


@model("sklearn-logistic", 1, "softmax_cross_entropy", features(10, 3), "S", write=write_sklearn, ends_in="Softmax")
def sklearn_logistic():
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=50).fit(*fitted_rows())
    return FromSklearn(fitted, [fitted.coef_.T], [fitted.intercept_])

"""Federated averaging written straight in PyTorch, no framework around it: what our engine is measured against.

    python loop.py DUMP [--how functional|stacked] [--processes N] [--group N] [--repeat N]

DUMP is a folder that `bench dump` wrote: the workload's words, its partition, its schedule and its initial weights.
functional  one client after the other: autograd over a list of parameters, one fused descent a step
stacked     the clients of a round on a leading axis, products batched over it, gradients by hand; dense layers alone

Prints one line of JSON. Speeds are of the rounds from the second on; the accuracy is that after the workload's own rounds.
"""

import argparse
import gzip
import json
import os
import pathlib
import resource
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump", type=pathlib.Path)
    parser.add_argument("--how", choices=["functional", "stacked"], default="functional")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--group", type=int, default=100, help="clients stacked at once")
    parser.add_argument("--repeat", type=int, default=1, help="the workload's rounds, so many times")
    return parser.parse_args()


class Workload:
    def __init__(self, folder):
        import numpy
        import torch

        words = json.loads((folder / "workload.json").read_text())
        self.name, self.rate, self.batch = words["name"], words["rate"], words["batch"]
        self.layers, self.shapes = words["layers"], words["shapes"]
        self.partition = [torch.tensor(rows) for rows in words["partition"]]
        self.schedule = words["schedule"]
        self.start = torch.from_numpy(numpy.fromfile(folder / "weights.f32", dtype="<f4"))
        self.folder = pathlib.Path(words["data"])

    def images(self, kind):
        import numpy
        import torch

        def read(name, offset):
            with gzip.open(self.folder / f"{kind}-{name}-ubyte.gz") as file:
                return numpy.frombuffer(file.read(), dtype=numpy.uint8, offset=offset)

        pixels = read("images-idx3", 16).reshape(-1, 784).astype(numpy.float32) / numpy.float32(255)
        return torch.from_numpy(pixels), torch.from_numpy(read("labels-idx1", 8).astype(numpy.int64))


def views(flat, shapes, learns):
    """The parameters as views of one flat tensor."""
    import math

    out, at = [], 0
    for shape in shapes:
        count = math.prod(shape)
        out.append(flat[at : at + count].view(shape).detach().requires_grad_(learns))
        at += count
    return out


def forward(layers, parameters, x):
    from torch.nn import functional as F

    next_parameter = iter(parameters)
    for layer in layers:
        if layer == "relu":
            x = F.relu(x)
        elif layer == "maxpool":
            x = F.max_pool2d(x, 2)
        elif layer == "conv":
            x = x.view(-1, 1, 28, 28) if x.dim() == 2 else x
            weight = next(next_parameter)
            x = F.conv2d(x, weight, next(next_parameter), padding=weight.shape[-1] // 2)
        else:
            x = F.linear(x if x.dim() == 2 else x.flatten(1), next(next_parameter), next(next_parameter))
    return x


def train_in_turn(job, x, y, whole, clients, total, out):
    """Adds each client's weights, by its share of all samples, to `out`."""
    import torch
    from torch.nn import functional as F

    flat = torch.empty_like(whole)
    parameters = views(flat, job.shapes, True)
    out.zero_()
    for client in clients:
        rows = job.partition[client]
        mine, labels = x[rows], y[rows]
        flat.copy_(whole)
        for low in range(0, len(rows), job.batch):
            high = low + job.batch
            loss = F.cross_entropy(forward(job.layers, parameters, mine[low:high]), labels[low:high])
            slopes = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, slopes, alpha=-job.rate)
        out.add_(flat, alpha=len(rows) / total)


def train_stacked(job, x, y, whole, clients, total, out, group):
    """The same for dense layers, `group` clients at a time, the longest first so that those still at work come first."""
    import torch

    out.zero_()
    ordered = sorted(clients, key=lambda client: -len(job.partition[client]))
    tensors = views(whole, job.shapes, False)
    depth = len(tensors) // 2
    results = views(out, job.shapes, False)
    for begin in range(0, len(ordered), group):
        rows = [job.partition[client] for client in ordered[begin : begin + group]]
        counts = [len(part) for part in rows]
        # Held as [client, in, out], so that the forward product needs no transposition.
        kernels = [tensors[2 * i].t().expand(len(rows), -1, -1).contiguous() for i in range(depth)]
        biases = [tensors[2 * i + 1].expand(len(rows), 1, -1).contiguous() for i in range(depth)]
        for low in range(0, counts[0], job.batch):
            live = sum(count > low for count in counts)
            taken = [min(job.batch, counts[i] - low) for i in range(live)]
            widest = max(taken)
            index = torch.zeros(live, widest, dtype=torch.int64)
            share = torch.zeros(live, widest, 1)
            for i, count in enumerate(taken):
                index[i, :count] = rows[i][low : low + count]
                share[i, :count] = 1.0 / count
            seen = [x[index]]
            for i in range(depth):
                z = torch.baddbmm(biases[i][:live], seen[-1], kernels[i][:live])
                seen.append(z.relu_() if i + 1 < depth else z)
            slope = torch.softmax(seen[-1], 2)
            slope.scatter_add_(2, y[index].unsqueeze(2), torch.full((live, widest, 1), -1.0))
            slope *= share
            for i in reversed(range(depth)):
                below = None
                if i > 0:
                    below = torch.bmm(slope, kernels[i][:live].transpose(1, 2))
                    below *= seen[i] > 0
                kernels[i][:live].baddbmm_(seen[i].transpose(1, 2), slope, alpha=-job.rate)
                biases[i][:live].sub_(slope.sum(1, keepdim=True), alpha=job.rate)
                slope = below
        shares = torch.tensor(counts, dtype=torch.float32) / total
        for i in range(depth):
            results[2 * i] += torch.einsum("c,cio->oi", shares, kernels[i])
            results[2 * i + 1] += torch.einsum("c,cxo->o", shares, biases[i])


def share_out(job, clients, processes):
    """Clients to processes: the longest first, each to whoever has the least."""
    loads, out = [0] * processes, [[] for _ in range(processes)]
    for client in sorted(clients, key=lambda client: -len(job.partition[client])):
        least = loads.index(min(loads))
        loads[least] += len(job.partition[client])
        out[least].append(client)
    return out


def score(job, whole, x, y):
    import torch
    from torch.nn import functional as F

    right, loss = 0, 0.0
    with torch.no_grad():
        parameters = views(whole, job.shapes, False)
        for low in range(0, len(y), 500):
            logits = forward(job.layers, parameters, x[low : low + 500])
            loss += F.cross_entropy(logits, y[low : low + 500], reduction="sum").item()
            right += (logits.argmax(1) == y[low : low + 500]).sum().item()
    return right / len(y), loss / len(y)


def setting(options):
    words = f"{options.how}, {options.processes} process{'es' if options.processes > 1 else ''}"
    return words + (f", groups of {options.group}" if options.how == "stacked" else "")


def run(rank, options, shared, gate):
    import torch

    torch.set_num_threads(1)
    job = Workload(options.dump)
    x, y = job.images("train")
    whole = job.start.clone()
    rounds = len(job.schedule) * options.repeat
    steady, scored = 0.0, None
    updates = samples = 0
    for number in range(rounds):
        if number == 1:
            steady, updates, samples = time.perf_counter(), 0, 0
        clients = job.schedule[number % len(job.schedule)]
        total = sum(len(job.partition[client]) for client in clients)
        mine = share_out(job, clients, options.processes)[rank] if options.processes > 1 else clients
        if options.how == "stacked":
            with torch.no_grad():
                train_stacked(job, x, y, whole, mine, total, shared[rank], options.group)
        else:
            train_in_turn(job, x, y, whole, mine, total, shared[rank])
        if gate:
            gate.wait()
            torch.sum(shared, 0, out=whole)
            gate.wait()
        else:
            whole.copy_(shared[0])
        updates += len(clients)
        samples += total
        if number == len(job.schedule) - 1:
            scored = whole.clone()
    spent = time.perf_counter() - steady
    if rank > 0:
        return
    accuracy, loss = score(job, scored, *job.images("t10k"))
    print(
        json.dumps(
            {
                "system": "raw-torch",
                "version": torch.__version__,
                "workload": job.name,
                "setting": setting(options),
                "rounds": rounds,
                "rounds_per_s": (rounds - 1) / spent,
                "client_updates_per_s": updates / spent,
                "samples_per_s": samples / spent,
                "test_accuracy": accuracy,
                "test_loss": loss,
                # Each process by itself; the pages that they share count twice.
                "peak_mib": options.processes * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        ),
        flush=True,
    )


def main():
    options = arguments()
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
    import torch

    job = Workload(options.dump)
    if options.how == "stacked" and "conv" in job.layers:
        sys.exit("loop.py: stacked is for dense layers alone")
    shared = torch.zeros(options.processes, len(job.start))
    if options.processes == 1:
        return run(0, options, shared, None)
    shared.share_memory_()
    import multiprocessing

    gate = multiprocessing.Barrier(options.processes)
    others = [
        multiprocessing.Process(target=run, args=(rank, options, shared, gate))
        for rank in range(1, options.processes)
    ]
    for other in others:
        other.start()
    run(0, options, shared, gate)
    for other in others:
        other.join()


if __name__ == "__main__":
    main()

"""A worker without torch that misbehaves as FAKE says: for tests of what the other side makes of it."""

import json
import os
import struct
import subprocess
import sys
import time

how = os.environ.get("FAKE", "good")
stdin, stdout = os.fdopen(0, "rb", buffering=0), os.fdopen(1, "wb", buffering=0)


def read(count):
    data = b""
    while len(data) < count:
        got = stdin.read(count - len(data))
        if not got:
            sys.exit(0)
        data += got
    return data


def receive():
    whole, size = struct.unpack("<II", read(8))
    header = json.loads(read(size))
    return header, [read(length) for length in header["blobs"]]


def message(header, *blobs):
    text = json.dumps({"blobs": [len(blob) for blob in blobs], **header}).encode()
    return struct.pack("<II", 4 + len(text) + sum(map(len, blobs)), len(text)) + text + b"".join(blobs)


def raw(text, blob=b""):
    return struct.pack("<II", 4 + len(text) + len(blob), len(text)) + text + blob


def sleep():
    time.sleep(600)


if how == "dies once":
    mark = os.environ["FAKE_MARK"]
    if not os.path.exists(mark):
        open(mark, "w").close()
        sys.exit(5)
if how == "early":
    stdout.write(message({"kind": "hello", "protocol": 1, "device": "cpu"}) + message({"kind": "ready", "dropouts": 0}))
    sleep()
header, _ = receive()
assert header["kind"] == "hello"
if how == "hangs at once":
    sleep()
if how == "environment":
    stdout.write(message({"kind": "error", "words": " ".join(sorted(os.environ)) + " " + str(sorted(os.listdir("/proc/self/fd")))}))
stdout.write(message({"kind": "hello", "protocol": 9 if how == "protocol" else 1, "device": "fake\x1b[2J"}))
first = True
while True:
    header, blobs = receive()
    if header["kind"] == "model":
        parameters = header["parameters"]
        stdout.write(message({"kind": "ready", "dropouts": 0}))
        continue
    weights, chunk, order = blobs
    rows = struct.unpack("<12xI", chunk[:16])[0]
    assert len(order) == 4 * rows * header["epochs"]
    if how == "order":  # told as the reason, so that the test can look at it
        words = json.dumps([header["epochs"], list(struct.unpack(f"<{len(order) // 4}I", order))])
        stdout.write(message({"kind": "error", "words": words}))
        continue
    steps = header["epochs"] * -(-rows // header["batch"])
    trained = {"kind": "trained", "loss": 0.5, "steps": steps, "verifiable": False}
    good = message(trained, weights)
    infinite, other = weights[:-4] + struct.pack("<f", float("inf")), bytearray(weights)
    other[20] ^= 1
    answers = {
        "garbage": b"Traceback (most recent call last): it is not a message at all" * 100,
        "nothing": struct.pack("<I", 0),
        "too long": struct.pack("<I", 1 << 30) + b"x" * 100_000,
        "a little too long": raw(b"{}" + b" " * (1 << 17), weights),
        "header": struct.pack("<II", 100, 1 << 31) + b"{" * 96,
        "no json": raw(b"\xff\xfe{}"),
        "deep json": raw(b"[" * 60_000),
        "other json": raw(b'["trained"]'),
        "no kind": message({"loss": 0.5}),
        "number for words": raw(b'{"kind":5}'),
        "wrong kind": message({**trained, "kind": "ready"}, weights),
        "steps": message({**trained, "steps": steps + 1}, weights),
        "no steps": message({"kind": "trained", "loss": 0.5, "verifiable": False}, weights),
        "loss": raw(b'{"kind":"trained","loss":NaN,"steps":%d,"verifiable":false,"blobs":[%d]}' % (steps, len(weights)), weights),
        "huge loss": raw(b'{"kind":"trained","loss":1e999,"steps":%d,"verifiable":false,"blobs":[%d]}' % (steps, len(weights)), weights),
        "verifiable": message({**trained, "verifiable": True}, weights),
        "no weights": message(trained),
        "two blobs": message(trained, weights[:-8], weights[-8:]),
        "lying blobs": message({**trained, "blobs": [len(weights) - 4]}, weights),
        "negative blobs": message({**trained, "blobs": [-(1 << 63)]}, weights),
        "short weights": message(trained, weights[:-4]),
        "other header": message(trained, bytes(other)),
        "not finite": message(trained, infinite),
        "error with weights": message({"kind": "error", "words": "no"}, weights),
    }
    if how in answers:
        stdout.write(answers[how])
        sleep()
    if how == "dies":
        sys.stderr.write("it hurts\x07\nhere\n")
        sys.exit(3)
    if how == "dies within":
        stdout.write(good[: len(good) // 2])
        os._exit(4)
    if how == "closes":
        os.close(1)
        sleep()
    if how == "hangs":
        sleep()
    if how == "trickles":
        for at in range(len(good)):
            stdout.write(good[at : at + 1])
            time.sleep(0.05)
    if how == "leaves a child":
        child = subprocess.Popen(["/bin/sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        sys.stderr.write(f"child {child.pid}\n")
        sys.stderr.flush()
        os._exit(6)
    if how == "refuses first" and first:
        first = False
        stdout.write(message({"kind": "error", "words": "not \x1b[31mnow\n"}))
        continue
    if how == "talks":
        sys.stderr.write("x" * 3_000_000)
    stdout.write(good)
    if how == "says more":
        stdout.write(good)

"""f(x, w) = scale·x·w, elementwise, and its gradient, which fails as the option `fault` says."""

import json
import os
import sys
import time

FAULTS = {
    "raises": lambda: {"type": "errored", "trace": "no luck"},
    "skips": lambda: {"type": "skipped", "reason": "too long"},
    "crashes": lambda: os._exit(3),
    "hangs": lambda: time.sleep(60),
    "prints": lambda: sys.stdout.write("loss is 3\n") and None,
    "returns one gradient": lambda: {"type": "ok", "gradients": [[1.0]]},
    "returns no list": lambda: {"type": "ok", "gradients": 1.0},
    "returns words": lambda: {"type": "ok", "gradients": [["one"], [1.0]]},
}


def answer(message):
    options = message["options"]
    x, w = message["arrays"]
    scale = options.get("scale", 1)
    if message["type"] == "value":
        return {"outputs": [[scale * a * b for a, b in zip(x, w, strict=True)]]}
    if "fault" in options:
        return FAULTS[options["fault"]]()
    (dy,) = message["cotangents"]
    gradients = [[scale * d * a for d, a in zip(dy, other, strict=True)] for other in (w, x)]
    return {"gradients": gradients}


for line in map(json.loads, sys.stdin):
    if line["type"] == "stop":
        break
    if line["type"] == "hello":
        reply = {"type": "hello", "name": "product", "version": "0.1"}
    else:
        reply = {"type": "ok", "seq": line["seq"]} | (answer(line) or {})
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()

"""A fuzzer of model files: every input is refused with ModelFileError, or is a sound model.

    python tests/fuzzing.py --inputs 1000000 --seed 7

An input is a model file with up to three changes: in its bytes, in the JSON of its header, in the
JSON of its description, or in its length. Some inputs get a correct checksum after the change, so
that the change reaches what the checksum protects.
"""

import argparse
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from model_files import assemble, header_of, pack, signed

from manualnn import ModelFileError, Trainer, load_arrays
from manualnn.serialization import load_with_notes

TEXTS = {
    **{f"@deep{depth}": "[" * depth + "]" * depth for depth in (150, 450, 600, 900, 3000)},
    "@infinite": "1e999",
    "@long": "9" * 5000,
    "@nan": "NaN",
}
"""JSON texts that Python's writer does not produce, by the text that stands for each."""
VALUES = (
    *(None, True, False, -1, 0, 1, 2, 7, 2**31, 2**63, 10**400, -0.5, 0.5, 1e308, *TEXTS),
    *("", "0", "float16", "object", "F16", "BF16", "C64", "Linear", "Dropout", "CrossEntropyLoss"),
    *("Adam", "PCG64DXSM", "MT19937", "\x1b[2J", "\ud800", "optimizer.", "__metadata__", [], {}),
    *([0], [0, 0], [0, 2**64], [2**40, 2**40], {"type": "Linear"}, {"type": "Softmax", "dim": 0}),
)
BYTES = (b"", b"\0", b"\xff", b" ", b'"', b"{", b"}", b"\\", b"0" * 9, b"\x00\x00\xf8\x7f")


class Pairs(dict[str, Any]):
    """A JSON object in which a key occurs twice."""

    def items(self) -> Any:
        first = next(iter(super().items()), ("a", 1))
        return [*super().items(), first]


def base_files() -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]]:
    """Return descriptions and arrays of sound files: version 1 and 2, resumable and not."""
    layers = [
        {"type": "Linear", "in_features": 2, "out_features": 3, "bias": True},
        {"type": "Dropout", "p": 0.5},
        {"type": "Linear", "in_features": 3, "out_features": 1, "bias": False},
    ]
    adam = {"type": "Adam", "lr": 0.001, "betas": [0.9, 0.999]}
    state = np.random.PCG64(3).state
    for version, resumable, name in (
        (2, True, "float64"),
        (1, True, "float32"),
        (2, False, "float64"),
    ):
        dtype = np.dtype(name)
        spec = {"layers": layers, "loss": {"type": "MSELoss"}, "optimizer": adam, "dtype": name}
        about = {"version": version, "spec": spec, "notes": {"table": {"classes": ["a", "b"]}}}
        arrays = {
            "0.weight": np.arange(6, dtype=dtype).reshape(3, 2),
            "0.bias": np.ones(3, dtype),
            "2.weight": np.full((1, 3), -0.5, dtype),
        }
        if resumable:
            arrays |= {f"optimizer.{key}": np.ones(12, dtype) for key in ("exp_avg", "exp_avg_sq")}
            about["training"] = {
                "steps": 4, "optimizer_step": 4, "last_loss": 0.5, "random": state
            }  # fmt: skip
        else:
            arrays["notes.mean"] = np.zeros(2)
        yield about, arrays


BASES = tuple(base_files())
SOUND = tuple(pack(about, arrays) for about, arrays in BASES)


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Return every entry of a JSON tree, as its container and its key."""
    is_list = isinstance(tree, list)
    keys = range(len(tree)) if is_list else tree if isinstance(tree, dict) else ()
    own = [(tree, key) for key in keys]
    return own + [place for key in keys for place in places(tree[key])]


def change_tree(tree: Any, kind: int, where: int, value: Any) -> None:
    """Replace, remove, repeat or rename an entry of a JSON tree, in place."""
    entries = places(tree)
    if not entries:
        return
    parent, key = entries[where % len(entries)]
    if kind == 0:
        parent[key] = value
    elif kind == 1:
        del parent[key]
    elif kind == 2 and isinstance(parent, dict):
        parent[str(value)] = parent.pop(key)
    elif isinstance(parent[key], dict):
        parent[key] = Pairs(parent[key])
    elif isinstance(parent[key], list):
        parent[key] = parent[key] * 300
    else:
        parent[key] = [parent[key]]


def change_bytes(content: bytes, kind: int, where: int, what: bytes) -> bytes:
    """Flip a bit of a file, cut it, replace or repeat a part, or change its length field."""
    at = where % max(len(content), 1)
    if kind == 0 and content:
        flipped = content[at] ^ 1 << where // 8 % 8
        return content[:at] + bytes([flipped]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + what
    if kind == 2:
        return content[:at] + what + content[at + len(what) :]
    return (where % 2**64).to_bytes(8, "little") + content[8:]


def to_text(tree: Any) -> str:
    text = json.dumps(tree, separators=(",", ":"))
    for name, raw in TEXTS.items():
        text = text.replace(f'"{name}"', raw)
    return text


INPUTS = st.lists(st.integers(0, 2**50), min_size=2, max_size=4)
"""One number chooses the base and whether the file is signed again, each other number a change.

Single numbers, because Hypothesis needs more time to draw a change in parts than we to load a file.
"""
PARTS = ("description", "description", "header", "bytes")


def build(numbers: list[int]) -> tuple[bytes, bool]:
    """Return the file with the changes, and True if only ModelFileError is a correct answer."""
    which, is_signed_again = numbers[0] % len(BASES), numbers[0] // len(BASES) % 2
    changes: dict[str, list[tuple[int, int, int]]] = {part: [] for part in PARTS}
    for number in numbers[1:]:
        rest, part = divmod(number, len(PARTS))
        rest, kind = divmod(rest, 4)
        where, value = divmod(rest, len(VALUES))
        changes[PARTS[part]].append((kind, where, value))
    about, arrays = BASES[which]
    start = {} if about["version"] == 1 else {"sha256": "0" * 64}
    description = json.loads(json.dumps(start | about))
    for kind, where, value in changes["description"]:
        change_tree(description, kind, where, deepcopy(VALUES[value]))
    header = header_of(to_text(description), arrays)
    for kind, where, value in changes["header"]:
        change_tree(header, kind, where, deepcopy(VALUES[value]))
    data = b"".join(array.tobytes() for array in arrays.values())
    before = content = signed(assemble(to_text(header), data))
    for kind, where, value in changes["bytes"]:
        content = change_bytes(content, kind, where, BYTES[value % len(BYTES)])
    if is_signed_again:
        return signed(content), False
    is_protected = before == SOUND[which] and about["version"] == 2
    return content, is_protected and content != before


def judge(numbers: list[int], path: Path) -> str:
    """Load an input as a file; return "loaded" or "refused". Raises AssertionError otherwise."""
    content, must_be_refused = build(numbers)
    path.write_bytes(content)
    try:
        trainer, _, _ = load_with_notes(path)
    except ModelFileError as error:
        message = str(error)
        assert str(path) in message, message
        assert len(message) < 2000, len(message)
        assert message.isprintable(), message
        with suppress(ModelFileError):
            load_arrays(path)
        return "refused"
    assert not must_be_refused
    assert isinstance(trainer, Trainer)
    assert np.isfinite(trainer.params.vector).all()
    assert trainer.params.shapes == trainer.net.shapes
    y = trainer.predict(np.ones((1, trainer.net.in_features or 1), trainer.params.dtype))
    assert len(y) == 1
    return "loaded"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="Number of files to load.")
    parser.add_argument("--seed", type=int, default=None, help="Seed of the changes.")
    options = parser.parse_args()
    chosen = time.time_ns() % 2**32 if options.seed is None else options.seed
    counts: Counter[str] = Counter()
    started, slowest = time.perf_counter(), 0.0
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        path = Path(folder) / "model"

        def search(drawn: list[list[int]]) -> None:
            nonlocal slowest
            for one in drawn:
                begun = time.perf_counter()
                counts[judge(one, path)] += 1
                slowest = max(slowest, time.perf_counter() - begun)

        drawn = st.lists(INPUTS, min_size=BATCH, max_size=BATCH)
        for first in range(0, options.inputs, ROUND):
            bound = settings(
                max_examples=-(-min(ROUND, options.inputs - first) // BATCH),
                phases=[Phase.generate, Phase.shrink],
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            seed(chosen + first)(bound(given(drawn)(search)))()
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(
        f"{counts.total():,} files: {counts['refused']:,} refused, {counts['loaded']:,} loaded, no "
        f"other error; {time.perf_counter() - started:.0f} s, the slowest {slowest:.3f} s, "
        f"at most {megabytes} MB; seed {chosen}\n"
    )
    return 0


BATCH = 25
"""Files in one example of Hypothesis, whose own work for each example takes longer than a file."""
ROUND = 25_000
"""Files in one search of Hypothesis, which keeps all examples of a search in memory."""

if __name__ == "__main__":
    sys.exit(main())

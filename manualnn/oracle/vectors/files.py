"""Conformance vectors: cases and their truth as files, for engines that Python cannot call.

    write_vectors("vectors")             write a folder and return the number of cases
    write_vectors("vectors", claims=…)   the same for an engine with these claims
    read_vectors("vectors")              the `Vectors` of a folder
    vector_files(case)                   the files of one case

VECTORS.md describes the folder. Version and seed determine every byte of a case's files. The truth
is computed in mpmath's integer arithmetic. It is written as the sum of two float64 numbers, to
2⁻⁴⁰ of its bound. Bounds are rounded up to three digits.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.oracle.engines.faults import EngineError
from manualnn.oracle.engines.messages import load_safetensors
from manualnn.oracle.protocol.capabilities import DTYPES, Capabilities
from manualnn.oracle.protocol.case import PROTOCOL, Array, Case, to_lists
from manualnn.oracle.protocol.features import ALWAYS, LOSS_ROWS, TABLES
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.extended import MissingMpmathError, mpmath_width
from manualnn.oracle.truth.step import truth
from manualnn.oracle.vectors.canonical import json_bytes, safetensors_bytes
from manualnn.oracle.vectors.draw import of_dtype, vector_cases

FORMAT = "manualnn conformance vectors"
VERSION = 4
"""Version of the format and of the cases. A change of any byte of an existing case needs a new one.

A new layer, loss or optimizer adds cases and changes no other file. It needs no new version.
"""
INLINE = 3000
"""Largest count of numbers in a case's JSON. A larger case has its arrays in a safetensors file."""
BITS_BELOW_BOUND = 40
"""Bits of the truth that are written below the leading bit of its bound."""

Write = Callable[[str, Array], Any]
Progress = Callable[[int, int], None]
"""progress(done, total): numbers of written cases and of all cases."""


class VectorsError(EngineError):
    """A folder holds no vectors, or its files were changed after they were written."""


@dataclass(frozen=True)
class Vectors:
    """Content of a folder of vectors."""

    seed: int
    cases: list[Case]
    claims: Mapping[str, Any] | None = None
    """The claims that the cases were drawn for; None for every feature."""


def write_vectors(
    out: str | Path,
    *,
    seed: int = 0,
    claims: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the vectors into a folder, create it if necessary, and return the number of cases.

    `claims` are the capabilities of an engine, as it would return them. Raises VectorsError if
    mpmath is not installed, or if the folder holds anything but vectors, and ClaimError.
    """
    try:
        mpmath_width()
    except MissingMpmathError as error:
        raise VectorsError(
            "the vectors cannot be computed because mpmath is not installed; its numbers are the "
            "same on every machine. Run 'pip install mpmath'."
        ) from error
    out = Path(out)
    if out.is_dir() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise VectorsError(
            f"{out} is not empty and has no manifest.json, so vectors would overwrite files of "
            "something else; name a new folder."
        )
    read = None if claims is None else Capabilities.read(claims)
    cases = vector_cases(seed, read)
    hashes: dict[str, str] = {}

    def write(name: str, content: bytes) -> None:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
        hashes[name] = hashlib.sha256(content).hexdigest()

    for done, case in enumerate(cases, 1):
        for name, content in vector_files(case, read).items():
            write(name, content)
        if progress is not None:
            progress(done, len(cases))
    write("README.md", files("manualnn.oracle").joinpath("VECTORS.md").read_bytes())
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "protocol": PROTOCOL,
        "seed": seed,
        **({} if claims is None else {"claims": dict(claims)}),
        "count": len(cases),
        "cases": [{"file": f"cases/{case.id}.json", **_about(case)} for case in cases],
        "sha256": dict(hashes),
    }
    write("manifest.json", json_bytes(manifest))
    return len(cases)


def read_vectors(folder: str | Path) -> Vectors:
    """Return the vectors of a folder; raises VectorsError if a file is missing or changed."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        raise VectorsError(
            f"{folder} has no readable manifest.json ({error}); write the vectors with "
            f"`manualnn vectors {folder}`."
        ) from error
    if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise VectorsError(
            f"{folder} holds {manifest.get('format')!r} of version {manifest.get('version')!r}; "
            f"expected {FORMAT!r} of version {VERSION}. Write the vectors again."
        )
    for name, digest in manifest["sha256"].items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise VectorsError(f"{path} is missing or was changed; write the vectors again.")
    cases = [_read(folder, entry["file"]) for entry in manifest["cases"]]
    return Vectors(manifest["seed"], cases, manifest.get("claims"))


def vector_files(case: Case, claims: Capabilities | None = None) -> dict[str, bytes]:
    """Return the files of one case: their contents by their names in the folder."""
    expected = recorded_truth(case, claims)
    numbers = sum(a.size for a in case.arrays().values())
    numbers += sum(np.size(near["hi"]) for near in expected.values())
    stored: dict[str, Array] = {}
    path = f"arrays/{case.id}.safetensors"

    def write(name: str, array: Array) -> Any:
        if numbers <= INLINE:
            return to_lists(array)
        stored[name] = array
        return {"path": path, "key": name}

    content = {
        "format": FORMAT,
        "version": VERSION,
        **_about(case),
        "case": case.to_json(write),
        "expected": {
            name: _mapped(near, f"expected.{name}", write) for name, near in expected.items()
        },
    }
    written = {f"cases/{case.id}.json": json_bytes(content)}
    return {**written, path: safetensors_bytes(stored)} if stored else written


def flags(case: Case) -> list[str]:
    """Return the features that a case needs: "Linear", "Adam.amsgrad", "state" and others."""
    found = set()
    for kind, spec in case.parts():
        found.add(spec["type"])
        for option, default in TABLES[kind][spec["type"]].items():
            value = spec.get(option, default)
            if option == "reduction":
                found.add(f"{spec['type']}.{value}")
            elif option not in ALWAYS and not np.array_equal(value, default):
                found.add(f"{spec['type']}.{option}")
    extra = {
        "probabilities": LOSS_ROWS[case.loss["type"]].targets == "classes" and case.t.ndim == 2,
        "state": case.state is not None,
        "steps": case.steps > 1,
        "masks": case.noise is not None,
        "sample weights": case.sample_weights is not None,
        "empty batch": case.n == 0,
    }
    return sorted(found | {name for name, present in extra.items() if present})


def recorded_truth(case: Case, claims: Capabilities | None = None) -> dict[str, dict[str, Any]]:
    """Return hi, lo and the bound of each dtype for every quantity, as float64 arrays.

    They follow the claims: a convention, the factor of a loss, a slope at a kink, wider bounds.
    A case without an optimizer has no parameters and no state here.
    """
    near = {
        dtype: truth(
            of_dtype(case, dtype), Precision.of(dtype, claims, numbers="mpmath")
        ).quantities()
        for dtype in DTYPES
    }
    result: dict[str, dict[str, Any]] = {}
    for name, wide in near["float64"].items():
        if case.optimizer is None and name.startswith(("params.", "state.")):
            continue
        bound = {dtype: _rounded_up(near[dtype][name]) for dtype in DTYPES}
        hi, lo = np.vectorize(_split, otypes=[float, float])(wide.v, bound["float64"])
        result[name] = {"hi": np.asarray(hi), "lo": np.asarray(lo), "bound": bound}
    return result


def _split(v: Any, bound: float) -> tuple[float, float]:
    """Return v as the sum of two float64 numbers, without the bits far below its bound.

    If the bound is infinite, v may be too large for float64. Then lo is 0: no judgement uses it.
    """
    hi = float(v)
    if not math.isfinite(bound) or not math.isfinite(hi):
        return hi, 0.0
    lo = v - hi
    if bound > 0:
        quantum = 2.0 ** max(math.frexp(bound)[1] - BITS_BELOW_BOUND, -1074)
        lo = round(lo / quantum) * quantum
    return hi, float(lo)


def _rounded_up(near: Bounded) -> Array:
    """Return the allowed error of every entry, rounded up to three digits."""
    three = Context(prec=3, rounding=ROUND_CEILING)

    def up(bounded: Any, e: Any) -> float:
        return float(three.create_decimal_from_float(float(e))) if bounded else math.inf

    return np.asarray(np.vectorize(up, otypes=[float])(near.bounded, near.allowed))


def _about(case: Case) -> dict[str, Any]:
    """Return the description of a case that its file and the manifest share."""
    return {"id": case.id, "recipe": case.recipe, "note": case.note, "flags": flags(case)}


def _mapped(tree: Any, name: str, write: Write) -> Any:
    if isinstance(tree, Mapping):
        return {key: _mapped(entry, f"{name}.{key}", write) for key, entry in tree.items()}
    return write(name, tree)


def _read(folder: Path, file: str) -> Case:
    stored: dict[str, Any] = {}

    def plain(value: Any) -> Any:
        """Return the content of a JSON file with arrays in place of references to them."""
        if not isinstance(value, Mapping):
            return value
        if "path" not in value:
            return {key: plain(entry) for key, entry in value.items()}
        if value["path"] not in stored:
            stored[value["path"]] = load_safetensors().load_file(str(folder / value["path"]))
        return stored[value["path"]][value["key"]]

    return Case.from_json(plain(json.loads((folder / file).read_bytes())["case"]))

"""Failing points saved as files, to judge them again later.

    save(target, results, folder)  writes G-7f3a9c01.json, … for every finding; returns their paths
    load(file_or_id, folder)       Failure(checks, target, point); raises GradcheckError
    point_id(point)                "G-7f3a9c01", a name that depends on the numbers alone

A file holds {"checks": [ids], "target": …, "point": {"arrays", "cotangents", "style"}}.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.errors import GradcheckError
from manualnn.gradcheck.data import Array, CheckResult, Point
from manualnn.oracle.protocol.case import read_array, to_lists
from manualnn.oracle.replay import FOLDER, make_folder
from manualnn.output.files import write_whole

__all__ = ["FOLDER", "Failure", "array_to_json", "load", "point_id", "save"]


@dataclass(frozen=True)
class Failure:
    """A point with the checks that failed on it."""

    checks: tuple[str, ...]
    target: str
    point: Point


def point_id(point: Point) -> str:
    """Return a name that depends on the numbers alone, such as "G-7f3a9c01"."""
    content = json.dumps({**_point_to_json(point), "style": ""}, sort_keys=True)
    return "G-" + hashlib.sha256(content.encode()).hexdigest()[:8]


def save(target: str, results: Sequence[CheckResult], folder: str | Path = FOLDER) -> list[Path]:
    """Write one file for each failing point; create the folder if there is one.

    Raises GradcheckError if the files cannot be written.
    """
    found: dict[str, Failure] = {}
    for finding in (finding for result in results for finding in result.findings):
        name = point_id(finding.point)
        checks = found[name].checks if name in found else ()
        found[name] = Failure((*checks, finding.check), target, finding.point)
    paths = [Path(folder, f"{name}.json") for name in found]
    try:
        if paths:
            make_folder(Path(folder))
        for path, failure in zip(paths, found.values(), strict=True):
            point = _point_to_json(failure.point)
            content = {"checks": failure.checks, "target": target, "point": point}
            write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise GradcheckError(
            f"the failing points cannot be saved in {folder} ({error.strerror or error}), so "
            "--replay will not find them; name another folder with --failures."
        ) from error
    return paths


def load(file_or_id: str, folder: str | Path = FOLDER) -> Failure:
    """Return the failure in a file, or the one with that id in a folder."""
    path = Path(file_or_id)
    if not path.is_file():
        path = Path(folder, f"{file_or_id}.json")
    if not path.is_file():
        saved = ", ".join(sorted(p.stem for p in Path(folder).glob("G-*.json"))) or "none"
        raise GradcheckError(
            f"there is no saved point {file_or_id!r}: neither a file with that name nor {path}. "
            f"Saved in {folder}: {saved}."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        point = content["point"]
        arrays, cotangents = (
            tuple(map(_array_from_json, point[name])) for name in ("arrays", "cotangents")
        )
        point = Point(arrays, cotangents, str(point.get("style", "")))
        return Failure(tuple(map(str, content["checks"])), str(content["target"]), point)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise GradcheckError(
            f"{path} is not a point saved by `manualnn gradcheck`: {error!r}. Expected "
            '{"checks": […], "target": …, "point": {"arrays": […], "cotangents": […]}}.'
        ) from error


def array_to_json(array: Array) -> dict[str, Any]:
    """Return an array as {"dtype", "shape", "data"}, with exact numbers."""
    lists = to_lists(array)
    data = lists["data"] if isinstance(lists, dict) else lists
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _array_from_json(content: Mapping[str, Any]) -> Array:
    return read_array(content, np.dtype(content["dtype"]))


def _point_to_json(point: Point) -> dict[str, Any]:
    return {
        "arrays": list(map(array_to_json, point.arrays)),
        "cotangents": list(map(array_to_json, point.cotangents)),
        "style": point.style,
    }

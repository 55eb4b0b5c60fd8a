"""Which of the optional packages are installed, by the extras that bring them.

find_extras()            {"cli": [Package("click", ">=8.2", "8.5.1"), …], …}
advice(extras)           what to `pip install` for those that lack something

What the extras are is read from pyproject.toml where manualnn runs from its sources, for there it
is newest; else from what was installed.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(?:\[[^]]*\])?\s*(?P<bound>[^;]*)")
EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")


@dataclass(frozen=True)
class Package:
    """A package that an extra needs, and the version that is installed ("" if none is)."""

    name: str
    bound: str
    version: str

    @property
    def satisfied(self) -> bool:
        """Whether it is there, and no older than it must be; as wanted, where that is exact."""
        if not self.version:
            return False
        have = _numbers(self.version)
        for kind, wanted in re.findall(r"(>=|==)\s*([\w.]+)", self.bound):
            bound = _numbers(wanted)
            if have < bound or (kind == "==" and have[: len(bound)] != bound):
                return False
        return True


def find_extras() -> dict[str, list[Package]]:
    """Return every extra with the packages that it names itself; nothing if none are declared."""
    return {
        extra: [
            Package(found["name"], found["bound"].strip(), _installed(found["name"]))
            for requirement in requirements
            if (found := REQUIREMENT.match(requirement)) and found["name"] != "manualnn"
        ]
        for extra, requirements in declared_extras().items()
    }


def declared_extras() -> dict[str, list[str]]:
    """Return every extra's requirements."""
    if PYPROJECT.exists():
        project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == "manualnn":
            return dict(project["optional-dependencies"])
    try:
        required = metadata.requires("manualnn") or []
    except metadata.PackageNotFoundError:
        return {}
    extras: dict[str, list[str]] = {}
    for requirement in required:
        if found := EXTRA.search(requirement):
            extras.setdefault(found[1], []).append(requirement.partition(";")[0].strip())
    return extras


def advice(extras: Mapping[str, Sequence[Package]]) -> list[str]:
    """Return a command for every extra that lacks something."""
    return [
        f"pip install 'manualnn[{extra}]'"
        for extra, packages in extras.items()
        if not all(package.satisfied for package in packages)
    ]


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a release: 2.13.0+cpu is (2, 13, 0)."""
    release = re.match(r"[\d.]*", version)
    return tuple(map(int, filter(None, release[0].split(".")))) if release else ()

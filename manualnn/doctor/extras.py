"""Optional packages: those that each extra needs, and the versions that are installed.

find_extras()              {"cli": [Package("click", ">=8.2", "8.5.1"), …], …}
install_commands(extras)   the `pip install` of every extra that lacks a package
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any


@dataclass(frozen=True)
class Package:
    """A package that an extra needs, and the installed version ("" if there is none)."""

    name: str
    bound: str
    version: str

    @property
    def is_satisfied(self) -> bool:
        """True if the installed version is within the bound."""
        from packaging.specifiers import SpecifierSet

        bound = SpecifierSet(self.bound, prereleases=True)
        return bool(self.version) and bound.contains(self.version)


def find_extras() -> dict[str, list[Package]]:
    """Return every extra with its packages; nothing if manualnn or packaging is not installed."""
    try:
        from packaging.requirements import Requirement

        installed = metadata.distribution("manualnn")
    except ImportError:  # such as metadata.PackageNotFoundError
        return {}
    requirements = [Requirement(line) for line in installed.requires or []]
    found: dict[str, list[Package]] = {}
    for extra in installed.metadata.get_all("Provides-Extra") or []:
        bounds: dict[str, Any] = {}
        for needed in requirements:
            if (
                needed.name != "manualnn"
                and needed.marker
                and needed.marker.evaluate({"extra": extra})
                and not needed.marker.evaluate({"extra": ""})  # not in every installation
            ):
                # An extra that includes others may name a package twice.
                bounds[needed.name] = needed.specifier & bounds.get(needed.name, "")
        found[extra] = [
            Package(name, str(bound), _installed_version(name)) for name, bound in bounds.items()
        ]
    return found


def install_commands(extras: Mapping[str, Sequence[Package]]) -> list[str]:
    """Return a command for every extra that lacks a package."""
    return [
        f"pip install 'manualnn[{extra}]'"
        for extra, packages in extras.items()
        if not all(package.is_satisfied for package in packages)
    ]


def _installed_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""

"""Names of a package that are imported at their first use, because `--help` must load no NumPy."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, owners: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package.

    Parameters
    ----------
    package : str
        The package's `__name__`.
    owners : mapping
        The module, within the package, that defines each name.

    """

    def load(name: str) -> Any:
        if name not in owners:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(import_module(f"{package}.{owners[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load

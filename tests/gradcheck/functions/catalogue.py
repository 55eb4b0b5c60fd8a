"""All functions of the benchmark, by name."""

from importlib import import_module
from pathlib import Path

from gradcheck.functions.entry import Function


def functions() -> dict[str, Function]:
    """Return the functions of all modules wrong_*.py and right_*.py: of each, its FUNCTIONS."""
    found: dict[str, Function] = {}
    for file in sorted(Path(__file__).parent.glob("*_*.py")):
        if file.name.startswith(("wrong_", "right_")):
            for function in import_module(f"gradcheck.functions.{file.stem}").FUNCTIONS:
                if function.name in found:
                    message = f"two functions of the benchmark are named {function.name!r}."
                    raise ValueError(message)
                found[function.name] = function
    return found

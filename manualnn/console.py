"""Standard output that may be closed early, and option values whose list is loaded when needed."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

__all__ = ["LazyChoice", "print_text", "write_stdout"]


def print_text(text: str) -> None:
    """Print a text, and go on if the reader of standard output has gone."""
    write_stdout(f"{text}\n".encode())


def write_stdout(content: bytes) -> bool:
    """Write to standard output; return False if its reader, such as head, has gone."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Python flushes standard output once more at its end, and would report the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


class LazyChoice(click.ParamType):
    """One of several names, which are loaded when a value is checked and not for `--help`.

    Parameters
    ----------
    load_names
        Returns the names; it may import slow modules such as NumPy.

    """

    name = "name"

    def __init__(self, load_names: Callable[[], Iterable[str]]) -> None:
        self._load_names = load_names

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value; click reports all names if it is not one of them."""
        return click.Choice(list(self._load_names())).convert(value, param, ctx)

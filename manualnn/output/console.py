"""Standard output that may be closed early, and options that check a value against a lazy list."""

import os
import sys
from collections.abc import Callable
from importlib import import_module

import click

__all__ = ["print_text", "require_choice", "write_stdout"]


def print_text(text: str) -> None:
    """Print a text. If the reader of standard output has closed the pipe, do nothing."""
    write_stdout(f"{text}\n".encode())


def write_stdout(content: bytes) -> bool:
    """Write to standard output; return False if its reader, such as head, has closed the pipe."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Python flushes standard output once more at its end, and would report the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def require_choice(module: str, names: str) -> Callable[..., str]:
    """Return an option's callback that accepts one of the names in a module's list.

    The module is imported when a value is checked and not for `--help`, because it needs NumPy.
    """

    def check(ctx: click.Context, param: click.Parameter, value: str) -> str:
        choices = list(getattr(import_module(module), names))
        return click.Choice(choices).convert(value, param, ctx)

    return check

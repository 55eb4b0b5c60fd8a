"""What the commands share: output that may be closed early, exit code 2, options with a check."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from manualnn.errors import ManualNNError

__all__ = [
    "OUTPUT_FILE",
    "UnusableError",
    "end_at_ctrl_c",
    "exit_with_2",
    "print_text",
    "require_choice",
    "write_stdout",
]


def print_text(text: str) -> None:
    """Print a text, as `write_stdout` does."""
    write_stdout(f"{text}\n".encode())


def write_stdout(content: bytes) -> bool:
    """Write to standard output; return False if its reader, such as head, has closed the pipe.

    Raises OSError with a message if it cannot be written, such as on a full disk.
    """
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        # Python flushes standard output once more at its end, and would report the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return False
        message = f"cannot write to the standard output: {error.strerror}."
        raise OSError(message) from error
    return True


def require_choice(module: str, names: str) -> Callable[..., str]:
    """Return an option's callback that accepts one of the names in a module's list.

    The module is imported when a value is checked and not for `--help`, because it needs NumPy.
    """

    def check(ctx: click.Context, param: click.Parameter, value: str) -> str:
        choices = list(getattr(import_module(module), names))
        return click.Choice(choices).convert(value, param, ctx)

    return check


class UnusableError(click.ClickException):
    """An engine, a file or the command line cannot be used: exit code 2."""

    exit_code = 2


@contextmanager
def exit_with_2() -> Iterator[None]:
    """Turn an error about an engine or a file into a message and exit code 2."""
    try:
        yield
    except BrokenPipeError:
        raise  # click ends silently if the reader, such as head, has closed the pipe
    except (ManualNNError, OSError) as error:
        raise UnusableError(str(error)) from error


@contextmanager
def end_at_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process at once, where nothing is to be saved.

    After a KeyboardInterrupt in an array of objects, NumPy goes on and fails with a SystemError.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # whoever started the process ignores Ctrl-C, or handles it
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _require_folder(ctx: Any, param: Any, value: str | None) -> str | None:  # noqa: ARG001
    if value is not None and not Path(value).absolute().parent.is_dir():
        message = f"there is no folder {Path(value).parent} to write {value} in; make it first."
        raise click.BadParameter(message)
    return value


OUTPUT_FILE: dict[str, Any] = {
    "type": click.Path(dir_okay=False, writable=True),
    "callback": _require_folder,
    "metavar": "FILE",
}
"""Arguments of an option for a file to write."""

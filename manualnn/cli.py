"""The group of all commands. Each command has a module of its own, loaded when the command runs."""

import sys
from importlib import import_module
from typing import Any

import click

from manualnn import __version__
from manualnn.errors import ManualNNError

_MODULES = {
    "bench": "manualnn.benchmark.command",
    "check": "manualnn.oracle.command",
    "doctor": "manualnn.doctor.command",
    "evaluate": "manualnn.tabular.commands.predict",
    "explain": "manualnn.explain.command",
    "export": "manualnn.tabular.commands.info",
    "gradcheck": "manualnn.gradcheck.command",
    "info": "manualnn.tabular.commands.info",
    "predict": "manualnn.tabular.commands.predict",
    "train": "manualnn.tabular.commands.train",
    "vectors": "manualnn.oracle.vectors.command",
}
"""The module of each command; the command has the same name there."""


class _LazyGroup(click.Group):
    """A group that imports a command at its first use, and prints manualnn's errors as messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = _MODULES.get(cmd_name)
        return None if module is None else getattr(import_module(module), cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends silently if the reader, such as head, has closed the pipe
        except (ManualNNError, OSError) as error:
            raise click.ClickException(str(error)) from error
        except MemoryError as error:
            message = f"not enough memory ({error}); make the network or the data smaller."
            raise click.ClickException(message) from error
        except KeyboardInterrupt:
            sys.exit(130)


@click.group(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__)
def cli() -> None:
    """Neural networks whose every derivative is written by hand on NumPy."""

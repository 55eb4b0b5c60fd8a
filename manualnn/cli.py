"""The command line: one command a function, each a thin layer over the library."""

from typing import Any

import click

import manualnn
from manualnn.errors import ManualNNError


class _Commands(click.Group):
    """A group whose commands report manualnn's own errors as a message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ManualNNError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(manualnn.__version__)
def cli() -> None:
    """Neural networks whose every derivative is written by hand on NumPy."""

"""Options of the commands for tables: their types, and headings for them in the help."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from manualnn.output.files import require_writable

__all__ = [
    "DATA",
    "MODEL",
    "Described",
    "Every",
    "Number",
    "Sections",
    "Widths",
    "reading_options",
    "require_outputs",
    "section",
    "take_reading",
]

ARGUMENTS = "manualnn.arguments"

MODEL = click.argument("model", type=click.Path(exists=True, dir_okay=False))
DATA = click.argument("data", type=click.Path(exists=True, dir_okay=False, allow_dash=True))


class _Option(click.Option):
    """An option that the help lists under a heading."""

    def __init__(self, *args: Any, heading: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heading = heading


class Sections(click.Command):
    """A command whose help lists its options under headings, in the order of their definition.

    `ctx.meta[ARGUMENTS]` are the words of the command line.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words, and parse them."""
        ctx.meta[ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)):
                sections.setdefault(getattr(option, "heading", "Other"), []).append(record)
        sections["Other"] = sections.pop("Other")  # the last heading
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def section(heading: str) -> Callable[..., Callable[..., Any]]:
    """Return `click.option` for options under a heading."""
    return partial(click.option, cls=_Option, heading=heading)


class Described(click.ParamType):  # type: ignore[type-arg]  # none in click 8.2
    """A layer, loss, optimizer or schedule: NAME, or NAME:option=value,option=value.

    The value is its JSON form. The table of names is imported when a value is converted and not for
    `--help`, because it needs NumPy.
    """

    name = "NAME[:OPTION=VALUE,…]"

    def __init__(self, module: str, table: str) -> None:
        self._module, self._table = module, table

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """Return the JSON form."""
        name, _, options = value.partition(":")
        known = {kind.lower(): kind for kind in getattr(import_module(self._module), self._table)}
        kind = known.get(name.strip().lower(), name.strip())
        spec = {"type": click.Choice([*known.values()]).convert(kind, param, ctx)}
        for part in options.split(",") if options else ():
            key, equals, number = part.partition("=")
            if not equals:
                self.fail(f"expected {name}:option=value, got {value!r}.", param, ctx)
            try:
                spec[key.strip()] = json.loads(number)
            except ValueError:
                spec[key.strip()] = number.strip()
        return spec


class Number(click.FloatRange):
    """A finite number of at least 0."""

    name = "NUMBER"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number of 0 or more; got {value}.", param, ctx)
        return number


class Widths(click.ParamType):  # type: ignore[type-arg]  # none in click 8.2
    """Widths of hidden layers such as 32,16; or none."""

    name = "WIDTHS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the widths."""
        if value.strip().lower() == "none":
            return ()
        try:
            widths = tuple(map(int, value.split(",")))
        except ValueError:
            widths = (0,)
        if min(widths) < 1:
            self.fail(f"expected widths such as 32 or 32,16, or none; got {value!r}.", param, ctx)
        return widths


class Every(click.ParamType):  # type: ignore[type-arg]  # none in click 8.2
    """A period: a number of epochs such as 10, or seconds such as 30s."""

    name = "PERIOD"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        """Return the option of `Checkpoint`."""
        number, name = (
            (value[:-1], "every_seconds") if value[-1:] == "s" else (value, "every_epochs")
        )
        try:
            count = float(number) if name == "every_seconds" else int(number)
        except ValueError:
            count = 0
        if not 0 < count < float("inf"):
            self.fail(
                f"expected epochs such as 10, or seconds such as 30s; got {value!r}.", param, ctx
            )
        return {name: count}


def _parse_delimiter(ctx: Any, param: Any, value: str | None) -> str | None:  # noqa: ARG001
    value = "\t" if value in {"tab", "\\t"} else value
    if value is not None and (len(value) != 1 or value in '"\r\n'):
        message = f"expected one character, or tab; got {value!r}."
        raise click.BadParameter(message)
    return value


_reading = section("Reading")
READING = [
    _reading(
        "--delimiter",
        callback=_parse_delimiter,
        metavar="CHARACTER",
        help="Character between the cells, or tab. Default: detected.",
    ),
    _reading(
        "--header/--no-header",
        default=None,
        help="The first line names the columns, or is a row. Default: detected.",
    ),
    _reading("--decimal", type=click.Choice([".", ","]), help="Decimal mark. Default: detected."),
    _reading(
        "--encoding",
        metavar="NAME",
        help="Encoding of the text, such as latin-1. Default: detected.",
    ),
    _reading(
        "--missing-value",
        multiple=True,
        metavar="TEXT",
        help="Text that means a missing value, besides NA, ?, and the like; may be repeated.",
    ),
]


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `manualnn.tabular.read_table`."""
    for add in reversed(READING):
        command = add(command)
    return command


def take_reading(options: dict[str, Any], missing: Sequence[str] = ()) -> dict[str, Any]:
    """Remove the options of `manualnn.tabular.read_table` from options, and return them.

    `missing` are further texts that mean a missing value.
    """
    names = ("delimiter", "header", "decimal", "encoding")
    return {
        **{name: options.pop(name) for name in names},
        "missing": (*options.pop("missing_value"), *missing),
    }


def require_outputs(outputs: Mapping[str, str | None], *inputs: str | None) -> None:
    """Raise an error if an output cannot be written, or would replace an input or another output.

    The outputs are given by the options that name them; None is no file.
    """
    taken = [Path(path) for path in inputs if path not in {None, "-"}]
    for option, output in outputs.items():
        if output is None:
            continue
        require_writable(output)
        path = Path(output)
        for other in taken:
            if path.resolve() == other.resolve() or (
                path.exists() and other.exists() and path.samefile(other)
            ):
                message = f"{option} {output} would replace {other}; give another name."
                raise click.UsageError(message)
        taken.append(path)

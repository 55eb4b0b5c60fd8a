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
    "ARGUMENTS",
    "DATA",
    "GROUP",
    "MODEL",
    "NUMBER",
    "PERIOD",
    "READING",
    "WIDTHS",
    "Sections",
    "described",
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


class Parsed(click.ParamType):  # type: ignore[type-arg]  # none in click 8.2
    """A value that a function parses. It raises ValueError if the value is not what is expected."""

    def __init__(self, name: str, expected: str, parse: Callable[[str], Any]) -> None:
        self.name, self._expected, self._parse = name, expected, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what the function makes of a text; a default may be a value already."""
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError:
            self.fail(f"expected {self._expected}; got {value!r}.", param, ctx)


def described(module: str, table: str) -> Parsed:
    """Return the type of a layer, loss, optimizer or schedule, whose value is its JSON form.

    The names are imported when a value is parsed and not for `--help`, because they need NumPy.
    """

    def parse(text: str) -> dict[str, Any]:
        name, _, options = text.partition(":")
        names = getattr(import_module(module), table)
        known = {kind.lower(): kind for kind in (names() if callable(names) else names)}
        kind = known.get(name.strip().lower(), name.strip())
        spec = {"type": click.Choice([*known.values()]).convert(kind, None, None)}
        return spec | _parse_options(options)

    return Parsed("NAME[:OPTION=VALUE,…]", "a name, or name:option=value,option=value", parse)


def _parse_options(text: str) -> dict[str, Any]:
    found = {}
    for option in _split(text) if text else ():
        key, number = option.split("=", 1)
        try:
            found[key.strip()] = json.loads(number)
        except ValueError:
            found[key.strip()] = number.strip()
    return found


def _parse_group(text: str) -> dict[str, Any]:
    pattern, _, options = text.partition(":")
    return {"params": pattern.strip(), **_parse_options(options)}


def _split(options: str) -> list[str]:
    """Split at the commas that are in no list and no object."""
    parts, depth = [""], 0
    for character in options:
        depth += (character in "[{") - (character in "]}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _parse_number(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise ValueError
    return number


def _parse_widths(text: str) -> tuple[int, ...]:
    widths = () if text.strip().lower() == "none" else tuple(map(int, text.split(",")))
    if any(width < 1 for width in widths):
        raise ValueError
    return widths


def _parse_period(text: str) -> dict[str, float]:
    is_seconds = text.endswith("s")
    count = float(text[:-1]) if is_seconds else int(text)
    if not 0 < count < math.inf:
        raise ValueError
    return {"every_seconds" if is_seconds else "every_epochs": count}


def _parse_delimiter(text: str) -> str:
    character = "\t" if text in {"tab", "\\t"} else text
    if len(character) != 1 or character in '"\r\n':
        raise ValueError
    return character


NUMBER = Parsed("NUMBER", "a finite number of 0 or more", _parse_number)
GROUP = Parsed("PATTERN:OPTION=VALUE,…", "a pattern of names:option=value", _parse_group)
WIDTHS = Parsed("WIDTHS", "widths such as 32 or 32,16, or none", _parse_widths)
PERIOD = Parsed("PERIOD", "epochs such as 10, or seconds such as 30s", _parse_period)
CHARACTER = Parsed("CHARACTER", "one character, or tab", _parse_delimiter)

_reading = section("Reading")
READING = [
    _reading(
        "--delimiter",
        type=CHARACTER,
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

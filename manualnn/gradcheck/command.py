"""The command `manualnn gradcheck`, a thin layer over `manualnn.gradcheck.gradcheck`."""

import json
import re
import shlex
import sys
from fnmatch import fnmatchcase
from typing import Any

import click

from manualnn.output.console import OUTPUT_FILE, exit_with_2
from manualnn.output.files import write_text

__all__ = ["gradcheck"]

_NUMBERS = {"low": float, "high": float, "axis": int}
_WORDS = ("dtype", "kind", "name")
_FLAGS = ("open", "derivative")


@click.command(short_help="Test the gradient of one function, and explain what is wrong.")
@click.argument("target")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="SHAPE",
    help="Shape of an input, such as 5,7 (or scalar), and what else is known of it: '7 low=0', "
    "'5 kind=classes high=3', '4,4 kind=spd dtype=float32'. Once for each argument, in order.",
)
@click.option(
    "--vjp",
    metavar="NAME",
    help="NumPy: the function vjp(arrays, dy) that returns the gradients; a name beside TARGET, or "
    "module:attribute.",
)
@click.option("--jvp", metavar="NAME", help="NumPy: the function jvp(arrays, tangents).")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=JSON",
    help="Keyword argument of the function (may be repeated).",
)
@click.option(
    "--framework",
    type=click.Choice(["numpy", "torch", "jax", "program"]),
    help="Kind of the function; by default it is found out.",
)
@click.option(
    "--kink",
    "kinks",
    multiple=True,
    metavar="X=SLOPE",
    help="Declared slope at the kinks where an entry of an input is X (may be repeated).",
)
@click.option(
    "--second/--no-second",
    default=None,
    help="Require right second derivatives, or leave them out; by default they are checked where "
    "the function has them.",
)
@click.option("--examples", type=click.IntRange(1), help="Number of points of the given shapes.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed of the points.")
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Run only the checks whose id matches PATTERN, such as values (may be repeated).",
)
@click.option("--replay", metavar="FILE-OR-ID", help="Saved point to judge again.")
@click.option(
    "--failures",
    type=click.Path(file_okay=False),
    default=".manualnn",
    help="Folder in which failing points are saved, and in which --replay finds them.",
)
@click.option("--json", "json_file", **OUTPUT_FILE, help="File for the report as JSON.")
def gradcheck(target: str, **given: Any) -> None:
    """Test the gradient that a function returns against the derivative of its values.

    TARGET is module:attribute, path/to/file.py:attribute, or in quotes a command line that starts
    a program in any language (`manualnn check --protocol`). The attribute is a
    torch.autograd.Function, an nn.Module, a function of tensors, a function of JAX arrays, or a
    NumPy function with --vjp.

    Exit codes: 0 the gradient is right; 1 it is wrong; 2 the function, a file or the command line
    cannot be used; 3 too little could be judged.
    """
    with exit_with_2():
        sys.exit(_run(target, given))


def _run(target: str, given: dict[str, Any]) -> int:
    from manualnn.gradcheck.check import check_ids, rejudge
    from manualnn.gradcheck.check import gradcheck as run_gradcheck
    from manualnn.gradcheck.report.replay import load
    from manualnn.gradcheck.report.text import text
    from manualnn.oracle.report.progress import paint

    call: dict[str, Any] = {
        "options": dict(_read_option(text) for text in given["options"]),
        "framework": given["framework"],
        "kinks": dict(_read_kink(text) for text in given["kinks"]),
        "vjp": _find_beside(target, given["vjp"]),
        "jvp": _find_beside(target, given["jvp"]),
    }
    inputs = [_read_input(text) for text in given["inputs"]]
    if not inputs:
        message = "no input is described; give the shape of each, such as --input 5,7."
        raise click.UsageError(message)
    ids = [name for name, _ in check_ids()]
    if given["only"] and not any(fnmatchcase(i, only) for i in ids for only in given["only"]):
        message = f"no check matches {list(given['only'])}; there are {', '.join(ids)}."
        raise click.BadParameter(message, param_hint="--only")
    function = _find(target)
    if given["replay"] is not None:
        failure = load(given["replay"], given["failures"])
        report = rejudge(function, inputs, failure, **call)
    else:
        names = ("second", "examples", "seed", "only")
        chosen = {name: given[name] for name in names}
        report = run_gradcheck(function, inputs, **call, **chosen, progress=None)
    report.target = target
    report.command = _command_line(target, given)
    click.echo(text(report, paint), nl=False)
    report.save(given["failures"])
    if given["json_file"] is not None:
        content = json.dumps(report.to_json(), indent=1, ensure_ascii=False)
        write_text(given["json_file"], content + "\n")
    return report.exit_code


def _find(target: str) -> Any:
    """Return the function of a target; the command line of a program stays as it is."""
    from manualnn.oracle.engines.client import ATTRIBUTE
    from manualnn.oracle.engines.in_process import load_target

    if ATTRIBUTE.fullmatch(target):
        return load_target(target)
    if target.endswith(".py") and " " not in target:
        message = f"add a colon and the name of the function, such as {target}:f."
        raise click.BadParameter(message, param_hint="TARGET")
    return target


def _find_beside(target: str, name: str | None) -> Any:
    """Return the function of that name in the module of TARGET, or of another module."""
    if name is None:
        return None
    return _find(name if ":" in name else f"{target.partition(':')[0]}:{name}")


def _read_input(text: str) -> Any:
    """Return the `Array` of a text such as "5,7 low=0"."""
    from manualnn.gradcheck import Array

    shape, *words = text.split() or [""]
    if not re.fullmatch(r"scalar|\d+(,\d+)*", shape):
        message = f"a shape is sizes with commas, such as 5,7, or scalar; got {shape!r}."
        raise click.BadParameter(message, param_hint="--input")
    sizes = () if shape == "scalar" else tuple(map(int, shape.split(",")))
    return Array(sizes, **dict(_read_property(word) for word in words))


def _read_property(word: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    try:
        if equals and name in _NUMBERS:
            return name, _NUMBERS[name](value)
        if equals and name in _WORDS:
            return name, value
        if equals and name in _FLAGS:
            return name, {"true": True, "false": False}[value]
    except (KeyError, ValueError):
        expected = "true or false" if name in _FLAGS else "a number"
        message = f"{name} must be {expected}; got {value!r}."
        raise click.BadParameter(message, param_hint="--input") from None
    names = ", ".join([*_NUMBERS, *_WORDS, *_FLAGS])
    message = f"{word!r} is no property of an input; expected NAME=VALUE with one of {names}."
    raise click.BadParameter(message, param_hint="--input")


def _read_option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        if equals and name.isidentifier():
            return name, json.loads(value)
    except ValueError:
        pass
    message = f'expected KEY=JSON, such as eps=1e-5 or mode="mean" with its quotes; got {text!r}.'
    raise click.BadParameter(message, param_hint="--option")


def _read_kink(text: str) -> tuple[float, float]:
    place, _, slope = text.partition("=")
    try:
        return float(place), float(slope)
    except ValueError:
        message = f"expected X=SLOPE with two numbers, such as 0=0.5; got {text!r}."
        raise click.BadParameter(message, param_hint="--kink") from None


def _command_line(target: str, given: dict[str, Any]) -> str:
    """Return the command that judges saved points of this function again."""
    words = ["manualnn", "gradcheck", target]
    for option, name in [("input", "inputs"), ("option", "options"), ("kink", "kinks")]:
        words += [word for text in given[name] for word in (f"--{option}", text)]
    for name in ("vjp", "jvp", "framework"):
        words += [f"--{name}", given[name]] if given[name] else []
    words += ["--failures", given["failures"]] if given["failures"] != ".manualnn" else []
    return shlex.join(words)

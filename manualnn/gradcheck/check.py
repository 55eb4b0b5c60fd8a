"""The entrances of a gradcheck: run all checks of a function, or judge one saved point again."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.gradcheck.behaviour import CHECKS
from manualnn.gradcheck.behaviour.rounding import is_near
from manualnn.gradcheck.functions.arguments import list_entries
from manualnn.gradcheck.functions.base import FunctionFailed, GradcheckError, quiet
from manualnn.gradcheck.functions.find import find_function
from manualnn.gradcheck.inputs.domains import widen
from manualnn.gradcheck.inputs.draws import draw_points
from manualnn.gradcheck.inputs.read import read_inputs, read_parameters
from manualnn.gradcheck.report.replay import Failure
from manualnn.gradcheck.report.report import Report
from manualnn.gradcheck.run import SHAPES, VALUES, Run
from manualnn.gradcheck.second import SECOND, check_second

if TYPE_CHECKING:
    from manualnn.gradcheck.inputs.array import Array

ENOUGH = 0.25
"""Smallest share of entries that has to be decided."""

__all__ = ["check_ids", "gradcheck", "rejudge"]


def gradcheck(
    f: Any,
    inputs: Sequence[Any],
    *,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
    framework: str | None = None,
    kinks: Mapping[float, float] | None = None,
    second: bool | None = None,
    examples: int | None = None,
    seed: int = 0,
    only: Sequence[str] = (),
    progress: bool | None = False,
) -> Report:
    r"""Check the gradient that a function returns against the derivative of its values.

    The gradient of an input x for the cotangents w of the outputs has to be Jᵀw, with
    J[j, i] = ∂f[j] / ∂x[i]. J comes from values of f alone, with an error that is estimated. A
    right gradient differs from Jᵀw by that error and by rounding. There is no tolerance to set.

    Parameters
    ----------
    f : callable or str
        NumPy: f(\*arrays), with `vjp`. torch: a `torch.autograd.Function` or its `apply`, an
        `nn.Module`, or a function of tensors. JAX: a function of arrays. A string: the command
        that starts a program in any language.
    inputs : sequence
        One entry for each positional argument: an `Array`, an example, or a Hypothesis strategy.
    vjp : callable, optional
        NumPy: vjp(arrays, dy) returns a gradient for each array. dy has the shape of the output,
        and is a tuple if f returns a tuple.
    jvp : callable, optional
        NumPy: jvp(arrays, tangents) returns the derivative of the output along the tangents.
    options : mapping, optional
        Keyword arguments of f.
    framework : {"numpy", "torch", "jax", "program"}, optional
        By default it is found out from f.
    kinks : mapping, optional
        Slopes that are conventions: {0.0: 0.5} means slope 0.5 at kinks where an input is 0.
    second : bool, optional
        True: second derivatives have to exist and to be right. False: they are not checked. By
        default they are checked, but may be missing, as those of a kernel are.
    examples : int, optional
        Number of points of the given shapes.
    seed : int
        Seed of the points.
    only : sequence of str
        Patterns of the ids of checks to run, such as "values".
    progress : bool, optional
        True: show the points judged so far on standard error, by tqdm. None: only on a terminal.

    Returns
    -------
    Report
        `report.ok` tells whether all is right; `str(report)` says what is wrong.

    Raises
    ------
    GradcheckError
        If f cannot be called with such inputs, or if its values are not the same twice.

    """
    begin = time.perf_counter()
    run = _start(f, inputs, vjp, jvp, options, framework, kinks, seed=seed, only=only)
    with quiet(), run.show_progress(progress):
        _require_values(run)
        run.specs = widen(run.specs, run.function.value)
        run.check_values(examples)
        run.check_shapes()
        run.check_behaviour()
        if second is not False and run.wants("second:values"):
            check_second(run, required=second is True)
        return _report(run, time.perf_counter() - begin)


def rejudge(
    f: Any,
    inputs: Sequence[Any],
    failure: Failure,
    *,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
    framework: str | None = None,
    kinks: Mapping[float, float] | None = None,
) -> Report:
    """Judge a saved point by the checks that failed on it, with the arguments of `gradcheck`."""
    begin = time.perf_counter()
    run = _start(f, inputs, vjp, jvp, options, framework, kinks, only=failure.checks)
    with quiet():
        if failure.checks and all(name.startswith("second:") for name in failure.checks):
            check_second(run, required=True, saved=[failure.point])
        else:
            run.rejudge(failure.point)
        return _report(run, time.perf_counter() - begin)


def check_ids(*, second: bool | None = None) -> list[tuple[str, str]]:
    """Return the id and the sentence of each check, in the order of a run."""
    ids = [("values", VALUES), ("shapes", SHAPES)]
    ids += [(check.id, check.sentence) for check in CHECKS]
    return ids if second is False else [*ids, ("second:values", SECOND)]


def _start(  # noqa: PLR0917 - the arguments of both entrances, in their order
    f: Any,
    inputs: Sequence[Any],
    vjp: Callable[..., Any] | None,
    jvp: Callable[..., Any] | None,
    options: Mapping[str, Any] | None,
    framework: str | None,
    kinks: Mapping[float, float] | None,
    *,
    seed: int = 0,
    only: Sequence[str] = (),
) -> Run:
    function = find_function(f, inputs, vjp=vjp, jvp=jvp, options=options, framework=framework)
    entries = list_entries(inputs)
    rest = function.inputs[len(entries) :]
    parameters = read_parameters([slot.example for slot in rest], [slot.dtype for slot in rest])
    specs: list[Array] = [*(read_inputs(entries) if entries else []), *parameters]
    declared = {float(x): float(np.float64(slope)) for x, slope in (kinks or {}).items()}
    return Run(function, specs, kinks=declared, seed=seed, only=only)


def _require_values(run: Run) -> None:
    """Raise GradcheckError unless the function has values, and the same ones twice."""
    point = draw_points(run.specs, run.rng("values"), 1)[0]
    try:
        first, again = run.function.value(point.arrays), run.function.value(point.arrays)
    except FunctionFailed as error:
        shapes = ", ".join(str(np.shape(a)) for a in point.arrays)
        raise GradcheckError(
            f"{run.function.name} fails on inputs of the shapes {shapes}:\n{error.trace}\n"
            "Give shapes and domains that it accepts."
        ) from error
    if not first:
        raise GradcheckError(
            f"{run.function.name} returns no array of real numbers, so it has no gradient."
        )
    if not all(is_near(a, b) for a, b in zip(first, again, strict=True)):
        raise GradcheckError(
            f"{run.function.name} returns other values when it is called again with the same "
            "inputs, so it has no derivative. Pass its random numbers or their seed to it."
        )


def _report(run: Run, seconds: float) -> Report:
    """Return the report of all that ran."""
    run.explain()
    compared = sum(j.compared for j in run.judgements)
    undecided = sum(j.undecided for j in run.judgements)
    sharpness = [j.sharpness for j in run.judgements if j.sharpness is not None]
    methods: dict[str, int] = {}
    for judgement in run.judgements:
        if judgement.method:
            methods[judgement.method] = methods.get(judgement.method, 0) + judgement.compared
    kinks = {kink for judgement in run.judgements for kink in judgement.kinks}
    problems = []
    if compared + undecided and compared < ENOUGH * (compared + undecided):
        problems.append(
            f"only {compared} of {compared + undecided} entries could be decided; give a "
            "domain on which the function is finite and smooth."
        )
    statuses = {result.status for result in run.results}
    if not statuses & {"passed", "failed", "errored"}:
        problems.append(
            "nothing was compared; give inputs with entries, on which the function is finite."
            if "not_judged" in statuses
            else "no check ran; change only=."
        )
    return Report(
        run.function.name,
        run.function.framework,
        run.seed,
        tuple(slot.name for slot in run.function.inputs),
        run.results,
        points=sum(r.points for r in run.results),
        entries=compared,
        methods=methods,
        imprecise=max((j.imprecise for j in run.judgements), default=0.0),
        sharpness=float(np.median(np.concatenate([np.zeros(0), *sharpness])))
        if any(s.size for s in sharpness)
        else float("nan"),
        undecided=undecided / max(1, compared + undecided),
        conventions=[kink.sentence for kink in sorted(kinks, key=lambda k: k.sentence)],
        problems=problems,
        seconds=seconds,
    )

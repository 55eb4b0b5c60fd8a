"""Second derivatives: the gradient, taken as a function, has a gradient that has to be right.

Many functions of torch offer no second derivative, but do not refuse it. A backward pass that calls
a kernel, or that uses a tensor which forward saved and which is neither an input nor an output, has
no graph from there to the inputs. The second derivative then lacks terms, without an error. Unless
second derivatives are required, this is reported, but does not fail the run.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from manualnn.gradcheck.data import Point
from manualnn.gradcheck.functions.base import Function, FunctionFailed
from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.draws import draw_points
from manualnn.gradcheck.run import LARGE, POINTS, Run, free_size

SECOND = "second derivatives: the gradient of the gradient is right"
REMEDY = {
    "torch": "Mark backward with torch.autograd.function.once_differentiable, or compute it from "
    "inputs and outputs that forward gave to ctx.save_for_backward.",
    "jax": "Remove stop_gradient from the backward rule.",
}
"""What to do about a second derivative that is wrong or missing, in each framework."""


def check_second(first: Run, *, required: bool, saved: Sequence[Point] = ()) -> None:
    """Judge the gradient of the gradient, at saved points if given, and add its result to the run.

    Unless it is required, second derivatives may lack terms that the framework cannot see.
    """
    gradient = _gradient_of(first)
    if gradient is None:
        return
    second, specs = gradient
    if any(r.id == "repeatable" and r.status == "failed" for r in first.results):
        return  # a gradient that changes from call to call has no derivative
    run = Run(second, specs, kinks={}, seed=first.seed, only=first.only, prefix="second:")
    run.bar = first.bar
    if saved:
        run.resize(saved[0])
    count = POINTS // 3 if free_size(run.specs) <= LARGE else POINTS // 12
    points = list(saved) or draw_points(run.specs, run.rng("values"), count)
    is_known = not required and _saves_intermediates(second, points[:1])
    # One wrong point is enough where the reason is known.
    chosen = takewhile(lambda _: not (is_known and any(j.wrong for j in run.judgements)), points)
    result, judged = run.judge_points("values", SECOND, ((run.specs, p) for p in chosen))
    if not result.points:
        return
    remedy = REMEDY.get(first.function.framework, "")
    wrong = [point for point, judgement in judged if judgement.wrong]
    reason = "" if required or not wrong else reason_incomplete(second, wrong)
    if reason:
        result.status, result.reason = "not_claimed", f"{reason} {remedy}"
    else:
        run.explain()
        result.findings = [
            replace(f, message=f"{f.message.rstrip('.')}. {remedy}".strip()) if f.entries else f
            for f in result.findings
        ]
        first.judgements += run.judgements
    first.results.append(result)


def reason_incomplete(second: Function, points: Sequence[Point]) -> str:
    """Return the reason why a gradient function offers no derivative; empty if it does."""
    if _saves_intermediates(second, points):
        return (
            "the backward pass uses what forward saved and what is neither an input nor an "
            "output, so second derivatives lack terms, without an error."
        )
    missing = _find_missing(second, points)
    if missing:
        names = " and ".join(missing)
        return f"the second derivatives for {names} are all zero, without an error."
    return ""


def _saves_intermediates(second: Function, points: Sequence[Point]) -> bool:
    saves = getattr(second, "saves_intermediates", None)
    return saves is not None and any(saves(point.arrays) for point in points[:1])


def _find_missing(second: Function, points: Sequence[Point]) -> list[str]:
    """Return the inputs, but no cotangents, for which the derivative is zero at all points."""
    slots = [slot for slot in second.inputs if slot.is_differentiable]
    alive: set[str] = set()
    for point in points:
        try:
            gradients = second.vjp(point.arrays, point.cotangents)
        except FunctionFailed:
            continue
        alive |= {s.name for s, g in zip(slots, gradients, strict=True) if g.any()}
    return [s.name for s in slots if s.name not in alive and s.name.split()[0] != "cotangent"]


def _gradient_of(first: Run) -> tuple[Function, list[Array]] | None:
    """Return the gradient as a function, with its inputs: those of the function, then cotangents.

    None: there is none, or the function fails at the point that shows its outputs.
    """
    try:
        outputs = first.function.value(draw_points(first.specs, first.rng("values"), 1)[0].arrays)
    except FunctionFailed:
        return None
    second = first.function.gradient_function()
    cotangents = [Array(o.shape, dtype=str(o.dtype)) for o in outputs]
    return None if second is None else (second, [*first.specs, *cotangents])

"""Memory checks: written inputs, results that share memory, memory layouts, dtypes of results.

They are for engines in Python. `client.examine` finds the facts where the engine runs.
"""

from manualnn.oracle.checks.judgement import check
from manualnn.oracle.checks.trial import Trial
from manualnn.oracle.engines.layouts import LAYOUTS, is_plain
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.features import is_count
from manualnn.oracle.truth.compare import compare, find_differences, truth_arrays

WIDER = {"float32": ("float64", "float128"), "float64": ("float128",)}
"""Wider dtypes than each dtype of a case."""


@check("memory.inputs", "no input is written to", examines=True)
def _inputs(trial: Trial) -> Finding | None:
    written = trial.facts.written
    trial.calls.append(trial.case)
    entries = find_differences(written, trial.case.arrays()) if written else ()
    if not entries:
        return None
    return trial.finding(f"the engine writes to its input {entries[0].quantity}", entries)


@check(
    "memory.aliasing",
    "no result shares memory with an input, another result or the next call's",
    examines=True,
)
def _aliasing(trial: Trial) -> Finding | None:
    facts = trial.facts
    trial.calls.append(trial.case)
    for name, other in facts.shared:
        return trial.finding(f"{name} and {other} are one array")
    for name, other in facts.shared_inputs:
        return trial.finding(f"{name} is memory of the input {other}")
    entries = find_differences(facts.changed, facts.outcome.quantities())
    if not entries:
        return None
    return trial.finding(f"the next call changes the {entries[0].quantity} of this one", entries)


@check("memory.dtypes", "every result has the dtype of the case", examines=True)
def _dtypes(trial: Trial) -> Finding | None:
    """Require the case's dtype of every array. A loss may be of a wider dtype, a count of any.

    The wider loss is allowed because many engines add up the loss as a number of Python.
    """
    facts, dtype = trial.facts, trial.case.dtype
    trial.calls.append(trial.case)
    wrong = {
        name: kind for name, kind in facts.dtypes.items() if kind != dtype and not is_count(name)
    }
    if wrong.get("loss") in WIDER[dtype]:
        del wrong["loss"]
    if not wrong:
        return None
    name, kind = next(iter(wrong.items()))
    others = f", and so are {len(wrong) - 1} other results" if len(wrong) > 1 else ""
    return trial.finding(f"{name} is of dtype {kind} in a case of dtype {dtype}{others}")


@check(
    "memory.layouts",
    "arrays in every layout are accepted, and give the same answer",
    examines=True,
)
def _layouts(trial: Trial) -> Finding | None:
    """Compare the answers to the same numbers in two layouts, of the quantities that are right.

    Other layouts may be summed in another order. Two right answers differ by at most the sum of
    their bounds. Nothing is known about the rounding of a wrong quantity, so it is not compared.
    """
    for layout, lay_out in LAYOUTS.items():
        laid_out = trial.case.map(lay_out)
        if is_plain(laid_out):
            continue
        same_numbers = layout != "broadcast"
        case = trial.case if same_numbers else laid_out.copy()
        plain = trial.base if same_numbers else trial.ask(case)
        values, bounds = truth_arrays(trial.truth(case).quantities(), plain)
        right = compare(plain, values, bounds)[1]
        limits = {name: 2 * bounds[name] for name in right}
        values = {name: plain[name] for name in right}
        if not compare(trial.ask_in_layout(case, layout), values, limits)[0]:
            continue
        trial.fresh()  # the difference may be due to earlier calls
        entries, same = compare(trial.ask_in_layout(case, layout), values, limits)
        if entries:
            return trial.finding(
                f"arrays that are {layout} give another answer than in C order", entries, same
            )
    return None


CHECKS = (_inputs, _aliasing, _dtypes, _layouts)

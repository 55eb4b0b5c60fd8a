"""The table of what verifies each layer, loss and update rule: .docs/reference/coverage.md.

    tox -e coverage-table        measure all of it, and write the page; takes some minutes

Errors are in units of their bounds, so that 1 is the largest that a correct engine may have. Every
run draws the same examples.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from itertools import islice, product
from pathlib import Path
from typing import Any

import conftest  # noqa: F401 - registers the profiles of Hypothesis
import mpmath
import numpy as np
from cases import cases, lattice_cases
from examples_of_layers import example
from hypothesis import HealthCheck, Phase, given, settings
from oracle.test_relations import RECIPES, RELATIONS
from proofs import LAYER_STATEMENTS, LOSS_STATEMENTS, RULE_EXAMPLES, Array, with_numbers
from test_derivatives import DIGITS, LAYERS, LOSSES, TOLERANCE, Problem
from test_muon import FORMS
from twin.judge import Judge
from twin.test_exact import test_one_step_of_exact_arithmetic_is_torchs_to_the_last_bit as exact
from twin.test_extremes import DTYPES, FAR, agree
from twin.test_steps import PARTNERS, SMALL, agree_in_every_step
from values import of_kind

import manualnn
from manualnn import L1Loss, Loss, Parameters, Sequential
from manualnn.engine import Engine
from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.bug import find_features
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.partners import has_feature, newcomers
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.engines.client import connect
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import takes_probabilities
from manualnn.spec import to_spec

PAGE = Path(__file__).resolve().parents[1] / ".docs" / "reference" / "coverage.md"
RULES = manualnn.OPTIMIZERS | manualnn.MATRIX_RULES
KINDS = {
    "layers": ("Layers", manualnn.LAYERS, LAYER_STATEMENTS),
    "losses": ("Losses", manualnn.LOSSES, LOSS_STATEMENTS),
    "optimizers": ("Update rules", RULES, RULE_EXAMPLES),
}
STEPS, LATTICE, RELATED, DRAWN = 60, 600, 8, 64
"""Networks drawn for a piece, networks of exact numbers for all, cases for each relation, and cases
drawn to find them."""
COLUMNS = (
    "manualnn",
    "torch",
    "proofs",
    "differences",
    "far out",
    "exact",
    "relations",
    "bugs",
)
NO_SLOPE, ROUNDS = "no slope", "rounds"


def drawn(strategy: Any, number: int) -> list[Any]:
    """Return so many examples of a strategy, the same ones every time."""
    found: list[Any] = []
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

    @settings(
        max_examples=number,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=quiet,
    )
    @given(strategy)
    def collect(one: Any) -> None:
        found.append(one)

    collect()
    return found


def number(value: float) -> str:
    return f"{value:.2g}" if value < 1e-2 else f"{value:.2f}"


def steps(kind: str, name: str) -> tuple[str, str]:
    """Return the largest error of manualnn and of torch in drawn steps, by their bounds."""
    chosen = {"layers": "layer_names", "losses": "loss_names", "optimizers": "rule_names"}[kind]
    whole, given = Judge(), {**SMALL, **PARTNERS, chosen: (name,)}
    if name in manualnn.MATRIX_RULES:
        given["options"] = {"bias": False}
    for case in drawn(cases(**given), STEPS):
        own = Judge()
        agree_in_every_step(case, own)
        whole.add(own)
    return number(whole.largest["engine"]), number(whole.largest["torch"])


def proofs(kind: str, name: str) -> str:
    """Return how many forms of a piece SymPy proves: options, reductions, sorts of targets."""
    if name in manualnn.MATRIX_RULES:
        return str(len(FORMS))
    parts = {"layers": "layer", "losses": "loss"}
    stated = (getattr(s, parts[kind]) if kind in parts else s for s in KINDS[kind][2])
    return str(sum(type(piece).__name__ == name for piece in stated))


def differences(kind: str, name: str) -> str:
    """Return the largest distance of a gradient from the difference of its loss."""
    if kind == "optimizers":
        return NO_SLOPE
    examples = LAYERS if kind == "layers" else {key: loss for key, (loss, _) in LOSSES.items()}
    own = [key for key, piece in examples.items() if type(piece).__name__ == name]
    pairs = [(key, next(iter(LOSSES))) if kind == "layers" else ("Tanh()", key) for key in own]
    with mpmath.workdps(DIGITS):
        off = [
            abs(got - wanted) / (TOLERANCE * (1 + abs(wanted)))
            for pair in pairs
            for problem in [Problem(*pair)]
            for got, wanted in zip(problem.true_gradient(), problem.differences(), strict=True)
        ]
    return number(float(max(off)))


def far(kind: str, name: str) -> str:
    """Return the largest error where inputs or outputs are huge or tiny."""
    whole = Judge()
    if kind == "optimizers":
        rule = RULES[name]()
        params = Parameters({"0.weight": (1, 2)}, np.ones(2, np.float32))
        gradients = Parameters(params.shapes, np.array([1e25, 1e-30], np.float32))
        rule.update(params, gradients, rule.init(params))
        assert not np.isnan(params.vector).any()
        return "finite"
    for dtype in DTYPES:
        x = np.array(FAR, dtype)[:, None]
        for net, loss, inputs, t in (
            far_layers(name, x) if kind == "layers" else far_losses(name, x)
        ):
            whole.add(agree(net, loss, inputs, t, overflows=True))
    return number(whole.largest["engine"])


def far_layers(name: str, x: Array) -> Iterator[tuple[Sequential, Loss, Array, Array]]:
    """Yield a network of that layer alone, with ∂L/∂y = 1."""
    x = np.hstack([x, x[::-1]])
    net = Sequential(example(name, 2))
    y = net.forward(net.init(0, x.dtype), x)
    yield net, L1Loss("sum"), x, y - np.abs(y) - x.dtype.type(1)


def far_losses(name: str, x: Array) -> Iterator[tuple[Sequential, Loss, Array, Array]]:
    """Yield the loss of outputs of up to 10⁴, or of up to 80 where it overflows by right."""
    of_name = [(loss, kind) for loss, kind in LOSSES.values() if type(loss).__name__ == name]
    for (symbolic, target), k in product(of_name, range(3)):
        loss = with_numbers(symbolic)
        t = of_kind(name, np.eye(3, dtype=x.dtype)[[k] * len(x)])
        t = np.full(len(x), k) if target in {"classes", "indices"} else t
        takes_shares = takes_probabilities(to_spec(loss))
        for end in (1,) if takes_shares else (1e4, 80):
            y = np.clip(np.hstack([x, x[::-1], -x]), 0 if takes_shares else -end, end)
            with np.errstate(over="ignore"):
                is_finite = np.isfinite(loss.value(y, t))
            if is_finite:
                yield Sequential(), loss, y, t
                break


@cache
def exact_steps() -> Counter[str]:
    """Return how often each piece is in a step that is torch's to the last bit."""
    count: Counter[str] = Counter()
    for case in drawn(lattice_cases(), LATTICE):
        exact.hypothesis.inner_test(case)
        count.update({type(piece).__name__ for piece in (*case.net.layers, case.loss, case.rule)})
    return count


def relations(kind: str, name: str) -> str:
    """Return how many relations between answers hold for networks with that piece."""
    everything = Engine().capabilities()
    losses = {"MSELoss", "CrossEntropyLoss"}  # Softmax is drawn before the second alone
    some = {"layers": {"Linear", "Sigmoid"}, "losses": losses, "optimizers": {"SGD"}}
    wanted = {**some, kind: {name, "Linear"} if kind == "layers" else {name}}
    claimed = {k: {n: everything[k][n] for n in names} for k, names in wanted.items()}
    claims, held = Capabilities.read({**everything, **claimed}), 0
    with connect(Engine) as bench:
        for recipe, judgements in RELATIONS.items():
            for case in islice(related(recipe, claims, name), RELATED):
                for judgement in judgements:
                    assert not rejudge(bench, f"{recipe}:{judgement}", case), (name, judgement)
                    held += 1
    return str(held)


def related(recipe: str, claims: Capabilities, name: str) -> Iterator[Case]:
    """Yield the cases of a recipe that have the piece, of so many drawn ones."""
    newcomer = name if name in newcomers(claims) else ""
    for i in range(DRAWN):
        case = RECIPES[recipe].draw(np.random.default_rng([i, 5]), claims, Size(), newcomer)
        if case is not None and has_feature(case, name):
            yield case


def bugs(kind: str, name: str) -> str:
    """Return how many bugs of the catalogue replace a method of that piece."""
    check = f"{kind[:-1] if kind != 'losses' else 'loss'}.{name}.:"
    found = (find_features(bug.engines) - {""} for bug in BUGS.values())
    return str(sum(any(fnmatchcase(check, pattern) for pattern in own) for own in found))


def row(kind: str, name: str) -> list[str]:
    """Return the cells of a piece."""
    ours, torchs = steps(kind, name)
    return [
        f"`{name}`",
        ours,
        torchs,
        proofs(kind, name),
        differences(kind, name),
        far(kind, name),
        str(exact_steps()[name] or ROUNDS),
        relations(kind, name),
        bugs(kind, name),
    ]


def page() -> str:
    """Return the page: its text as it is, and new tables."""
    lines = [PAGE.read_text("utf-8").partition("\n## ")[0].rstrip()]
    for kind, (title, table, _) in KINDS.items():
        lines += ["", f"## {title}", "", f"| | {' | '.join(COLUMNS)} |", "|---" * 9 + "|"]
        for name in table:
            print(name, file=sys.stderr)  # noqa: T201 - it takes some minutes
            lines.append(f"| {' | '.join(row(kind, name))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

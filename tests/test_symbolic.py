"""Proofs: the engine, run on symbols, equals the stated formula and its derivative, exactly.

The engine sees arrays of SymPy symbols and so returns formulas. They are compared with those of
proofs.py, and with what sympy.diff makes of those, by simplifying the difference to 0; never by
inserting numbers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
import sympy as sp
from proofs import (
    IGNORED,
    LAYER_STATEMENTS,
    LOSS_STATEMENTS,
    RULE_EXAMPLES,
    WITNESS,
    Array,
    LayerStatement,
    LossStatement,
    R,
    SymbolicRules,
    names,
    oracles_options,
    symbolic_options,
)
from rotation import choose, file_of, share
from sympy.core.relational import Relational

from manualnn import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    Identity,
    L1Loss,
    Linear,
    MSELoss,
    Optimizer,
    Parameters,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from manualnn.layers import LAYERS
from manualnn.losses import LOSSES
from manualnn.optimizers import OPTIMIZERS
from manualnn.oracle.protocol.features import LOSS_ROWS, state_names, state_of

pytestmark = pytest.mark.once

PARTS, MOST = 9, 4
"""A run proves one of so many statements in turn, and so many more whose files have changed."""

N, WIDTH = 2, 3

Point = Mapping[sp.Symbol, Any]


def plain_log(argument: Any) -> Any:
    """Return log(argument) as a sum of logarithms that cannot be split further."""
    argument = sp.factor(sp.together(sp.expand(argument, power_exp=True)))
    # Every factor is positive wherever the loss or layer is defined.
    return sp.expand_log(sp.log(argument), force=True)


def in_sigmoids(expression: Any) -> Any:
    """Put 1/a − 1 for every exponential, a > 0 its own new variable: 1 / (1 + exp(−z)) becomes a.

    So a fraction of exponentials in a network of sigmoids becomes a polynomial. Exponents that are
    equal once multiplied out have one variable.
    """
    expression = expression.replace(sp.exp, lambda argument: sp.exp(sp.expand(argument)))
    for exponential in sorted(expression.atoms(sp.exp), key=sp.count_ops, reverse=True):
        expression = expression.xreplace({exponential: 1 / sp.Dummy(positive=True) - 1})
    return expression.replace(lambda e: e.is_Pow and e.exp.is_negative, sp.cancel)


def without_roots(expression: Any) -> Any:
    """Put the square of a new variable for what is under a root: √(x + y) becomes |a| = a.

    Numbers remain: the 2 of √2 may be an exponent elsewhere.
    """
    roots = expression.atoms(sp.Pow)
    roots = {e for e in roots if e.exp.is_Rational and not e.exp.is_Integer}
    under = {e.base: sp.expand(e.base) for e in roots if e.base.free_symbols}
    squares = {base: sp.Dummy(positive=True) ** 2 for base in set(under.values())}
    return expression.xreplace({base: squares[plain] for base, plain in under.items()})


def is_zero(difference: Any) -> bool:
    """Return True if an expression simplifies to 0, so that it is zero for all values.

    A rational function is brought over one denominator first, because its terms may be too many to
    multiply out. The last way does so with exponentials, logarithms and roots as variables. First,
    all roots are independent variables, which is quick, but does not see that √(2x) is √2 √x.
    """
    difference = sp.sympify(difference)
    independent = without_roots(difference)
    return _is_zero(independent) or (independent != difference and _is_zero(difference))


def _is_zero(difference: Any) -> bool:
    if difference.is_rational_function():
        numerator, _ = sp.fraction(sp.together(difference))
        return bool(sp.expand(numerator) == 0)
    if sp.expand(in_sigmoids(difference)) == 0 or sp.expand(difference) == 0:
        return True
    plain = sp.expand(difference.replace(sp.log, plain_log), power_exp=True)
    numerator, _ = sp.fraction(sp.together(plain))
    return bool(sp.expand(numerator) == 0)


def test_difference_of_rational_functions_is_decided() -> None:
    """A network of z / (1 + z): multiplied out, its gradient has too many terms to wait for."""
    x, w, v = sp.Symbol("x"), sp.symbols("w:4"), sp.symbols("v:2")
    z = [x * w[2 * i] + w[2 * i + 1] for i in range(2)]
    y = sum(v[i] * z[i] / (1 + z[i]) for i in range(2))
    loss, slope = (y / (1 + y)) ** 2, 2 * y / (1 + y) ** 3
    for i in range(2):
        gradient = slope * v[i] * x * (1 / (1 + z[i]) - z[i] / (1 + z[i]) ** 2)
        assert is_zero(gradient - sp.diff(loss, w[2 * i]))
        assert not is_zero(gradient - sp.diff(loss, w[2 * i + 1]))


class Cases:
    """Decides conditions at a point, and remembers which way each one went."""

    def __init__(self) -> None:
        self.seen: dict[Any, set[bool]] = {}
        self.proved: set[Any] = set()

    def decide(self, expression: Any, point: Point) -> Any:
        """Return the branch that holds at the point, as a formula without conditions."""
        branched = sp.sympify(expression).rewrite(sp.Piecewise)
        at = {**WITNESS, **point}
        while conditions := branched.atoms(Relational):
            # An inner condition may stand inside an outer one: those without any come first.
            simple = [c for c in conditions if not any(a.has(sp.Piecewise) for a in c.args)]
            decided = {c: sp.sympify(bool(c.subs(at))) for c in simple}
            for condition, holds in decided.items():
                self.seen.setdefault(condition, set()).add(bool(holds))
            branched = branched.xreplace(decided)
        return branched

    def prove_equal(self, got: Iterable[Any], wanted: Iterable[Any], point: Point) -> None:
        """Prove two sequences of expressions equal wherever the conditions hold as at the point."""
        for i, (g, w) in enumerate(zip(got, wanted, strict=True)):
            difference = self.decide(g, point) - self.decide(w, point)
            if difference not in self.proved:
                assert is_zero(difference), f"entry {i}: {g} ≠ {w}"
                self.proved.add(difference)

    def left_out(self) -> set[Any]:
        """Return the conditions that went only one way: half of such a formula is not proved."""
        return {condition for condition, ways in self.seen.items() if len(ways) < 2}


def in_turn(symbols: Array, values: tuple[Any, ...]) -> list[Point]:
    """Return points at which every symbol takes every value, in different company."""
    return [
        {s: values[(i + shift) % len(values)] for i, s in enumerate(symbols.flat)}
        for shift in range(len(values))
    ]


def gradient_of(function: Any, symbols: Array) -> list[Any]:
    return [sp.diff(function, s) for s in symbols.flat]


def label(statement: Any) -> str:
    kind = statement.layer if isinstance(statement, LayerStatement) else statement.loss
    return str(kind)


def arrays_of(layer: Any, x: Array) -> dict[str, Array]:
    """Return symbols for everything that a layer reads besides x."""
    shapes = layer.shapes() | layer.sample_shapes(x.shape)
    shapes |= {name: a.shape for name, a in layer.buffers().items() if a.shape}
    return {name: names(name, *shape) for name, shape in shapes.items()}


def input_of(layer: Any) -> Array:
    return names("x", N, getattr(layer, "in_features", None) or layer.inputs(WIDTH))


@pytest.mark.parametrize(
    ("table", "stated"),
    [
        (LAYERS, [s.layer for s in LAYER_STATEMENTS]),
        (LOSSES, [s.loss for s in LOSS_STATEMENTS]),
        (OPTIMIZERS, RULE_EXAMPLES),
    ],
    ids=["layers", "losses", "rules"],
)
def test_everything_has_a_stated_formula(table: Mapping[str, Any], stated: list[Any]) -> None:
    assert set(table) == {type(description).__name__ for description in stated}


@pytest.mark.parametrize("statement", LAYER_STATEMENTS, ids=lambda s: repr(s.layer))
def test_layer_is_its_formula_and_backward_the_derivative(statement: LayerStatement) -> None:
    """y = f(x; θ), dx = ∂(Σ dy ⊙ f)/∂x and dθ = ∂(Σ dy ⊙ f)/∂θ, for all x, θ and dy."""
    layer, x = statement.layer, input_of(statement.layer)
    arrays, cases = arrays_of(layer, x), Cases()
    y = layer.forward(arrays, x)
    dy = names("dy", *y.shape)
    dx = layer.backward(arrays, x, y, dy)
    grads = {name: np.empty(shape, object) for name, shape in layer.shapes().items()}
    layer.backward_params(arrays, x, y, dy, grads)
    stated = statement.formula(arrays, x)
    assert y.shape == stated.shape
    total = sum((dy * stated).flat)
    for point in in_turn(x, statement.values):
        cases.prove_equal(y.flat, stated.flat, point)
        cases.prove_equal(dx.flat, gradient_of(total, x), point)
        for name, grad in grads.items():
            cases.prove_equal(grad.flat, gradient_of(total, arrays[name]), point)
    assert not cases.left_out()


KINKS = [(s, point, slope) for s in LAYER_STATEMENTS for point, slope in s.kinks.items()]


@pytest.mark.parametrize(
    ("statement", "point", "slope"), KINKS, ids=[type(s.layer).__name__ for s, *_ in KINKS]
)
def test_slope_at_a_kink_is_as_stated(statement: LayerStatement, point: Any, slope: Any) -> None:
    width = getattr(statement.layer, "in_features", None) or 1
    x = np.full((1, width), sp.sympify(point), object)
    dy, arrays = names("dy", 1, width), arrays_of(statement.layer, x)
    y = statement.layer.forward(arrays, x)
    assert is_zero(statement.layer.backward(arrays, x, y, dy).item(0) - dy.item(0) * slope)


@pytest.mark.parametrize("kind", list(LAYERS))
def test_layer_whose_slope_jumps_states_the_slope_there(kind: str) -> None:
    """A formula that has branches has a kink, and what the engine does there is stated."""
    for statement in LAYER_STATEMENTS:
        if type(statement.layer).__name__ == kind:
            x = input_of(statement.layer)
            y = statement.formula(arrays_of(statement.layer, x), x)
            assert y.item(0).has(sp.Piecewise, sp.Abs) == bool(statement.kinks)


def targets_of(statement: LossStatement) -> Array:
    if statement.target in {"classes", "indices"}:
        return np.array([2, IGNORED if statement.target == "classes" else 1, 0, 2])
    if statement.target == "labels":
        return np.array([[2, -1, 0], [0, 1, -1], [-1, 2, 1], [1, 1, -1]])
    return names("t", N, WIDTH)


def outputs_of(statement: LossStatement) -> Array:
    """Return symbols for y: probabilities, where it is probabilities that the loss takes."""
    return names("y", len(targets_of(statement)), WIDTH)


@pytest.mark.parametrize(
    "statement",
    choose(LOSS_STATEMENTS, lambda s: [file_of(s.loss)], parts=PARTS, most=MOST),
    ids=lambda s: f"{s.loss}-{s.target}",
)
def test_loss_is_its_formula_and_backward_the_derivative(statement: LossStatement) -> None:
    """L is as stated and dy = ∂L/∂y, for all y and t; both ways of asking for them agree."""
    loss, y, t = statement.loss, outputs_of(statement), targets_of(statement)
    both = loss.forward_and_backward(y, t)
    stated = statement.formula(y, t)
    cases = Cases()
    for point in points_of(statement, y, t):
        for value, dy in (both, (loss.forward(y, t), loss.backward(y, t))):
            cases.prove_equal([value], [stated], point)
            cases.prove_equal(dy.flat, gradient_of(stated, y), point)
    # The bounds of BCELoss have conventions beyond them, not derivatives: see below.
    assert type(loss).__name__ == "BCELoss" or not cases.left_out()


def points_of(statement: LossStatement, y: Array, t: Array) -> list[Point]:
    if statement.target != "values":
        return in_turn(y, tuple(pair[0] for pair in statement.values))
    pairs = [
        in_turn(array, tuple(pair[i] for pair in statement.values)) for i, array in ((0, y), (1, t))
    ]
    return [{**at_y, **at_t} for at_y, at_t in zip(*pairs, strict=True)]


def test_bceloss_beyond_its_bounds_is_as_stated() -> None:
    """Where log y < −100 it counts as −100; where y (1 − y) < 10⁻¹², that is the denominator."""
    y, t, cases = names("y", 1, 1), names("t", 1, 1), Cases()
    value, dy = BCELoss().forward_and_backward(y, t)
    (p,), (q,), tiny = y.flat, t.flat, R(1, 10**60)
    for at, stated in (
        (tiny, 100 * q - (1 - q) * sp.log(1 - p)),
        (1 - tiny, -q * sp.log(p) + 100 * (1 - q)),
        (R(1, 10**20), -q * sp.log(p) - (1 - q) * sp.log(1 - p)),
    ):
        cases.prove_equal([value], [stated], {p: at})
        cases.prove_equal(dy.flat, [(p - q) / sp.Float(float(np.float32(1e-12)))], {p: at})


def test_cross_entropy_of_softmax_collapses_to_the_difference() -> None:
    """∂L/∂z = (softmax(z) − q) / N if q adds up to 1; −q/a through softmax's backward is the same.

    So Softmax and the derivative of −Σ q log a agree with CrossEntropyLoss, which has neither.
    """
    z, q = names("z", N, WIDTH), names("q", N, WIDTH)
    adds_up = {row[-1]: 1 - sum(row[:-1]) for row in q}
    a = Softmax().forward({}, z)
    whole = CrossEntropyLoss().backward(z, q)
    for dz in (whole, Softmax().backward({}, z, a, -q / a / N)):
        for got, wanted in zip(dz.flat, ((a - q) / N).flat, strict=True):
            assert is_zero((got - wanted).subs(adds_up))


@pytest.mark.parametrize("t", [1, *share([2, 3, 10], 3)])
@pytest.mark.parametrize(
    "rule", choose(RULE_EXAMPLES, lambda r: [file_of(r)], parts=PARTS, most=MOST), ids=repr
)
def test_rule_is_its_recurrence(rule: Optimizer, t: int) -> None:
    """One step from any θ, any gradient and any state is that of the oracle's statement."""
    options, size, cases = oracles_options(rule), 3, Cases()
    theta, g = names("θ", size), names("g", size)
    kept = {
        array.name: names(array.name, size, **({"positive": True} if array.is_nonnegative else {}))
        for array in state_of(options)
    }
    params, state = as_parameters(theta.copy()), {name: v.copy() for name, v in kept.items()}
    state = {"step": t - 1, **state}
    rule.update(params, as_parameters(g), state)
    assert state.pop("step") == t
    for point in in_turn(np.concatenate([theta, g, *kept.values()]), (R(1, 4), R(-3), R(2), R(1))):
        for i in range(size):
            after = {name: v[i] for name, v in kept.items()}
            wanted = SymbolicRules().apply_rule(options, theta[i], g[i], after, t)
            assert after.keys() == state.keys()
            got = [params.vector[i], *(state[name][i] for name in after)]
            cases.prove_equal(got, [wanted, *after.values()], point)
    assert not cases.left_out()


@pytest.mark.parametrize("rule", RULE_EXAMPLES, ids=repr)
def test_state_starts_as_stated(rule: Optimizer) -> None:
    """With the theorem above, this proves any number of steps by induction."""
    options, state = oracles_options(rule), rule.init(as_parameters(names("θ", 2)))
    assert state.pop("step") == 0
    assert tuple(state) == rule.vectors() == state_names(options)
    for array in state_of(options):
        start = array.initial_value(options)
        assert list(state[array.name]) == [start, start]


def as_parameters(vector: Array) -> Parameters:
    return Parameters({"0.weight": vector.shape}, vector)


# ---------------------------------------------------------------------- whole networks

FORMULAS = {
    key: s.formula for s in LAYER_STATEMENTS for key in (type(s.layer).__name__, repr(s.layer))
}
"""By the name of a layer, and by its options: two forms of one layer have two formulas."""
HUBER = HuberLoss(**symbolic_options(LOSS_ROWS["HuberLoss"]))
NETWORKS = [
    (Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2)), MSELoss("batchmean"), 1),
    (Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2)), MSELoss(), 2),
    *(
        (Sequential(Linear(1, 2), s.layer, Linear(s.layer.width(2), 2, bias=False)), MSELoss(), 1)
        for s in LAYER_STATEMENTS
        if not s.layer.shapes() and not hasattr(s.layer, "eps")  # roots of sums take seconds
    ),
    (Sequential(Linear(2, 2), Tanh(), Linear(2, 1), Sigmoid()), BCELoss("sum"), 1),
    (Sequential(Linear(2, 2), ReLU(), Linear(2, 2)), BCEWithLogitsLoss(), 1),
    (Sequential(Linear(2, 2), Identity(), Linear(2, 3)), CrossEntropyLoss(ignore_index=IGNORED), 2),
    (
        Sequential(Linear(2, 1), Linear(1, 2), Linear(2, 1)),
        HuberLoss(**symbolic_options(LOSS_ROWS["HuberLoss"])),
        2,
    ),
    (Sequential(Sigmoid(), Tanh()), L1Loss(), 1),
    (Sequential(), MSELoss(), 1),
]


def stated_outputs(
    net: Sequential, params: Parameters, x: Array, noise: Mapping[str, Array]
) -> Any:
    """Return the network's outputs by the stated formulas, layer by layer."""
    y = x
    for i, layer in enumerate(net.layers):
        own = {
            key.partition(".")[2]: array
            for key, array in {**params, **noise}.items()
            if key.startswith(f"{i}.")
        }
        formula = FORMULAS.get(repr(layer), FORMULAS[type(layer).__name__])
        y = formula(own, y)
    return y


STATED = {s.loss: s.formula for s in LOSS_STATEMENTS}


@pytest.mark.parametrize(
    ("net", "loss", "n"),
    choose(
        NETWORKS,
        lambda example: [*map(file_of, example[0].layers), file_of(example[1])],
        parts=PARTS,
        most=MOST // 4,
    ),
    ids=str,
)
def test_network_has_the_gradient_of_its_own_loss(net: Sequential, loss: Any, n: int) -> None:
    """L is the stated formulas' composition, and every ∂L/∂θ and ∂L/∂x its sympy.diff."""
    x = names("x", n, net.in_features or 2)
    size = Parameters(net.shapes).vector.size
    params = Parameters(net.shapes, names("θ", size))
    noise = {
        f"{i}.{name}": names(f"m{i}", n, 2)
        for i, layer in enumerate(net.layers)
        for name in layer.sample_shapes((n, 2))
    }
    y = stated_outputs(net, params, x, noise)
    t = np.arange(n) if isinstance(loss, CrossEntropyLoss) else names("t", *y.shape)
    value, grads, dx = net.value_and_grad(params, loss, x, t, noise=noise, input_grad=True)
    symbols = np.concatenate([params.vector, x.ravel(), *(m.ravel() for m in noise.values())])
    symbols = symbols if t.ndim == 1 else np.concatenate([symbols, t.ravel()])
    cases = Cases()
    for point in in_turn(symbols, (R(1, 3), R(-2, 5), R(3, 7), R(5, 4), R(-1))):
        stated = cases.decide(STATED[loss](y, t), point)
        cases.prove_equal([value], [stated], point)
        cases.prove_equal(grads.vector, gradient_of(stated, params.vector), point)
        cases.prove_equal(dx.flat, gradient_of(stated, x), point)

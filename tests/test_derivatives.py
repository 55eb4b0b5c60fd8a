"""Every entry of every derivative, in numbers, against the definition of a derivative.

The engine runs on mpmath numbers of 75 digits. A central difference of its own loss has an error of
h² L‴/6 from the formula and about 10⁻⁷⁵/h from rounding: with h = 10⁻²⁵, both are 10⁻⁵⁰. TOLERANCE
leaves fourteen digits for third derivatives and for the number of operations: L‴ of a normalisation
of nearly equal numbers is 10¹⁰.

The engine itself derives the allowed difference of float32, float64 and longdouble from that truth:
it runs on numbers that carry their own rounding error (`Rounded`).
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
from proofs import LAYER_STATEMENTS, LOSS_STATEMENTS, Array, with_numbers
from rotation import choose, file_of, profile, turn
from rounding import Rounded, as_mpmath, bound, exactly
from values import of_kind

from manualnn import Layer, Linear, Loss, Parameters, Sequential, Sigmoid
from manualnn.oracle.protocol.features import LOSS_ROWS

pytestmark = pytest.mark.once

DIGITS = 75
H = mpmath.mpf(10) ** -25
TOLERANCE = mpmath.mpf(10) ** -36
FLOATS = [np.float32, np.float64, np.longdouble]

as_rounded = np.frompyfunc(lambda v: Rounded(exactly(v)), 1, 1)

LAYERS = {str(with_numbers(s.layer)): s.layer for s in LAYER_STATEMENTS}
CHOSEN = choose(LAYERS, lambda name: [file_of(LAYERS[name])], parts=6, most=5)
LOSSES = {f"{with_numbers(s.loss)}-{s.target}": (s.loss, s.target) for s in LOSS_STATEMENTS}


def losses_after(layer: str) -> list[str]:
    """Return a third of the losses, others after each layer and in each run; nightly, all."""
    if profile() == "nightly":
        return list(LOSSES)
    return list(LOSSES)[(turn() + list(LAYERS).index(layer)) % 3 :: 3]


@pytest.fixture(autouse=True)
def more_digits() -> Iterator[None]:
    with mpmath.workdps(DIGITS):
        yield


class Problem:
    """A small network around one layer, one loss, and numbers that float32 holds exactly."""

    def __init__(self, layer: str, loss: str) -> None:
        rng = np.random.default_rng(zlib.crc32(f"{layer}{loss}".encode()))
        self.layer = LAYERS[layer]
        self.loss, target = LOSSES[loss]
        net, _ = self.options_of(float)
        self.x = self._numbers(rng, (2, 2))
        self.vector = self._numbers(rng, Parameters(net.shapes).vector.shape)
        self.noise = dict(net.sample(rng, self.x))
        t = of_kind(type(self.loss).__name__, rng.random((2, 3)).astype(np.float32))
        self.t = t if target in {"labels", "values"} else np.array([2, 0])

    def options_of(self, number: Callable[[Any], Any]) -> tuple[Sequential, Loss]:
        """Return the network and the loss, their options as that kind of number."""
        layer: Any = with_numbers(self.layer, number)
        width = getattr(layer, "in_features", None) or layer.inputs(2)
        row = LOSS_ROWS[type(self.loss).__name__]
        after = [Sigmoid()] if row.takes_probabilities else []
        net = Sequential(Linear(2, width), layer, Linear(layer.width(width), 3), *after)
        return net, with_numbers(self.loss, number)

    @staticmethod
    def _numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Draw numbers of both signs, not near 0, as large as brings every branch about."""
        drawn = rng.uniform(0.25, 1.75, shape) * rng.choice([-1, 1], shape)
        return drawn.astype(np.float32)

    def arguments(self, convert: Callable[[Array], Array]) -> tuple[Any, ...]:
        """Return net, loss, params, x, t and noise with their numbers converted."""
        number = float if convert(self.x).dtype.kind == "f" else lambda v: convert(v)  # noqa: PLW0108
        net, loss = self.options_of(number)
        t = convert(self.t) if self.t.dtype.kind == "f" else self.t
        noise = {key: convert(array) for key, array in self.noise.items()}
        return net, loss, Parameters(net.shapes, convert(self.vector)), convert(self.x), t, noise

    def gradient(self, convert: Callable[[Array], Array]) -> Array:
        """Return ∂L/∂θ and ∂L/∂x, as one vector."""
        net, loss, params, x, t, noise = self.arguments(convert)
        _, grads, dx = net.value_and_grad(params, loss, x, t, noise=noise, input_grad=True)
        return np.concatenate([grads.vector, dx.ravel()])

    def true_gradient(self) -> Array:
        return as_mpmath(self.gradient(as_mpmath))

    def differences(self) -> list[Any]:
        """Return (L(θ + h) − L(θ − h)) / 2h for each entry of θ and of x."""
        net, loss, params, x, t, noise = self.arguments(as_mpmath)
        found = []
        for array in (params.vector, x):
            for place in np.ndindex(array.shape):
                middle, around = array[place], []
                for moved in (middle + H, middle - H):
                    array[place] = moved
                    around.append(loss.value(net.forward(params, x, noise=noise), t))
                array[place] = middle
                found.append((around[0] - around[1]) / (2 * H))
        return found


@pytest.mark.parametrize("layer", CHOSEN)
def test_every_entry_is_the_central_difference_of_the_loss(layer: str) -> None:
    """∂L/∂θ and ∂L/∂x are the engine's own loss differenced, to 10⁻³⁶."""
    for loss in losses_after(layer):
        each = Problem(layer, loss)
        for got, wanted in zip(each.true_gradient(), each.differences(), strict=True):
            assert abs(got - wanted) <= TOLERANCE * (1 + abs(wanted)), loss


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layer", CHOSEN)
def test_floats_stay_within_their_rounding_of_the_truth(layer: str, dtype: Any) -> None:
    """Each entry differs from the truth by no more than its operations may have rounded."""
    sharpness = []
    for loss in losses_after(layer):
        each = Problem(layer, loss)
        got, truth = each.gradient(lambda a: a.astype(dtype)), each.true_gradient()
        # Floats take the first entry of a row from all before its mean: two differences, not one.
        more = 2 if getattr(each.layer, "centers", False) else 1
        bounds = [more * bound(entry, dtype) for entry in each.gradient(as_rounded)]
        scale = max(map(abs, truth))
        for g, w, limit in zip(got, truth, bounds, strict=True):
            assert abs(exactly(g) - w) <= limit, f"{loss}: {g} is {w}, ± {mpmath.nstr(limit, 3)}"
            if scale:  # a margin that is kept has the gradient 0
                sharpness.append(limit / scale)
    # A bound that lets a wrong third digit pass in float32 would prove nothing.
    assert np.median(np.array(sharpness, float)) < 3000 * np.finfo(dtype).eps


@pytest.mark.parametrize("layer", [with_numbers(s.layer) for s in LAYER_STATEMENTS], ids=str)
def test_backward_is_the_adjoint_of_the_derivative(layer: Layer) -> None:
    """⟨dy, J v⟩ = ⟨Jᵀ dy, v⟩, for the input and for every parameter."""
    rng = np.random.default_rng(5)
    n, width = 3, getattr(layer, "in_features", None) or layer.inputs(4)
    shapes = layer.shapes() | layer.sample_shapes((n, width))
    arrays = {name: as_mpmath(rng.normal(size=shape)) for name, shape in shapes.items()}
    for name, array in layer.buffers().items():
        arrays[name] = as_mpmath(np.abs(rng.normal(size=array.shape)))
    x = as_mpmath(rng.normal(size=(n, width)))
    y = layer.forward(arrays, x)
    dy = as_mpmath(rng.normal(size=y.shape))
    grads = {name: np.empty(shape, object) for name, shape in layer.shapes().items()}
    layer.backward_params(arrays, x, y, dy, grads)
    adjoints = {"x": layer.backward(arrays, x, y, dy), **grads}
    for name, adjoint in adjoints.items():
        v = as_mpmath(rng.normal(size=adjoint.shape))

        def along(h: Any, name: str = name, v: Array = v) -> Array:
            if name == "x":
                return layer.forward(arrays, x + h * v)
            return layer.forward({**arrays, name: arrays[name] + h * v}, x)

        jacobian_v = (along(H) - along(-H)) / (2 * H)
        assert abs(np.sum(dy * jacobian_v) - np.sum(adjoint * v)) <= TOLERANCE * 100, name


def test_a_gradient_wrong_by_a_two_thousandth_is_noticed() -> None:
    """The derived bounds are sharp enough to notice an error of 0.05 %, even in float32."""
    each = Problem("Tanh()", next(iter(LOSSES)))
    bounds = [bound(entry, np.float32) for entry in each.gradient(as_rounded)]
    assert all(abs(w) / 2000 > b for w, b in zip(each.true_gradient(), bounds, strict=True))


def test_bound_counts_every_rounding() -> None:
    """(a + b) c rounds twice: the sum by |a| + |b| units, times c, and the product."""
    a, b, c = (Rounded(v) for v in (3, -2, 5))
    assert ((a + b) * c).error == (3 + 2) * 5 + 5

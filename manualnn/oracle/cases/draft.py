"""Random arrays and cases: a recipe draws each of its cases with a `Draft`.

    draft = Draft(rng, claims, size)
    draft.case()                                   any case that the claims admit
    draft.case(n=3, widths=(2, 5, 1))              the same with some parts given
    draft.training_case()                          the same with several steps or an optimizer state
    draft.layer("Tanh"), draft.loss(…), draft.optimizer(…)      descriptions within the claims

The numbers are normally distributed. The weights are divided by the root of the number of inputs,
so that signals keep their size from layer to layer. A few numbers are 0, ±1, ½ or 2. `Impossible`
is raised if the claims admit no such case. The same generator, claims and size give the same case.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Choices, Impossible
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import (
    LAYER_ROWS,
    LOSS_ROWS,
    OPTIMIZER_ROWS,
    as_noise,
    buffer_of,
    find_mixing,
    fitted,
    options_of,
    shapes_of,
    state_of,
    takes_probabilities,
    width_of,
)

STEPS = (1, 2, 3, 5, 10, 17, 30, 100, 316, 1000, 3163, 10_000, 1_000_000)
"""Numbers of updates before a case: early, late, and in between."""
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0)


class Draft(Choices):
    """Random arrays and cases within the claims of an engine: see the module."""

    special_share = 0.2
    """Share of the arrays with a few special numbers."""

    def normals(self, shape: Any, scale: Any = 1.0) -> Array:
        """Return normal numbers, sometimes with up to three special ones among them."""
        array = (self.rng.standard_normal(shape) * scale).astype(self.dtype)
        if self.chance(self.special_share) and array.size:
            for _ in range(int(self.rng.integers(1, 4))):
                array.flat[int(self.rng.integers(array.size))] = self.pick(SPECIAL)
        return array

    def params(self, layers: Sequence[Any], widths: Sequence[int]) -> dict[str, Array]:
        """Return parameters that keep signals at their size."""
        params = {}
        for i, (layer, width) in enumerate(zip(layers, widths, strict=False)):
            for name, shape in shapes_of(layer, width).items():
                if buffer := buffer_of(name):
                    params[f"{i}.{name}"] = buffer.draw(self.rng, shape).astype(self.dtype)
                    continue
                scale = 1.4 / shape[1] ** 0.5 if len(shape) > 1 else 0.5
                params[f"{i}.{name}"] = self.normals(shape, scale)
        return params

    def targets(self, loss: Any, n: int, width: int, *, probabilities: bool = False) -> Array:
        """Return targets for a loss; for classes their indices, or their probabilities."""
        kind = LOSS_ROWS[loss["type"]].targets
        if kind == "numbers":
            return self.normals((n, width))
        if kind == "probabilities":
            shares = self.rng.random((n, width))
            return (shares if self.chance(0.5) else shares.round()).astype(self.dtype)
        if kind == "signs":
            return self.rng.choice([1.0, -1.0], (n, width)).astype(self.dtype)
        if kind == "labels":
            t = np.argsort(self.rng.random((n, width)), axis=1)
            counts = self.rng.integers(0, width + 1, (n, 1))
            ends = np.arange(width) == counts
            t[ends if self.chance(0.3) else np.arange(width) >= counts] = -1
            return t
        if probabilities:
            weights = self.rng.uniform(0.05, 1, (n, width))
            return (weights / weights.sum(axis=1, keepdims=True)).astype(self.dtype)
        t = self.rng.integers(0, width, n)
        ignored = loss.get("ignore_index", -100)
        if "ignore_index" in loss:
            t[self.rng.random(n) < 0.3] = ignored
        others = [k for k in range(min(width, 2)) if k != ignored]
        if n and others and np.all(t == ignored):
            t[0] = others[0]
        return t

    def noise(self, layers: Sequence[Any], widths: Sequence[int], n: int) -> dict[str, Array]:
        """Return the random arrays of layers in training."""
        arrays = {}
        for i, layer in enumerate(layers):
            if noise := LAYER_ROWS[layer["type"]].noise:
                o = options_of(layer)
                array = noise.admitted(o, noise.draw(self.rng, o, (n, widths[i])), self.dtype)
                arrays[f"{i}.{noise.name}"] = array.astype(self.dtype)
        return arrays

    def sample_weights(self, n: int) -> Array:
        """Return the weights of samples: different ones, in some cases with zeros."""
        w = self.rng.uniform(0.2, 4, n)
        if n > 1 and self.chance(0.3):
            w[self.rng.random(n) < 0.3] = 0
        return w.astype(self.dtype)

    def state(self, optimizer: Any, params: dict[str, Array], steps: int) -> dict[str, Any]:
        """Return a typical optimizer state after some steps with gradients of about ¼."""
        o = options_of(optimizer)
        named: dict[str, Any] = {"step": steps, **{state.name: {} for state in state_of(o)}}
        for key, p in params.items():
            g = self.rng.standard_normal(p.shape) / 4
            g[self.rng.random(p.shape) < 0.05] = 0
            square = g * g + (self.rng.standard_normal(p.shape) / 8) ** 2 * (g != 0)
            for state in state_of(o):
                array = state.typical(o, g, square, steps)
                if state.is_maximum:
                    array = array * self.rng.choice([0.5, 4.0], array.shape)
                named[state.name][key] = array.astype(self.dtype)
        return named

    def widths(self, depth: int | None = None, loss: Any = None) -> tuple[int, ...]:
        """Return the widths of the input and of every Linear layer, usually different ones."""
        least = least_outputs(loss)
        if depth is None:
            depth = self.count(self.max_depth) if self.max_depth else 0
        if self.chance(0.1):
            return (self.count(self.max_width, least),) * (depth + 1)
        return (
            *(self.count(self.max_width) for _ in range(depth)),
            self.count(self.max_width, least),
        )

    def network(
        self, widths: Sequence[int], last: Sequence[Any] = (), ending: float = 0.15
    ) -> tuple[Any, ...]:
        """Return Linear layers of these widths with activations between them, and then `last`.

        Without `last`, another layer than Linear ends the network with the probability `ending`.
        """
        layers: list[Any] = []
        names = self.activations()
        same = self.pick_name(names) if names and self.chance(0.5) else None
        for i, (a, b) in enumerate(pairwise(widths)):
            if i and names and (same or self.chance(0.9)):
                layers.append(self.layer(same or self.pick_name(names)))
            layers.append(self.layer("Linear", in_features=a, out_features=b))
        layers += last
        ends = [name for name in self.claims.layers if name != "Linear"]
        if not layers or (ends and not last and (self.chance(ending) or not self._may_end(layers))):
            layers.append(self.layer(self.pick_name(ends)))
        return tuple(layers)

    def _may_end(self, layers: Sequence[Any]) -> bool:
        return self.claims.admits_network(layer["type"] for layer in layers)

    def samples(self, widths: Sequence[int]) -> int:
        """Return a number of samples, which is often one of the widths, or next to one."""
        n = self.count(self.max_batch)
        if self.chance(0.25):
            n = int(self.pick(widths)) + self.pick((-1, 0, 0, 1))
        return min(max(n, 1), self.max_batch)

    def _domain_of(self, loss: Any, option: str | None) -> dict[str, Any]:
        """Return the option if the layers before the loss depend on it, so that it comes first."""
        if option is None or option not in LOSS_ROWS[loss["type"]].takes_probabilities_with:
            return {}
        return {option: self.loss_option(loss["type"], option, 0)}

    def case(
        self,
        *,
        widths: Sequence[int] | None = None,
        layers: Sequence[Any] | None = None,
        loss: dict[str, Any] | None = None,
        loss_option: str | None = None,
        n: int | None = None,
        probabilities: bool = False,
        ending: float = 0.15,
    ) -> Case:
        """Return a case of one step from a fresh state; what is not given is drawn.

        `probabilities`: the targets are probabilities of classes. `ending`: see `network`.
        """
        loss = dict(loss) if loss else self.loss()
        loss |= self._domain_of(loss, loss_option)
        if LOSS_ROWS[loss["type"]].targets == "classes":
            probabilities = self._has_distributions(loss, wanted=probabilities)
        least = least_outputs(loss)
        if layers is None:
            widths = widths or self.widths(loss=loss)
            layers = self.network(widths, self.closing_layers(loss), ending)
        elif widths is None:
            widths = [layer["in_features"] for layer in layers if layer["type"] == "Linear"][:1]
            widths = widths or [self.count(self.max_width, least)]
        layers = fitted(layers, widths[0])
        every = [widths[0]]
        for layer in layers:
            if every[-1] % LAYER_ROWS[layer["type"]].multiple:
                raise Impossible
            every.append(width_of(layer, every[-1]))
        if every[-1] < least:
            raise Impossible

        def draw_loss_option(option: str) -> Any:
            # No class is ignored if the targets are probabilities of classes.
            if probabilities and option == "ignore_index":
                raise Impossible
            return self.loss_option(loss["type"], option, every[-1])

        self.add_options(loss, loss_option, draw_loss_option)
        n = self.samples(every) if n is None else n
        params = self.params(layers, every)
        x = self.normals((n, every[0]))
        if _needs_closing(loss) and not gives_probabilities(layers[-1]):
            raise Impossible
        t = self.targets(loss, n, every[-1], probabilities=probabilities)
        noise = self._training(layers, every, n) if self.chance(0.9) else None
        # An engine that claims optimizers takes no case without one.
        case = Case(
            layers,
            loss,
            params,
            x,
            t,
            dtype=self.dtype,
            noise=noise,
        )
        return with_rule(case, self.optimizer())

    def _training(
        self, layers: Sequence[Any], widths: Sequence[int], n: int
    ) -> dict[str, Array] | None:
        """Return what is random in training; None if the network is only defined in prediction."""
        if n == 1 and find_mixing(layers, is_training=True):
            return None
        return as_noise(layers, self.noise(layers, widths, n), is_training=True)

    def _has_distributions(self, loss: Any, *, wanted: bool) -> bool:
        """Return True if targets are probabilities of classes; raises Impossible if none fit."""
        known = LOSS_ROWS[loss["type"]].class_targets
        forms = [form for form in self.claims.class_targets if form in known]
        if not forms or (wanted and "probabilities" not in forms):
            raise Impossible
        return wanted or "indices" not in forms

    def training_case(self, optimizer: dict[str, Any] | None = None, **given: Any) -> Case:
        """Return a case of several steps, or with the state of an optimizer after some steps.

        Without the argument `optimizer`, any claimed one is drawn. A case without parameters has
        one step.
        """
        optimizer = optimizer or self.optimizer()
        case = self.case(**given)
        return self.with_steps(case, optimizer) if optimizer and case.learned else case

    def closing_layers(self, loss: Any) -> list[Any]:
        """Return the layers that a loss needs after the last Linear one."""
        if not _needs_closing(loss):
            return []
        return [self.layer(self.pick_name(self.layers_of_probabilities()))]

    def with_steps(self, case: Case, optimizer: dict[str, Any], after: int | None = None) -> Case:
        """Return a case of several steps, or after some steps if the engine accepts a state."""
        case = with_rule(case, optimizer)
        if self.claims.accepts_state and (after or self.chance(0.7)):
            after = after or self.pick(STEPS)
            return case.but(state=self.state(optimizer, case.learned, after))
        return case.but(steps=self.count(self.max_steps))


def with_rule(case: Case, optimizer: dict[str, Any] | None) -> Case:
    """Return the case with an update rule, without biases if the rule updates matrices alone."""
    case = case.but(optimizer=optimizer)
    if optimizer is None or OPTIMIZER_ROWS[optimizer["type"]].is_entrywise:
        return case
    linear = {i for i, layer in enumerate(case.layers) if layer["type"] == "Linear"}
    layers = tuple(
        {**layer, "bias": False} if i in linear else layer for i, layer in enumerate(case.layers)
    )
    biases = {f"{i}.bias" for i in linear}
    return case.but(layers=layers, params={k: p for k, p in case.params.items() if k not in biases})


def least_outputs(loss: Any) -> int:
    """Return the smallest useful number of outputs for a loss: 2 for a loss of classes."""
    return 2 if loss and LOSS_ROWS[loss["type"]].targets in {"classes", "labels"} else 1


def gives_probabilities(layer: Any) -> bool:
    """Return True if the outputs of a layer lie between 0 and 1."""
    return LAYER_ROWS[layer["type"]].gives_probabilities


def _needs_closing(loss: Any) -> bool:
    return takes_probabilities(loss)

"""What recipes draw cases from: a generator, an engine's claims, and sizes.

    draft = Draft(rng, claims, size)
    draft.case()                          anything that the claims allow, its numbers tame
    draft.case(n=3, widths=(2, 5, 1))     the same with some of it given
    draft.layer("Tanh"), draft.loss(…), draft.optimizer(…)      descriptions within the claims

Tame numbers: normal ones, weights divided by the root of the inputs, so that signals neither vanish
nor grow from layer to layer. A few are 0, ±1, ½ or 2. `Impossible` is raised where the claims leave
nothing of the kind that was asked for.

The same generator, claims and size give the same case.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manualnn.oracle.case import Array, Case
from manualnn.oracle.claims import Capabilities
from manualnn.oracle.options import ALWAYS, TABLES, described, kept

STEPS = (1, 2, 3, 5, 10, 17, 30, 100, 316, 1000, 3163, 10_000, 1_000_000)
"""After how many updates a case may start: early, late, and middling on purpose."""
REDUCTIONS = ("mean", "sum", "batchmean")
PROBABILITIES = ("Sigmoid", "Softmax")
"""Layers whose outputs BCELoss takes."""

PALETTE: dict[str, tuple[Any, ...]] = {
    "Linear.bias": (True, False),
    "LeakyReLU.negative_slope": (0.01, 0.3, 0.0, 1.0, 2.5),
    "Softplus.beta": (1.0, 0.3, 3.0, 20.0),
    "Softplus.threshold": (20.0, 1.0, 5.0),
    "Softmax.dim": (-1, 1),
    "LogSoftmax.dim": (-1, 1),
    "Dropout.p": (0.5, 0.1, 0.25, 0.9),
    "HuberLoss.delta": (1.0, 0.1, 0.5, 3.0),
    "CrossEntropyLoss.ignore_index": (-100, -1, 0, 1),
    "CrossEntropyLoss.label_smoothing": (0.0, 0.1, 0.5, 1.0),
    "reduction": REDUCTIONS,
    "momentum": (0.0, 0.9, 0.5, 0.999),
    "dampening": (0.0, 0.3, 0.9),
    "weight_decay": (0.0, 0.1, 0.01, 1.0),
    "nesterov": (False, True),
    "maximize": (False, True),
    "amsgrad": (False, True),
    "centered": (False, True),
    "alpha": (0.99, 0.5, 0.9),
    "lr_decay": (0.0, 0.1, 3.0),
    "initial_accumulator_value": (0.0, 0.1, 2.0),
    "eps": (1e-8, 1e-2, 1e-5, 1.0),
    "Adagrad.eps": (1e-10, 1e-2, 1e-5, 1.0),
    "betas": ([0.9, 0.999], [0.5, 0.7], [0.0, 0.9], [0.9, 0.0], [0.8, 0.99], [0.99, 0.9]),
    "lr": (0.1, 0.02, 1 / 3, 0.7, 0.003),
}
"""Values of options; the default among them stands first."""
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0)


@dataclass(frozen=True)
class Size:
    """How large cases may be, and what they do without."""

    max_width: int = 8
    max_batch: int = 9
    max_depth: int = 3
    """The most Linear layers."""
    max_steps: int = 7
    long: tuple[int, ...] = (257, 300, 1025)
    """Sizes beyond those of blocks and of short sums, one of them at a time."""
    avoid: frozenset[str] = frozenset()
    """Features, such as "loss.MSELoss.mean", that are drawn only if the claims leave no other."""


class Impossible(Exception):  # noqa: N818 - no error: the claims leave nothing of the kind
    """The claims leave nothing of the kind that was to be drawn."""


@dataclass
class Draft:
    """Draws descriptions, arrays and cases: see the module."""

    rng: np.random.Generator
    claims: Capabilities
    size: Size
    dtype: str = field(init=False)

    def __post_init__(self) -> None:
        self.dtype = self.pick(self.claims.dtypes)
        self.max_width = min(self.size.max_width, self.claims.max_width or self.size.max_width)
        self.max_batch = min(self.size.max_batch, self.claims.max_batch or self.size.max_batch)
        most = self.size.max_depth if self.claims.max_depth is None else self.claims.max_depth
        linear = "Linear" in self.claims.layers
        self.max_depth = min(self.size.max_depth, most) if linear else 0
        self.max_steps = min(self.size.max_steps, self.claims.max_steps)

    # Choices

    def pick(self, values: Sequence[Any]) -> Any:
        """Return one of the values; Impossible if there is none."""
        if not values:
            raise Impossible
        return values[int(self.rng.integers(len(values)))]

    def chance(self, share: float) -> bool:
        """Return True in that share of all draws."""
        return bool(self.rng.random() < share)

    def count(self, most: int, least: int = 1) -> int:
        """Return a size, small ones more often than large ones; Impossible if there is none."""
        if most < least:
            raise Impossible
        return min(most, int(np.exp(self.rng.uniform(np.log(least), np.log(most + 1)))))

    def among(self, kind: str, names: Sequence[str]) -> str:
        """Return one of the names of parts; one to be avoided only if there is no other."""
        singular = kind.removesuffix("s").replace("losse", "loss")
        kept_names = [n for n in names if f"{singular}.{n}" not in self.size.avoid]
        return str(self.pick(kept_names or names))

    def values(self, kind: str, name: str, option: str) -> list[Any]:
        """Return the values of an option that the claims allow, the default first."""
        default = TABLES[kind][name][option]
        claim = getattr(self.claims, kind)[name].get(option, [])
        if claim == "any":
            claim = PALETTE.get(f"{name}.{option}", PALETTE.get(option, ()))
        return [default, *(value for value in claim if value != default)]

    # Descriptions

    def layer(self, name: str, option: str | None = None, **given: Any) -> dict[str, Any]:
        """Return a layer, its options drawn; `option` not at its default."""
        spec = {"type": name, **given}
        for other in TABLES["layers"][name]:
            if other in given or other in ALWAYS:
                continue
            values = self.values("layers", name, other)
            if other == option:
                spec[other] = self.pick(values[1:])
            elif other != "bias" and option is None and self.chance(0.5):
                continue
            elif other != "bias" or self.chance(0.15):
                spec[other] = self.pick(values)
        return spec

    def options(self, kind: str, name: str) -> list[str]:
        """Return the claimed options of a part, but for those that are to be avoided."""
        claimed = getattr(self.claims, kind)[name]
        singular = kind.removesuffix("s").replace("losse", "loss")
        shunned = ("reduction", *(o for o in claimed if f"{singular}.{name}.{o}" in self.size.avoid))
        return [o for o in claimed if o not in shunned]

    def activations(self) -> list[str]:
        """Return the names of the claimed layers that stand between Linear ones."""
        return [n for n in self.claims.layers if n not in ("Linear", "Softmax", "LogSoftmax")]

    def loss(self, name: str | None = None, **given: Any) -> dict[str, Any]:
        """Return a loss with its reduction; the options that need widths come with `weigh`."""
        if name is None:
            closed = any(n in self.claims.layers for n in PROBABILITIES)
            names = [n for n in self.claims.losses if closed or n != "BCELoss"]
            options = [(n, r) for n in names for r in self.values("losses", n, "reduction")]
            good = [(n, r) for n, r in options if f"loss.{n}.{r}" not in self.size.avoid]
            name, given["reduction"] = self.pick(good or options)
        elif "reduction" not in given and self.chance(0.5):
            values = self.values("losses", name, "reduction")
            good = [r for r in values if f"loss.{name}.{r}" not in self.size.avoid]
            given["reduction"] = self.pick(good or values)
        return {"type": name, **given}

    def loss_option(self, name: str, option: str, width: int) -> Any:
        """Return a value, not the default, of a loss's option, for that many outputs."""
        if option in ("weight", "pos_weight"):
            claim = self.claims.losses[name].get(option, [])
            if claim == "any":
                drawn = self.rng.uniform(0.2, 3, width)
                return [float(np.float32(w)) for w in drawn]
            return self.pick([w for w in claim if w is not None and np.size(w) in (1, width)])
        values = self.values("losses", name, option)[1:]
        if option == "ignore_index":
            values = [value for value in values if value < width]
        return self.pick(values)

    def optimizer(
        self, name: str | None = None, option: str | None = None, **given: Any
    ) -> dict[str, Any] | None:
        """Return an optimizer; `option` not at its default, the others at it or not.

        Without a name it is any that is claimed; None if none is.
        """
        if name is None:
            if not self.claims.optimizers:
                return None
            name = self.among("optimizers", list(self.claims.optimizers))
        spec: dict[str, Any] = {"type": name, "lr": self.pick(PALETTE["lr"]), **given}
        others = option is not None and self.chance(0.5)
        for other in TABLES["optimizers"][name]:
            if other in spec or other in ALWAYS:
                continue
            values = self.values("optimizers", name, other)
            if other == option:
                spec[other] = self.pick(values[1:])
            elif others and other in self.options("optimizers", name):
                spec[other] = self.pick(values)
        return self._sensible(name, spec, option)

    def _sensible(self, name: str, spec: dict[str, Any], option: str | None) -> dict[str, Any]:
        """Return it with momentum where Nesterov's and dampening need it, and not both of them."""
        if name == "SGD":
            if option in ("nesterov", "dampening") and not spec.get("momentum"):
                spec["momentum"] = self.pick(self.values("optimizers", name, "momentum")[1:])
            if spec.get("nesterov"):
                spec.pop("dampening", None)
                spec["nesterov"] = bool(spec.get("momentum"))
        return spec

    # Numbers

    def normals(self, shape: Any, scale: Any = 1.0) -> Array:
        """Return normal numbers, now and then with up to three special ones among them."""
        array = (self.rng.standard_normal(shape) * scale).astype(self.dtype)
        if self.chance(0.15) and array.size:
            for _ in range(int(self.rng.integers(1, 4))):
                array.flat[int(self.rng.integers(array.size))] = self.pick(SPECIAL)
        return array

    def params(self, layers: Sequence[Any]) -> dict[str, Array]:
        """Return parameters that keep signals at their size."""
        params = {}
        for i, layer in enumerate(layers):
            if layer["type"] == "Linear":
                k = layer["in_features"]
                params[f"{i}.weight"] = self.normals((layer["out_features"], k), 1.4 / k**0.5)
                if layer.get("bias", True):
                    params[f"{i}.bias"] = self.normals(layer["out_features"], 0.5)
        return params

    def targets(self, loss: Any, n: int, width: int, *, soft: bool = False) -> Array:
        """Return targets of the loss's kind; `soft`: probabilities of classes, not classes."""
        if loss["type"] == "CrossEntropyLoss":
            if soft:
                weights = self.rng.uniform(0.05, 1, (n, width))
                return (weights / weights.sum(axis=1, keepdims=True)).astype(self.dtype)
            t = self.rng.integers(0, width, n)
            ignored = loss.get("ignore_index", -100)
            if "ignore_index" in loss:
                t[self.rng.random(n) < 0.3] = ignored
            if n and np.all(t == ignored):
                t[0] = 1 if ignored == 0 else 0
            return t
        if loss["type"].startswith("BCE"):
            t = self.rng.random((n, width))
            return (t if self.chance(0.5) else t.round()).astype(self.dtype)
        return self.normals((n, width))

    def noise(self, layers: Sequence[Any], widths: Sequence[int], n: int) -> dict[str, Array]:
        """Return dropout's masks."""
        masks = {}
        for i, layer in enumerate(layers):
            if layer["type"] == "Dropout":
                p = described(layer).p
                stays = self.rng.random((n, widths[i])) >= p
                masks[f"{i}.mask"] = (stays / (1 - p)).astype(self.dtype)
        return masks

    def state(self, optimizer: Any, params: dict[str, Array], steps: int) -> dict[str, Any]:
        """Return what the optimizer may keep after so many steps with gradients of about ¼."""
        o = described(optimizer)
        named: dict[str, Any] = {"step": steps, **{name: {} for name in kept(o)}}
        for key, p in params.items():
            g = self.rng.standard_normal(p.shape) / 4
            g[self.rng.random(p.shape) < 0.05] = 0
            square = g * g + (self.rng.standard_normal(p.shape) / 8) ** 2 * (g != 0)
            for name in kept(o):
                named[name][key] = self._kept(name, o, g, square, steps).astype(self.dtype)
        return named

    def _kept(self, name: str, o: Any, g: Array, square: Array, steps: int) -> Array:
        if name == "momentum_buffer":
            per_step = g / np.sqrt(square + o.eps) if o.type == "RMSprop" else g
            return per_step * (1 - o.momentum**steps) / (1 - o.momentum)
        if name == "sum":
            return o.initial_accumulator_value + steps * square
        beta1, beta2 = getattr(o, "betas", (o.alpha, o.alpha) if o.type == "RMSprop" else (0, 0))
        if name in ("exp_avg", "grad_avg"):
            return g * (1 - beta1**steps)
        v = square * (1 - beta2**steps)
        return v * self.rng.choice([0.5, 4.0], v.shape) if name.startswith("max") else v

    # Cases

    def widths(self, depth: int | None = None, *, least_out: int = 1) -> tuple[int, ...]:
        """Return the widths of the input and of every Linear layer, often but not always unlike."""
        if depth is None:
            depth = self.count(self.max_depth) if self.max_depth else 0
        if self.chance(0.1):
            return (self.count(self.max_width, least_out),) * (depth + 1)
        widths = [self.count(self.max_width) for _ in range(depth + 1)]
        widths[-1] = self.count(self.max_width, least_out)
        return tuple(widths)

    def net(self, widths: Sequence[int], last: Sequence[Any] = ()) -> tuple[Any, ...]:
        """Return Linear layers of these widths with something between them, and then `last`."""
        layers: list[Any] = []
        names = self.activations()
        same = self.among("layers", names) if names and self.chance(0.5) else None
        for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
            if i and names and (same or self.chance(0.9)):
                layers.append(self.layer(same or self.among("layers", names)))
            layers.append(self.layer("Linear", in_features=a, out_features=b))
        layers += last
        if not layers:
            layers.append(self.layer(self.among("layers", names)))
        return tuple(layers)

    def samples(self, widths: Sequence[int]) -> int:
        """Return a number of samples, which is often one of the widths, or next to one."""
        n = self.count(self.max_batch)
        if self.chance(0.25):
            n = int(self.pick(widths)) + self.pick((-1, 0, 0, 1))
        return min(max(n, 1), self.max_batch)

    def case(
        self,
        *,
        widths: Sequence[int] | None = None,
        layers: Sequence[Any] | None = None,
        loss: dict[str, Any] | None = None,
        loss_option: str | None = None,
        optimizer: dict[str, Any] | None = None,
        n: int | None = None,
        soft: bool = False,
    ) -> Case:
        """Return a case at its first step, or at a later one where the optimizer's state tells."""
        loss = dict(loss) if loss else self.loss()
        least = 2 if loss["type"] == "CrossEntropyLoss" else 1
        if layers is None:
            widths = widths or self.widths(least_out=least)
            layers = self.net(widths, self.closing(loss))
        elif widths is None:
            widths = [layer["in_features"] for layer in layers if layer["type"] == "Linear"][:1]
            widths = widths or [self.count(self.max_width, least)]
        every = [widths[0]]
        for layer in layers:
            every.append(layer.get("out_features", every[-1]))
        if every[-1] < least:
            raise Impossible
        self.weigh(loss, loss_option, every[-1])
        n = self.samples(every) if n is None else n
        params = self.params(layers)
        x = self.normals((n, every[0]))
        if loss["type"] == "BCELoss" and layers[-1]["type"] not in PROBABILITIES:
            raise Impossible
        t = self.targets(loss, n, every[-1], soft=soft)
        noise = self.noise(layers, every, n) if self.chance(0.9) else {}
        case = Case(tuple(layers), loss, params, x, t, dtype=self.dtype, noise=noise or None)
        return self.stepping(case, optimizer) if optimizer and params else case

    def closing(self, loss: Any) -> list[Any]:
        """Return the layers that a loss needs after the last Linear one."""
        if loss["type"] != "BCELoss":
            return []
        return [self.layer(self.pick([n for n in PROBABILITIES if n in self.claims.layers]))]

    def weigh(self, loss: dict[str, Any], option: str | None, width: int) -> None:
        """Give a loss the option, not at its default, and now and then others beside it."""
        others = option is not None and self.chance(0.5)
        name = loss["type"]
        for other in TABLES["losses"][name]:
            claimed = other in self.options("losses", name)
            if other == option:
                loss[other] = self.loss_option(name, other, width)
            elif other not in loss and others and claimed and self.chance(0.5):
                try:
                    loss[other] = self.loss_option(name, other, width)
                except Impossible:
                    continue

    def stepping(self, case: Case, optimizer: dict[str, Any], after: int | None = None) -> Case:
        """Return a case with an optimizer, after some steps where the engine accepts its state."""
        case = case.but(optimizer=optimizer)
        if self.claims.accepts_state and (after or self.chance(0.7)):
            after = after or self.pick(STEPS)
            return case.but(state=self.state(optimizer, case.params, after))
        return case.but(steps=self.count(self.max_steps))

"""Run: the network, parameters, loss, update rule and batch of an explanation.

`read_run` (in `reading`) reads the JSON form of a run. `make_run` checks a run of Python objects.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DomainError, ShapeError, SpecError
from manualnn.explain.around import require_entrywise
from manualnn.losses import Loss
from manualnn.network.noise import Noise
from manualnn.network.sequential import Sequential
from manualnn.optimizers import Optimizer
from manualnn.optimizers.groups import shares_of
from manualnn.parameters import Parameters
from manualnn.spec import to_spec
from manualnn.validation import as_batch, as_weights, require_count, require_finite

EXAMPLE: dict[str, Any] = {
    "layers": [
        {"type": "Linear", "in_features": 3, "out_features": 2},
        {"type": "Sigmoid"},
        {"type": "Linear", "in_features": 2, "out_features": 2},
    ],
    "loss": {"type": "MSELoss", "reduction": "batchmean"},
    "optimizer": {"type": "SGD", "lr": 0.02},
    "parameters": {
        "0.weight": [[0.2, -0.4, 0.6], [0.5, 0.3, -0.1]],
        "0.bias": [0.1, -0.2],
        "2.weight": [[0.7, -0.3], [0.4, 0.8]],
        "2.bias": [0.3, -0.5],
    },
    "x": [[0.9, 0.4, 0.5]],
    "t": [[0.2, 1.0]],
}
"""Three inputs, two sigmoid neurons, two linear outputs, one sample; MSE over N = 1."""

MOST_WEIGHTS = 12
"""Most weights of samples that a note lists."""

Key = tuple[int, str, tuple[int, ...]]
"""A parameter: its layer, its name in the layer, and its index."""


@dataclass(frozen=True)
class Run:
    """One training step after validation: arrays are float64 and finite, and their shapes fit."""

    net: Sequential
    loss: Loss
    rule: Optimizer
    params: Parameters
    x: Array
    t: Array
    noise: Noise = field(default_factory=dict)
    weights: Array | None = None
    """The weights of the samples (N,), or None if all are 1."""
    notes: tuple[str, ...] = ()

    def spec(self) -> dict[str, Any]:
        """Return the JSON form; `masks` and `buffers` are in it only if they have an effect."""
        masks = {key: mask.tolist() for key, mask in self.noise.items()}
        buffers = {key: array.tolist() for key, array in self.params.buffers.items()}
        return {
            **self.net.spec(),
            "loss": to_spec(self.loss),
            "optimizer": to_spec(self.rule),
            "dtype": "float64",
            "parameters": {key: array.tolist() for key, array in self.params.items()},
            "x": self.x.tolist(),
            "t": self.t.tolist(),
            **({"masks": masks} if masks else {}),
            **({"buffers": buffers} if buffers else {}),
            **({} if self.weights is None else {"sample_weights": self.weights.tolist()}),
        }


def _require_slopes(net: Sequential) -> None:
    """Raise SpecError if there is no gradient to explain, or one with respect to indices."""
    message = ""
    if not net.shapes:
        message = f"{net!r} has no parameters, so there is no gradient to explain; add a Linear."
    elif net.takes_indices:
        message = (
            f"an explanation follows slopes, and an index has none; explain the layers after "
            f"{net.layers[0]!r}, with rows of its table as x."
        )
    if message:
        raise SpecError(message)


def make_run(
    net: Sequential,
    loss: Loss,
    rule: Optimizer,
    params: Parameters,
    batch: tuple[Any, Any],
    *,
    lr: float | None = None,
    loss_factor: float | None = None,
    dropout_seed: int | None = None,
    masks: Noise | None = None,
    sample_weight: Any = None,
    notes: list[str] | None = None,
) -> Run:
    """Return the run of a batch (x, t) after checking shapes, data types and finiteness.

    Raises SpecError, ShapeError, DTypeError or DomainError.
    """
    notes = list(notes or [])
    _require_slopes(net)
    require_entrywise(rule)
    shares_of(rule, tuple(net.shapes))  # raises for a group without parameters
    if lr is not None:
        rule = replace(rule, lr=lr)
    if loss_factor is not None:
        loss = replace(loss, factor=loss_factor)
    if params.dtype != np.float64:
        notes.append(f"Computed in float64; the parameters were {params.dtype}.")
        params = params.astype(np.float64)
    net.layer_arrays(params)
    x, t = (a.astype(np.float64) if a.dtype.kind == "f" else a for a in map(np.asarray, batch))
    x = as_batch(x, params.dtype, net.in_features, net)
    if not len(x):
        message = f"x must hold at least one sample, got shape {x.shape}; add a row."
        raise ShapeError(message)
    for name, array in {"x": x, "t": t, **params, **params.buffers}.items():
        require_finite(array, name)
    noise: Noise = masks or {}
    notes += _running_notes(net, is_training=bool(masks) or dropout_seed is not None)
    if dropout_seed is not None:
        require_count("dropout_seed", dropout_seed, 0)
        noise = net.sample(dropout_seed, x)
    if net.sample(0, x):
        notes.append(_random_note(net.sample(0, x), noise, dropout_seed))
    t = _fitting_targets(loss, t, net.forward(params, x, noise=noise or None))
    weights = None if sample_weight is None else as_weights(sample_weight, len(x), x.dtype)
    if weights is not None:
        notes.append(_weights_note(loss, t, weights))
    return Run(net, loss, rule, params, x, t, noise, weights, tuple(notes))


def _weights_note(loss: Loss, t: Array, weights: Array) -> str:
    """Return a sentence on weights of samples. Raises DomainError if no target counts."""
    if not loss.weighted_divisor(np.zeros((len(t), 1)), t, weights):
        message = f"{loss!r} is a mean over nothing here; let a target with a weight count."
        raise DomainError(message)
    shown = ", ".join(f"{w:g}" for w in weights[:MOST_WEIGHTS])
    more = ", …" if len(weights) > MOST_WEIGHTS else ""
    return (
        f"The samples have the weights {shown}{more}, which multiply their terms. D counts each "
        f"sample with its weight, so a mean divides by their sum, not by N."
    )


def _running_notes(net: Sequential, *, is_training: bool) -> list[str]:
    """Return a sentence on a layer that normalises the batch; raises SpecError if it does here.

    Then ∂y[n]/∂x[m] is not 0 for two samples n and m, and paths would lead from one to the other.
    """
    mixing = [layer for layer in net.layers if layer.refuses(1, is_training=True)]
    for layer in mixing:
        if is_training or layer.refuses(1, is_training=False):
            message = (
                f"an explanation follows each sample on paths of its own, but {layer!r} normalises "
                f"the whole batch here; leave dropout_seed and masks out, and keep its running "
                f"averages, so that it is explained as in prediction."
            )
            raise SpecError(message)
    sentence = "{} as in prediction: by its running averages, which are constants."
    return [sentence.format(type(layer).__name__) for layer in mixing[:1]]


def _random_note(random: Noise, noise: Noise, seed: int | None) -> str:
    """Return a sentence on what is random in training."""
    origin = "given" if seed is None else f"drawn once, from seed {seed}"
    if all(key.endswith(".mask") for key in random):
        if noise:
            return f"Dropout as in training: the masks are {origin}."
        return "Dropout as in prediction: it changes nothing. --dropout-seed draws masks."
    if noise:
        return f"Random layers as in training: their arrays are {origin}."
    return "Random layers as in prediction. --dropout-seed draws their arrays."


def _fitting_targets(loss: Loss, t: Array, y: Array) -> Array:
    """Return targets that fit the outputs y. Raises DomainError if none of them counts."""
    loss.require_outputs(y)
    t = loss.targets(t, y)
    if not loss.divisor(y, t):
        message = f"{loss!r} is a mean over nothing here, so it is 0; let a target count."
        raise DomainError(message)
    return t


def require_integer(name: str, value: Any, least: int, most: int) -> None:
    """Raise SpecError if an option is not an integer from least to most."""
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or not least <= value <= most:
        message = f"{name} must be an integer from {least} to {most}, got {value!r}."
        raise SpecError(message)

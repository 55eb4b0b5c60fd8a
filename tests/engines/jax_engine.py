"""JAX and optax as an engine: jax.value_and_grad and optax's rules, both compiled.

    manualnn check tests/engines/jax_engine.py:Engine

Each rule is claimed with those of torch's options that optax has, under the option of optax that
comes nearest (`eps_in_sqrt=False` for RMSprop). XLA on a CPU flushes subnormal numbers, and the
slopes of jax.nn.leaky_relu and of jnp.abs at 0 are 1: the claims say so.

XLA compiles anew for every shape, which takes some tenths of a second with optimization. So
optimization is switched off. A rule treats every number separately. So all parameters are passed as
one vector, padded with zeros to a power of two: a few lengths serve all networks. Sizes have no
limit; only the number of updates of a case has one.
"""

import functools
import json
import os

if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = (
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
        "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    )

import jax
import jax.numpy as jnp
import numpy as np
import optax

jax.config.update("jax_enable_x64", val=True)

# A case may name options that are not claimed, at torch's defaults: these are the `_`.
LAYERS = {
    "Linear": lambda x, weight, bias, **_: x @ weight.T + bias,
    "Identity": lambda z, **_: z,
    "Sigmoid": lambda z, **_: jax.nn.sigmoid(z),
    "Tanh": lambda z, **_: jnp.tanh(z),
    "ReLU": lambda z, **_: jax.nn.relu(z),
    "LeakyReLU": lambda z, negative_slope=0.01, **_: jax.nn.leaky_relu(z, negative_slope),
    "Softplus": lambda z, **_: jax.nn.softplus(z),
    "Softmax": lambda z, **_: jax.nn.softmax(z),
    "LogSoftmax": lambda z, **_: jax.nn.log_softmax(z),
}


def cross_entropy(y, t, **_):
    if t.ndim == 1:
        return optax.losses.softmax_cross_entropy_with_integer_labels(y, t)
    return optax.losses.softmax_cross_entropy(y, t)


LOSSES = {
    "MSELoss": lambda y, t, **_: optax.losses.squared_error(y, t),
    "L1Loss": lambda y, t, **_: jnp.abs(y - t),
    "HuberLoss": lambda y, t, delta=1.0, **_: optax.losses.huber_loss(y, t, delta=delta),
    "BCEWithLogitsLoss": lambda y, t, **_: optax.losses.sigmoid_binary_cross_entropy(y, t),
    "CrossEntropyLoss": cross_entropy,
}


def decayed(rule, weight_decay):
    return optax.chain(optax.add_decayed_weights(weight_decay), rule) if weight_decay else rule


def sgd(*, lr=1e-3, momentum=0.0, nesterov=False, weight_decay=0.0, **_):
    return decayed(optax.sgd(lr, momentum or None, nesterov), weight_decay)


def rmsprop(*, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.0, centered=False, weight_decay=0.0, **_):
    options = {"eps_in_sqrt": False, "centered": centered, "momentum": momentum or None}
    return decayed(optax.rmsprop(lr, alpha, eps, **options), weight_decay)


def adagrad(*, lr=1e-2, eps=1e-10, initial_accumulator_value=0.0, weight_decay=0.0, **_):
    return decayed(optax.adagrad(lr, initial_accumulator_value, eps), weight_decay)


def adam(*, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False, weight_decay=0.0, **_):
    rule = optax.amsgrad if amsgrad else optax.adam
    return decayed(rule(lr, *betas, eps), weight_decay)


def adamw(*, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, **_):
    return optax.adamw(lr, *betas, eps, weight_decay=weight_decay)


RULES = {"SGD": sgd, "RMSprop": rmsprop, "Adagrad": adagrad, "Adam": adam, "AdamW": adamw}


class Engine:
    def capabilities(self):
        reductions = {"reduction": ["mean", "sum"]}
        return {
            "name": "JAX + optax",
            "version": f"{jax.__version__} + {optax.__version__}",
            "dtypes": ["float32", "float64"],
            "layers": {name: {} for name in LAYERS} | {"Linear": "any", "LeakyReLU": "any"},
            "losses": {
                **dict.fromkeys(LOSSES, reductions),
                "HuberLoss": {**reductions, "delta": "any"},
            },
            "optimizers": {
                "SGD": dict.fromkeys(("momentum", "nesterov", "weight_decay"), "any"),
                "RMSprop": dict.fromkeys(
                    ("alpha", "eps", "momentum", "centered", "weight_decay"), "any"
                ),
                "Adagrad": dict.fromkeys(
                    ("eps", "initial_accumulator_value", "weight_decay"), "any"
                ),
                "Adam": dict.fromkeys(("betas", "eps", "amsgrad", "weight_decay"), "any"),
                "AdamW": dict.fromkeys(("betas", "eps", "weight_decay"), "any"),
            },
            "returns": ["loss", "grads", "params", "outputs", "input_grad"],
            "max_steps": 40,
            "subnormals": "flushed",
            "kink": {"LeakyReLU": 1.0, "L1Loss": 1.0},
        }

    def step(self, case):
        gradient = compiled_gradient(json.dumps([case.layers, case.loss]))
        params = dict(sorted(case.params.items()))  # the order in which jax returns gradients
        if case.optimizer:
            rule, update = compiled_update(json.dumps(case.optimizer))
            state = rule.init(flat(params, case.dtype))
        for _ in range(case.steps):
            (loss, outputs), (grads, dx) = gradient(params, case.x, case.t)
            result = {"loss": loss, "outputs": outputs, "grads": grads, "input_grad": dx}
            if case.optimizer:
                vector = flat(params, case.dtype)
                vector, state = update(flat(grads, case.dtype), state, vector)
                result["params"] = params = like(params, np.asarray(vector))
        return result


@functools.lru_cache(maxsize=16)
def compiled_gradient(description):
    """Return what computes the loss and the outputs, and the gradients of the loss."""
    layers, loss = json.loads(description)
    terms, reduction = LOSSES[loss.pop("type")], loss.pop("reduction", "mean")
    reduce = {"mean": jnp.mean, "sum": jnp.sum}[reduction]

    def objective(params, x, t):
        y = x
        for i, layer in enumerate(layers):
            own = {key.partition(".")[2]: p for key, p in params.items() if key.startswith(f"{i}.")}
            y = LAYERS[layer["type"]](y, **{**layer, "bias": 0, **own})
        return reduce(terms(y, t, **loss)), y

    return jax.jit(jax.value_and_grad(objective, argnums=(0, 1), has_aux=True))


@functools.lru_cache(maxsize=256)
def compiled_update(description):
    """Return a rule, and what updates a vector by it."""
    options = json.loads(description)
    rule = RULES[options.pop("type")](**options)

    @jax.jit
    def update(grad, state, vector):
        change, state = rule.update(grad, state, vector)
        return optax.apply_updates(vector, change), state

    return rule, update


def flat(arrays, dtype):
    """Return all numbers as one vector, with zeros after them."""
    count = sum(array.size for array in arrays.values())
    length = max(64, 1 << (count - 1).bit_length())
    parts = [np.ravel(array) for array in arrays.values()]
    return np.concatenate([*parts, np.zeros(length - count, dtype)])


def like(arrays, vector):
    """Return a vector's numbers under the names and in the shapes of these arrays."""
    shaped, start = {}, 0
    for key, array in arrays.items():
        shaped[key] = vector[start : start + array.size].reshape(array.shape)
        start += array.size
    return shaped

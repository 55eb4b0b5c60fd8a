"""The checkers that the benchmark compares, each called as its users call it.

    judge("torch slow", function, function.build())     (verdict, seconds, message)

All but ours get one float64 point: normal numbers, moved into the domain of each input. A peer of
another framework sees the function through NumPy: `Pair` calls it, and the peer's own kind of
custom function wraps the pair.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
from gradcheck.functions.entry import Function

from manualnn.gradcheck import Array
from manualnn.gradcheck.functions.arguments import Arguments
from manualnn.gradcheck.functions.base import take_outputs
from manualnn.gradcheck.functions.find import find_function

RIGHT, WRONG, ERROR, NONE = "right", "wrong", "error", "none"
"""Verdicts; "error" is an exception of the function or of the checker, "none" is no answer."""


class AlarmError(AssertionError):
    """A checker says that a derivative is wrong."""


class NoAnswerError(RuntimeError):
    """A checker could not judge a function."""


def judge(peer: str, function: Function, built: Any) -> tuple[str, float, str]:
    """Return a peer's verdict, its seconds of processor time, and a line of its message."""
    start = time.process_time()
    try:
        PEERS[peer](function, built)
        verdict, message = RIGHT, ""
    except AlarmError as error:
        verdict, message = WRONG, str(error)
    except NoAnswerError as error:
        verdict, message = NONE, str(error)
    except Exception as error:  # noqa: BLE001 - whatever a function raises is its verdict
        verdict, message = ERROR, f"{type(error).__name__}: {error}"
    return verdict, time.process_time() - start, message.strip().partition("\n")[0][:200]


def draw_plain(array: Any, rng: np.random.Generator) -> np.ndarray:
    """Return normal numbers moved into the domain of an input, as a user would draw them."""
    shape, (low, high) = array.shape, array.bounds
    if array.kind == "boolean":
        return rng.random(shape) > 0.5
    if array.kind in {"classes", "integers"}:
        return rng.integers(int(low), int(high) + 1, shape)
    x = rng.standard_normal(shape)
    if array.kind == "probabilities":
        return np.exp(x) / np.exp(x).sum(array.axis, keepdims=True)
    if array.kind == "symmetric":
        return symmetric(x)
    if array.kind == "spd":
        return x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])
    # Numbers outside of the domain are reflected at its end, or drawn again where it has two ends.
    if np.isfinite([low, high]).all():
        x = np.where((low <= x) & (x <= high), x, rng.uniform(low, high, shape))
    else:
        x = np.where(x < low, 2 * low - x, np.where(x > high, 2 * high - x, x))
    return np.sort(x, array.axis) if array.kind == "sorted" else x


def symmetric(x: Any) -> Any:
    """Return the symmetric part of matrices, of NumPy, torch or JAX."""
    return (x + x.swapaxes(-1, -2)) / 2


def in_float64(inputs: Any) -> Any:
    """Return the inputs with float64 in place of narrower dtypes."""
    if isinstance(inputs, dict):
        return {name: in_float64(entry) for name, entry in inputs.items()}
    if isinstance(inputs, (tuple, list)):
        return type(inputs)(map(in_float64, inputs))
    is_float = isinstance(inputs, Array) and "float" in inputs.dtype
    return replace(inputs, dtype="float64") if is_float else inputs


class Pair:
    """A function and its vjp by NumPy arrays, of the inputs that have a derivative."""

    def __init__(self, function: Function, built: Any) -> None:
        rng = np.random.default_rng(crc32(function.name.encode()))
        f, vjp = built[:2] if function.framework == "numpy" else (built, None)
        self.f = f.double() if hasattr(f, "double") else f  # a module of torch
        inputs = in_float64(function.inputs)
        self.options = function.options.get("options", {})
        try:
            self.arguments = Arguments(inputs, f)
            self.called = find_function(
                f, inputs, vjp=vjp, options=self.options, framework=function.framework
            )
        except Exception as error:
            raise NoAnswerError(str(error)) from error
        entries, slots = self.arguments.entries, self.called.inputs
        self.user = len(entries)
        self.arrays = [draw_plain(entry, rng) for entry in entries]
        self.arrays += [slot.example for slot in slots[self.user :]]
        self.free = [i for i, slot in enumerate(slots) if slot.is_differentiable]
        matrices = {i for i, entry in enumerate(entries) if entry.kind in {"symmetric", "spd"}}
        self.symmetric = matrices.intersection(self.free)
        self.start = [self.arrays[i].astype(float) for i in self.free]

    def fill(self, free: Sequence[Any], convert: Callable[[Any], Any] = np.asarray) -> list[Any]:
        """Return all inputs, with these in the places of those that have a derivative."""
        places = dict(zip(self.free, free, strict=True))
        return [
            (symmetric(places[i]) if i in self.symmetric else places[i])
            if i in places
            else convert(array)
            for i, array in enumerate(self.arrays)
        ]

    def value(self, *free: Any) -> tuple[np.ndarray, ...]:
        return self.called.value([np.array(x) for x in self.fill(free)])

    def vjp(self, free: Sequence[Any], cotangents: Sequence[Any]) -> tuple[np.ndarray, ...]:
        arrays = [np.array(x) for x in self.fill(free)]
        gradients = self.called.vjp(arrays, [np.array(dy) for dy in cotangents])
        return tuple(
            symmetric(gradient) if i in self.symmetric else gradient
            for i, gradient in zip(self.free, gradients, strict=True)
        )


def ours(function: Function, built: Any) -> None:
    from manualnn.errors import GradcheckError
    from manualnn.gradcheck import gradcheck

    options = dict(function.options)
    if function.framework == "numpy":
        built, options["vjp"], *rest = built
        options |= {"jvp": rest[0]} if rest else {}
    try:
        report = gradcheck(built, function.inputs, framework=function.framework, **options)
    except GradcheckError as error:
        raise NoAnswerError(str(error)) from error
    if report.exit_code == 1:
        raise AlarmError(str(report))
    if report.exit_code:
        raise NoAnswerError(str(report))


def torch_gradcheck(function: Function, built: Any, *, fast: bool) -> None:
    import torch
    from torch.autograd.gradcheck import GradcheckError

    pair = Pair(function, built)
    leaves = [torch.tensor(x, requires_grad=True) for x in pair.start]
    if function.framework == "torch":
        call = _torch_call(pair)
    else:

        class Wrapped(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *tensors: Any) -> Any:
                ctx.save_for_backward(*tensors)
                outputs = pair.value(*(x.detach().numpy() for x in tensors))
                return tuple(torch.from_numpy(y) for y in outputs)

            @staticmethod
            def backward(ctx: Any, *cotangents: Any) -> Any:
                free = [x.detach().numpy() for x in ctx.saved_tensors]
                gradients = pair.vjp(free, [dy.numpy() for dy in cotangents])
                return tuple(torch.from_numpy(gradient) for gradient in gradients)

        call = Wrapped.apply
    try:
        torch.autograd.gradcheck(call, leaves, fast_mode=fast)
    except GradcheckError as error:
        raise AlarmError(str(error)) from error


def _torch_call(pair: Pair) -> Callable[..., Any]:
    import torch

    f = pair.f.apply if isinstance(pair.f, type) else pair.f

    def call(*free: Any) -> Any:
        torch.manual_seed(0)  # dropout: the same in each call
        inputs = pair.fill(free, torch.as_tensor)
        arguments, parameters = pair.arguments.fill(inputs[: pair.user]), inputs[pair.user :]
        if isinstance(f, torch.nn.Module):
            names = [slot.name for slot in pair.called.inputs[pair.user :]]
            named = dict(zip(names, parameters, strict=True))
            outputs = torch.func.functional_call(f, named, tuple(arguments), pair.options)
        else:
            outputs = f(*arguments, **pair.options)
        return tuple(y for y in take_outputs(outputs) if y.is_floating_point())

    return call


def jax_check_grads(function: Function, built: Any) -> None:
    import jax
    from jax.test_util import check_grads

    pair = Pair(function, built)
    with jax.enable_x64(True):  # noqa: FBT003 - JAX takes it by position
        if function.framework == "jax":

            def call(*free: Any) -> Any:
                inputs = pair.fill(free, jax.numpy.asarray)
                outputs = take_outputs(pair.f(*pair.arguments.fill(inputs), **pair.options))
                return [y for y in outputs if jax.numpy.issubdtype(y.dtype, jax.numpy.floating)]
        else:
            call = _by_callback(pair)
        try:
            check_grads(call, [jax.numpy.asarray(x) for x in pair.start], 1, ["rev"])
        except AssertionError as error:
            raise AlarmError(str(error)) from error


def _by_callback(pair: Pair) -> Callable[..., Any]:
    import jax

    def shapes(arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        return tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays)

    outputs, inputs = shapes(pair.value(*pair.start)), shapes(pair.start)

    @jax.custom_vjp
    def call(*free: Any) -> Any:
        return jax.pure_callback(pair.value, outputs, *free)

    def forward(*free: Any) -> Any:
        return call(*free), free

    def backward(free: Any, cotangents: Any) -> Any:
        return jax.pure_callback(pair.vjp, inputs, free, cotangents)

    call.defvjp(forward, backward)
    return call


def numdifftools_jacobian(function: Function, built: Any) -> None:
    import numdifftools

    pair = Pair(function, built)
    ends = np.cumsum([x.size for x in pair.start])[:-1]

    def flat(x: np.ndarray) -> np.ndarray:
        pieces = zip(np.split(x, ends), pair.start, strict=True)
        outputs = pair.value(*(piece.reshape(start.shape) for piece, start in pieces))
        return np.concatenate([y.ravel() for y in outputs])

    y = pair.value(*pair.start)
    rows = []
    for k in range(sum(part.size for part in y)):
        unit = np.zeros(sum(part.size for part in y))
        unit[k] = 1
        parts = np.split(unit, np.cumsum([part.size for part in y])[:-1])
        cotangents = [p.reshape(part.shape) for p, part in zip(parts, y, strict=True)]
        gradients = pair.vjp(pair.start, cotangents)
        rows.append(np.concatenate([np.ravel(gradient) for gradient in gradients]))
    numerical = numdifftools.Jacobian(flat)(np.concatenate([x.ravel() for x in pair.start]))
    if not np.allclose(numerical.reshape(len(rows), -1), np.stack(rows)):
        message = "numdifftools' Jacobian is another."
        raise AlarmError(message)


PEERS: dict[str, Callable[[Function, Any], None]] = {
    "manualnn": ours,
    "torch slow": lambda function, built: torch_gradcheck(function, built, fast=False),
    "torch fast": lambda function, built: torch_gradcheck(function, built, fast=True),
    "JAX": jax_check_grads,
    "numdifftools": numdifftools_jacobian,
}

"""A training step, planned once and then made again: the NumPy calls of its kernels, one by one.

    plan = Plan(net, loss, x, t, arrays=…, grads=…, buffers=…)
    plan.bind(x, t)         another batch of the same size
    plan.follow(rule)       another rule, or learning rate
    value = plan.run()      the loss; ∂L/∂θ, times the rule's factor, stands in grads

    plan = ChangePlan(rule, params, grads, state)
    plan.run()              what the rule takes from θ stands in grads

Below some fifty units a layer a step costs what its calls cost, and more than half of that is
Python: which layer is next, has it a bias, is this 1 a number. The answers are the same in every
step. So each kernel is called once with arrays that note what NumPy is asked for, and what was
noted is asked for again in every step, with the very arrays to read and to write. The kernels stay
the only place that has a formula. Numbers become arrays without dimensions, and a row that meets a
single row takes its shape: NumPy does with those in a third of the time.

A kernel that does more than to call NumPy on whole arrays (one that looks at numbers, or picks
entries), and a kernel from outside of this package, is kept as what it is: one call.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.layers import Linear
from manualnn.losses import Loss
from manualnn.optimizers import BLOCK, Optimizer, State
from manualnn.workspace import Buffers

if TYPE_CHECKING:
    from manualnn.network import LayersArrays, Sequential
    from manualnn.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Call:
    """A function, and the arrays that it reads and writes."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> None:
        """Do it; what is returned in place of `out` goes there."""
        result, out = self.function(*self.args, **self.options), self.options.get("out")
        if out is not None and result is not out:
            out[...] = result

    def ready(self) -> Callable[[], Any]:
        """Return what does it soonest; an array's method is found before NumPy's function is."""
        if self.function is np.dot:
            return partial(self.args[0].dot, *self.args[1:])
        if isinstance(self.function, np.ufunc):
            return partial(self.function, *self.args, **self.options)
        return self


class Plan:
    """One training step, for batches of one size, between arrays that stay the same.

    Attributes
    ----------
    loss : Loss
        What it computes.
    x, t : array
        The batch that it computes it for.
    y : array (N, out)
        The outputs.
    calls : list of Call
        What it consists of.
    rule : Optimizer, or None
        What it follows.
    descends : bool
        Whether the gradient, as it stands, is what the rule takes from θ.
    drawn : tuple of mapping, or ()
        The arrays to draw anew before each run, for each layer; () if there are none.

    """

    def __init__(
        self,
        net: "Sequential",
        loss: Loss,
        x: Array,
        t: Array,
        *,
        arrays: "LayersArrays",
        grads: "Parameters",
        buffers: Buffers,
    ) -> None:
        self.loss = loss
        self.drawn = buffers.drawn if any(buffers.drawn) else ()
        self.rule: Optimizer | None = None
        self.x, self.t = x, t
        # A view each, for one array may be both.
        self._x, self._t = x, t = x.view(), t.view()
        if len(x) == 1:
            buffers = buffers._replace(dy=_dy_of_one(net, buffers.dy, grads))
        self.y, dy = buffers.y[-1] if buffers.y else x, buffers.dy[-1]
        self._value = np.zeros((), dy.dtype)
        calls: list[Call] = []
        for call in net.forward_calls(arrays, x, buffers):
            calls += self._noted(call)
        if type(loss).require_outputs is not Loss.require_outputs:
            calls.append(Call(loss.require_outputs, (self.y,)))
        calls += self._noted(Call(loss.forward_and_backward, (self.y, t), {"out": dy}))
        self._scale, self._share = _scale(calls, dy)
        self.descends = False
        for call in net.backward_calls(arrays, x, buffers, grads):
            calls += self._noted(call)
        self.calls = calls = [call for call in calls if not _is_there(call)]
        self._ready = [call.ready() for call in calls]
        self._reading = [
            i for i, call in enumerate(calls) if any(a is x or a is t for a in call.args)
        ]

    def follow(self, rule: Optimizer) -> None:
        """Have every gradient multiplied by the rule's factor, if it has one.

        The backward pass is linear in ∂L/∂y, so that it is done there: for K numbers a sample.
        """
        self.rule = rule
        self.descends = rule.factor is not None
        self._scale[()] = self._share * rule.factor if self.descends else self._share

    def bind(self, x: Array, t: Array) -> None:
        """Take another batch of the same size."""
        self.x, self.t = x, t
        x, t = x.view(), t.view()
        for i in self._reading:
            call = self.calls[i]
            args = tuple(x if a is self._x else t if a is self._t else a for a in call.args)
            self.calls[i] = call = Call(call.function, args, call.options)
            self._ready[i] = call.ready()
        self._x, self._t = x, t

    def run(self) -> float:
        """Do the step's forward and backward pass; return the loss."""
        for call in self._ready:
            call()
        return float(self._value)

    def _noted(self, call: Call) -> list[Call]:
        """Return the calls to NumPy that a kernel makes, or its own if these are not all it does.

        They are done on the way.
        """
        owner = call.function.__self__  # type: ignore[attr-defined]
        loss = isinstance(owner, Loss)
        if ours(owner):
            notes = _Notes(self._x, self._t)
            try:
                result = call.function(
                    *map(notes.watch, call.args),
                    **{name: notes.watch(a) for name, a in call.options.items()},
                )
            except _NotOnlyNumPyError:
                pass
            else:
                if loss:
                    self._value = np.asarray(result[0])
                return notes.calls
        if loss:
            return [Call(self._judge, (call.function, *call.args, call.options["out"]))]
        return [call]

    def _judge(self, forward_and_backward: Any, y: Array, t: Array, out: Array) -> None:
        """Keep what a loss returns."""
        self._value[...], dy = forward_and_backward(y, t, out=out)
        if dy is not out:
            out[...] = dy


class ChangePlan:
    """What a rule makes of the gradient, for vectors that stay the same.

    The rule has to be ours; that the vectors belong together has been seen before.
    """

    def __init__(
        self, rule: Optimizer, params: "Parameters", grads: "Parameters", state: State
    ) -> None:
        self._rule = rule
        self._state = state
        self._names = rule.vectors()
        self._vectors = [params.vector, grads.vector, *(state[name] for name in self._names)]
        size = min(params.vector.size, BLOCK)
        self._free = list(np.empty((rule.scratch, size), params.dtype))
        self._rates = [np.zeros((), params.dtype) for _ in rule.rates(1)]
        self._ready: list[Callable[[], Any]] = []

    def fits(self, rule: Optimizer, state: State) -> bool:
        """Whether this is still what the rule does; its learning rate may be another."""
        if state is not self._state:
            return False
        for name, vector in zip(self._names, self._vectors[2:], strict=True):
            if state.get(name) is not vector:
                return False
        if rule is not self._rule:
            if replace(rule, lr=self._rule.lr) != self._rule:
                return False
            self._rule = rule
        return True

    def run(self) -> None:
        """Do one step of the state, and turn the gradient into what is taken from θ."""
        self._state["step"] += 1
        for array, rate in zip(self._rates, self._rule.rates(self._state["step"]), strict=True):
            array[()] = rate
        if not self._ready:
            self._ready = [call.ready() for call in self._noted()]
            return
        for call in self._ready:
            call()

    def _noted(self) -> list[Call]:
        """Do it, and return the calls to NumPy that it took."""
        notes = _Notes()
        vectors, rates, free = (
            [notes.watch(array) for array in arrays]
            for arrays in (self._vectors, self._rates, self._free)
        )
        self._rule.pass_over(vectors, tuple(rates), free, moves=False)
        return notes.calls


def ours(thing: object) -> bool:
    """Whether the kernels of a layer, loss or rule are this package's own."""
    return type(thing).__module__.partition(".")[0] == __package__


def _dy_of_one(net: "Sequential", dy: list[Array], grads: "Parameters") -> list[Array]:
    """Return the buffers for one sample: ∂L/∂b is ∂L/∂z itself, and they share their memory."""
    biases = {
        i + 1: grads.layers[i]["bias"][None]
        for i, layer in enumerate(net.layers)
        if type(layer) is Linear and layer.bias
    }
    return [biases.get(i, array) for i, array in enumerate(dy)]


def _is_there(call: Call) -> bool:
    """Whether a product is with 1, and writes the other factor over itself."""
    if call.function is not np.dot:
        return False
    factor, out = call.args[1:]
    return factor.size == out.size and factor.ctypes.data == out.ctypes.data


def _scale(calls: list[Call], dy: Array) -> tuple[Array, Any]:
    """Return the number that dy is multiplied by at last, as an array to write to, and its value.

    Most losses divide by their divisor there; to others, such a call is added.
    """
    args = calls[-1].args
    if calls[-1].function is np.multiply and args[1].ndim == 0 and args[0] is args[2] is dy:
        return args[1], args[1][()]
    one = np.ones((), dy.dtype)
    calls.append(Call(np.multiply, (dy, one, dy)))
    return one, one[()]


class _NotOnlyNumPyError(Exception):
    """A kernel looks at its numbers, or does what cannot be done again into the same arrays."""


class _Notes:
    """What a kernel asks of NumPy, in the order in which it asks."""

    def __init__(self, *batch: Array) -> None:
        self.calls: list[Call] = []
        self._batch = batch

    def watch(self, value: Any) -> Any:
        """Return an array that notes here what is done with it; several, where a mapping is."""
        if isinstance(value, Mapping):
            return {name: self.watch(array) for name, array in value.items()}
        watched = value.view(_Watched)
        watched.notes, watched.plain = self, value
        return watched

    def add(self, function: Any, args: Iterable[Any], out: Any, options: dict[str, Any]) -> Any:
        """Do a call, which writes to out or to an array that is kept for it, and note it."""
        inputs = [self._plain(a) for a in args]
        if out is None:
            out = np.asarray(function(*inputs, **options))
            result = self.watch(out)
        else:
            result, out = out, self._plain(out)
            function(*inputs, out=out, **options)
        if isinstance(function, np.ufunc) and function.signature is None:
            dtype = next(a.dtype for a in inputs if isinstance(a, np.ndarray))
            inputs = [_quick(a, dtype, out) for a in inputs]
        if function is np.dot or (isinstance(function, np.ufunc) and function not in _BY_NAME):
            self.calls.append(Call(function, (*inputs, out), options))
        else:
            self.calls.append(Call(function, tuple(inputs), {**options, "out": out}))
        return result

    def _plain(self, value: Any) -> Any:
        if not isinstance(value, _Watched):
            return value
        if value.plain is not None:
            return value.plain
        plain = value.view(np.ndarray)
        if any(np.may_share_memory(plain, own) for own in self._batch):
            raise _NotOnlyNumPyError  # a part of one batch: it would not be one of the next
        value.plain = plain
        return plain


class _Watched(np.ndarray[Any, Any]):
    """An array that notes what it is asked for, and refuses what could not be asked for again."""

    notes: _Notes
    plain: Array | None = None
    """What is watched, as far as that is known."""

    def __array_finalize__(self, whole: Any) -> None:
        self.notes = getattr(whole, "notes", None)  # type: ignore[assignment]

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (None,), **options: Any
    ) -> Any:
        if method not in {"__call__", "reduce"}:
            raise _NotOnlyNumPyError
        function = ufunc if method == "__call__" else ufunc.reduce
        return self.notes.add(function, inputs, out[0], options)

    def __array_function__(
        self, function: Any, types: Any, args: Iterable[Any], options: Mapping[str, Any]
    ) -> Any:
        if function is not np.dot:
            raise _NotOnlyNumPyError
        a, b, *out = args
        return self.notes.add(np.dot, (a, b), out[0] if out else options.get("out"), {})

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if not all(part is None or isinstance(part, slice) for part in parts):
            raise _NotOnlyNumPyError
        return super().__getitem__(index)

    def _refuse(self, *_: Any) -> Any:
        raise _NotOnlyNumPyError

    __setitem__ = __bool__ = __float__ = __int__ = __index__ = __iter__ = _refuse
    copy = astype = fill = take = item = tolist = dot = _refuse  # type: ignore[assignment]


_BY_NAME = (np.maximum, np.minimum)
"""Functions that take `out` by its name only; to read a name takes NumPy a while."""


def _quick(value: Any, dtype: "np.dtype[Any]", out: Array) -> Any:
    """Return an input as NumPy takes it soonest."""
    if isinstance(value, int | float | np.generic):
        return np.array(value, dtype)
    if value.size == out.size and value.shape != out.shape and value.flags.c_contiguous:
        return value.reshape(out.shape)
    return value

"""A training step, planned once and then made again: the NumPy calls of its kernels, one by one.

    plan = StepPlan(net, loss, x, t, arrays=…, grads=…, buffers=…)
    plan.bind(x, t)         another batch of the same size
    plan.follow(rule)       another rule, or learning rate
    value = plan.run()      the loss; ∂L/∂θ, times the rule's factor, stands in grads

It consists of the calls to NumPy that its kernels make (see calls). A kernel that does more than
that (one that looks at numbers, or picks entries), and a kernel from outside of this package, is
kept as what it is: one call.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.layers import Linear
from manualnn.losses import Loss
from manualnn.optimizers import Optimizer
from manualnn.tracing import Call, Trace, UntraceableError, is_from_manualnn
from manualnn.workspace import Buffers

if TYPE_CHECKING:
    from manualnn.network import LayersArrays, Sequential
    from manualnn.parameters import Parameters


class StepPlan:
    """One training step, for batches of one size, between arrays that stay the same.

    Attributes
    ----------
    loss : Loss
        What it computes.
    x, t : array or None
        The batch that it computes it for; None while that changes.
    targets_ndim : int
        How many dimensions t has, whichever it is.
    y : array (N, out)
        The outputs.
    calls : list of Call
        What it consists of.
    rule : Optimizer, or None
        What it follows.
    quiet : bool
        Whether nobody else's code is called, so that it may be in a context of its own.
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
        self.quiet = False
        self.x: Array | None = x
        self.t: Array | None = t
        self.targets_ndim = t.ndim
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
        self._ready = [call.prepare() for call in calls]
        self._reading = [
            (i, places)
            for i, call in enumerate(calls)
            if (places := [(k, int(a is t)) for k, a in enumerate(call.args) if a is x or a is t])
        ]
        self._ours = all(map(is_from_manualnn, (*net.layers, loss)))

    def follow(self, rule: Optimizer) -> None:
        """Have every gradient multiplied by the rule's factor, if it has one.

        The backward pass is linear in ∂L/∂y, so that it is done there: for K numbers a sample.
        """
        self.rule = None  # until all is done: Ctrl-C may come in between
        self.descends = rule.factor is not None
        self._scale[()] = self._share * rule.factor if self.descends else self._share
        self.quiet = self._ours and is_from_manualnn(rule)
        self.rule = rule

    def bind(self, x: Array, t: Array) -> None:
        """Take another batch of the same size."""
        self.x = self.t = None  # until all is done: Ctrl-C may come in between
        batch = x.view(), t.view()
        for i, places in self._reading:
            call = self.calls[i]
            args = list(call.args)
            for place, which in places:
                args[place] = batch[which]
            self.calls[i] = call = Call(call.function, tuple(args), call.options)
            self._ready[i] = call.prepare()
        self.x, self.t = x, t

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
        if is_from_manualnn(owner):
            trace = Trace(self._x, self._t)
            try:
                result = call.function(
                    *map(trace.wrap, call.args),
                    **{name: trace.wrap(a) for name, a in call.options.items()},
                )
            except UntraceableError:
                trace.finish()
            else:
                if loss:
                    self._value = np.asarray(result[0])
                return trace.finish()
        if loss:
            return [Call(self._judge, (call.function, *call.args, call.options["out"]))]
        return [call]

    def _judge(self, forward_and_backward: Any, y: Array, t: Array, out: Array) -> None:
        """Keep what a loss returns."""
        self._value[...], dy = forward_and_backward(y, t, out=out)
        if dy is not out:
            out[...] = dy


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

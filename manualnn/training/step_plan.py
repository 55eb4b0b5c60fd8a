"""A planned training step: the NumPy calls of its kernels, recorded once and then repeated.

    plans = StepPlans(net, params)
    plan = plans.find(loss, x, t)       a recorded plan, if there is one for this batch size
    plan.set_rule(rule)                 another rule, or another learning rate
    value = plan.run()                  the loss; plans.grads is ∂L/∂θ, times the rule's factor

Two kinds of kernels are repeated as one call instead of as NumPy calls: kernels that do more than
call NumPy, such as picking entries (see `manualnn.tracing`), and kernels from outside this package.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.layers import Layer
from manualnn.losses import Loss
from manualnn.network.buffers import require_samples
from manualnn.network.passes import ArraysByLayer, backward_calls, compute_loss, forward_calls
from manualnn.network.sequential import Sequential
from manualnn.network.workspace import Buffers, Workspace
from manualnn.optimizers import Optimizer
from manualnn.parameters import Parameters
from manualnn.tracing import Call, Trace, UntraceableError, is_from_manualnn

MAX_SIZES = 16
"""Batch sizes whose plans are cached; most runs have two, the batch and the smaller last one."""


class StepPlan:
    """One training step for batches of one size, on arrays that stay the same.

    Attributes
    ----------
    loss : Loss
        The loss function of the plan.
    x, t : array or None
        The batch of the next run. None while another batch is being set.
    w : array or None
        The weights of its samples, if they have any.
    t_ndim : int
        The number of dimensions of the targets.
    y : array (N, out)
        The outputs.
    calls : list of Call
        The recorded calls; with compile=True, compiled kernels in the place of most.
    rule : Optimizer, or None
        The rule for which `run` scales the gradient.
    is_quiet : bool
        True if all code is this package's, so that it may run in a context of its own.
    is_plain : bool
        True if a step is the rule's alone: without groups, penalties, clipping and closures.
    is_descent : bool
        True if the rule is θ ← θ − g, with the scaled gradient g that `run` leaves.
    noise : list of mapping
        The arrays to draw before each run, for each layer; empty if no layer is random.
    tracked : list of mapping
        The arrays of each layer, if a layer has buffers that follow from a run; otherwise empty.

    """

    def __init__(
        self,
        layers: Sequence[Layer],
        loss: Loss,
        x: Array,
        t: Array,
        w: Array | None = None,
        *,
        arrays: ArraysByLayer,
        grads: Parameters,
        buffers: Buffers,
        compiles: bool = False,
    ) -> None:
        self.loss = loss
        self.noise = buffers.noise if any(buffers.noise) else []
        self.tracked = arrays if any(layer.buffers() for layer in layers) else []
        self.rule: Optimizer | None = None
        self.is_quiet = False
        self.is_plain = True
        self.x: Array | None = x
        self.t: Array | None = t
        self.w = w
        self.t_ndim = t.ndim
        # Views tell x and t apart in the recorded calls, also if both are the same array.
        self._x, self._t = x, t = x.view(), t.view()
        weights = None if w is None else w.view()
        if len(x) == 1:
            buffers = buffers._replace(dy=_dy_of_one_sample(layers, buffers.dy, grads))
        self.y, dy = buffers.y[-1] if buffers.y else x, buffers.dy[-1]
        self._value = np.zeros((), dy.dtype)
        calls: list[Call] = []
        for call in forward_calls(layers, arrays, x, buffers):
            calls += self._trace(call)
        if type(loss).require_outputs is not Loss.require_outputs:
            calls.append(Call(loss.require_outputs, (self.y,)))
        if weights is None:
            calls += self._trace(
                Call(loss.forward_and_backward, (self.y, t), {"out": dy}),
                fallback=Call(self._compute_loss, (loss, self.y, t, dy)),
            )
        else:
            calls.append(Call(self._compute_loss, (loss, self.y, t, dy, weights)))
        self._scale, self._loss_scale = _last_factor(calls, dy)
        self.is_descent = False
        for call in backward_calls(layers, arrays, x, buffers, grads):
            calls += self._trace(call)
        calls = [call for call in calls if not _has_no_effect(call)]
        if compiles:
            kept = [self.y, self._value, grads.vector]
            kept += [array for own in arrays for array in own.values()]
            calls = import_module("manualnn.compiling.compiled").compile_step(calls, kept)
        self.calls = calls
        self._prepared = [call.prepare() for call in calls]
        parts = [(x, 0), (t, 1)] if weights is None else [(x, 0), (t, 1), (weights, 2)]
        self._batch_readers = [
            (i, places)
            for i, call in enumerate(calls)
            if (places := [(k, j) for k, a in enumerate(call.args) for b, j in parts if a is b])
        ]
        self._is_from_manualnn = all(map(is_from_manualnn, (*layers, loss)))

    def set_rule(self, rule: Optimizer) -> None:
        """Multiply every gradient by the rule's factor from now on, if the rule has one.

        The backward pass is linear in ∂L/∂y. So the factor is applied there, to K numbers a sample.
        """
        self.rule = None  # set last, because Ctrl-C may interrupt this method
        self.is_descent = rule.factor is not None
        self._scale[()] = self._loss_scale * rule.factor if self.is_descent else self._loss_scale
        self.is_quiet = self._is_from_manualnn and is_from_manualnn(rule)
        self.is_plain = rule.is_plain and not rule.needs_closure
        self.rule = rule

    def set_batch(self, x: Array, t: Array, w: Array | None) -> None:
        """Replace the batch by another one of the same size."""
        self.x = self.t = None  # set last, because Ctrl-C may interrupt this method
        batch = x.view(), t.view(), w if w is None else w.view()
        for i, places in self._batch_readers:
            args = list(self.calls[i].args)
            for place, which in places:
                args[place] = batch[which]
            self.calls[i] = call = self.calls[i].on(args)
            self._prepared[i] = call.prepare()
        self.x, self.t, self.w = x, t, w

    def run(self) -> float:
        """Run the forward and backward pass; return the loss."""
        for call in self._prepared:
            call()
        return float(self._value)

    def _trace(self, kernel: Call, fallback: Call | None = None) -> list[Call]:
        """Run a kernel and return its NumPy calls, or the fallback if the kernel is untraceable.

        The fallback is the kernel itself by default. The traced value of a loss becomes `_value`.
        """
        if is_from_manualnn(kernel.function.__self__):  # type: ignore[attr-defined]
            trace = Trace(self._x, self._t)
            options = {name: trace.wrap(array) for name, array in kernel.options.items()}
            try:
                result = kernel.function(*map(trace.wrap, kernel.args), **options)
            except UntraceableError:
                trace.finish()
            else:
                if isinstance(result, tuple):
                    self._value = np.asarray(result[0])
                return trace.finish()
        return [fallback or kernel]

    def _compute_loss(
        self, loss: Loss, y: Array, t: Array, dy: Array, w: Array | None = None
    ) -> None:
        self._value[...] = compute_loss(loss, y, t, dy, w)


class StepPlans:
    """The planned steps of a network, one for each of the last batch sizes.

    Attributes
    ----------
    grads : Parameters
        The gradients that every plan writes.
    last_step : tuple (x, t, plan)
        The arguments of the last `Trainer.step`, if the plan uses these very arrays.
    compiles : bool
        True if the plans are compiled.

    """

    def __init__(self, net: Sequential, params: Parameters, *, compiles: bool = False) -> None:
        self.compiles = compiles
        self.grads = params.zeros_like()
        self.last_step: tuple[Any, Any, StepPlan | None] = (None, None, None)
        self._net = net
        self._arrays = net.layer_arrays(params)
        self._workspace: Workspace | None = None
        self._plans: dict[int, StepPlan] = {}

    def find(self, loss: Loss, x: Array, t: Array, w: Array | None = None) -> StepPlan:
        """Return the plan of a step on this batch. It is recorded if there is none yet."""
        self.last_step = None, None, None
        if self.compiles:
            x, t = np.require(x, None, ["C", "A"]), np.require(t, None, ["C", "A"])
            t = t.copy() if np.may_share_memory(x, t) else t  # one memory has one name in a kernel
        n, features = x.shape
        work = self._workspace
        if work is None or n > work.capacity or features != work.widths[0]:
            widths = self._net.widths(features)
            work = Workspace(self._net.layers, widths, self.grads.dtype, n)
            self._plans.clear()
            self._workspace = work
        plan = self._plans.get(n)
        is_other = plan is None or plan.loss is not loss or plan.t_ndim != t.ndim
        if plan is None or is_other or (plan.w is None) != (w is None):
            if len(self._plans) >= MAX_SIZES:
                self._plans.clear()
            plan = self._plans[n] = self._record(loss, x, t, w, work.buffers(n))
        elif x is not plan.x or t is not plan.t or w is not plan.w:
            plan.set_batch(x, t, w)
        return plan

    @property
    def sources(self) -> list[str]:
        """The source code of all compiled kernels, plan by plan."""
        calls: list[Any] = [call for plan in self._plans.values() for call in plan.calls]
        return [call.source for call in calls if not isinstance(call, Call)]

    def _record(
        self, loss: Loss, x: Array, t: Array, w: Array | None, buffers: Buffers
    ) -> StepPlan:
        require_samples(self._net.layers, len(x), is_training=True)
        parts = zip(self._arrays, buffers.noise, buffers.scratch, strict=True)
        arrays = [{**params, **noise, **scratch} for params, noise, scratch in parts]
        with np.errstate(all="ignore"):
            return StepPlan(
                self._net.layers,
                loss,
                x,
                t,
                w,
                arrays=arrays,
                grads=self.grads,
                buffers=buffers,
                compiles=self.compiles,
            )


def _dy_of_one_sample(layers: Sequence[Layer], dy: list[Array], grads: Parameters) -> list[Array]:
    """Return the buffers of ∂L/∂y for one sample, where ∂L/∂b and ∂L/∂z may be the same array."""
    shared = {
        i + 1: own["bias"][None]
        for i, own in enumerate(grads.layers)
        # A subclass from outside this package inherits the attribute, but may compute another db.
        if "bias" in own and layers[i].bias_gradient_is_dy and is_from_manualnn(layers[i])
    }
    return [shared.get(i, array) for i, array in enumerate(dy)]


def _has_no_effect(call: Call) -> bool:
    """Return True for a product with the number 1 that writes the other factor onto itself."""
    if call.function is not np.dot:
        return False
    factor, out = call.args[1:]
    return factor.size == out.size and factor.ctypes.data == out.ctypes.data


def _last_factor(calls: list[Call], dy: Array) -> tuple[Array, Any]:
    """Return the array without dimensions that dy is multiplied by at the end, and its value.

    Most losses end with a multiplication of dy by 1 / divisor. For other losses, a multiplication
    by 1 is added to the calls.
    """
    args = calls[-1].args
    if calls[-1].function is np.multiply and args[1].ndim == 0 and args[0] is args[2] is dy:
        return args[1], args[1][()]
    one = np.ones((), dy.dtype)
    calls.append(Call(np.multiply, (dy, one, dy)))
    return one, one[()]

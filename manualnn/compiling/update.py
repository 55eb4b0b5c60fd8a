"""Compiled updates: one loop over θ, the gradient and the state of a rule."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.compiling.compiled import HEAD, compiled
from manualnn.compiling.source import Kernel, compile_calls
from manualnn.elementary import Array
from manualnn.errors import NotFiniteError
from manualnn.optimizers.planned import PlannedUpdate, Rates
from manualnn.tracing import Call, Trace

if TYPE_CHECKING:
    from manualnn.optimizers import Optimizer

RUN = """

@njit(error_model="numpy", cache=True)
def run(addresses, size):
    ok = True
    for start in range(0, size, {block}):
        n = min({block}, size - start)
        at = start * {item}
        kernel({arguments})
        ok = is_finite(pointer(addresses[{theta}] + at, T), n, ZERO) and ok
    return ok
"""
BLOCK = 4096
"""Entries between two tests for finite numbers, so that θ is still in the cache."""


class CompiledUpdate(PlannedUpdate):
    """An update of the same arrays in every step, as one loop.

    The loop leaves the old θ in the place of the gradient, because the test for finite numbers
    comes after the update: an update that overflows is taken back.
    """

    def __init__(self, rule: "Optimizer", vectors: list[Array]) -> None:
        PlannedUpdate.__init__(self, rule, vectors, {}, moves=True)
        self._vectors = vectors
        self.source = ""

    def run(self, state: dict[str, Any]) -> None:
        """Do one step. If θ is not finite afterwards, put it back and raise NotFiniteError."""
        state["step"] += 1
        rates = self._rule.rates(state["step"])
        # Another number of rates means that the rule does something else from now on.
        if not self.source or len(rates) != len(self._rates):
            self._compile(rates)
        for array, rate in zip(self._rates, rates, strict=True):
            array[()] = rate
        theta, g = self._vectors[:2]
        if not self._run(self._addresses, theta.size):
            theta[...] = g
            message = "a parameter is not finite"
            raise NotFiniteError(message)

    def _compile(self, rates: Rates) -> None:
        """Record a step on short vectors, and compile it for those of the trainer."""
        dtype = self._vectors[0].dtype
        self._rates = [np.array(rate, dtype) for rate in rates]
        models = [np.zeros(2, dtype) for _ in self._vectors]
        scratch = [np.zeros(2, dtype) for _ in range(self._rule.scratch_count)]
        trace = Trace()
        wrapped = [[trace.wrap(a) for a in arrays] for arrays in (models, self._rates, scratch)]
        vectors, traced_rates, own = wrapped
        with np.errstate(all="ignore"):
            self._rule.pass_over(vectors, tuple(traced_rates), own, {}, moves=True)
        kernel = _one_kernel(trace.finish(), models)
        real = {id(model): vector for model, vector in zip(models, self._vectors, strict=True)}
        self._args = [real.get(id(array), array) for array in kernel.arrays]
        self._addresses = np.array([array.ctypes.data for array in self._args], np.uintp)
        self.source = kernel.source
        self._run = compiled(_module_of(kernel, models[0]))


def _one_kernel(calls: Sequence[Call], models: list[Array]) -> Kernel:
    """Return the kernel of a rule's calls, which leaves θ before the step in the gradient."""
    (kernel,) = compile_calls(calls, models[0].dtype, models[:1] + models[2:], swap=models[:2])
    if not isinstance(kernel, Kernel):
        raise TypeError(kernel)
    return kernel


def _module_of(kernel: Kernel, theta: Array) -> str:
    """Return the source of a module with a rule's kernel and with `run`, block by block."""
    item = kernel.dtype.itemsize
    arrays = [
        f"pointer(addresses[{i}]{' + at' if array.ndim else ''}, T)"
        for i, array in enumerate(kernel.arrays)
    ]
    place = next(i for i, array in enumerate(kernel.arrays) if array is theta)
    sizes = ["n" if size > 1 else "1" for size in kernel.sizes]
    arguments = ", ".join(arrays + sizes)
    return (
        HEAD.format(dtype=kernel.dtype.name)
        + kernel.source
        + RUN.format(block=BLOCK, item=item, theta=place, arguments=arguments)
    )

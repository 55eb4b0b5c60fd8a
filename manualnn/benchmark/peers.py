"""Peers: the programs that the benchmark times. A peer has a method for each task that it can do.

    step(case, batch)         one training step: forward, loss, backward, update
    predict(case, batch)      the outputs for a batch
    update(case, batch)       the update of all parameters of the network, without gradients

A method prepares the task and returns the call to time. Each peer runs in a process of its own and
imports its library inside its methods. It may raise `Unsupported` with a reason. To add a peer,
write a class with its name and the packages that it needs.
"""

import inspect
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

import numpy as np

from manualnn.benchmark.cases import TABLE, Case
from manualnn.elementary import Array

Call = Callable[[], object]
Product = tuple[Array, Array, Array]

LR = 1e-4
"""Learning rate, so small that no number overflows or underflows in thousands of steps."""


class Batch(NamedTuple):
    """x (N, in), t (N, out)."""

    x: Array
    t: Array


class Unsupported(Exception):  # noqa: N818  # a reason, no fault
    """The peer cannot do this case, or only in a very long time."""


@dataclass(frozen=True)
class Run:
    """The call to time, and a note about the settings of the peer."""

    call: Call
    note: str = ""


class Peer:
    """Base class of every peer."""

    name: ClassVar[str]
    needs: ClassVar[dict[str, str]] = {}
    """Module to import → package to install."""

    @classmethod
    def missing(cls) -> list[str]:
        """Return the packages that are not installed."""
        return [package for module, package in cls.needs.items() if find_spec(module) is None]

    @classmethod
    def environment(cls, threads: int) -> dict[str, str]:
        """Return environment variables for the peer's process, besides those for the threads."""
        del threads
        return {}

    @classmethod
    def address(cls) -> str:
        """Return module:class, by which a worker finds the peer."""
        return f"{cls.__module__}:{cls.__qualname__}"

    @classmethod
    def has_task(cls, task: str) -> bool:
        """Return True if the peer has a method for the task; for "memory" it is `step`."""
        return hasattr(cls, "step" if task == "memory" else task)


class Products(Peer):
    """The matrix products of a step by NumPy's BLAS, and nothing else: a lower bound of the time.

    One product forward and two backward for each layer, without the gradient of the input.
    """

    name = "products"

    def step(self, case: Case, batch: Batch) -> Run:
        """Return all products of a step, into existing arrays."""
        calls = products(case, batch)
        return Run(lambda: _multiply(calls))

    def predict(self, case: Case, batch: Batch) -> Run:
        """Return the products of the forward pass."""
        calls = products(case, batch, backward=False)
        return Run(lambda: _multiply(calls))


class ManualNN(Peer):
    """The engine of this package."""

    name = "manualnn"

    def step(self, case: Case, batch: Batch) -> Run:
        """Return `Trainer.step`, with its checks."""
        trainer = _trainer(case)
        return Run(lambda: trainer.step(batch.x, batch.t))

    def predict(self, case: Case, batch: Batch) -> Run:
        """Return `Trainer.predict`, with its checks."""
        trainer = _trainer(case)
        return Run(lambda: trainer.predict(batch.x))

    def update(self, case: Case, batch: Batch) -> Run:
        """Return `Optimizer.update` of the whole vector."""
        del batch
        trainer = _trainer(case)
        grads = trainer.params.copy()
        grads.vector = _gradient(case)
        rule, params, state = trainer.rule, trainer.params, trainer.state
        return Run(lambda: rule.update(params, grads, state))


class Compiled(ManualNN):
    """The engine of this package, with steps and updates that Numba compiles."""

    name = "compiled"
    needs: ClassVar = {"numba": "numba"}

    def step(self, case: Case, batch: Batch) -> Run:
        """Return `Trainer.step` of a trainer that compiles."""
        trainer = _trainer(case, compile=True)
        return Run(lambda: trainer.step(batch.x, batch.t))

    def update(self, case: Case, batch: Batch) -> Run:
        """Return the compiled update of the whole vector."""
        from manualnn.compiling.update import CompiledUpdate

        del batch
        trainer = _trainer(case)
        rule, state = trainer.rule, trainer.state
        vectors = [trainer.params.vector, _gradient(case), *map(state.get, rule.vectors())]
        update = CompiledUpdate(rule, vectors)
        return Run(lambda: update.run(state))


class Torch(Peer):
    """PyTorch, eager, with the fastest implementation of its optimizer for the case."""

    name = "torch"
    needs: ClassVar = {"torch": "torch"}

    def step(self, case: Case, batch: Batch) -> Run:
        """Return a step with the fastest implementation of the optimizer."""
        import torch

        net, loss = torch_net(case), torch.nn.MSELoss()
        x, t = torch_inputs(case, batch), torch.from_numpy(batch.t)
        return quickest(torch_steps(case, net, lambda: loss(net(x), t)))

    def predict(self, case: Case, batch: Batch) -> Run:
        """Return the forward pass in inference mode."""
        import torch

        net, x = torch_net(case).eval(), torch_inputs(case, batch)

        def call() -> object:
            with torch.inference_mode():
                return net(x)

        return Run(call)

    def update(self, case: Case, batch: Batch) -> Run:
        """Return `step` of the fastest implementation, on existing gradients."""
        del batch
        import torch

        net = torch_net(case)
        gradient, start = torch.from_numpy(_gradient(case)), 0
        for p in net.parameters():
            p.grad = gradient[start : start + p.numel()].reshape(p.shape).clone()
            start += p.numel()
        return quickest(Run(rule.step, note) for rule, note in torch_rules(case, net.parameters()))


IMPLEMENTATIONS: dict[str, dict[str, bool]] = {
    "single": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}
PEERS: tuple[type[Peer], ...] = (Products, ManualNN, Compiled, Torch)


def versions(peers: Iterable[type[Peer]]) -> list[str]:
    """Return a line with the versions of the peers' packages; no line if none is installed."""
    packages = dict.fromkeys(package for peer in peers for package in peer.needs.values())
    found = []
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{package} {metadata.version(package)}")
    return [", ".join(found)] if found else []


def draw(case: Case) -> Batch:
    """Return a random batch, the same for every peer."""
    rng = np.random.default_rng(0)
    if case.activation == "Embedding":
        count, size = TABLE.values()
        x = rng.integers(0, count, (case.batch, case.widths[0] // size)).astype(case.dtype)
    else:
        x = rng.standard_normal((case.batch, case.widths[0])).astype(case.dtype)
    t = rng.standard_normal((case.batch, case.widths[-1])).astype(case.dtype)
    return Batch(x, t)


def products(case: Case, batch: Batch, *, backward: bool = True) -> list[Product]:
    """Return the matrix products of a step in order: left factor, right factor, result."""
    rng = np.random.default_rng(0)
    found = []
    x = batch.x
    for i, (n_in, n_out) in enumerate(case.layers):
        weight = (rng.standard_normal((n_out, n_in)) / n_in).astype(case.dtype)
        z = x @ weight.T
        found.append((x, weight.T, z))
        if backward:
            found.append((z.T, x, np.empty_like(weight)))
            if i:
                found.append((z, weight, np.empty_like(x)))
        x = z
    return found


def torch_net(case: Case) -> Any:
    """Return the case's network as a torch.nn.Sequential."""
    import torch

    layers: list[torch.nn.Module] = []
    for spec in case.specs:
        options = {name: value for name, value in spec.items() if name != "type"}
        layers.append(getattr(torch.nn, spec["type"])(**options))
        if spec["type"] == "Embedding":
            layers.append(torch.nn.Flatten())
    return torch.nn.Sequential(*layers).to(getattr(torch, case.dtype))


def torch_inputs(case: Case, batch: Batch) -> Any:
    """Return the inputs as a tensor; the indices of an Embedding are integers."""
    import torch

    x = torch.from_numpy(batch.x)
    return x.long() if case.activation == "Embedding" else x


def torch_steps(case: Case, net: Any, loss: Callable[[], Any]) -> list[Run]:
    """Return a training step for each implementation of the optimizer."""

    def step(rule: Any) -> Call:
        def call() -> None:
            rule.zero_grad(set_to_none=True)
            loss().backward()
            rule.step()

        return call

    return [Run(step(rule), note) for rule, note in torch_rules(case, net.parameters())]


def torch_rules(case: Case, parameters: Iterable[Any]) -> list[tuple[Any, str]]:
    """Return the optimizer in each implementation that torch has of it, with its name."""
    import torch

    make = getattr(torch.optim, case.optimizer, None)
    if make is None:
        raise Unsupported(f"torch has no {case.optimizer}")
    has, own = inspect.signature(make).parameters, list(parameters)
    return [
        (make(own, lr=LR, **options), note)
        for note, options in IMPLEMENTATIONS.items()
        if options.keys() <= has.keys()
    ]


def quickest(runs: Iterable[Run], rounds: int = 20, seconds: float = 0.003) -> Run:
    """Return the run with the fastest turn, in several rounds of short turns.

    Turns are short, so that each run has some that no other process disturbs. The rounds end after
    one second.
    """
    runs = list(runs)
    best = [float("inf")] * len(runs)
    began = time.perf_counter()
    for _ in range(rounds):
        for i, run in enumerate(runs):
            run.call()
            calls, taken, started = 0, 0.0, time.perf_counter()
            while taken < seconds:
                run.call()
                calls += 1
                taken = time.perf_counter() - started
            best[i] = min(best[i], taken / calls)
        if time.perf_counter() - began > 1:
            break
    return runs[best.index(min(best))]


def _multiply(calls: list[Product]) -> None:
    for left, right, out in calls:
        np.dot(left, right, out)


def _trainer(case: Case, **options: Any) -> Any:
    import manualnn as mnn

    net = mnn.Sequential.from_spec({"layers": case.specs})
    rule = mnn.OPTIMIZERS[case.optimizer](lr=LR)
    return mnn.Trainer(net, mnn.MSELoss(), rule, seed=0, dtype=case.dtype, **options)


def _gradient(case: Case) -> Array:
    return np.random.default_rng(0).standard_normal(case.parameters).astype(case.dtype)

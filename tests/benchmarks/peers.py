"""Peers in addition to those of `manualnn bench`: other libraries, each at its best setting.

A peer imports its library inside its methods, because each runs in a process of its own. To add a
peer, write its class as `manualnn.benchmark.peers` describes, and add it to OTHERS.
"""

import os
import shutil
import warnings
from typing import ClassVar

import numpy as np

from manualnn.benchmark.cases import Case
from manualnn.benchmark.peers import (
    LR,
    PEERS,
    Batch,
    ManualNN,
    Peer,
    Products,
    Run,
    Torch,
    Unsupported,
    products,
    quickest,
    torch_net,
    torch_steps,
)


class TorchCompile(Peer):
    """torch.compile of forward, loss and backward, with the fastest optimizer for the case."""

    name = "torch.compile"
    needs: ClassVar = {"torch": "torch"}

    def step(self, case: Case, batch: Batch) -> Run:
        if not any(map(shutil.which, (os.environ.get("CXX") or "g++", "clang++"))):
            message = "needs a C++ compiler; install g++, or set CXX to the name of a compiler"
            raise Unsupported(message)
        import torch

        net, loss = torch_net(case), torch.nn.MSELoss()
        x, t = torch.from_numpy(batch.x), torch.from_numpy(batch.t)
        compiled = torch.compile(lambda: loss(net(x), t))
        return quickest(torch_steps(case, net, compiled))


class Jax(Peer):
    """JAX: jax.jit compiles the whole step, with donated parameters and state; rules of optax."""

    name = "JAX"
    needs: ClassVar = {"jax": "jax", "optax": "optax"}

    @classmethod
    def environment(cls, threads):
        flags = "--xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
        # NPROC is the size of its thread pool.
        return {"JAX_PLATFORMS": "cpu", "NPROC": str(threads), "XLA_FLAGS": flags}

    def step(self, case: Case, batch: Batch) -> Run:
        jax, params, forward = self._net(case)
        import optax

        rule = {"SGD": optax.sgd, "Adam": optax.adam}[case.optimizer](LR)
        x, t = jax.device_put(batch.x), jax.device_put(batch.t)

        def objective(params):
            return jax.numpy.mean((forward(params, x) - t) ** 2)

        def step(params, state):
            value, grads = jax.value_and_grad(objective)(params)
            updates, state = rule.update(grads, state, params)
            return optax.apply_updates(params, updates), state, value

        compiled = jax.jit(step, donate_argnums=(0, 1))
        arrays = [params, rule.init(params)]

        def call():
            *arrays[:], value = compiled(*arrays)
            jax.block_until_ready((arrays, value))

        return Run(call, "jit, donated")

    def predict(self, case: Case, batch: Batch) -> Run:
        jax, params, forward = self._net(case)
        compiled = jax.jit(forward)
        return Run(lambda: np.asarray(compiled(params, batch.x)), "jit")

    def _net(self, case):
        import jax

        jax.config.update("jax_enable_x64", val=True)
        activation = {"Sigmoid": jax.nn.sigmoid, "ReLU": jax.nn.relu}[case.activation]
        params = [(jax.device_put(w), jax.device_put(b)) for w, b in initial(case)]

        def forward(params, a):
            *hidden, (weight, bias) = params
            for w, b in hidden:
                a = activation(a @ w + b)
            return a @ weight + bias

        return jax, params, forward


class ScikitLearn(Peer):
    """MLPRegressor; a step is `partial_fit` of one batch."""

    name = "scikit-learn"
    needs: ClassVar = {"sklearn": "scikit-learn"}

    def step(self, case: Case, batch: Batch) -> Run:
        regressor, t = self._fitted(case, batch)
        return Run(lambda: regressor.partial_fit(batch.x, t))

    def predict(self, case: Case, batch: Batch) -> Run:
        regressor, _ = self._fitted(case, batch)
        return Run(lambda: regressor.predict(batch.x))

    def _fitted(self, case, batch):
        from sklearn.neural_network import MLPRegressor

        regressor = MLPRegressor(
            hidden_layer_sizes=case.widths[1:-1],
            activation={"Sigmoid": "logistic", "ReLU": "relu"}[case.activation],
            solver=case.optimizer.lower(),
            alpha=0.0,
            batch_size=case.batch,
            learning_rate_init=LR,
            momentum=0.0,
            nesterovs_momentum=False,
            shuffle=False,
        )
        t = batch.t if batch.t.shape[1] > 1 else batch.t[:, 0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return regressor.partial_fit(batch.x, t), t


class MyGrad(Peer):
    """MyGrad's tensors and nnet, with the update of its tutorials."""

    name = "MyGrad"
    needs: ClassVar = {"mygrad": "mygrad"}

    def step(self, case: Case, batch: Batch) -> Run:
        require_sgd(case)
        import mygrad as mg
        from mygrad import nnet

        activation = {"Sigmoid": nnet.sigmoid, "ReLU": nnet.relu}[case.activation]
        params = [(mg.tensor(w), mg.tensor(b)) for w, b in initial(case)]

        def call():
            a = batch.x
            for i, (w, b) in enumerate(params):
                a = mg.matmul(a, w) + b
                a = activation(a) if i < len(params) - 1 else a
            mg.mean((a - batch.t) ** 2).backward()
            for p in sum(params, ()):
                p.data -= LR * p.grad

        return Run(call)


class Autograd(Peer):
    """HIPS autograd, with an SGD of ours, and one iteration of its own Adam."""

    name = "autograd"
    needs: ClassVar = {"autograd": "autograd"}

    def step(self, case: Case, batch: Batch) -> Run:
        import autograd
        import autograd.numpy as anp
        from autograd.misc import optimizers
        from autograd.scipy.special import expit

        activation = {"Sigmoid": expit, "ReLU": lambda z: anp.maximum(z, 0)}[case.activation]

        def objective(params, _=0):
            a = batch.x
            for i, (w, b) in enumerate(params):
                a = anp.dot(a, w) + b
                a = activation(a) if i < len(params) - 1 else a
            return anp.mean((a - batch.t) ** 2)

        gradient = autograd.grad(objective)
        params = initial(case)

        def descend():
            for arrays, slopes in zip(params, gradient(params), strict=True):
                for p, g in zip(arrays, slopes, strict=True):
                    np.subtract(p, LR * g, out=p)

        def adam():
            params[:] = optimizers.adam(gradient, params, num_iters=1, step_size=LR)

        return Run({"SGD": descend, "Adam": adam}[case.optimizer])


class Micrograd(Peer):
    """micrograd's MLP, with a Python object for every number."""

    name = "micrograd"
    needs: ClassVar = {"micrograd": "micrograd"}
    most = 20_000
    """Largest number of multiply-adds of a step, which takes about 50 ms."""

    def step(self, case: Case, batch: Batch) -> Run:
        require_sgd(case)
        if case.activation != "ReLU":
            message = "has no exponential function, hence no sigmoid"
            raise Unsupported(message)
        refuse_large(case, self.most)
        from micrograd.nn import MLP

        net = MLP(case.widths[0], list(case.widths[1:]))
        x, t = batch.x.tolist(), batch.t.tolist()

        def call():
            total = 0
            for row, targets in zip(x, t, strict=True):
                y = net(row)
                outputs = y if isinstance(y, list) else [y]
                total += sum((o - k) ** 2 for o, k in zip(outputs, targets, strict=True))
            net.zero_grad()
            (total / batch.t.size).backward()
            for p in net.parameters():
                p.data -= LR * p.grad

        return Run(call)


class TinyGrad(Peer):
    """tinygrad: TinyJit of the whole step, with its own optimizers."""

    name = "tinygrad"
    needs: ClassVar = {"tinygrad": "tinygrad"}
    most = 1_000
    """Largest number of multiply-adds of a step that Python interprets."""

    @classmethod
    def environment(cls, threads):
        del threads
        device = "CPU" if shutil.which("clang") else "PYTHON"
        return {"DEV": os.environ.get("DEV", device), "TRAINING": "1"}

    def step(self, case: Case, batch: Batch) -> Run:
        if case.dtype != "float32" or case.threads > 1:
            message = "is measured in float32 on one thread, its default"
            raise Unsupported(message)
        if os.environ["DEV"] == "PYTHON":
            refuse_large(case, self.most, "; with clang it would be compiled")
        from tinygrad import Tensor, TinyJit, nn

        layers = [nn.Linear(n_in, n_out) for n_in, n_out in case.layers]
        params = [p.is_param_() for p in nn.state.get_parameters(layers)]
        rule = getattr(nn.optim, case.optimizer)(params, lr=LR)
        x, t = Tensor(batch.x).realize(), Tensor(batch.t).realize()

        @TinyJit
        def step():
            rule.zero_grad()
            a = x
            for layer in layers[:-1]:
                a = getattr(layer(a), case.activation.lower())()
            loss = ((layers[-1](a) - t) ** 2).mean().backward()
            return loss.realize(*rule.schedule_step())

        def call():
            step().item()

        return Run(call, os.environ["DEV"])


class NumPyProducts(Products):
    """The bare products, multiplied by NumPy, as a task that other libraries have, too."""

    products = Products.step


class TorchProducts(Peer):
    """The bare products, multiplied by torch."""

    name = "torch"
    needs: ClassVar = {"torch": "torch"}

    def products(self, case: Case, batch: Batch) -> Run:
        import torch

        calls = [tuple(map(torch.from_numpy, call)) for call in products(case, batch)]

        def call():
            for left, right, out in calls:
                torch.mm(left, right, out=out)

        return Run(call)


class JaxProducts(Jax):
    """The bare products, multiplied by JAX in one compiled function."""

    def products(self, case: Case, batch: Batch) -> Run:
        import jax

        jax.config.update("jax_enable_x64", val=True)
        # A transposed factor is passed in its stored form, and transposed in the function.
        stored = [
            [(f.T if turned else f, turned) for f in call[:2] for turned in [f.flags.f_contiguous]]
            for call in products(case, batch)
        ]
        turned = [[flag for _, flag in call] for call in stored]
        factors = [[jax.device_put(f) for f, _ in call] for call in stored]

        @jax.jit
        def multiply(factors):
            return [
                (a.T if left else a) @ (b.T if right else b)
                for (a, b), (left, right) in zip(factors, turned, strict=True)
            ]

        return Run(lambda: jax.block_until_ready(multiply(factors)), "jit")


MULTIPLIERS = (NumPyProducts, TorchProducts, JaxProducts)
OTHERS = (TorchCompile, Jax, ScikitLearn, MyGrad, Autograd, Micrograd, TinyGrad)
ALL: dict[str, type[Peer]] = {peer.name: peer for peer in (*PEERS, *OTHERS)}
NUMPY_BASED = (ManualNN, ScikitLearn, MyGrad, Autograd)
"""Peers whose arrays tracemalloc sees."""
LIBRARIES = (Products, ManualNN, Torch, Jax, ScikitLearn)
"""Peers for larger networks."""


def initial(case):
    """Return weights (in, out) and biases, the same for every peer."""
    rng = np.random.default_rng(0)
    return [
        (
            (rng.standard_normal((n_in, n_out)) / n_in**0.5).astype(case.dtype),
            np.zeros(n_out, case.dtype),
        )
        for n_in, n_out in case.layers
    ]


def require_sgd(case):
    if case.optimizer != "SGD":
        message = f"has no optimizers, hence no {case.optimizer}"
        raise Unsupported(message)


def refuse_large(case, most, more=""):
    if case.multiply_adds > most:
        message = f"takes too long for more than {most:,} multiply-adds a step{more}"
        raise Unsupported(message)

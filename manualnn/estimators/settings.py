"""The parameters of the estimators, and the network, loss and rule that they describe."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, MISSING, dataclass, fields
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import sklearn.neural_network as theirs
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, Options, StrOptions

from manualnn.errors import SpecError
from manualnn.estimators.objective import EpsilonHatAdam, HalfPoissonLoss
from manualnn.layers import LAYERS, Dropout, Identity, Layer, Linear, ReLU, Sigmoid, Tanh
from manualnn.losses import (
    LOSSES,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    Loss,
    MSELoss,
    MultiLabelSoftMarginLoss,
    PoissonNLLLoss,
    regression,
)
from manualnn.network.sequential import Sequential
from manualnn.optimizers import SGD, Optimizer
from manualnn.parameters import Parameters

ACTIVATIONS: dict[str, type[Layer]] = {
    "identity": Identity,
    "logistic": Sigmoid,
    "tanh": Tanh,
    "relu": ReLU,
    **{
        name: kind
        for name, kind in LAYERS.items()
        if kind is not Dropout and all(f.default is not MISSING for f in fields(kind))  # type: ignore[arg-type]
    },
}
"""The layers by scikit-learn's names and by ours, if they need no option."""
REGRESSION_LOSSES: dict[str, Loss] = {
    # The gradient of the squared error is scikit-learn's once it is halved.
    "squared_error": MSELoss(reduction="batchmean"),
    "absolute_error": L1Loss(reduction="batchmean"),
    "huber": HuberLoss(reduction="batchmean"),
    "poisson": HalfPoissonLoss(reduction="batchmean"),
}
"""The losses of a regressor by scikit-learn's names: the sum over the targets, mean over rows."""
CLASSES: dict[str, type[Loss]] = {
    kind.__name__: kind
    for kind in (BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MultiLabelSoftMarginLoss)
}
"""The losses whose outputs are probabilities of classes, or become such."""
NUMBERS = {name: LOSSES[name] for name in (*regression.__all__, PoissonNLLLoss.__name__)}
"""The losses whose outputs are numbers. The others want signs, distributions or a margin."""
STOCHASTIC = ("sgd", "adam")


@dataclass(eq=False, repr=False)
class Settings(BaseEstimator):
    """The parameters of both estimators; `MLPClassifier` documents them."""

    hidden_layer_sizes: Any = (100,)
    activation: Any = "relu"
    _: KW_ONLY
    solver: str = "adam"
    alpha: float = 0.0001
    batch_size: Any = "auto"
    learning_rate: str = "constant"
    learning_rate_init: float = 0.001
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool = True
    random_state: Any = None
    tol: float = 1e-4
    verbose: Any = False
    warm_start: bool = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: Any = 10
    max_fun: int = 15000
    dropout: float = 0.0
    optimizer: Any = None
    schedule: Any = None
    dtype: Any = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **theirs.MLPClassifier._parameter_constraints,
        "activation": [StrOptions(set(ACTIVATIONS)), Layer],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "optimizer": [Optimizer, None],
        "schedule": [callable, None],
        "dtype": [
            StrOptions({"float32", "float64"}),
            Options(type, {np.float32, np.float64}),
            Options(np.dtype, {np.dtype("float32"), np.dtype("float64")}),
            None,
        ],
    }

    def _hidden_widths(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        widths = list(sizes if np.iterable(sizes) else [sizes])
        if not all(isinstance(width, int | np.integer) and width > 0 for width in widths):
            message = f"hidden_layer_sizes must be > 0, got {widths}; pass integers, as (100, 50)."
            raise SpecError(message)
        return [int(width) for width in widths]

    def _network(self, features: int, outputs: int, loss: Loss) -> Sequential:
        """Return the network. After each hidden layer come the activation and the dropout."""
        if isinstance(self.activation, Linear | Dropout):
            message = f"activation must be an activation such as ReLU(), got {self.activation!r}."
            raise SpecError(message)
        layers: list[Layer] = []
        width = features
        for m in self._hidden_widths():
            activation = self.activation
            if not isinstance(activation, Layer):
                activation = ACTIVATIONS[activation]()
            layers += [Linear(width, m), activation]
            width = activation.width(m)  # half of m for GLU
            if self.dropout:
                layers.append(Dropout(float(self.dropout)))
        layers.append(Linear(width, outputs))
        if isinstance(loss, BCELoss):
            layers.append(Sigmoid())
        return Sequential(*layers)

    def _draw_parameters(
        self, net: Sequential, random_state: np.random.RandomState, dtype: Any
    ) -> Parameters:
        """Return initial parameters, drawn as scikit-learn does (Glorot & Bengio 2010)."""
        params = Parameters(net.shapes, dtype=dtype)
        factor = 2.0 if self.activation in {"logistic", "Sigmoid", Sigmoid()} else 6.0
        for i, layer in enumerate(net.layers):
            if isinstance(layer, Linear):
                n, m = layer.in_features, layer.out_features
                bound = np.sqrt(factor / (n + m))
                params[f"{i}.weight"] = random_state.uniform(-bound, bound, (n, m)).T
                params[f"{i}.bias"] = random_state.uniform(-bound, bound, m)
            elif layer.shapes():  # which scikit-learn does not have
                rng = np.random.default_rng(random_state.randint(2**31))
                for name, array in layer.draw_parameters(rng).items():
                    params[f"{i}.{name}"] = array
        return params

    def _build_rule(self) -> Optimizer:
        """Return the update rule; the solver lbfgs needs none, but a trainer has one."""
        for name in ("optimizer", "schedule", "dropout"):
            if self.solver == "lbfgs" and getattr(self, name):
                message = f"solver='lbfgs' has no {name}; set solver='adam' or 'sgd'."
                raise SpecError(message)
        if self.optimizer is not None:
            return self.optimizer
        lr = float(self.learning_rate_init)
        if self.solver == "sgd":
            momentum = float(self.momentum)
            return SGD(lr=lr, momentum=momentum, nesterov=self.nesterovs_momentum and momentum > 0)
        betas = (float(self.beta_1), float(self.beta_2))
        return EpsilonHatAdam(lr=lr, betas=betas, eps=float(self.epsilon))


def named_loss(loss: Any, kinds: Mapping[str, type[Loss]]) -> Loss:
    """Return the loss for its name, or the loss itself. Raises SpecError for another kind."""
    found: Loss = kinds[loss]() if isinstance(loss, str) else loss
    if type(found).__name__ not in LOSSES.keys() - kinds.keys():
        return found
    message = f"loss must be one of {', '.join(kinds)}, or of your own; got {loss!r}."
    raise SpecError(message)


def can_do_steps(estimator: Any) -> bool:
    """Return True if the solver does steps, otherwise raise AttributeError."""
    if estimator.solver in STOCHASTIC:
        return True
    message = f"partial_fit needs solver='sgd' or 'adam', got {estimator.solver!r}."
    raise AttributeError(message)

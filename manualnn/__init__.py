"""manualnn: neural networks whose every derivative is written by hand on NumPy.

    net = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2))
    trainer = Trainer(net, MSELoss(), SGD(lr=0.02), seed=0)
    history = trainer.fit(x, t, epochs=1000)
    y = trainer.predict(x)

Names, options and conventions are torch's.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_OWNERS = {
    "AveragedModel": "training.average",
    "Checkpoint": "checkpoints",
    "EarlyStopping": "training.callbacks",
    "History": "training.history",
    "LiveCurve": "training.live",
    "Parameters": "parameters",
    "Sequential": "network.sequential",
    "Trainer": "training.trainer",
    "calculate_gain": "initializers",
    "kaiming_normal": "initializers",
    "kaiming_uniform": "initializers",
    "lecun_normal": "initializers",
    "lecun_uniform": "initializers",
    "load": "serialization",
    "load_arrays": "serialization",
    "orthogonal": "initializers",
    "save": "serialization",
    "trunc_normal": "initializers",
    "xavier_normal": "initializers",
    "xavier_uniform": "initializers",
}
"""The module of each public name."""
_OPEN = ("errors", "layers", "losses", "optimizers", "training.schedules")
"""Modules with public names only."""

if TYPE_CHECKING:  # one by one, because type checkers lose names behind two star imports
    from manualnn.checkpoints import Checkpoint as Checkpoint
    from manualnn.errors import *
    from manualnn.initializers import calculate_gain as calculate_gain
    from manualnn.initializers import kaiming_normal as kaiming_normal
    from manualnn.initializers import kaiming_uniform as kaiming_uniform
    from manualnn.initializers import lecun_normal as lecun_normal
    from manualnn.initializers import lecun_uniform as lecun_uniform
    from manualnn.initializers import orthogonal as orthogonal
    from manualnn.initializers import trunc_normal as trunc_normal
    from manualnn.initializers import xavier_normal as xavier_normal
    from manualnn.initializers import xavier_uniform as xavier_uniform
    from manualnn.layers import INDEX_LAYERS as INDEX_LAYERS
    from manualnn.layers import LAYERS as LAYERS
    from manualnn.layers import all_layers as all_layers
    from manualnn.layers.activations.exponential import *
    from manualnn.layers.activations.gated import *
    from manualnn.layers.activations.glu import *
    from manualnn.layers.activations.hard import *
    from manualnn.layers.activations.piecewise import *
    from manualnn.layers.activations.rectifiers import *
    from manualnn.layers.activations.rows import *
    from manualnn.layers.activations.shrinks import *
    from manualnn.layers.activations.smooth import *
    from manualnn.layers.base import Layer as Layer
    from manualnn.layers.batch_norm import *
    from manualnn.layers.dropout import *
    from manualnn.layers.embedding import *
    from manualnn.layers.linear import *
    from manualnn.layers.normalization import *
    from manualnn.layers.residual import *
    from manualnn.layers.structure import *
    from manualnn.losses import LOSSES as LOSSES
    from manualnn.losses.base import Loss as Loss
    from manualnn.losses.classification import *
    from manualnn.losses.indices import *
    from manualnn.losses.likelihood import *
    from manualnn.losses.margin import *
    from manualnn.losses.regression import *
    from manualnn.network.sequential import Sequential as Sequential
    from manualnn.optimizers import MATRIX_RULES as MATRIX_RULES
    from manualnn.optimizers import OPTIMIZERS as OPTIMIZERS
    from manualnn.optimizers import SOLVERS as SOLVERS
    from manualnn.optimizers import all_optimizers as all_optimizers
    from manualnn.optimizers.adadelta import *
    from manualnn.optimizers.adagrad import *
    from manualnn.optimizers.adam import *
    from manualnn.optimizers.base import Optimizer as Optimizer
    from manualnn.optimizers.clipping import *
    from manualnn.optimizers.lbfgs import *
    from manualnn.optimizers.muon import *
    from manualnn.optimizers.rmsprop import *
    from manualnn.optimizers.sgd import *
    from manualnn.optimizers.signs import *
    from manualnn.optimizers.variants import *
    from manualnn.parameters import Parameters as Parameters
    from manualnn.serialization import load as load
    from manualnn.serialization import load_arrays as load_arrays
    from manualnn.serialization import save as save
    from manualnn.training.average import AveragedModel as AveragedModel
    from manualnn.training.callbacks import EarlyStopping as EarlyStopping
    from manualnn.training.history import History as History
    from manualnn.training.live import LiveCurve as LiveCurve
    from manualnn.training.schedules.base import *
    from manualnn.training.schedules.composite import *
    from manualnn.training.schedules.cosine import *
    from manualnn.training.schedules.cycles import *
    from manualnn.training.schedules.decay import *
    from manualnn.training.schedules.functions import *
    from manualnn.training.schedules.plateau import *
    from manualnn.training.schedules.warmup import *
    from manualnn.training.trainer import Trainer as Trainer
else:
    # Modules are loaded at the first use of a name, because loading NumPy takes longer than all
    # else that `manualnn --help` does.

    def __getattr__(name: str) -> Any:
        if name == "__all__":
            value = [*_OWNERS, *(name for names in map(_names, _OPEN) for name in names)]
        elif name in _OWNERS:
            value = getattr(import_module(f"manualnn.{_OWNERS[name]}"), name)
        elif not name.startswith("_") and find_spec(f"manualnn.{name}"):
            return import_module(f"manualnn.{name}")
        else:
            owner = next((module for module in _OPEN if name in _names(module)), None)
            if name.startswith("_") or owner is None:
                message = f"module {__name__!r} has no attribute {name!r}"
                raise AttributeError(message)
            value = getattr(import_module(f"manualnn.{owner}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})

    def _names(module: str) -> list[str]:
        return import_module(f"manualnn.{module}").__all__

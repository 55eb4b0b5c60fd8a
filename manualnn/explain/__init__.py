"""The backward pass told step by step, with the numbers in the formulas, and checked on the way.

    print(explain().to_text())                          # the example: 3 inputs, 2 + 2 neurons
    explain("run.json", weight="0.weight[1,2]", decimals=4).to_markdown()

For each weight and bias every path from it to the outputs is followed, factor by factor. The
factors are local derivatives taken by dual numbers through the forward kernels, so the sum over the
paths owes nothing to the hand-written backward pass, and the two are compared.
"""

import math
from decimal import localcontext
from pathlib import Path
from typing import Any

from manualnn.errors import SpecError
from manualnn.explain.build import build_explanation
from manualnn.explain.explanation import Explanation
from manualnn.explain.model import Gradient, LayerStep, LossStep, PathStep, Quantity
from manualnn.explain.numbers import CONTEXT
from manualnn.explain.run import EXAMPLE, make_run, read_file, read_run
from manualnn.losses import Loss, MSELoss
from manualnn.network import Sequential
from manualnn.optimizers import SGD, Optimizer
from manualnn.parameters import Parameters
from manualnn.validation import require_count

__all__ = [
    "EXAMPLE",
    "Explanation",
    "Gradient",
    "LayerStep",
    "LossStep",
    "PathStep",
    "Quantity",
    "explain",
]

MAX_DECIMALS = 15


def explain(
    run: Any = None,
    params: Parameters | None = None,
    x: Any = None,
    t: Any = None,
    *,
    loss: Loss | None = None,
    rule: Optimizer | None = None,
    weight: str | None = None,
    decimals: int | None = None,
    epochs: int = 10,
    target_loss: float | None = None,
    lr: float | None = None,
    paths: int = 12,
    dropout_seed: int | None = None,
) -> Explanation:
    """Explain one step of training, and run the ones after it.

    Parameters
    ----------
    run : mapping, path or Sequential, optional
        The JSON form of a run with "x", "t" and "parameters" or "seed", or a file that holds it;
        or a network, with the four arguments below. The built-in example if None.
    params, x, t, loss, rule
        Parameters, inputs (N, in), targets, loss (MSELoss() if None) and update rule (SGD() if
        None) for a network; not used with a JSON form, which has its own.
    weight : str, optional
        Explain this parameter alone: "0.weight[1,2]" is that from input 2 into neuron 1 of layer
        0, all counted from 0 (torch's layout). Without it all are explained, or in a network of
        more than 32 those 8 with the largest gradients.
    decimals : int, optional
        Round to that many decimals (0 to 15) after every operation, as one does by hand; a tie goes
        to the even digit. What is given (x, t, parameters) is rounded first; constants of the
        formulas are not. Derivatives then come from the layers' Backward formulas, and every
        quantity says how far it is from its value in full precision.
        Rules other than SGD divide by what rounding would turn into 0: of theirs only the new
        parameter is rounded.
    epochs : int
        How many updates to do, at least 1; the first is the one that is explained.
    target_loss : float, optional
        Stop after the first update that brings the error to this or below.
    lr : float, optional
        Learning rate in place of the rule's own.
    paths : int
        How many paths to show of a parameter, at least 1. Where there are more, the strongest are
        shown, those with the largest |product|; sum and count are always over all.
    dropout_seed : int, optional
        Draw dropout masks from this seed, once. Without it dropout does nothing, as in prediction.

    Returns
    -------
    Explanation
        Data; `to_text()`, `to_markdown()` and `to_json()` show it.

    Raises
    ------
    SpecError, ShapeError, DTypeError, OSError
        Where the run, a number or an option does not fit; the message says what would.

    Notes
    -----
    Everything is computed in float64 by the engine, and beside it with 50 decimal digits. The time
    grows with samples × parameters: about a second for 30,000.

    """
    require_count("epochs", epochs, 1)
    require_count("paths", paths, 1)
    if decimals is not None and (
        isinstance(decimals, bool) or decimals not in range(MAX_DECIMALS + 1)
    ):
        message = f"decimals must be an integer from 0 to {MAX_DECIMALS}, got {decimals!r}."
        raise SpecError(message)
    for name, number in (("target_loss", target_loss), ("lr", lr)):
        if number is not None and not math.isfinite(number):
            message = f"{name} must be a finite number, got {number!r}; leave it out or give one."
            raise SpecError(message)
    with localcontext(CONTEXT):
        if isinstance(run, Sequential):
            missing = [n for n, v in (("params", params), ("x", x), ("t", t)) if v is None]
            if params is None or missing:
                message = f"explain(net, params, x, t) needs {', '.join(missing)} as well; give it."
                raise SpecError(message)
            loss, rule = loss or MSELoss(), rule or SGD()
            found = make_run(run, loss, rule, params, (x, t), lr=lr, dropout_seed=dropout_seed)
        else:
            spec = EXAMPLE if run is None else run
            if isinstance(spec, str | Path):
                spec = read_file(spec)
            found = read_run(spec, lr=lr, dropout_seed=dropout_seed)
        return build_explanation(
            found,
            weight=weight,
            decimals=decimals,
            epochs=epochs,
            target_loss=target_loss,
            paths=paths,
        )

"""The rows of layers with learned or random slopes, and of layers that change the structure."""

from typing import Any

from manualnn.oracle.protocol.noise import ALPHA_MASK, RANDOM_SLOPE
from manualnn.oracle.protocol.rows import Layer, Option, Statement


def _chain(given: Any, k: int) -> tuple[dict[str, Any], ...]:
    """Return the chain of a Residual with k inputs: the given one if it has them, or a usual one.

    It is one Linear layer, or three layers, or it contains another Residual, in turn.
    """
    if given and given[0].get("in_features") == given[-1].get("out_features") == k:
        return tuple(given)

    def linear(a: int, b: int, **options: Any) -> dict[str, Any]:
        return {"type": "Linear", "in_features": a, "out_features": b, **options}

    if k % 3 == 0:
        return (linear(k, k),)
    if k % 3 == 1:
        return linear(k, k + 1), linear(k + 1, k, bias=False)
    return linear(k, k), {"type": "Residual", "layers": (linear(k, k),)}, linear(k, k)


ROWS = (
    Layer(
        name="PReLU",
        method="prelu",
        options={"num_parameters": Option(1, (2,)), "init": Option(0.25, (0.1,))},
        # Any number but 1 stands for one weight a column.
        sized=lambda spec, k: {} if spec.get("num_parameters", 1) == 1 else {"num_parameters": k},
        parameters=lambda o, _: {"weight": (o.num_parameters,)},
        is_homogeneous=True,
        has_kink=True,
    ),
    Layer(
        name="RReLU",
        method="rrelu",
        options={"lower": Option(1 / 8, (0.05, 0.0)), "upper": Option(1 / 3, (0.4, 0.9))},
        noise=RANDOM_SLOPE,
        is_homogeneous=True,
        has_kink=True,
    ),
    Layer(
        name="Residual",
        method="residual",
        options={"layers": Option()},
        sized=lambda spec, k: {"layers": _chain(spec.get("layers", ()), k)},
        parameters=lambda _, __: {},  # those of its layers: see `shapes_of`
        keeps_order=False,
    ),
    Layer(
        name="GLU",
        method="glu",
        options={"dim": Option(-1, (1,))},
        width=lambda _, k: k // 2,
        multiple=2,
        keeps_order=False,
        saturates=True,
    ),
    Layer(
        name="AlphaDropout",
        method="alpha_dropout",
        options={"p": Option(0.5, (0.1, 0.25, 0.9))},
        noise=ALPHA_MASK,
    ),
    Layer(
        name="Flatten",
        method="flatten",
        options={"start_dim": Option(1, (-1,)), "end_dim": Option(-1, (1,))},
        statement=Statement(formula=lambda m, o, z: z, bounds=lambda o: (1, 0, 0)),
        is_linear=True,
        is_homogeneous=True,
        is_exact=True,
    ),
)

"""The rows of layers with learned or random slopes, and of layers that change the structure."""

from manualnn.oracle.protocol.noise import RANDOM_SLOPE
from manualnn.oracle.protocol.rows import Layer, Option

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
)

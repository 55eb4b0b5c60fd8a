"""The rows of the layers that cases about other features contain.

The draws of those cases follow from the order of these rows, so it stays as it is.
"""

from math import inf
from typing import Any

from manualnn.oracle.protocol.noise import DROPOUT_MASK
from manualnn.oracle.protocol.rows import Convention, Layer, Option, Rounding, Shapes, Statement


def _linear_shapes(o: Any, k: int) -> Shapes:
    shapes: Shapes = {"weight": (o.out_features, k)}
    return {**shapes, "bias": (o.out_features,)} if o.bias else shapes


ROWS = (
    Layer(
        name="Linear",
        method="linear",
        options={
            "in_features": Option(),
            "out_features": Option(),
            "bias": Option(default=True, others=(False,)),
        },
        is_partner=True,
        is_linear=True,
        is_homogeneous=True,
        width=lambda o, _: o.out_features,
        parameters=_linear_shapes,
        sized=lambda _, k: {"in_features": k},
        keeps_order=False,
        is_exact=True,
    ),
    Layer(
        name="Identity",
        method="identity",
        is_partner=True,
        statement=Statement(formula=lambda m, o, z: z, bounds=lambda o: (1, 0, 0)),
        is_linear=True,
        is_homogeneous=True,
        is_exact=True,
    ),
    Layer(
        name="Sigmoid",
        method="sigmoid",
        is_partner=True,
        statement=Statement(
            formula=lambda m, o, z: m.sigmoid(z),
            value_forms={
                "½ (1 + tanh(z/2))": lambda m, o, z: (1 + m.tanh(z / 2)) / 2,
                "1 − 1 / (1 + exp(z))": lambda m, o, z: 1 - 1 / (1 + m.exp(z)),
            },
            slope_forms={
                "a (1 − a)": lambda m, o, z: m.sigmoid(z) * (1 - m.sigmoid(z)),
                "a − a²": lambda m, o, z: m.sigmoid(z) - m.sigmoid(z) * m.sigmoid(z),
                "q / (1 + q)²": lambda m, o, z: (
                    m.exp(-abs(z)) / ((1 + m.exp(-abs(z))) * (1 + m.exp(-abs(z))))
                ),
            },
        ),
        saturates=True,
        gives_probabilities=True,
    ),
    Layer(
        name="Tanh",
        method="tanh",
        is_partner=True,
        statement=Statement(
            formula=lambda m, o, z: m.tanh(z),
            slope_forms={
                "1 − a²": lambda m, o, z: 1 - m.tanh(z) * m.tanh(z),
                "(1 − a) (1 + a)": lambda m, o, z: (1 - m.tanh(z)) * (1 + m.tanh(z)),
            },
        ),
        saturates=True,
    ),
    Layer(
        name="ReLU",
        method="relu",
        is_partner=True,
        statement=Statement(
            formula=lambda m, o, z: m.where(z > 0, z, 0), bounds=lambda o: (1, None, 0)
        ),
        is_homogeneous=True,
        has_kink=True,
        is_exact=True,
    ),
    Layer(
        name="LeakyReLU",
        method="leaky_relu",
        options={
            "negative_slope": Option(0.01, (0.3, 0.0, 1.0, 2.5, -0.5), exact=(0.5, 0.25, 0.0))
        },
        is_partner=True,
        statement=Statement(
            formula=lambda m, o, z: m.where(z > 0, z, o.negative_slope * z),
            bounds=lambda o: (max(1, abs(o.negative_slope)), None, 0),
            value_rounding=Rounding(1),
        ),
        is_homogeneous=True,
        has_kink=True,
        is_exact=True,
    ),
    Layer(
        name="Softplus",
        method="softplus",
        options={"beta": Option(1.0, (0.3, 3.0, 20.0)), "threshold": Option(20.0, (1.0, 5.0))},
        conventions={
            "torch": Convention("it is z where β z > threshold, as in torch"),
            "calculus": Convention(
                "it is log(1 + exp(β z)) / β for every z, by calculus; torch's is z where "
                "β z > threshold",
                {"threshold": inf},
                excludes="threshold",
            ),
        },
        switches=lambda o: (o.threshold / o.beta,),
        is_partner=True,
        statement=Statement(
            formula=lambda m, o, z: m.where(
                o.beta * z > o.threshold, z, m.softplus(o.beta * z) / o.beta
            ),
            slope_forms={
                "e / (1 + e)": lambda m, o, z: m.where(
                    o.beta * z > o.threshold, 1, m.exp(o.beta * z) / (1 + m.exp(o.beta * z))
                ),
            },
        ),
        saturates=True,
    ),
    Layer(
        name="Softmax",
        method="softmax",
        options={"dim": Option(-1, (1,))},
        is_partner=True,
        saturates=True,
        mixes_features=True,
        gives_probabilities=True,
    ),
    Layer(
        name="LogSoftmax",
        method="log_softmax",
        options={"dim": Option(-1, (1,))},
        is_partner=True,
        saturates=True,
        mixes_features=True,
    ),
    Layer(
        name="Dropout",
        method="dropout",
        options={"p": Option(0.5, (0.1, 0.25, 0.9), exact=(0.5,))},
        is_partner=True,
        noise=DROPOUT_MASK,
        is_linear=True,
        is_exact=True,
    ),
)

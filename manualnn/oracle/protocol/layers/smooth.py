"""The rows of activations with an exponential or a quotient."""

from manualnn.oracle.protocol.rows import Layer, Rounding, Statement

ROWS = (
    Layer(
        name="Softsign",
        method="softsign",
        statement=Statement(
            formula=lambda m, o, z: z / (1 + abs(z)),
            bounds=lambda o: (1, 2, 6),
            value_rounding=Rounding(3),
            slope_rounding=Rounding(8, size=lambda m, o, z: 1 / (1 + abs(z))),
            slope_forms={
                "1 / (1 + |z|)²": lambda m, o, z: 1 / ((1 + abs(z)) * (1 + abs(z))),
                "1 / (1 + |z|) − |z| / (1 + |z|) / (1 + |z|), the quotient rule": lambda m, o, z: (
                    1 / (1 + abs(z)) - abs(z) / (1 + abs(z)) / (1 + abs(z))
                ),
                "(1 − |a|)²": lambda m, o, z: (
                    (1 - abs(z) / (1 + abs(z))) * (1 - abs(z) / (1 + abs(z)))
                ),
            },
        ),
    ),
    Layer(
        name="LogSigmoid",
        method="log_sigmoid",
        saturates=True,
        statement=Statement(
            formula=lambda m, o, z: -m.softplus(-z),
            bounds=lambda o: (1, 0.25, 0.1),
            value_rounding=Rounding(3, 2),
            slope_rounding=Rounding(4, 1, size=lambda m, o, z: m.number(1)),
            slope_forms={
                "1 − σ(z)": lambda m, o, z: 1 - m.sigmoid(z),
                "1 − exp(a)": lambda m, o, z: 1 - m.exp(-m.softplus(-z)),
                "1 / (1 + exp(z))": lambda m, o, z: 1 / (1 + m.exp(z)),
            },
        ),
    ),
    Layer(
        name="Tanhshrink",
        method="tanhshrink",
        saturates=True,
        statement=Statement(
            formula=lambda m, o, z: z - m.tanh(z),
            bounds=lambda o: (1, 0.77, 2),
            value_rounding=Rounding(2, 1, size=lambda m, o, z: abs(z)),
            slope_rounding=Rounding(3, 2, size=lambda m, o, z: m.number(1)),
            slope_forms={
                "tanh(z)²": lambda m, o, z: m.tanh(z) * m.tanh(z),
                "1 − (1 − tanh(z)²)": lambda m, o, z: 1 - (1 - m.tanh(z) * m.tanh(z)),
            },
        ),
    ),
)

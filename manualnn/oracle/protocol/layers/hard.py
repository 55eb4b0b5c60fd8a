"""The rows of activations that are linear between bounds."""

from manualnn.oracle.protocol.rows import Layer, Option, Rounding, Statement

ROWS = (
    Layer(
        name="Hardtanh",
        method="hardtanh",
        options={
            "min_val": Option(-1.0, (0.25, -2.5, 0.0), exact=(-1.0, -2.0, 0.0)),
            "max_val": Option(1.0, (0.5, 2.0, 6.0), exact=(1.0, 2.0)),
        },
        switches=lambda o: (o.min_val, o.max_val),
        statement=Statement(
            formula=lambda m, o, z: m.where(
                z <= o.min_val, o.min_val, m.where(z >= o.max_val, o.max_val, z)
            ),
            bounds=lambda o: (1, None, 0),
        ),
        is_exact=True,
    ),
    Layer(
        name="ReLU6",
        method="relu_six",
        switches=lambda o: (6.0,),
        statement=Statement(
            formula=lambda m, o, z: m.where(z <= 0, 0, m.where(z >= 6, m.number(6), z)),
            bounds=lambda o: (1, None, 0),
        ),
        is_exact=True,
    ),
    Layer(
        name="Hardsigmoid",
        method="hardsigmoid",
        switches=lambda o: (-3.0, 3.0),
        gives_probabilities=True,
        statement=Statement(
            formula=lambda m, o, z: m.where(z <= -3, 0, m.where(z >= 3, m.number(1), (z + 3) / 6)),
            bounds=lambda o: (1 / 6, None, 0),
            value_rounding=Rounding(3, size=lambda m, o, z: m.where(abs(z) < 4, m.number(1), 0)),
            slope_rounding=Rounding(2),
            value_forms={
                "z / 6 + ½": lambda m, o, z: m.where(
                    z <= -3, 0, m.where(z >= 3, 1, z / 6 + m.number(0.5))
                ),
            },
        ),
    ),
    Layer(
        name="Hardswish",
        method="hardswish",
        switches=lambda o: (-3.0, 3.0),
        statement=Statement(
            formula=lambda m, o, z: m.where(z <= -3, 0, m.where(z >= 3, z, z * (z + 3) / 6)),
            bounds=lambda o: (1.5, None, 0),
            value_rounding=Rounding(4, size=lambda m, o, z: m.where(abs(z) < 4, abs(z), 0)),
            slope_rounding=Rounding(4, size=lambda m, o, z: m.where(abs(z) < 4, m.number(2), 0)),
            value_forms={
                "z² / 6 + z / 2": lambda m, o, z: m.where(
                    z <= -3, 0, m.where(z >= 3, z, z * z / 6 + z / 2)
                ),
            },
            slope_forms={
                "z / 3 + ½": lambda m, o, z: m.where(
                    z <= -3, 0, m.where(z >= 3, 1, z / 3 + m.number(0.5))
                ),
            },
        ),
    ),
)

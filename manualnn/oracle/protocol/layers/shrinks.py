"""The rows of activations that set small or low inputs to a constant."""

from manualnn.oracle.protocol.rows import Layer, Option, Rounding, Statement

ROWS = (
    Layer(
        name="Softshrink",
        method="softshrink",
        options={"lambd": Option(0.5, (0.6, 2.0, 0.0), exact=(0.5, 1.0, 2.0, 0.0))},
        switches=lambda o: (-o.lambd, o.lambd),
        statement=Statement(
            formula=lambda m, o, z: m.where(
                z > o.lambd, z - o.lambd, m.where(z < -o.lambd, z + o.lambd, 0)
            ),
            bounds=lambda o: (1, None, 0),
            value_rounding=Rounding(1),
        ),
        is_exact=True,
    ),
    Layer(
        name="Hardshrink",
        method="hardshrink",
        options={"lambd": Option(0.5, (0.6, 2.0, 0.0), exact=(0.5, 1.0, 2.0, 0.0))},
        switches=lambda o: (-o.lambd, o.lambd),
        statement=Statement(
            formula=lambda m, o, z: m.where(z > o.lambd, z, m.where(z < -o.lambd, z, 0)),
            bounds=lambda o: (None, None, 0) if o.lambd else (1, None, 0),
        ),
        is_exact=True,
    ),
    Layer(
        name="Threshold",
        method="threshold",
        options={
            "threshold": Option(others=(0.3, -2.0, 0.0), exact=(1.0, -1.0, 0.0)),
            "value": Option(others=(-1.5, 4.0, 0.0), exact=(-2.0, 2.0, 0.0)),
        },
        sized=lambda spec, _: {"threshold": 0.3, "value": -1.5, **spec},
        switches=lambda o: (o.threshold,),
        statement=Statement(
            formula=lambda m, o, z: m.where(z <= o.threshold, o.value, z),
            bounds=lambda o: (None if o.value != o.threshold else 1, None, 0),
        ),
        is_exact=True,
    ),
)

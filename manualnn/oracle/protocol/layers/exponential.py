"""The rows of activations that are linear for positive inputs and exponential for others."""

from manualnn.oracle.protocol.rows import Layer, Option, Rounding, Statement

ALPHA, SCALE = 1.6732632423543772848, 1.0507009873554804934
"""The constants of SELU."""

ROWS = (
    Layer(
        name="ELU",
        method="elu",
        options={"alpha": Option(1.0, (0.3, 2.0, 0.0, -0.5))},
        has_kink=True,
        saturates=True,
        statement=Statement(
            formula=lambda m, o, z: m.where(z > 0, z, o.alpha * m.expm1(z)),
            bounds=lambda o: (
                max(1, abs(o.alpha)),
                abs(o.alpha) if o.alpha == 1 else None,
                abs(o.alpha),
            ),
            value_rounding=Rounding(3, 1, size=lambda m, o, z: m.where(z > 0, 0, abs(o.alpha))),
            slope_rounding=Rounding(3, 1, size=lambda m, o, z: m.where(z > 0, 0, abs(o.alpha))),
            value_forms={
                "α (exp(z) − 1)": lambda m, o, z: m.where(z > 0, z, o.alpha * (m.exp(z) - 1)),
                "α exp(z) − α": lambda m, o, z: m.where(z > 0, z, o.alpha * m.exp(z) - o.alpha),
            },
            slope_forms={
                "a + α": lambda m, o, z: m.where(z > 0, 1, o.alpha * m.expm1(z) + o.alpha),
            },
        ),
    ),
    Layer(
        name="SELU",
        method="selu",
        has_kink=True,
        saturates=True,
        statement=Statement(
            formula=lambda m, o, z: (
                m.number(SCALE) * m.where(z > 0, z, m.number(ALPHA) * m.expm1(z))
            ),
            bounds=lambda o: (SCALE * ALPHA, None, SCALE * ALPHA),
            value_rounding=Rounding(5, 1, size=lambda m, o, z: m.where(z > 0, 0, 2)),
            slope_rounding=Rounding(5, 1, size=lambda m, o, z: m.where(z > 0, 0, 2)),
            value_forms={
                "λ α (exp(z) − 1)": lambda m, o, z: m.where(
                    z > 0, SCALE * z, SCALE * ALPHA * (m.exp(z) - 1)
                ),
            },
            slope_forms={
                "a + λ α": lambda m, o, z: m.where(
                    z > 0, SCALE, SCALE * (ALPHA * m.expm1(z)) + SCALE * ALPHA
                ),
            },
        ),
    ),
    Layer(
        name="CELU",
        method="celu",
        options={"alpha": Option(1.0, (0.3, 2.0, 0.05))},
        saturates=True,
        statement=Statement(
            formula=lambda m, o, z: m.where(z > 0, z, o.alpha * m.expm1(z / o.alpha)),
            bounds=lambda o: (1, 1 / o.alpha, 1 / o.alpha**2),
            value_rounding=Rounding(4, 1, size=lambda m, o, z: m.where(z > 0, 0, o.alpha)),
            slope_rounding=Rounding(4, 1, size=lambda m, o, z: m.where(z > 0, 0, 1)),
            value_forms={
                "α (exp(z / α) − 1)": lambda m, o, z: m.where(
                    z > 0, z, o.alpha * (m.exp(z / o.alpha) - 1)
                ),
            },
            slope_forms={
                "a / α + 1": lambda m, o, z: m.where(
                    z > 0, 1, o.alpha * m.expm1(z / o.alpha) / o.alpha + 1
                ),
            },
        ),
    ),
)

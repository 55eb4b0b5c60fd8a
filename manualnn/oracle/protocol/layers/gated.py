"""The rows of activations that multiply their input by a gate: a step from 0 to 1."""

from typing import Any

from manualnn.oracle.protocol.rows import Layer, Options, Rounding, Statement

FAR = 100
"""From here on, the slope of every gate is 0 in all data types."""


def _gated(m: Any, _: Options, z: Any) -> Any:
    """Return the size of z times the slope of its gate, which is 0 far from 0, and of the gate."""
    return 1 + m.where(abs(z) < FAR, abs(z), 0)


ROWS = (
    Layer(
        name="SiLU",
        method="silu",
        saturates=True,
        statement=Statement(
            formula=lambda m, o, z: z * m.sigmoid(z),
            bounds=lambda o: (1.1, 0.5, 0.31),
            value_rounding=Rounding(4, 1, size=lambda m, o, z: abs(z)),
            slope_rounding=Rounding(6, 1, size=_gated),
            value_forms={
                "z / (1 + exp(−z))": lambda m, o, z: z / (1 + m.exp(-z)),
                "½ z (1 + tanh(z/2))": lambda m, o, z: z * (1 + m.tanh(z / 2)) / 2,
            },
            slope_forms={
                "σ (1 + z (1 − σ))": lambda m, o, z: m.sigmoid(z) * (1 + z * (1 - m.sigmoid(z))),
                "a + σ (1 − a)": lambda m, o, z: (
                    z * m.sigmoid(z) + m.sigmoid(z) * (1 - z * m.sigmoid(z))
                ),
            },
        ),
    ),
    Layer(
        name="Mish",
        method="mish",
        saturates=True,
        statement=Statement(
            formula=lambda m, o, z: z * m.tanh(m.softplus(z)),
            bounds=lambda o: (1.1, 0.65, 0.6),
            value_rounding=Rounding(6, 3, size=lambda m, o, z: abs(z)),
            slope_rounding=Rounding(10, 3, size=_gated),
            slope_forms={
                "t + z σ (1 − t²)": lambda m, o, z: (
                    m.tanh(m.softplus(z))
                    + z * m.sigmoid(z) * (1 - m.tanh(m.softplus(z)) * m.tanh(m.softplus(z)))
                ),
            },
        ),
    ),
)

"""The rows of activations that multiply their input by a gate: a step from 0 to 1."""

from typing import Any

from manualnn.oracle.protocol.rows import Layer, Option, Options, Rounding, Statement

ROOT, CUBIC = 0.7978845608028654, 0.044715
"""√(2/π) and the factor of the cube in the approximation of GELU."""
FAR = 100
"""From here on, the slope of every gate is 0 in all data types."""


def _gated(m: Any, _: Options, z: Any) -> Any:
    """Return the size of z times the slope of its gate, which is 0 far from 0, and of the gate."""
    return 1 + m.where(abs(z) < FAR, abs(z), 0)


def _cubic(m: Any, z: Any) -> Any:
    """Return s with ½ (1 + tanh(s)) ≈ Φ(z)."""
    return m.number(ROOT) * (z + m.number(CUBIC) * z * z * z)


def _gelu(m: Any, o: Options, z: Any) -> Any:
    return z * (m.sigmoid(2 * _cubic(m, z)) if o.approximate == "tanh" else m.normal_cdf(z))


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
    Layer(
        name="GELU",
        method="gelu",
        options={"approximate": Option("none", ("tanh",), is_listed=True)},
        saturates=True,
        statement=Statement(
            formula=_gelu,
            power=lambda o: 3 if o.approximate == "tanh" else 1,
            bounds=lambda o: (1.13, 0.8, 0.8),
            value_rounding=Rounding(12, 2, size=lambda m, o, z: abs(z)),
            slope_rounding=Rounding(20, 2, size=_gated),
            value_forms={
                "½ z (1 + tanh(s))": lambda m, o, z: (
                    z * (1 + m.tanh(_cubic(m, z))) / 2
                    if o.approximate == "tanh"
                    else z * m.normal_cdf(z)
                ),
            },
            slope_forms={
                "½ (1 + tanh(s)) + ½ z (1 − tanh(s)²) s′": lambda m, o, z: (
                    (1 + m.tanh(_cubic(m, z))) / 2
                    + z
                    * (1 - m.tanh(_cubic(m, z)) * m.tanh(_cubic(m, z)))
                    * (m.number(ROOT) + 3 * m.number(ROOT * CUBIC) * z * z)
                    / 2
                    if o.approximate == "tanh"
                    else m.normal_cdf(z) + z * m.normal_pdf(z)
                ),
            },
        ),
    ),
)

"""The normal distribution in decimals: Φ, and its derivative φ, with all digits in both tails."""

from decimal import Decimal, localcontext

GUARD = 12
"""Digits beyond those of the result."""
FURTHEST = Decimal(10) ** 17
"""Beyond it, the exponent of exp(−x²/2) is too large for a Decimal."""
INVERSE_ROOT = Decimal(
    "0.39894228040143267793994605993438186847585863116493465766592582967065792589930183850125"
)
"""1 / √(2π)."""
THREE = Decimal(3)


def normal_pdf(x: Decimal) -> Decimal:
    """Return exp(−x²/2) / √(2π)."""
    with localcontext() as context:
        context.prec += GUARD + max(0, 2 * x.adjusted()) if x.is_finite() else 0
        result = INVERSE_ROOT * max(-FURTHEST, -x * x / 2).exp() if not x.is_nan() else x
    return +result


def normal_cdf(x: Decimal) -> Decimal:
    """Return Φ(x) = ½ (1 + erf(x / √2)).

    Near 0 it is ½ + φ(x) Σ x²ᵏ⁺¹ / (1·3·…·(2k + 1)). Elsewhere Φ(−y) is φ(y) divided by the
    continued fraction y + 1/(y + 2/(y + 3/(y + …))).
    """
    if x.is_nan():
        return x
    y = abs(x)
    with localcontext() as context:
        context.prec += GUARD
        density = normal_pdf(x)
        if y < THREE:
            small = Decimal(1).scaleb(-context.prec)
            term, total, k = y, y, 3
            while term > small:
                term = term * y * y / k
                total += term
                k += 2
            tail = Decimal("0.5") - density * total
        else:
            fraction = y
            for k in range(60 + int(6000 / (y * y)), 0, -1):
                fraction = y + k / fraction
            tail = density / fraction
        result = 1 - tail if x > 0 else tail
    return +result

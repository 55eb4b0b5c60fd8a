"""Faults of released libraries, which alarms on right functions led to.

`RELEASES` holds derivatives at a number x: the released function, what it gives, the truth, and a
public report. test_faults.py computes all of them again, the truth by mpmath with 50 digits.
`FAULTS[name]` adjudicates an alarm on a right function of the benchmark: the library is wrong.
"""

from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np


@dataclass(frozen=True)
class Fault:
    """A wrong derivative of a release."""

    library: str
    """"torch" (2.13.0) or "jax" (0.10.2)."""
    function: str
    """The function of x, in terms of the library; c is a constant equal to x."""
    dtype: str
    x: float
    got: float
    """The derivative by the library."""
    truth: str
    """The derivative in terms of mpmath."""
    report: str = ""
    """A public report of it, if one was found."""


_SINC = "(pi*x*cos(pi*x) - sin(pi*x)) / (pi*x**2)"
_ERFCX = "2*x*exp(x**2)*erfc(x) - 2/sqrt(pi)"
_LOG_NDTR = "npdf(x) / ncdf(x)"
_ROW = "F.ctc_loss(torch.stack([0*x + log(0.2), 0*x + log(0.5), x, 0*x + log(0.6), 0*x + log(0.3), "

RELEASES = (
    Fault("torch", "torch.ldexp(x, torch.tensor(-1))", "float64", 1, 0, "mpf(1)/2",
          "pytorch/pytorch#187460"),
    Fault("torch", "torch.linalg.det(torch.stack([x, 2*c, 2*c, 4*c]).view(2, 2))", "float64", 1, 0,
          "mpf(4)", "pytorch/pytorch#104675"),
    Fault("torch", _ROW + "0*x + log(0.1)]).view(2, 1, 3), torch.tensor([[1]]), (2,), (1,))",
          "float64", -1.2039728043259361, 0.3, "mpf(0)", "pytorch/pytorch#52241"),
    Fault("torch", "F.binary_cross_entropy(x, 0*c)", "float64", 1e-13, 0.1, "1/(1 - x)",
          "pytorch/pytorch#77416, on purpose"),
    Fault("torch", "S.log_ndtr(x)", "float32", -4000, 1960.7, _LOG_NDTR),
    Fault("torch", "S.log_ndtr(x)", "float64", -1e8, 193552909, _LOG_NDTR),
    Fault("torch", "torch.sinc(x)", "float32", 1e-4, -9.26e-4, _SINC, "pytorch/pytorch#89459"),
    Fault("torch", "torch.sinc(x)", "float64", 1e-9, 0, _SINC, "pytorch/pytorch#89459"),
    Fault("torch", "S.erfcx(x)", "float32", 1e4, 0, _ERFCX),
    Fault("torch", "F.softsign(x)", "float32", 1e8, 0, "1/(1 + x)**2"),
    Fault("torch", "torch.atan2(x, c)", "float64", 1e-170, 0, "1/(2*x)", "pytorch/pytorch#166787"),
    Fault("torch", "torch.prod(torch.stack([x, c]))", "float64", 1e-200, 0, "x"),
    Fault("torch", "F.gelu(x, approximate='tanh')", "float32", 1e20, float("nan"), "mpf(1)"),
    Fault("jax", "S.spence(x)", "float64", 1.2, float("nan"), "-log(x)/(x - 1)", "jax-ml/jax#40652"),  # noqa: E501
    Fault("jax", "S.i0(x)", "float64", 0, 1, "besseli(1, x)"),
    Fault("jax", "jnp.ldexp(x, 2)", "float64", 0, 1, "mpf(4)"),
    Fault("jax", "jnp.vander(x.reshape(1), 2).sum()", "float64", 0, float("nan"), "mpf(1)"),
    Fault("jax", "S.boxcox(2.0, x)", "float64", 0, 0, "log(2)**2/2"),
    Fault("jax", "S.digamma(x)", "float64", -10.5, 2854289648047.4, "psi(1, x)", "jax-ml/jax#37635"),  # noqa: E501
    Fault("jax", "S.log_ndtr(x)", "float32", -1e5, 1, _LOG_NDTR),
    Fault("jax", "jnp.hypot(x, c)", "float32", 1e-30, float("-inf"), "1/sqrt(2)"),
    Fault("jax", "jnp.arctan2(x, c)", "float32", 1e-23, float("inf"), "1/(2*x)"),
    Fault("jax", "jnp.sinc(x)", "float32", 1e-4, -1.363e-3, _SINC, "jax-ml/jax#34139"),
    Fault("jax", "S.erfcx(x)", "float32", 1000, -5.96e-7, _ERFCX),
    Fault("jax", "jax.nn.soft_sign(x)", "float32", 1e6, 1.0232e-12, "1/(1 + x)**2"),
)  # fmt: skip


def truth(fault: Fault) -> Any:
    """Return the derivative at the number x of the fault's dtype, with 50 digits."""
    with mpmath.workdps(50):
        x = mpmath.mpf(float(np.dtype(fault.dtype).type(fault.x)))
        return eval(fault.truth, vars(mpmath) | {"x": x})  # noqa: S307 - of the table above


FAULTS: dict[str, str] = {
    "torch: torch.ldexp(x, y)  # negative exponents": "torch is wrong: 0 for y < 0.",
    "torch: L.det(x)": "torch is wrong for singular matrices: the gradient is 0 there.",
    "torch: torch.logaddexp(x, y)": "torch is wrong where x − y > 709.8: the second derivative is "
    "∞/∞, the truth is 0.",
    "torch: torch.logcumsumexp(x, 1)": "torch has 8 digits at -8e7: backward adds log dy to x.",
    "torch: F.ctc_loss(x, torch.tensor([[1, 2, 1], [2, 2, 1]]).clamp(max=x.shape[2] - 1), "
    "(len(x),) * 2, (3, 3))": "torch is wrong: it gives the gradient with respect to logits.",
    "torch: S.log_ndtr(x)  # far below in float32": "torch is wrong: log Φ(x) + x²/2 cancels.",
    "torch: torch.sinc(x)  # near 0": "torch is wrong: πx·cos πx − sin πx cancels.",
    "torch: S.erfcx(x)  # large in float32": "torch is wrong: 2x·erfcx(x) − 2/√π cancels.",
    "torch: F.binary_cross_entropy(x, torch.zeros_like(x))": "torch is wrong below 1e-12, by which "
    "it divides at least.",
    "torch: torch.triangular_solve(y, x + 6 * torch.eye(4, dtype=x.dtype))[0]": "torch is wrong: "
    "its jvp reads the tangent below the diagonal.",
    "torch: F.hardsigmoid(x)": "torch is wrong in float64: its backward has 1/6 in float32.",
    "torch: torch.pow(x, y)": "torch is wrong where y = 0: its second derivative by x and y is 0, "
    "the truth is 1/x.",
    "torch: torch.float_power(x, y)": "torch is wrong where y = 0, as torch.pow.",
    "torch: F.prelu(x, y)": "torch is wrong at x = 0: backward multiplies dy by the weight, and "
    "the derivative of that by dy is 1.",
    "torch: F.prelu(x, y)  # one weight": "torch is wrong at x = 0, as F.prelu(x, y).",
    "torch: module('PReLU', 7)": "torch is wrong at x = 0, as F.prelu(x, y).",
    "torch: torch.cdist(x, y, p=float('inf'))": "torch is wrong where coordinates tie: each gets "
    "the whole gradient, so [1, 1] and [0, 0] get [1, 1], which sums to 2.",
    "torch: torch.cholesky_inverse(L.cholesky(x))": "torch is wrong: the jvp of cholesky_inverse "
    "is not the derivative; its vjp is.",
    "torch: F.conv_tbc(x, y, z, pad=1)": "torch fails: backward takes no cotangent with other "
    "strides.",
    "torch: F.binary_cross_entropy(x, y)": "torch adds 1e-12 to x and to 1 − x in the second "
    "derivative, which is off by 2e-5 at 1e-7.",
    "torch: F.binary_cross_entropy(x, y, weight=z, reduction='sum')": "torch is wrong, as "
    "F.binary_cross_entropy(x, y).",
    "torch: F.pdist(x)": "torch ends the process in the backward pass of one row.",
    "torch: F.pdist(x, p=1)": "torch ends the process, as F.pdist(x).",
    "jax: S.spence(x)  # in [1, 2]": "JAX is wrong: NaN in (1, 2], 0 at 1, where it is −1.",
    "jax: S.i0(x)": "JAX is wrong at 0: the gradient is 1 instead of 0.",
    "jax: S.i1(x)": "JAX is wrong at 0: the second derivative is 1 instead of 0.",
    "jax: jnp.ldexp(x, y)": "JAX is wrong at x = 0: the gradient is 1 instead of 2ʸ.",
    "jax: jnp.vander(x, 4)": "JAX is wrong at 0: NaN, because the power x⁰ is differentiated too.",
    "jax: S.log_ndtr(x)": "JAX has 8 digits below −20, where it breaks a series off.",
    "jax: jax.scipy.stats.norm.logcdf(x)": "JAX has 8 digits below −20, as S.log_ndtr.",
    "jax: S.xlogy(x, y)": "JAX is wrong at x = 0 for y near 1e-308: 0 · (dy/y) is NaN.",
    "jax: S.boxcox(x, y)": "JAX is wrong for y at y = 0: 0 instead of log²(x)/2.",
    "jax: S.digamma(x)  # below 0": "JAX is wrong for negative numbers.",
    "jax: S.log_ndtr(x)  # far below in float32": "JAX is wrong: the gradient is 1 at −1e5.",
    "jax: jnp.sinc(x)  # near 0": "JAX is wrong: the gradient cancels.",
    "jax: jnp.hypot(x, y)  # small in float32": "JAX is wrong: −inf instead of 0.707.",
    "jax: jnp.std(x)": "JAX is wrong where all numbers are equal: NaN, the slopes are finite.",
}

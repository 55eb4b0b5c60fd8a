"""Functions of torch 2.13 and JAX 0.10.2 that are believed right and are not: see faults.py."""

from gradcheck.functions.expressions import functions

from manualnn.gradcheck import Array

TARGETS = "torch.tensor([[1, 2, 1], [2, 2, 1]]).clamp(max=x.shape[2] - 1)"
X = Array((5, 7))
EXPONENTS = Array((7,), kind="integers", low=-4, high=5, dtype="int64")
BELOW_ZERO = Array((5, 7), low=-20.75, high=-20.25)
FAR_BELOW = Array((5, 7), low=-4000, high=-100, dtype="float32")
NEAR_ZERO = Array((5, 7), low=2**-40, high=2**-12)
TAME = Array((4, 4), low=-1, high=1)

TORCH = [
    ("torch.ldexp(x, y)  # negative exponents", X, EXPONENTS),
    (f"F.ctc_loss(x, {TARGETS}, (len(x),) * 2, (3, 3))", Array((6, 2, 4), low=-8, high=-1)),
    ("S.log_ndtr(x)  # far below", FAR_BELOW),
    ("torch.sinc(x)  # near 0", NEAR_ZERO),
    ("S.erfcx(x)  # large", Array((5, 7), low=100, high=1e4, dtype="float32")),
    ("F.binary_cross_entropy(x, torch.zeros_like(x))", Array((5, 7), low=2**-60, high=2**-42)),
    (
        "torch.triangular_solve(y, x + 6 * torch.eye(4, dtype=x.dtype))[0]",
        TAME,
        Array((4, 2)),
    ),
]

JAX = [
    ("S.spence(x)  # in [1, 2]", Array((5, 7), low=1, high=2)),
    ("S.boxcox(x, y)", Array((5, 7), low=0.5, high=4), Array((7,), low=-1, high=1)),
    ("S.digamma(x)  # below 0", BELOW_ZERO),
    ("S.log_ndtr(x)  # far below", FAR_BELOW),
    ("jnp.sinc(x)  # near 0", NEAR_ZERO),
    ("jnp.hypot(x, y)  # small", *[Array((5, 7), low=2**-110, high=2**-100, dtype="float32")] * 2),
]

FUNCTIONS = functions("torch", TORCH) + functions("jax", JAX)

"""Error bounds of Muon, whose iteration of Newton and Schulz acts on singular values.

X ← a X + b A X + c A² X with A = X Xᵀ takes each singular value s to p(s) = a s + b s³ + c s⁵. The
bound is one number e ≥ ‖X̃ − X‖, the Frobenius norm, which no entry exceeds. Bounds entry by entry
would grow a hundred thousand times faster, because they add the absolute values of three products
that cancel.

**An error before an iteration.** The derivative of X ↦ p(X) in a direction multiplies each of the
direction's entries, in the bases of the singular vectors, by a quotient (p(s) ± p(r)) / (s ± r), or
by p(s)/s where X has more columns than rows. These factors are at most the largest |p′(s)| and
|p(s)/s| of an interval that holds all singular values. By Weyl's theorem the interval
[least − e, largest + e] does, for every matrix between X and X̃. So e grows by
L = max(|a + 3by + 5cy²|, |a + by + cy²|) over the squares y of the interval: at an end or a vertex.

**The roundings of an iteration**, for X of k rows and n columns, entry by entry:

    A           γₙ |X||X|ᵀ = E
    b A X       |b| (E + γₖ₊₄ |A|) |X|
    c A² X      |c| (E |A| + |A| E + γ₂ₖ₊₅ |A|²) |X|
    a X         |a| γ₄ |X|

They hold for (b A + c A²) X and for three separate products, each with the coefficients rounded.
Programs also multiply from the right, with Xᵀ X, so that the larger norm of both counts.

**U / max(‖U‖, ε)** moves by at most ‖δU‖ / max(‖U‖ − ‖δU‖, ε).
"""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.optimizers.matrices import MatrixRules
from manualnn.oracle.truth.bounded import Array, Bounded, Precision

UNCERTAIN = 1e-7
"""Error of singular values that are roots of float64's eigenvalues of X Xᵀ, where ‖X‖ ≤ 1."""


class BoundedMatrices(MatrixRules):
    """The lines of Muon in bounded numbers; see the module."""

    kind: Precision

    def muon_orthogonal(self, o: Options, u: Bounded) -> Bounded:
        """Return X after the iterations; 0 is exact, and an error of ‖U‖ leaves no bound."""
        if not u.most.any():
            return Bounded(u.v, u.e, u.kind, known=u.known)
        x = self.muon_normalised(o, u)
        e = x.e.flat[0]
        if not e < 1:
            return x.plus_error(np.inf)
        values, doubt = _singular_values(u.kind, x.v), UNCERTAIN
        coefficients = [float(number) for number in o.ns_coefficients]
        a, b, c = coefficients
        for _ in range(o.ns_steps):
            around = e + doubt
            largest = max(values) + around
            steepest = _steepest(coefficients, max(min(values) - around, 0), largest)
            lost = self.roundings(coefficients, x.v, e, largest)
            x = Bounded(VALUES.muon_iterated(o, x.v), x.e, u.kind)
            e, doubt = steepest * e + lost, steepest * doubt
            values = [abs(a * s + b * s**3 + c * s**5) for s in values]
        return Bounded(x.v, np.full(x.shape, e), u.kind)

    def muon_normalised(self, o: Options, u: Bounded) -> Bounded:
        """Return U / max(‖U‖, ε), also with U divided by its largest entry first."""
        kind, terms = u.kind, u.v.size
        norm, off = _norm(kind, u.size), _norm(kind, u.e)
        true_norm = kind.wide.sqrt(np.asarray((u.v * u.v).sum()))
        v = kind.wide.divide(u.v, np.maximum(true_norm, kind.wide.number(o.eps)))
        room = max(norm - off, o.eps * (1 - 2 * kind.u))
        square = kind.rough.array([norm * norm])
        of_norm = kind.summing(terms, square, square)[0] / max(square[0], o.eps**2)
        lost = (of_norm + kind.gamma(6)) * _norm(kind, kind.size(v)) + terms * kind.eta
        e = off / room + lost if room > 0 else np.inf
        return Bounded(v, np.full(u.shape, e), kind)

    def roundings(self, coefficients: list[float], x: Array, e: Any, largest: Any) -> Any:
        """Return the Frobenius norm of the roundings of an iteration of a matrix within e of X."""
        kind = self.kind
        near, moved = kind.size(x) + e, 2 * largest * e
        x = x.astype(kind.rough.dtype)
        left = self._from_left(coefficients, near, np.abs(np.dot(x, x.T)) + moved)
        right = self._from_left(coefficients, near.T, np.abs(np.dot(x.T, x)) + moved)
        return max(_norm(kind, left), _norm(kind, right)) + 64 * x.size**2 * kind.eta

    def _from_left(self, coefficients: list[float], x: Array, gram: Array) -> Array:
        """Return the roundings, from absolute values of X and of A."""
        a, b, c = map(abs, coefficients)
        rows, columns = x.shape
        off = self._relative(columns) * np.dot(x, x.T)
        gram = gram + off
        once, off_once = np.dot(gram, x), np.dot(off, x)
        twice = np.dot(gram, once)
        off_twice = np.dot(off, once) + np.dot(gram, off_once)
        return (
            a * self._relative(4) * x
            + b * (off_once + self._relative(rows + 4) * once)
            + c * (off_twice + self._relative(2 * rows + 5) * twice)
        )

    def _relative(self, roundings: int) -> Any:
        """Return the error of a sum of that many roundings, relative to the terms."""
        one = self.kind.rough.array([1.0])
        return self.kind.summing(roundings, one, one)[0]


class _Values(MatrixRules):
    """The lines of Muon in plain numbers."""

    num = staticmethod(lambda value: value)


VALUES = _Values()


def _steepest(coefficients: list[float], least: Any, largest: Any) -> Any:
    """Return the largest |p′(s)| and |p(s)/s| of an interval."""
    a, b, c = coefficients
    found = []
    for m, n in ((3 * b, 5 * c), (b, c)):
        places = [least**2, largest**2]
        if n and least**2 < -m / (2 * n) < largest**2:
            places.append(-m / (2 * n))
        found += [abs(a + m * y + n * y * y) for y in places]
    return max(found)


def _singular_values(kind: Precision, x: Array) -> list[Any]:
    """Return the singular values of the smaller side, each within UNCERTAIN."""
    if x.shape[0] > x.shape[1]:
        x = x.T
    gram = np.dot(x, x.T)
    if gram.dtype == object:  # the same bits on every machine
        context = gram.flat[0].context
        squares = list(context.eigsy(context.matrix(gram.tolist()), eigvals_only=True))
        return [kind.rough.number(context.sqrt(max(y, 0))) for y in squares]
    return list(np.sqrt(np.maximum(np.linalg.eigvalsh(gram.astype(np.float64)), 0)))


def _norm(kind: Precision, sizes: Array) -> Any:
    """Return the root of the sum of squares, which are divided by the largest one first."""
    largest = sizes.max()
    if not 0 < largest < np.inf:
        return largest
    shares = sizes / largest
    return largest * kind.rough.sqrt(kind.rough.array([(shares * shares).sum()]))[0]

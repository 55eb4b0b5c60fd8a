# ruff: noqa: ARG005 - a formula gets the arithmetic, whether it needs it or not
"""Jets carry derivatives through a formula, in any arithmetic: they are SymPy's to 100 digits."""

import pytest
import sympy as sp
from oracle.exactly import EXACT, Numbers
from proofs import Symbols

from manualnn.oracle.protocol.jets import Jets

FORMULAS = {
    "sum": lambda m, z: 3 + z - (2 - z) * z + -z,
    "quotient": lambda m, z: (1 + z * z) / (2 + z) / 3 + 1 / z,
    "exp": lambda m, z: m.exp(z * z) + m.expm1(2 * z),
    "log": lambda m, z: m.log(1 + z * z) * m.log1p(z * z),
    "sqrt": lambda m, z: z * m.sqrt(2 + z * z),
    "sigmoid": lambda m, z: z * m.sigmoid(3 * z),
    "tanh": lambda m, z: m.tanh(z) / (1 + m.tanh(z / 2)),
    "softplus": lambda m, z: m.tanh(m.softplus(z)) * z,
    "normal": lambda m, z: z * m.normal_cdf(2 * z) + m.normal_pdf(z),
    "absolute": lambda m, z: z / (1 + abs(z)),
    "branches": lambda m, z: m.where(z > 0, z * z, m.where(z <= -1, m.exp(z), 2 * z)),
}


@pytest.mark.parametrize("point", ["0.75", "-0.25", "-1.25"])
@pytest.mark.parametrize("name", FORMULAS)
def test_derivatives_are_sympys(name, point):
    z, formula = sp.Symbol("z", real=True), FORMULAS[name]
    for k, derivative in enumerate(Jets(Numbers, 3).derivatives(formula, EXACT.mpf(point))):
        exact = sp.diff(formula(Symbols, z), z, k).subs(z, sp.Rational(point))
        assert abs(derivative - EXACT.mpf(str(sp.N(exact, 150)))) < EXACT.mpf(10) ** -100


def test_at_a_kink_the_derivative_is_that_of_the_branch_that_holds():
    for formula, slope in (
        (lambda m, z: m.where(z > 0, z, 0), 0),
        (lambda m, z: m.where(z >= 0, z, 0), 1),
        (lambda m, z: abs(z), 0),
    ):
        assert Jets(Numbers, 1).derivatives(formula, EXACT.mpf(0)) == [0, slope]


def test_a_term_that_does_not_depend_on_z_has_no_derivative_even_where_z_is_infinite():
    assert Jets(Numbers, 2).derivatives(lambda m, z: z + 3, EXACT.inf)[1:] == [1, 0]


def test_where_z_is_not_a_number_neither_is_a_derivative_that_depends_on_it():
    assert Jets(Numbers, 1).derivatives(lambda m, z: z + 3, EXACT.nan)[1] == 1
    assert EXACT.isnan(Jets(Numbers, 1).derivatives(lambda m, z: z * z, EXACT.nan)[1])

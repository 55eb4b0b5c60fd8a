"""Second derivatives of functions of torch: wrong ones fail, unless they are only incomplete."""

from functools import partial

import pytest

torch = pytest.importorskip("torch")

from manualnn.gradcheck import Array, gradcheck, run, second  # noqa: E402
from manualnn.gradcheck.diagnosis import findings  # noqa: E402

pytestmark = pytest.mark.once


class Cube(torch.autograd.Function):
    """x³, whose backward is a function of inputs."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * dy


class CubeOfSavedSquare(Cube):
    """x³, whose backward uses what forward computed on the way."""

    @staticmethod
    def forward(ctx, x):
        square = x * x
        ctx.save_for_backward(x, square)
        return x * square

    @staticmethod
    def backward(ctx, dy):
        x, square = ctx.saved_tensors
        return (x * x + 2 * square) * dy


class CubeOfAttribute(CubeOfSavedSquare):
    @staticmethod
    def forward(ctx, x):
        ctx.square = x * x
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return (x * x + 2 * ctx.square) * dy


class CubeByNumpy(Cube):
    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * torch.from_numpy(3 * x.detach().numpy() ** 2)


class WrongSecond(torch.autograd.Function):
    """3 x² dy, with a wrong derivative by x."""

    @staticmethod
    def forward(ctx, x, dy):
        ctx.save_for_backward(x, dy)
        return 3 * x**2 * dy

    @staticmethod
    def backward(ctx, w):
        x, dy = ctx.saved_tensors
        return 3 * x * dy * w, 3 * x**2 * w


class CubeOfWrongSecond(Cube):
    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return WrongSecond.apply(x, dy)


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    """Judge one point, and leave out the search for the region and the cause."""
    monkeypatch.setattr(second, "POINTS", 3)
    monkeypatch.setattr(run, "ALL_COTANGENTS", ("normal",))
    monkeypatch.setattr(findings, "explain", partial(findings.explain, brief=True))


def judged(function, **options):
    report = gradcheck(function.apply, [Array((2,))], only=["second:values"], **options)
    return next(result for result in report.results if result.id == "second:values")


def test_right_second_derivatives_pass():
    assert judged(Cube).status == "passed"
    assert judged(Cube, second=True).status == "passed"


@pytest.mark.parametrize("function", [CubeOfSavedSquare, CubeOfAttribute, CubeByNumpy])
def test_incomplete_second_derivatives_fail_only_where_they_are_required(function):
    result = judged(function)
    assert result.status == "not_claimed"
    assert "once_differentiable" in result.reason
    assert judged(function, second=True).status == "failed"


def test_wrong_second_derivatives_fail():
    result = judged(CubeOfWrongSecond)
    assert result.status == "failed"
    assert "once_differentiable" in result.findings[0].message


class CubeThatSums(Cube):
    """x³, whose gradients are summed over all calls."""

    total = 0

    @staticmethod
    def backward(ctx, dy):
        CubeThatSums.total = CubeThatSums.total + 3 * dy * ctx.saved_tensors[0] ** 2
        return CubeThatSums.total


def test_a_gradient_that_is_not_the_same_twice_has_no_second_derivative():
    only = ["repeatable", "second:values"]
    report = gradcheck(CubeThatSums.apply, [Array((2,))], only=only, second=True)
    assert [(r.id, r.status) for r in report.results] == [("repeatable", "failed")]

"""Every check of behaviour finds its planted fault in a function of torch, and no right one."""

import numpy as np
import pytest
from gradcheck.test_behaviour import X, ids_of_findings

from manualnn.gradcheck.functions.find import find_function

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.once

F = torch.autograd.Function


class Square(F):
    """Return x², rightly."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 2 * x * dy


class Transposed(Square):
    """Return a gradient of another shape."""

    @staticmethod
    def backward(ctx, dy):
        return Square.backward(ctx, dy).T


class WritesCotangent(Square):
    """Overwrite the cotangent."""

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy.mul_(2 * x)


class WritesInput(Square):
    """Overwrite the input in forward, and do not mark it dirty."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.clone())
        y = x * x
        x.mul_(2)
        return y


class KeepsOnClass(Square):
    """Keep the input on the class."""

    @staticmethod
    def forward(ctx, x):  # noqa: ARG004
        KeepsOnClass.x = x.detach()
        return x * x

    @staticmethod
    def backward(ctx, dy):  # noqa: ARG004
        return 2 * KeepsOnClass.x * dy


class WritesSaved(Square):
    """Make the gradient in a tensor that forward kept."""

    @staticmethod
    def forward(ctx, x):
        ctx.gradient = 2 * x
        return x * x

    @staticmethod
    def backward(ctx, dy):
        return ctx.gradient.mul_(dy)


class ReadsStorage(Square):
    """Read the cotangent as it lies in memory."""

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        memory = torch.tensor(dy.untyped_storage().tolist(), dtype=torch.uint8).view(dy.dtype)
        return 2 * x * memory.repeat(dy.numel())[: dy.numel()].view(x.shape)


class Swapped(F):
    """Ask for the gradients in the wrong order."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        needs = ctx.needs_input_grad
        return dy * w if needs[1] else None, dy * x if needs[0] else None


class TakesNoNone(F):
    """Take two cotangents, of which none may be None."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        return x * x, 3 * x

    @staticmethod
    def backward(ctx, first, second):
        (x,) = ctx.saved_tensors
        return 2 * x * first + 3 * second


class WrongJvp(F):
    """Return a jvp without the factor 2."""

    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):  # noqa: ARG004
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 2 * x * dy

    @staticmethod
    def jvp(ctx, tangent):
        return ctx.saved_tensors[0] * tangent


class WrongVmap(WrongJvp):
    """Return x times the sum of x, under vmap the sum of the whole batch."""

    @staticmethod
    def forward(x):
        return x * x.sum()

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * x.sum() + (dy * x).sum()

    @staticmethod
    def jvp(ctx, tangent):
        (x,) = ctx.saved_tensors
        return tangent * x.sum() + x * tangent.sum()

    @staticmethod
    def vmap(info, in_dims, x):  # noqa: ARG004
        return WrongVmap.apply(x), 0


class InPlace(F):
    """Return relu(x) in the memory of x, marked dirty, rightly."""

    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.clamp_(min=0)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (y > 0)


class Identity(F):
    """Return x, and the cotangent itself as its gradient."""

    @staticmethod
    def forward(ctx, x):  # noqa: ARG004
        return x.view_as(x)

    @staticmethod
    def backward(ctx, dy):  # noqa: ARG004
        return dy


def findings(f, *arrays, dtype=np.float64):
    """Return the ids of all checks that accuse a torch function."""
    arrays = [array.astype(dtype) for array in arrays]
    function = find_function(f, arrays, framework="torch")
    return set(ids_of_findings(function, [*arrays, *function.parameters]))


@pytest.mark.parametrize(
    ("f", "ids"),
    [
        (Transposed, {"shape"}),
        (WritesCotangent, {"memory.inputs", "layout.cotangent"}),
        (WritesInput, {"memory.inputs"}),
        (KeepsOnClass, {"graphs"}),
        (WritesSaved, {"retained"}),
        (ReadsStorage, {"layout.cotangent"}),
        (TakesNoNone, {"unused_outputs"}),
        (WrongJvp, {"jvp"}),
        (WrongVmap, {"vmap"}),
    ],
)
def test_fault_of_torch_function_is_found(f, ids):
    assert findings(f, X) == ids


def test_swapped_needs_input_grad_are_found():
    assert findings(Swapped, X, X + 1) == {"needs_input_grad"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "f",
    [
        Square,
        InPlace,
        Identity,
        lambda x: torch.nn.functional.relu_(x.clone()),
        lambda x: x.T[1:],
        lambda x: x.expand(3, 2, 3),
        lambda x: x.sum(-1),
        lambda x: (x.max(0), x.softmax(1)),
        lambda x: torch.nn.functional.dropout(x, 0.5),
        torch.nn.functional.gelu,
        torch.nn.BatchNorm1d(3),
        torch.nn.Sequential(
            torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.ReLU(inplace=True)
        ),
        torch.nn.GRU(3, 2),
    ],
)
def test_right_torch_function_has_no_finding(f, dtype):
    assert findings(f, X, dtype=dtype) == set()

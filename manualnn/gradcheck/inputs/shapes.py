"""Other shapes of the inputs: sizes 0, 1, odd and large ones, and inputs that are broadcast.

Equal numbers in the shapes of several inputs are one size: (5, 7) and (7,) become (5, 1) and (1,).
Sizes of 1 stay, because such an axis may be broadcast.
A number of classes, or a largest index, follows the size that it is equal to. Ranks stay.
"""

import math
from collections.abc import Mapping, Sequence

from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.parameters import MATRIX_KINDS
from manualnn.gradcheck.inputs.read import Drawn, Example

SQUARE = 3
"""The size of all axes in one variation."""
LARGE = (131, 33)
"""A size beyond 128, the width of many kernels' blocks, and one for arrays that have it twice."""


def vary_shapes(specs: Sequence[Array]) -> list[list[Array]]:
    """Return the inputs with each size 1, no samples, all sizes equal, and odd and large sizes.

    Sizes of parameters stay, and those of examples of integers, which may be indices. Inputs from a
    strategy have no variations, because the strategy draws the shapes.
    """
    if any(isinstance(spec, Drawn) for spec in specs):
        return []
    kept = {size for spec in specs if _has_fixed_shape(spec) for size in spec.shape}
    sizes = sorted({size for spec in specs for size in spec.shape} - kept - {1})
    if not sizes:
        return []
    indices = any(isinstance(s, Example) and s.fixed and s.kind == "integers" for s in specs)
    last = next((spec.shape[-1] for spec in specs if spec.shape and spec.shape[-1] in sizes), None)
    plans: list[dict[int, int]] = [{size: 1} for size in sizes]
    plans.append(dict.fromkeys(sizes, 1))
    plans.append(dict.fromkeys(sizes, SQUARE))  # a transposed gradient has the right shape there
    plans.append({size: size + 1 + place for place, size in enumerate(sizes)})
    plans.append({size: (2, 3, 17)[place % 3] for place, size in enumerate(sizes)})
    if last is not None:
        repeats = max(spec.shape.count(last) for spec in specs)
        plans.append({size: LARGE[repeats > 1] if size == last else 2 for size in sizes})
    plans += [{size: 0} for size in sizes]
    if indices:  # may be indices into any axis, which must not become shorter
        plans = [plan for plan in plans if all(new >= size for size, new in plan.items())]
    varied = [_renamed(specs, plan) for plan in plans]
    given = [spec.shape for spec in specs]
    seen = [given]
    result = []
    for candidate in varied:
        shapes = [spec.shape for spec in candidate]
        # Many right functions take no samples, but refuse samples of nothing, or end the process.
        is_hollow = any(0 in shape[1:] for shape in shapes)
        if candidate and shapes not in seen and not is_hollow:
            seen.append(shapes)
            result.append(candidate)
    return result


def broadcast_shapes(specs: Sequence[Array]) -> list[list[Array]]:
    """Return the inputs with one axis of one of them of size 1, where another input has that axis.

    A function of inputs of equal shapes need not allow this. If its gradient has another shape
    than the input there, the function only takes equal shapes.
    """
    if any(isinstance(spec, Drawn) for spec in specs):
        return []
    result = []
    for place, spec in enumerate(specs):
        if _has_fixed_shape(spec) or spec.kind in MATRIX_KINDS or not spec.is_differentiable:
            continue
        others = [other.shape for at, other in enumerate(specs) if at != place]
        for axis in range(-spec.ndim, 0):
            size = spec.shape[axis]
            if size > 1 and any(_meets(spec.shape, other, axis) for other in others):
                shape = list(spec.shape)
                shape[axis] = 1
                result.append([*specs[:place], spec.resized(tuple(shape)), *specs[place + 1 :]])
    return result


def _meets(shape: tuple[int, ...], other: tuple[int, ...], axis: int) -> bool:
    """Return whether another shape broadcasts with this one, and has the same size at an axis."""
    common = min(len(shape), len(other))
    if -axis > common or other[axis] != shape[axis]:
        return False
    pairs = zip(shape[-common:], other[-common:], strict=True)
    return all(a == b or 1 in {a, b} for a, b in pairs)


def _has_fixed_shape(spec: Array) -> bool:
    return isinstance(spec, Example) and (spec.fixed or spec.is_parameter)


def _renamed(specs: Sequence[Array], sizes: Mapping[int, int]) -> list[Array]:
    """Return the inputs with other sizes; an empty list if no class is left to draw."""
    result: list[Array] = []
    for spec in specs:
        shape = tuple(sizes.get(size, size) for size in spec.shape)
        high = _high(spec, sizes)
        if high != spec.high and high is not None and high < (spec.kind == "classes"):
            if math.prod(shape):
                return []
            high = spec.high
        is_same = _has_fixed_shape(spec) or (shape == spec.shape and high == spec.high)
        result.append(spec if is_same else spec.resized(shape, high=high))
    return result


def _high(spec: Array, sizes: Mapping[int, int]) -> float | None:
    """Return the number of classes, or the largest index, that the new sizes give."""
    if spec.high is None or spec.kind not in {"classes", "integers"} or spec.low:
        return spec.high
    is_index = spec.kind == "integers"
    size = int(spec.high) + is_index
    return sizes.get(size, size) - is_index

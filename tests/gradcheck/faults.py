"""Alarms on right functions of the benchmark that are right: faults of releases.

FAULTS[name] says who is right, with a minimal input, the result, and the truth.
"""

FAULTS: dict[str, str] = {
    "torch: torch.ldexp(x, y)": "torch 2.13 is wrong for a negative integer y: the gradient of "
    "ldexp(x, −1) is 0, the truth is 2⁻¹ = 0.5 (pytorch/pytorch#187460).",
    "torch: L.det(x)": "torch 2.13 is wrong for singular matrices: for [[1, 2], [2, 4]] the "
    "gradient is 0, the truth is the adjugate [[4, −2], [−2, 1]] (pytorch/pytorch#104675).",
}

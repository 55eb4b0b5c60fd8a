"""Bugs of activations that are linear between bounds."""

from manualnn.oracle.bugs.bug import Table, bug

BUGS = Table("activations")

BUGS["hardtanh-slope-at-bounds"] = bug(
    "The slope of Hardtanh is 1 at its bounds as well.",
    lines=("hardtanh′ = [min ≤ z ≤ max]", "hardtanh′ = [min < z < max]"),
    hardtanh_slope=lambda e, o, z, a: e.array((z >= o.min_val) & (z <= o.max_val)),
)
BUGS["hardtanh-slope-without-a-bound"] = bug(
    "The slope of Hardtanh is 1 beyond one of its bounds.",
    lines=("hardtanh′ = [z > min], or [z < max]", "hardtanh′ = [min < z < max]"),
    hardtanh_slope=[
        lambda e, o, z, a: e.array(z > o.min_val),
        lambda e, o, z, a: e.array(z < o.max_val),
    ],
)

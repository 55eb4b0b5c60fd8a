"""Optimizers: the row of each with options and state, and its update rule as the paper writes it.

    UpdateRules                     the update rules in any arithmetic, one method per optimizer
    rules.gradients_of_step(o, params, grads)   the gradients after penalties and clipping
    rules.options_for(o, key)       the options of a parameter, which may be in a group
    rules.adam(o, p, g, s, t)       return the new p, and write the new state into s
    ROWS                            the rows; `method` names the optimizer's method of UpdateRules

o: options; p: parameter; g: its gradient; s: arrays of its state; t: number of the update, from 1.

This is the only statement of the rules in the oracle. A subclass adds the arithmetic (`num`,
`sqrt`, `larger`, `sign_of`): textbook/engine.py NumPy's, truth/optimizers.py bounded numbers, tests
SymPy's symbols, floats and 200 digits. Each line of a rule is a method, because each bug of the
catalogue overrides one line. The truth overrides lines that correct engines compute in several
orders.
"""

from manualnn.oracle.protocol.optimizers import adam, descent, matrices, signs
from manualnn.oracle.protocol.optimizers.around import SAMPLE, Around, with_around
from manualnn.oracle.protocol.optimizers.descent import DescentRules
from manualnn.oracle.protocol.optimizers.lines import Array, Arrays
from manualnn.oracle.protocol.optimizers.matrices import MatrixRules
from manualnn.oracle.protocol.optimizers.signs import SignRules
from manualnn.oracle.protocol.rows import MissingEntryError, Options

IN_FULL = ("SGD", "Adam")
"""The rules around which every value of penalties, clipping and groups is visited."""
ROWS = tuple(
    with_around(row, 1 if row.name in IN_FULL else SAMPLE)
    for row in (*descent.ROWS, *adam.ROWS, *signs.ROWS, *matrices.ROWS)
)


class UpdateRules(Around, DescentRules, SignRules, MatrixRules):
    """The update rules, one method per optimizer, in the arithmetic of a subclass."""

    def apply_rule(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        """Return the new p by the method of the optimizer, and write the new state into s."""
        name = next(row.method for row in ROWS if row.name == o.type)
        if not hasattr(self, name):
            raise MissingEntryError(
                f"protocol/optimizers has no update rule for {o.type!r}; "
                f"add a method {name!r} to UpdateRules."
            )
        return getattr(self, name)(o, p, g, s, t)

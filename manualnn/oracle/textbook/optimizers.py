"""Update rules as their papers write them, in any arithmetic: the one statement of each optimizer.

    UpdateRules             one method per optimizer: sgd, rmsprop, adagrad, adam, adamw
    rules.adam(o, p, g, s, t)       return the new p, and write the new state into s

o holds the options, p a parameter, g its gradient, and s the arrays of the state for it. The update
has the number t = 1, 2, …. The name of the method is the optimizer's in small letters.

A subclass adds the arithmetic: `num`, `sqrt` and `larger`. Four of them follow from one statement:

    textbook/engine.py          NumPy's numbers: the textbook engine
    truth/optimizers.py         bounded numbers: the truth
    tests/proofs.py             SymPy's symbols, for the proofs, and plain floats
    tests/oracle/exactly.py     mpmath's numbers with 200 digits

Each line of a rule is a method of its own, for two reasons. A bug of the catalogue overrides one
line. The truth overrides a line that correct engines compute in several orders (`average`,
`correction`, `moved_by_quotient`, …), because its bound has to hold for each of these orders.
"""

from typing import Any

from manualnn.oracle.protocol.features import Options, row_of
from manualnn.oracle.protocol.rows import MissingEntryError

Array = Any
"""An array of any numbers that have +, −, ×, / and abs."""
State = dict[str, Array]


class UpdateRules:
    """The optimizers' equations; see the module."""

    def num(self, value: Any) -> Any:
        """Return an option as a number of this arithmetic."""
        raise NotImplementedError

    def sqrt(self, v: Array) -> Array:
        """Return the square root of every entry."""
        raise NotImplementedError

    def larger(self, a: Array, b: Array) -> Array:
        """Return the larger number of two, entry by entry."""
        raise NotImplementedError

    def apply_rule(self, o: Options, p: Array, g: Array, s: State, t: int) -> Array:
        """Return the new p by the method of the optimizer, and write the new state into s."""
        name = row_of(o.type).method
        if not hasattr(self, name):
            raise MissingEntryError(
                f"textbook/optimizers.py has no update rule for {o.type!r}; "
                f"add a method {name!r} to UpdateRules."
            )
        return getattr(self, name)(o, p, g, s, t)

    def moved(self, o: Options, p: Array, d: Array, lr: Any) -> Array:
        """Return the parameter after a step of that rate along d."""
        return p - lr * d

    def moved_by_quotient(self, o: Options, p: Array, d: Array, root: Array, lr: Any) -> Array:
        """Return the parameter after a step along d / root, where root contains ε."""
        return self.moved(o, p, self.quotient(o, d, root), lr)

    def quotient(self, o: Options, d: Array, root: Array) -> Array:
        return d / root

    def average(self, old: Array, new: Array, beta: float) -> Array:
        """Return the moving average of numbers with a memory of β."""
        return self.num(beta) * old + (1 - self.num(beta)) * new

    def correction(self, beta: float, t: int) -> Any:
        """Return 1 − βᵗ, the weight of the numbers in an average that started from 0."""
        return 1 - self.num(beta) ** t

    def gradient(self, o: Options, p: Array, g: Array) -> Array:
        """Return the gradient with its sign for `maximize` and with the weight decay."""
        g = self.uphill(o, g)
        return g + self.num(o.weight_decay) * p if o.weight_decay else g

    def uphill(self, o: Options, g: Array) -> Array:
        return -g if o.maximize else g

    def sgd(self, o: Options, p: Array, g: Array, s: State, t: int) -> Array:
        g = self.gradient(o, p, g)
        if o.momentum:
            s["momentum_buffer"] = b = self.sgd_buffer(o, s["momentum_buffer"], g, t)
            g = self.sgd_direction(o, g, b)
        return self.moved(o, p, g, self.num(o.lr))

    def sgd_buffer(self, o: Options, b: Array, g: Array, t: int) -> Array:
        return g if t == 1 else self.num(o.momentum) * b + (1 - self.num(o.dampening)) * g

    def sgd_direction(self, o: Options, g: Array, b: Array) -> Array:
        return g + self.num(o.momentum) * b if o.nesterov else b

    def rmsprop(self, o: Options, p: Array, g: Array, s: State, t: int) -> Array:
        g = self.gradient(o, p, g)
        s["square_avg"] = v = self.rmsprop_square(o, s["square_avg"], g)
        if o.centered:
            s["grad_avg"] = m = self.rmsprop_mean(o, s["grad_avg"], g)
            v = self.rmsprop_variance(o, v, m)
        root, lr = self.rmsprop_root(o, v), self.num(o.lr)
        if not o.momentum:
            return self.moved_by_quotient(o, p, g, root, lr)
        d = self.quotient(o, g, root)
        s["momentum_buffer"] = d = self.rmsprop_buffer(o, s["momentum_buffer"], d)
        return self.moved(o, p, d, lr)

    def rmsprop_square(self, o: Options, v: Array, g: Array) -> Array:
        return self.average(v, g * g, o.alpha)

    def rmsprop_mean(self, o: Options, m: Array, g: Array) -> Array:
        return self.average(m, g, o.alpha)

    def rmsprop_variance(self, o: Options, v: Array, m: Array) -> Array:
        return v - m * m

    def rmsprop_root(self, o: Options, v: Array) -> Array:
        return self.sqrt(v) + self.num(o.eps)

    def rmsprop_buffer(self, o: Options, b: Array, d: Array) -> Array:
        return self.num(o.momentum) * b + d

    def adagrad(self, o: Options, p: Array, g: Array, s: State, t: int) -> Array:
        g = self.gradient(o, p, g)
        s["sum"] = self.adagrad_sum(o, s["sum"], g)
        root, lr = self.adagrad_root(o, s["sum"]), self.adagrad_rate(o, t)
        return self.moved_by_quotient(o, p, g, root, lr)

    def adagrad_sum(self, o: Options, s: Array, g: Array) -> Array:
        return s + g * g

    def adagrad_root(self, o: Options, s: Array) -> Array:
        return self.sqrt(s) + self.num(o.eps)

    def adagrad_rate(self, o: Options, t: int) -> Any:
        return self.num(o.lr) / (1 + (t - 1) * self.num(o.lr_decay))

    def adam(self, o: Options, p: Array, g: Array, s: State, t: int) -> Array:
        return self.adam_step(o, p, self.gradient(o, p, g), s, t)

    def adamw(self, o: Options, p: Array, g: Array, s: State, t: int) -> Array:
        return self.adam_step(o, self.adamw_decayed(o, p), self.uphill(o, g), s, t)

    def adamw_decayed(self, o: Options, p: Array) -> Array:
        return p * (1 - self.num(o.lr) * self.num(o.weight_decay))

    def adam_step(self, o: Options, p: Array, g: Array, s: State, t: int) -> Array:
        s["exp_avg"] = m = self.adam_mean(o, s["exp_avg"], g, t)
        s["exp_avg_sq"] = v = self.adam_square(o, s["exp_avg_sq"], g, t)
        if o.amsgrad:
            s["max_exp_avg_sq"] = v = self.adam_maximum(o, s["max_exp_avg_sq"], v, t)
        lr = self.num(o.lr) / self.adam_correction1(o, t)
        return self.moved_by_quotient(o, p, m, self.adam_root(o, v, t), lr)

    def adam_mean(self, o: Options, m: Array, g: Array, t: int) -> Array:
        return self.average(m, g, o.betas[0])

    def adam_square(self, o: Options, v: Array, g: Array, t: int) -> Array:
        return self.average(v, g * g, o.betas[1])

    def adam_maximum(self, o: Options, old: Array, v: Array, t: int) -> Array:
        return self.larger(old, v)

    def adam_root(self, o: Options, v: Array, t: int) -> Array:
        return self.sqrt(v / self.adam_correction2(o, t)) + self.num(o.eps)

    def adam_correction1(self, o: Options, t: int) -> Any:
        return self.correction(o.betas[0], t)

    def adam_correction2(self, o: Options, t: int) -> Any:
        return self.correction(o.betas[1], t)

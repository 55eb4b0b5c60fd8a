"""Rows of the table of features: what the oracle knows of one layer, loss or optimizer.

    Option      an option: its default, the values that cases are drawn with
    Convention  a formula at an extreme, where right engines differ
    Statement   a function of one entry: its formula, and the bounds of its derivatives
    Layer       options, properties and statement of a layer
    Loss        options, properties and statement of a loss
    Optimizer   options of an optimizer, and the arrays that it keeps between steps

`features` puts the rows together. Every list of names in the oracle follows from a property here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Literal

from numpy.typing import NDArray

from manualnn.errors import OracleError
from manualnn.oracle.protocol.buffers import Buffer
from manualnn.oracle.protocol.jets import Jets

Array = NDArray[Any]
REQUIRED: Any = object()
"""Placeholder for the default of an option that is required."""
REDUCTIONS = ("mean", "sum", "batchmean")


class MissingEntryError(OracleError, LookupError):
    """A feature has no entry where it needs one; the message names the place and what to add."""


@dataclass(frozen=True)
class Option:
    """One option of a feature."""

    default: Any = REQUIRED
    """torch's default."""
    others: tuple[Any, ...] = ()
    """Values that cases are drawn with, beside the default."""
    exact: tuple[Any, ...] = ()
    """Values with which no operation rounds on small integers: see `cases.lattice`."""
    is_partner: bool = True
    """True if cases about other features may set the option. False for an option added later."""
    is_in_any: bool = True
    """True if the claim "any" of a feature includes the option."""
    share: float = 1
    """Number of cases of its recipe, relative to others. Below 1, a run visits no corners of it."""
    is_listed: bool = False
    """True if a claim lists all values, the default only if it is among them."""

    def is_needed(self, claim: Any) -> bool:
        """Return True if a claim of this option excludes its default, so that a case states it."""
        return self.is_listed and claim != "any" and self.default not in claim

    @property
    def is_chosen(self) -> bool:
        """True if the option is required, and its values are free: no size of the network."""
        return self.default is REQUIRED and bool(self.others)

    @property
    def values(self) -> tuple[Any, ...]:
        """The values that cases are drawn with, the default first."""
        return self.others if self.default is REQUIRED else (self.default, *self.others)


@dataclass(frozen=True)
class Convention:
    """A formula of a feature at an extreme, where right engines differ."""

    sentence: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Values of options that state the formula. Engines do not receive them."""
    excludes: str = ""
    """The option that an engine of this convention lacks."""


class Options(SimpleNamespace):
    """The options of one layer, loss or optimizer, as attributes; `type` is its name."""

    type: str

    def in_numbers(self, number: Callable[[Any], Any]) -> "Options":
        """Return the options with integers and floats as numbers of another arithmetic."""

        def converted(value: Any) -> Any:
            is_number = isinstance(value, float | int) and not isinstance(value, bool)
            return number(value) if is_number else value

        return Options(**{name: converted(value) for name, value in vars(self).items()})


Formula = Callable[..., Any]
"""f(m, o, z) of a layer or f(m, o, y, t) of a loss: one entry, in the arithmetic m of `jets`.

The attributes of o are the options, as numbers of that arithmetic.
"""


@dataclass(frozen=True)
class Rounding:
    """Rounding errors of correct programs, relative to `size`."""

    operations: int = 0
    """Number of roundings of one entry."""
    functions: int = 0
    """Number of further elementary functions, such as exp, each with an error of some ulps."""
    size: Formula | None = None
    """The size of the largest number that is rounded; the result's own where nothing cancels."""


Bounds = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A function of one entry, as a textbook writes it; everything else follows from the formula.

    The formula has to be accurate as it stands: log1p(x) in place of log(1 + x), and no difference
    of numbers that are nearly equal. The derivative follows by `jets`. A condition compares linear
    functions of z or their absolute values. At a kink, the branch that holds has torch's slope.
    """

    formula: Formula
    bounds: Callable[[Any], Bounds] | None = None
    """From the options: Lipschitz constants of f and f′, and the largest |f‴| between kinks.

    None where there is no such number, because f or f′ jumps or grows without limit. Without
    bounds, `truth` needs an entry for the feature.
    """
    power: Callable[[Any], int] = lambda _: 1
    """From the options: the power of z that programs compute. Where it overflows is no bound."""
    value_rounding: Rounding = Rounding()
    slope_rounding: Rounding = Rounding()
    """No rounding at all: the slope is 0, 1 or −1."""
    value_forms: Mapping[str, Formula] = field(default_factory=dict)
    """Other formulas of the value that programs use, by name: each stays inside the bound."""
    slope_forms: Mapping[str, Formula] = field(default_factory=dict)
    """Formulas of the derivative that programs use, by name: each stays inside the bound."""

    def value(self, m: Any, o: Options, z: Any, *rest: Any) -> Any:
        """Return f(z) in the arithmetic m; the rest are further arguments of the formula."""
        return self.formula(m, o.in_numbers(m.number), z, *rest)

    def derivatives(self, m: Any, o: Options, z: Any, *rest: Any, order: int = 1) -> list[Any]:
        """Return f(z), f′(z) and so on, up to the order."""
        numbers = o.in_numbers(m.number)
        return Jets(m, order).derivatives(lambda m, z: self.formula(m, numbers, z, *rest), z)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """Properties that layers, losses and optimizers have in common."""

    name: str
    """torch's name."""
    method: str
    """The first part of the names of its methods in the textbook engine, such as "leaky_relu"."""
    options: Mapping[str, Option] = field(default_factory=dict)
    conventions: Mapping[str, Convention] = field(default_factory=dict)
    """Conventions by name, torch's first. An engine claims one, or it is found by its answers."""
    is_partner: bool = False
    """True if cases about other features may contain the feature.

    It is False for a new feature, so that the cases of other features stay the same.
    """
    switches: Callable[[Any], tuple[float, ...]] = lambda _: ()
    """From the options: z of a layer, or |y − t| of a loss (y where targets are signs), at which
    the formula changes.

    Every run visits both sides of a switch. A kink at 0 is none, because every run visits 0.
    """

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The default of every option; REQUIRED where there is none."""
        return {name: option.default for name, option in self.options.items()}


Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Noise:
    """A random array of a layer in training, of the shape of the layer's input."""

    name: str
    draw: Callable[[Any, Options, tuple[int, ...]], Array]
    """From NumPy's generator, the options and the shape: the array in float64."""
    admitted: Callable[[Options, Array, Any], Array]
    """From the options, an array and a dtype: the nearest array that these options give."""
    sentence: Callable[[Options, Any], str]
    """From the options and a dtype: the entries that it may have."""


@dataclass(frozen=True, kw_only=True)
class Layer(Feature):
    """A layer y = f(x)."""

    statement: Statement | None = None
    """Its formula, if every entry of y depends on the same entry of x alone."""
    width: Callable[[Any, int], int] = lambda _, k: k
    """From the options and the number of inputs: the number of outputs."""
    parameters: Callable[[Any, int], Shapes] | None = None
    """From the options and the number of inputs: the shape of every parameter, in torch's order."""
    sized: Callable[[Mapping[str, Any], int], Mapping[str, Any]] = lambda _, __: {}
    """From its description and the number of inputs: the options that have to fit that number."""
    multiple: int = 1
    """The number of inputs is a multiple of it."""
    noise: Noise | None = None
    buffers: Callable[[Any], tuple[Buffer, ...]] = lambda _: ()
    """From the options: the arrays beside the parameters, in torch's order."""
    mixes_samples: bool = False
    """True if y depends on the whole batch in training. Then one sample is undefined."""
    is_linear: bool = False
    """True if a network of such layers alone is a linear function."""
    is_homogeneous: bool = False
    """True if f(c x) = c f(x) for c > 0, also if c scales the biases with x."""
    has_kink: bool = False
    """Its slope jumps at x = 0; an engine may claim another slope there than torch's."""
    saturates: bool = False
    """True if it computes exponentials, which overflow or leave the digits of a data type."""
    mixes_features: bool = False
    """True if y depends on whole rows of x, and a constant added to a row does not change y."""
    keeps_order: bool = True
    """Inputs in another order give the same outputs in that order, with parameters in it, too."""
    gives_probabilities: bool = False
    """0 ≤ y ≤ 1."""
    is_exact: bool = False
    """It rounds nowhere on small integers, with the exact values of its options."""

    @property
    def keeps_width(self) -> bool:
        """It has as many outputs as inputs, whatever its options."""
        return self.width is Layer.width

    @property
    def has_any_width(self) -> bool:
        """The number of its outputs is an option."""
        return "out_features" in self.options

    @property
    def has_parameters(self) -> bool:
        """It has weights, which a case contains."""
        return self.parameters is not None

    @property
    def is_elementwise(self) -> bool:
        """Every entry of y depends on the same entry of x alone."""
        return self.statement is not None


@dataclass(frozen=True, kw_only=True)
class Loss(Feature):
    """A loss L of outputs y and targets t."""

    statement: Statement | None = None
    """The term of one output y and its target t, if L is the sum of the terms over a divisor."""
    targets: Literal["numbers", "probabilities", "classes", "labels", "signs"] = "numbers"
    """"numbers": any; "probabilities": from 0 to 1; "classes": indices, or rows that sum to 1;
    "labels": rows of indices, which end before the first −1; "signs": 1 and −1."""
    class_targets: tuple[str, ...] = ("indices", "probabilities")
    """The forms of the targets of a loss of classes."""
    is_per_sample: bool = False
    """It has one term for each sample, of all its outputs, and its mean divides by the samples."""
    has_mean_of_weights: bool = False
    """Its mean of class indices divides by the weights of those that count, not their number."""
    takes_probabilities: bool = False
    """0 ≤ y ≤ 1 is required."""
    takes_probabilities_with: Mapping[str, Any] = field(default_factory=dict)
    """Values of options with which y ≥ 0 is required; then the cases have 0 ≤ y ≤ 1."""
    has_kink: bool = False
    """Its slope jumps where `kink` holds; an engine may claim another slope there than torch's."""
    kink: Callable[[Any, Any, Any], Any] = lambda _, y, t: y == t
    """From the options, y and t: where a loss that has a kink has it."""
    is_exact: bool = False
    """It rounds nowhere on small integers, with the exact values of its options."""


@dataclass(frozen=True)
class State:
    """An array that an optimizer keeps for each parameter, under torch's name."""

    name: str
    typical: Callable[[Any, Array, Array, int], Array]
    """A typical array, from the options o, g, s and t.

    g is the mean gradient of every entry, s the mean of its square, and t the number of updates.
    """
    option: str | None = None
    """The option that it depends on: the array is kept if the option is not 0, None or False."""
    initial: str | None = None
    """The option with the value that every entry starts from; without one, the value is 0."""
    is_nonnegative: bool = False
    is_maximum: bool = False
    """True for a maximum over all updates: a new number may be above it or below it."""
    mean: str | None = None
    """The array whose squares are never larger than this array, if the rule has both."""

    def initial_value(self, options: Any) -> Any:
        """Return the value that every entry starts from."""
        return getattr(options, self.initial) if self.initial else 0.0


@dataclass(frozen=True, kw_only=True)
class Optimizer(Feature):
    """An update rule."""

    state: tuple[State, ...] = ()
    scales_with_lr: bool = True
    """False if a learning rate of 0 does not leave the parameters as they are."""
    is_entrywise: bool = True
    """False if a step of an entry depends on its whole matrix. Then every parameter is a matrix."""

"""What a narrative is made of: each form decides how every kind of block looks."""

from dataclasses import dataclass

from manualnn.explain.model import PathStep, Quantity


@dataclass(frozen=True)
class Heading:
    """A title, of level 1 to 3."""

    text: str
    level: int


@dataclass(frozen=True)
class Paragraph:
    """A line or more of prose."""

    text: str


@dataclass(frozen=True)
class Naming:
    """How names correspond to symbols, for a form that has both."""

    text: str


@dataclass(frozen=True)
class Code:
    """Equations as the source states them."""

    lines: list[str]


@dataclass(frozen=True)
class Worked:
    """Quantities, each with its formula: first with names, then with numbers."""

    quantities: list[Quantity]


@dataclass(frozen=True)
class Chain:
    """A path: the product of its factors."""

    path: PathStep


@dataclass(frozen=True)
class Table:
    """Rows under a header; names in the first column, numbers in the others."""

    header: list[str]
    rows: list[list[str]]


Block = Heading | Paragraph | Naming | Code | Worked | Chain | Table

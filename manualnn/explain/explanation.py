"""Explanation: its data, and its output as JSON, plain text, Markdown and a page."""

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from html import escape
from typing import Any

from manualnn.errors import SpecError
from manualnn.explain import MAX_DIGITS
from manualnn.explain.formula import Formula, Symbol
from manualnn.explain.model import ExplanationData
from manualnn.explain.render.document import write_document
from manualnn.explain.render.html import write_html
from manualnn.explain.render.markdown import MarkdownPage
from manualnn.explain.render.notation import Notation
from manualnn.explain.render.text import TextPage
from manualnn.explain.run import require_integer

SCHEMA = "manualnn.explain/1"

_PLAIN = Notation()


@dataclass(frozen=True)
class Explanation(ExplanationData):
    """The result of `manualnn.explain.explain`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: numbers unrounded, names and formulas as plain text.

        Numbers that JSON does not have are strings: "Infinity", "-Infinity" or "NaN".
        """
        return {"schema": SCHEMA, **_to_json(self)}

    def to_json(self) -> str:
        """Return the explanation as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    def to_text(self, *, full: bool = False, digits: int = 6) -> str:
        """Return the explanation as plain text.

        `full` shows every gradient of the explanation with its paths, and complete lists. (A large
        network's explanation has them all if `explain` was called with `every=True`.) Numbers that
        are not rounded to decimals have that many significant digits, from 1 to 17.
        """
        return self._write(TextPage, digits, full=full)

    def to_markdown(self, *, full: bool = False, digits: int = 6) -> str:
        """Return the same in Markdown, with LaTeX formulas that GitHub renders."""
        return self._write(MarkdownPage, digits, full=full)

    def _write(self, kind: type[TextPage], digits: int, *, full: bool) -> str:
        require_integer("digits", digits, 1, MAX_DIGITS)
        return write_document(self, kind(self.decimals, digits, full=full))

    def to_html(self) -> str:
        """Return the explanation as a page: one HTML file that needs no network.

        Raises SpecError if the network has too many parameters for a page of a megabyte.
        """
        return write_html(self, self.to_dict(), self.to_text())

    def _repr_html_(self) -> str:
        """Return the page in a frame of its own, for notebooks; the text if it is too large."""
        try:
            html = self.to_html()
        except SpecError:
            return f"<pre>{escape(self.to_text())}</pre>"
        return (
            f'<iframe srcdoc="{escape(html)}" title="Backpropagation, step by step" '
            f'style="width: 100%; height: 46rem; border: 0"></iframe>'
        )


def _to_json(value: Any) -> Any:  # noqa: PLR0911  # a case each
    match value:
        case Formula():
            return {"names": _PLAIN.formula(value, names=True), "numbers": _PLAIN.formula(value)}
        case Symbol():
            return value.text
        case dict():
            return {key: _to_json(item) for key, item in value.items()}
        case list():
            return [_to_json(item) for item in value]
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if is_dataclass(value):
        return {field.name: _to_json(getattr(value, field.name)) for field in fields(value)}
    return value

"""Explanation: its data, and its output as JSON, plain text, Markdown and a page."""

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from html import escape
from typing import Any

from manualnn.errors import SpecError
from manualnn.explain.formula import Formula, Symbol
from manualnn.explain.model import ExplanationData
from manualnn.explain.render.document import write_document
from manualnn.explain.render.html import write_html
from manualnn.explain.render.markdown import MarkdownPage
from manualnn.explain.render.notation import TEXT
from manualnn.explain.render.text import TextPage

SCHEMA = "manualnn.explain/1"


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

    def to_text(self) -> str:
        """Return the explanation as plain text."""
        return write_document(self, TextPage(self.decimals))

    def to_markdown(self) -> str:
        """Return the explanation in Markdown, with LaTeX formulas that GitHub renders."""
        return write_document(self, MarkdownPage(self.decimals))

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
            return {"names": TEXT.formula(value, names=True), "numbers": TEXT.formula(value)}
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

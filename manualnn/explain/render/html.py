"""The page of an explanation: the same data, as one HTML file to read and to touch."""

import json
from html import escape
from pathlib import Path
from typing import Any

from manualnn.errors import SpecError
from manualnn.explain.model import ExplanationData
from manualnn.page.assemble import FOLDER, page

MAX_BYTES = 1_000_000
"""Largest size of a page. Its JSON holds every parameter and gradient with all digits."""
MOST = 200
"""Most units of a list that the JSON of a page holds; the page computes all of them itself."""

_PAGE = Path(__file__).parent.parent / "page"


def write_html(e: ExplanationData, data: dict[str, Any], text: str) -> str:
    """Return the page of an explanation, from its JSON form and its plain text.

    Raises SpecError if the network has too many parameters for a page of `MAX_BYTES`.
    """
    html = page(
        _PAGE / "template.html",
        styles=[FOLDER / "style.css", FOLDER / "drawing" / "network.css", _PAGE / "explain.css"],
        entry=_PAGE / "app.mjs",
        data={"explanation": json.dumps(_cut(data), ensure_ascii=False, separators=(",", ":"))},
        title="Backpropagation, step by step",
        parts={"text": escape(text)},
    )
    size = len(html.encode())
    if size > MAX_BYTES:
        count = len(e.gradients) + e.gradients_left_out
        message = (
            f"cannot make a page: with {count:,} parameters and {e.loss.samples:,} samples it "
            f"would have {size:,} bytes, more than the limit of {MAX_BYTES:,}; explain a network "
            f"of at most about {count * MAX_BYTES // size:,} parameters, or print the text, which "
            f"shows the largest gradients."
        )
        raise SpecError(message)
    return html


def _cut(data: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON form with shorter lists of units, for a batch of many samples."""

    def shortened(part: dict[str, Any], *names: str) -> dict[str, Any]:
        return part | {name: part[name][:MOST] for name in names}

    layers = [shortened(step, "outputs", "carried") for step in data["layers"]]
    loss = shortened(data["loss"], "terms", "slopes")
    return shortened(data, "inputs", "targets") | {"layers": layers, "loss": loss}

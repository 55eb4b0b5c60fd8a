"""Self-contained HTML files: one template, its styles, its modules and its data in one file.

The JavaScript is written as ES modules, so that Node runs and tests each of them as it is. In a
page they stand one after the other in a single `<script type="module">`, in the order of their
imports. The lines `import {…} from "./…"` and the word `export` are left out, so that the source
of a page reads well. Therefore the names at the top of all modules of a page must be distinct.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

__all__ = ["FOLDER", "modules", "page"]

FOLDER = Path(__file__).parent
"""The folder of the styles and modules that all pages share."""

_IMPORT = re.compile(r'^import \{[^}]*\} from "(\.[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async |function|const|class|let))", re.MULTILINE)

_CONTENT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
)
"""The browser refuses every request of the page, so that nothing is sent anywhere."""


def page(
    template: Path,
    *,
    styles: Sequence[Path],
    entry: Path,
    data: Mapping[str, str],
    title: str,
    parts: Mapping[str, str] | None = None,
) -> str:
    """Return a page as one HTML text, which needs no other file and no network.

    Parameters
    ----------
    template : Path
        HTML with the places $title, $head, $data and $script, and one for each of `parts`; $head
        stands for the content policy and the styles.
    styles : sequence of Path
        CSS files, in their order.
    entry : Path
        The module that starts the page. The modules that it imports come before it.
    data : mapping
        JSON texts by name. Each becomes `<script type="application/json" id="NAME">`.
    title : str
        Plain text.
    parts : mapping, optional
        HTML texts for the template's own places.

    """
    css = "\n".join(style.read_text(encoding="utf-8") for style in styles)
    script = "\n".join(_as_part(module) for module in modules(entry))
    elements = [
        f'<script type="application/json" id="{escape(name)}">{_escape_json(text)}</script>'
        for name, text in data.items()
    ]
    return Template(template.read_text(encoding="utf-8")).substitute(
        parts or {},
        title=escape(title),
        head=f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_POLICY}">\n'
        f"<style>\n{css}</style>",
        data="\n".join(elements),
        script=f'<script type="module">\n{script}</script>',
    )


def _escape_json(text: str) -> str:
    """Return JSON that cannot end its element; in its texts, the escape means the same as <."""
    return text.replace("<", "\\u003c")


def modules(entry: Path) -> list[Path]:
    """Return a module and all that it imports, each after its imports."""
    found: dict[Path, None] = {}
    entered: set[Path] = set()

    def enter(module: Path) -> None:
        if module in entered:
            return
        entered.add(module)
        for imported in _IMPORT.findall(module.read_text(encoding="utf-8")):
            enter((module.parent / imported).resolve())
        found[module] = None

    enter(entry.resolve())
    return list(found)


def _as_part(module: Path) -> str:
    """Return a module's text without its imports and the word `export`."""
    text = _IMPORT.sub("", module.read_text(encoding="utf-8"))
    return f"// ===== {module.name}\n\n{_EXPORT.sub('', text).strip()}\n"

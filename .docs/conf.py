"""Sphinx's settings. `tox -e docs` builds the site into build/docs; a warning is an error."""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import manualnn
import manualnn.explain
import manualnn.tabular

sys.path.insert(0, str(Path(__file__).parent))

# autodoc sees names that a module loads on first use only after their first use.
for module in (manualnn, manualnn.explain, manualnn.tabular):
    for name in module.__all__:
        getattr(module, name)

project = html_title = "manualnn"
extensions = [
    "formulas",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
default_role = "py:obj"
add_module_names = False
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_copyright = html_show_sphinx = html_copy_source = False

LINK = re.compile(r'(?:href|src)="(?!\w+:)([^"#?]*)[^"#]*(?:#([^"]*))?"')


def setup(app: Sphinx) -> None:
    """Check the links when the pages are written."""
    app.connect("build-finished", check_links)


def check_links(app: Sphinx, exception: Exception | None) -> None:
    """Raise ExtensionError if a link leads to no page. Sphinx checks only links that it wrote."""
    texts = {page: page.read_text(encoding="utf-8") for page in Path(app.outdir).rglob("*.html")}
    names = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in texts.items()}
    broken = []
    for page, text in () if exception else texts.items():
        for path, anchor in set(LINK.findall(text)):
            target = (page.parent / unquote(path)).resolve() if path else page
            if not target.exists() or (anchor and unquote(anchor) not in names[target]):
                broken.append(f"{page.name}: a link leads nowhere: {path}#{anchor}")
    if broken:
        raise ExtensionError("\n".join(sorted(broken)))

"""Sphinx's settings. `tox -e docs` builds the site into build/docs; a warning is an error."""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

# autodoc sees names that a module loads on first use only after their first use.
PARTS = ["", ".estimators", ".explain", ".onnx", ".oracle", ".plot", ".tabular"]
PUBLIC = {
    name: getattr(module, name)
    for module in (import_module(f"manualnn{part}") for part in PARTS)
    for name in module.__all__
}

project = html_title = "manualnn"
extensions = [
    "formulas",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # a parameter such as `loss` may be called as attributes are
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
# The type and the accent of the pages that manualnn writes (manualnn/page/style.css).
PROSE = 'Charter, "Bitstream Charter", "Sitka Text", Cambria, Georgia, serif'
ACCENTS = {"light": "#7a2e8e", "dark": "#d59be6"}
html_theme_options = {
    f"{theme}_css_variables": {
        "font-stack": PROSE,
        "color-brand-primary": accent,
        "color-brand-content": accent,
        "color-brand-visited": accent,
    }
    for theme, accent in ACCENTS.items()
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_copyright = html_show_sphinx = html_copy_source = False

LINK = re.compile(r'(?:href|src)="(?!\w+:)([^"#?]*)[^"#]*(?:#([^"]*))?"')


def setup(app: Sphinx) -> None:
    """Add the pages and pictures that manualnn itself makes, then check names and links."""
    app.connect("build-finished", add_made_pages)
    app.connect("build-finished", check_names, priority=501)
    app.connect("build-finished", check_links, priority=502)


def add_made_pages(app: Sphinx, exception: Exception | None) -> None:
    """Write the explanation of the example, the report on mytoy.py, and the guide's pictures."""
    if exception:
        return
    site, pictures = Path(app.outdir), Path(app.outdir) / "pictures"
    pictures.mkdir(exist_ok=True)
    run = [sys.executable, "-W", "error", "-m", "manualnn"]
    subprocess.run([*run, "explain", "--html", site / "explanation.html"], check=True)  # noqa: S603
    with TemporaryDirectory() as folder:  # the report names the folder of its failures
        shutil.copy(HERE / "examples" / "mytoy.py", folder)
        options = ["--only", "layer.*", "--only", "loss.*", "--html", site / "report.html"]
        command = [*run, "check", "mytoy.py:Engine", *options]
        subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)  # noqa: S603
    guide = HERE.joinpath("guides", "pictures.md").read_text(encoding="utf-8")
    program = "".join(re.findall(r"```python\n(.*?)```", guide, re.DOTALL))
    plain = os.environ | {"MPLBACKEND": "svg"}
    subprocess.run([sys.executable, "-c", program], cwd=pictures, check=True, env=plain)  # noqa: S603


def check_names(app: Sphinx, exception: Exception | None) -> None:
    """Raise ExtensionError if no page documents a public class or function."""
    documented = {name.rpartition(".")[2] for name in app.env.get_domain("py").objects}
    missing = {name for name, value in PUBLIC.items() if callable(value)} - documented
    if missing and not exception:
        raise ExtensionError(f"No page of .docs/api documents {', '.join(sorted(missing))}.")


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

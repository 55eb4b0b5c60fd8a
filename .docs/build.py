"""API pages: writes the docstrings, with their formulas as mathematics, into build/docs.

The build fails in each of these cases:

    a layer or a loss lacks its Forward or Backward equations, or an update rule its equations
    a formula cannot be parsed
    a name in backticks is no name of the code
    a link leads nowhere
"""

import ast
import builtins
import inspect
import pkgutil
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pdoc
from formulas import formula_to_mathml
from jinja2 import pass_context
from jinja2.runtime import Context
from pdoc import docstrings
from pdoc.render_helpers import relative_link

import manualnn
from manualnn.elementary import Array

HERE = Path(__file__).resolve().parent
PAGES = HERE.parent / "build" / "docs"

BLOCK = re.compile(r"^(Forward|Backward)((?:,.*)?)\n((?:    .+\n?)+)", re.MULTILINE)
RULES = re.compile(r"^(?:\S+ ← .+\n?)+", re.MULTILINE)
FACTS = re.compile(r"(?:^|(?<=\. ))(Shapes|Source|State|Raises):", re.MULTILINE)
READ_FIRST = ("network", "training", "layers", "losses", "optimizers", "initializers", "parameters")
SHORT_TYPES = {
    inspect.formatannotation(Array): "Array",
    "numpy.random._generator.": "numpy.random.",
    "typing.": "",
}
ELSEWHERE = {"numpy", "safetensors", "sklearn", "torch"}
REFERENCE = re.compile(r"(?<!`)`([A-Za-z_]\w*(?:\.\w+)*)`(?!`)")


def main() -> None:
    """Check the docstrings, then write the pages; exit with the list of errors, if any."""
    if wrong := [*missing_equations(), *broken_references()]:
        sys.exit("\n".join(wrong))
    pdoc.render.configure(docformat="numpy", show_source=False, template_directory=HERE)
    # Two functions format signatures, and neither knows our alias for an array.
    inspect.formatannotation = pdoc.doc.formatannotation = short_type
    pdoc.render.env.filters["to_markdown"] = to_markdown
    pdoc.render.env.filters["summary"] = summary
    modules = pkgutil.walk_packages(manualnn.__path__, prefix="manualnn.")
    names = {module.name for module in modules} - {"manualnn.__main__"}
    shutil.rmtree(PAGES, ignore_errors=True)
    for module in (manualnn, manualnn.explain, manualnn.tabular):
        for name in module.__all__:
            getattr(module, name)  # names that are loaded on first use are documented, too
    with warnings.catch_warnings():
        # pdoc warns because it also finds modules through a package that has no __all__.
        warnings.filterwarnings("ignore", "The module specification")
        # The module is the wheel's; the folder of the same name holds the same code.
        warnings.filterwarnings("ignore", "'manualnn' may refer to either")
        pdoc.pdoc("manualnn", *sorted(names, key=reading_order), output_directory=PAGES)
    if wrong := list(broken_links()):
        sys.exit("\n".join(wrong))
    sys.stdout.write(f"{(PAGES / 'manualnn.html').as_uri()}\n")


def reading_order(module: str) -> tuple[int, str]:
    """Return the sort key of a module: the most important ones first, with their submodules."""
    part = module.split(".")[1]
    return READ_FIRST.index(part) if part in READ_FIRST else len(READ_FIRST), module


# ------------------------------------------------------------------ checks


def missing_equations() -> Iterator[str]:
    """Yield a message for every class that lacks equations."""
    for described in [*manualnn.LAYERS.values(), *manualnn.LOSSES.values()]:
        found = {header for header, _, _ in BLOCK.findall(inspect.getdoc(described) or "")}
        for header in sorted({"Forward", "Backward"} - found):
            yield f"{described.__name__}: the docstring has no {header} equations."
    for rule in manualnn.OPTIMIZERS.values():
        if not RULES.search(inspect.getdoc(rule) or ""):
            yield f"{rule.__name__}: the docstring has no equations (θ ← …)."


def broken_references() -> Iterator[str]:
    """Yield a message for every name in backticks that is no name of the code."""
    sources = sorted(Path(manualnn.__file__).parent.rglob("*.py"))
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources}
    known = set(dir(builtins)).union(*map(names_in, trees.values()))
    known |= {part for path in sources for part in path.with_suffix("").parts}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            for name in REFERENCE.findall(text_of(node)):
                if not resolves(name, known):
                    yield f"{path.name}: `{name}` is no name of the code."


def names_in(tree: ast.Module) -> Iterator[str]:
    """Yield the names in a module, and the words of its strings other than documentation."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "module"):
            if isinstance(name := getattr(node, field, None), str):
                yield from name.split(".")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            yield from re.findall(r"\w+", node.value)


def text_of(node: ast.AST) -> str:
    """Return the text of a docstring node, or an empty text for any other node."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return ""


def resolves(name: str, known: set[str]) -> bool:
    """Return whether all parts of a name are known, and whether a class has the attributes."""
    first, *rest = name.split(".")
    if first in ELSEWHERE:
        return True
    if not known.issuperset({first, *rest}):
        return False
    owner = getattr(manualnn, first, None)
    while inspect.isclass(owner) and rest:
        attribute = rest.pop(0)
        documented = {line.partition(" : ")[0] for line in (owner.__doc__ or "").splitlines()}
        if attribute in {word.strip() for word in documented}:
            return True
        if not hasattr(owner, attribute) and attribute not in inspect.get_annotations(owner):
            return False
        owner = getattr(owner, attribute, None)
    return True


def broken_links() -> Iterator[str]:
    """Yield a message for every link between the pages that leads nowhere."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES.rglob("*.html")}
    anchors = {page: set(re.findall(r'id="([^"]+)"', text)) for page, text in texts.items()}
    for page, text in texts.items():
        for path, anchor in set(re.findall(r'href="([\w./]*)(?:#([^"]*))?"', text)):
            target = (page.parent / path).resolve() if path else page
            if target not in texts or (anchor and anchor not in anchors[target]):
                yield f"{page.name}: a link leads nowhere: {path}#{anchor}"


# ------------------------------------------------------------------ pages


@pass_context
def to_markdown(context: Context, docstring: str) -> str:
    """Return a docstring as Markdown, with its equations as MathML and links to other pages."""
    text = BLOCK.sub(lambda m: block_to_html(m[1], m[2], m[3]), inspect.cleandoc(docstring) + "\n")
    text = RULES.sub(lambda m: equations_to_html(m[0]), text)
    text = FACTS.sub(r"**\1:**", text)
    text = REFERENCE.sub(linker(context["module"].obj), text)
    return docstrings.convert(text, "numpy", None)


def block_to_html(header: str, givens: str, equations: str) -> str:
    """Return a Forward or Backward block; its title may contain formulas."""
    given = f"{givens[:1]} {math(givens[1:].strip())}" if givens else ""
    return f'<p class="pass"><b>{header}</b>{given}</p>\n\n{equations_to_html(equations)}'


def equations_to_html(equations: str) -> str:
    """Return equations as a table; three spaces or more separate an equation from a remark."""
    rows = []
    for line in equations.splitlines():
        cells = [f"<td>{math(cell)}</td>" for cell in re.split(r"\s{3,}", line.strip())]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table class="equations">{"".join(rows)}</table>\n\n'


def math(formula: str) -> str:
    """Return a math element, with fractions and sums in full size."""
    return f'<math displaystyle="true">{formula_to_mathml(formula)}</math>'


def linker(module: ModuleType) -> Callable[[re.Match[str]], str]:
    """Return a function that replaces the name of a public class of another module by a link."""

    def link(found: re.Match[str]) -> str:
        target: Any = getattr(manualnn, found[1].partition(".")[0], None)
        if not inspect.isclass(target) or target.__module__ == module.__name__:
            return found[0]
        page = relative_link(module.__name__, target.__module__)
        return f"[{found[0]}]({page}#{found[1]})"

    return link


def short_type(annotation: Any, *, original: Callable[..., str] = inspect.formatannotation) -> str:
    """Return an annotation in the short form of the source."""
    text = original(annotation)
    for long, short in SHORT_TYPES.items():
        text = text.replace(long, short)
    return text


def summary(docstring: str) -> str:
    """Return the first sentence of a docstring, without its full stop."""
    paragraph = docstring.partition("\n\n")[0].replace("\n", " ")
    return re.split(r"\.(?: |$)", paragraph)[0].replace("`", "")


if __name__ == "__main__":
    main()

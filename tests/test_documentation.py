"""The documentation: docstrings state their equations, names and links lead to what exists."""

import ast
import builtins
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import manualnn

pytestmark = pytest.mark.once

ELSEWHERE = {"numpy", "safetensors", "sklearn", "torch"}
QUOTED = re.compile(r"(?<!`)`([A-Za-z_]\w*(?:\.\w+)*)`(?!`)")

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *(page for top in (".docs", "manualnn", "tests") for page in ROOT.joinpath(top).rglob("*.md")),
]
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
SOURCES = sorted(Path(manualnn.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("described", [*manualnn.LAYERS.values(), *manualnn.LOSSES.values()])
def test_docstring_has_the_equations_of_both_passes(described):
    for header in ("Forward", "Backward"):
        assert re.search(rf"^{header}(,.*)?\n    \S", inspect.getdoc(described), re.MULTILINE)


@pytest.mark.parametrize("rule", manualnn.OPTIMIZERS.values())
def test_docstring_has_the_equations_of_the_rule(rule):
    assert re.search(r"^\S ← ", inspect.getdoc(rule), re.MULTILINE)


def names_in(tree: ast.Module) -> Iterator[str]:
    """Yield the names in a module, and the words of its strings other than documentation."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "module"):
            if isinstance(name := getattr(node, field, None), str):
                yield from name.split(".")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            yield from re.findall(r"\w+", node.value)


def is_known(name: str, known: set[str]) -> bool:
    """Return whether all parts of a name exist, and whether a public class has the attribute."""
    first, *rest = name.split(".")
    if first in ELSEWHERE:
        return True
    owner = getattr(manualnn, first, None)
    if inspect.isclass(owner) and rest:
        has_it = hasattr(owner, rest[0]) or rest[0] in inspect.get_annotations(owner)
        return has_it or re.search(rf"^ *{rest[0]}\b.* : ", owner.__doc__, re.MULTILINE)
    return known.issuperset({first, *rest})


def test_names_in_backticks_exist():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    known = ELSEWHERE.union(dir(builtins), *map(names_in, trees.values()))
    known.update(part for path in SOURCES for part in path.with_suffix("").parts)
    unknown = [
        f"{path}:{node.lineno}: {name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for name in QUOTED.findall(str(node.value.value))
        if not is_known(name, known)
    ]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not page.parent.joinpath(link).exists()] == []

r"""Formulas: the equations of docstrings become LaTeX, and all LaTeX becomes MathML.

A docstring has its equations in plain text, because `help()` prints it in a terminal. docutils
translates LaTeX to MathML, which browsers show without a library: the site works offline.

>>> latex("dx[n] = 1/D Σⱼ (y[n,j] − t)² where D > 0")
'\\mathit{dx}_{n} = \\frac{1}{D}\\,\\sum _{j}\\,(y_{n,j} - t)^{2}\\text{\xa0where\xa0}D > 0'
"""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

HIGH = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ᵀᵗⁿᵏⁱʲˡᵝ", "0123456789-+Ttnkijlβ", strict=True)) | {"′": r"\prime"}
LOW = dict(zip("₀₁₂₃₄₅₆₇₈₉₋₊ₙₖⱼᵢₜₛₗ", "0123456789-+nkjitsl", strict=True))
SIGNS = {"−": "-", "·": r"\cdot ", "⊙": r"\odot ", "×": r"\times ", "±": r"\pm ", "…": r"\ldots "}
SIGNS |= {"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "←": r"\gets ", "∈": r"\in ", "∉": r"\notin "}
SIGNS |= {"Σ": r"\sum ", "∂": r"\partial ", "‖": r"\| ", "½": r"\frac{1}{2}"}
FUNCTIONS = "erf|exp|log|max|min|sign|softmax|softplus|tanh"

NAME = rf"(?:{FUNCTIONS}|d[A-Za-z]|lr|[a-z]+_[a-z_]+)(?![A-Za-z_])"
NESTED = "[^()]*"
for _ in range(3):
    NESTED = rf"(?:[^()]|\({NESTED}\))*"
SCRIPTS = f"[{''.join(HIGH)}{''.join(LOW)}]*"
FACTOR = rf"[√∂]?(?:\w*\({NESTED}\)|\w+\u0302?(?:\[[^]]*\])?){SCRIPTS}"
TOKEN = re.compile(
    rf"""(?P<above>{FACTOR})\ ?/\ ?(?P<below>(?:Σ{SCRIPTS}\ )?{FACTOR})
       | √(?P<root>{FACTOR})
       | (?P<hat>[a-z])\u0302
       | (?<=[\w)])\[(?P<index>[^]]*)\]
       | (?P<high>[{"".join(HIGH)}]+)
       | (?P<low>[{"".join(LOW)}]+)
       | (?P<name>{NAME})
       | (?P<words>"[a-z]+"|\ ?(?!{NAME})[A-Za-z]['a-z]+(?:\ (?!{NAME})['a-z]{{2,}})*\ ?)
       | (?P<sign>[{"".join(SIGNS)}])
       | (?P<product>(?<=[\w)\]\u0302])\ (?=[\w(√Σ∂]))""",
    re.VERBOSE,
)

PASS = re.compile(r"^(Forward|Backward)(|,.*)\n((?:    .+\n?)+)", re.MULTILINE)
RULES = re.compile(r"^(?:\S+ ← .+\n?)+", re.MULTILINE)
FACTS = re.compile(r"(?:^|(?<=\. ))(Shapes|Source|State|Raises):", re.MULTILINE)
CODE = re.compile(r"^(\S.*\n)\n(?=    )", re.MULTILINE)
MARKUP = re.compile(
    r"(`[^`]*`|^ *(?:>>>|\.\.\.) .*|^[\w, ]+ : .*)|\|(?=\S[^|\n]*\|)|_\b(?!\w)", re.MULTILINE
)
"""In group 1 formulas, names, code and parameters; else what reStructuredText would interpret."""


def latex(formula: str) -> str:
    """Return a formula as LaTeX. The factors beside a slash become a fraction, words stay text."""
    return TOKEN.sub(_token_to_latex, formula)


def _token_to_latex(found: re.Match[str]) -> str:  # noqa: PLR0911  # a case each
    text = found[str(found.lastgroup)]
    match found.lastgroup:
        case "below":
            return rf"\frac{{{_bare(found['above'])}}}{{{_bare(text)}}}"
        case "root":
            return rf"\sqrt{{{_bare(text)}}}"
        case "hat":
            return rf"\hat{{{text}}}"
        case "index":
            return f"_{{{latex(text)}}}"
        case "high":
            return f"^{{{''.join(HIGH[letter] for letter in text)}}}"
        case "low":
            return f"_{{{(',' if text.isalpha() else '').join(LOW[letter] for letter in text)}}}"
        case "name":
            return _name_to_latex(text)
        case "words":
            return rf"\text{{{text}}}".replace(" ", "\N{NO-BREAK SPACE}")
        case "sign":
            return SIGNS[text]
    return r"\,"


def _bare(factor: str) -> str:
    """Return a factor as LaTeX, without the parentheses around all of it."""
    return latex(factor[1:-1] if factor[0] == "(" and factor[-1] == ")" else factor)


def _name_to_latex(name: str) -> str:
    if re.fullmatch(FUNCTIONS, name):
        return rf"\operatorname{{{name}}}"
    font = "mathit" if re.fullmatch("d[A-Za-z]", name) else "mathrm"
    return rf"\{font}{{{name}}}".replace("_", r"\_")


def math(text: str) -> str:
    """Return a formula as reStructuredText, in parts between which a line may break."""
    parts = re.split(r"(?<=[,;]) +(?![^()]*\))", text.strip(", "))
    return " ".join(rf":math:`\displaystyle {latex(part)}`" for part in parts)


def equations(text: str) -> str:
    """Return equations as a table. Three spaces separate an equation from its remark."""
    rows = [re.split(r"\s{3,}", line.strip(), maxsplit=1) for line in text.strip().splitlines()]
    width = max(map(len, rows))
    cells = [[*map(math, row)] + [""] * (width - len(row)) for row in rows]
    lines = ["   * - " + "\n     - ".join(row) for row in cells]
    return "\n".join(["", ".. list-table::", "   :class: equations", "", *lines, "", ""])


def rewrite(app: Sphinx, *described: Any) -> None:  # noqa: ARG001  # the event's arguments
    """Replace the equations of a docstring by tables of formulas, and mark its code."""
    lines: list[str] = described[-1]
    text = CODE.sub(r"\1\n::\n\n", "\n".join(lines) + "\n")
    text = PASS.sub(
        lambda m: f"**{m[1]}**{f', {math(m[2])}' if m[2] else ''}\n{equations(m[3])}", text
    )
    text = RULES.sub(lambda m: equations(m[0]), text)
    text = MARKUP.sub(lambda m: m[1] or f"\\{m[0]}", text)
    lines[:] = FACTS.sub(r"**\1:**", text).splitlines()
    if described[0] in {"attribute", "data", "property"}:
        # napoleon would take what stands before a colon for the type.
        lines[0] = re.sub(r":(?= )", " –", lines[0], count=1)


def show_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a sentence."""
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def show_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula in a line of its own."""
    self.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the translation of docstrings and of formulas."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_html_math_renderer("mathml", (show_inline, None), (show_block, None))
    app.connect("autodoc-process-docstring", rewrite, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}

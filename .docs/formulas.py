"""Formulas of docstrings as MathML, which browsers show without a library.

A formula is plain text, such as `dz[n,i] = a[n,i] (da[n,i] − Σⱼ da[n,j] a[n,j])`. Letters are
variables, and `dz` is one variable. Other words are prose, or functions before a parenthesis. The
factors next to a slash become a fraction.

>>> formula_to_mathml("dW = dzᵀ x")  # doctest: +ELLIPSIS +NORMALIZE_WHITESPACE
'<mi class="one">dW</mi><mo>=</mo><msup><mi class="one">dz</mi><mi>T</mi></msup>...<mi>x</mi>'
>>> formula_to_mathml("1/D (y − t)²")  # doctest: +ELLIPSIS
'<mfrac><mn>1</mn><mi>D</mi></mfrac>...<msup><mrow><mo>(</mo>...<mo>)</mo></mrow><mn>2</mn></msup>'
>>> formula_to_mathml("a = (b")
Traceback (most recent call last):
ValueError: the formula 'a = (b' lacks a ).
"""

import re
from html import escape
from typing import NamedTuple

SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ᵀᵗⁿᵏⁱʲˡᵝ′", "0123456789−+Ttnkijlβ′", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₋₊ₙₖⱼᵢₜₛₗ", "0123456789−+nkjitsl", strict=True))
ACCENTS = {"\N{COMBINING CIRCUMFLEX ACCENT}": "^", "\N{COMBINING MACRON}": "¯"}
OPERATORS = "=←→+−·⊙±×≤≥≠≈<>,;:.∈"
OPENING = {"(": ")", "[": "]", "|": "|"}
FUNCTIONS = {"exp", "log", "max", "min", "sign", "softmax", "softplus", "tanh"}
THIN_SPACE = '<mspace width="0.2em"/>'

TOKEN = re.compile(
    rf"""(?P<space>\s+)
       | (?P<number>\d+(?:\.\d+)?)
       | (?P<super>[{"".join(SUPERSCRIPTS)}]+)
       | (?P<sub>[{"".join(SUBSCRIPTS)}]+)
       | (?P<word>(?:[A-Za-z_][A-Za-z_0-9'-]*|[α-ω])[\u0302\u0304]?)
       | (?P<symbol>.)""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """A piece of a formula; `glued` is True if no space is before it."""

    kind: str
    text: str
    glued: bool


class Piece(NamedTuple):
    """MathML; `bare` lacks the outer parentheses, `factor` is True for a factor of a product."""

    mathml: str
    bare: str
    factor: bool = True


def formula_to_mathml(formula: str) -> str:
    """Return the content of a math element. Raises ValueError for anything but a formula."""
    return _Parser(formula).everything()


class _Parser:
    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.tokens = []
        glued = False
        for match in TOKEN.finditer(formula):
            if match.lastgroup != "space":
                self.tokens.append(Token(str(match.lastgroup), match[0], glued))
            glued = match.lastgroup != "space"
        self.position = 0

    @property
    def next(self) -> Token:
        ended = self.position >= len(self.tokens)
        return Token("end", "", glued=False) if ended else self.tokens[self.position]

    def take(self) -> Token:
        token = self.next
        self.position += 1
        return token

    def everything(self) -> str:
        pieces = self.sequence("")
        if self.next.kind != "end":
            message = f"the formula {self.formula!r} has a {self.next.text} too many."
            raise ValueError(message)
        return pieces

    def sequence(self, closing: str) -> str:
        """Parse up to the closing symbol, or to the end."""
        pieces: list[Piece] = []
        while self.next.kind != "end" and self.next.text not in {closing, ")", "]"}:
            if self.next.text == "/" and pieces:
                self.take()
                above = pieces.pop()
                pieces.append(_piece(f"<mfrac>{above.bare}{self.divisor().bare}</mfrac>"))
            elif self.next.text in OPERATORS:
                operator = f"<mo>{escape(self.take().text)}</mo>"
                pieces.append(Piece(operator, operator, factor=False))
            else:
                spaced = pieces and pieces[-1].factor and not self.next.glued
                piece = self.factor()
                if spaced and piece.factor:
                    pieces.append(Piece(THIN_SPACE, "", factor=False))
                pieces.append(piece)
        return "".join(piece.mathml for piece in pieces)

    def divisor(self) -> Piece:
        """Parse the denominator of a fraction: one factor, or a sum with its terms."""
        is_sum = self.next.text == "Σ"
        piece = self.factor()
        while is_sum and self.next.kind in {"word", "number"}:
            piece = _piece(f"<mrow>{piece.mathml}{self.factor().mathml}</mrow>")
        return piece

    def factor(self) -> Piece:
        """Parse a variable, a number, a function's value, a bracket or some words of prose."""
        token = self.take()
        if token.text in OPENING:
            return self.scripts(self.bracket(token.text))
        if token.text == "√":
            return _piece(f"<msqrt>{self.factor().bare}</msqrt>")
        if token.text in {"∂", "Δ"}:
            return _piece(f"<mrow><mi>{token.text}</mi>{self.factor().mathml}</mrow>")
        if token.text == "Σ":
            return self.sum_sign()
        if token.kind == "number":
            return self.scripts(_piece(f"<mn>{token.text}</mn>"))
        if token.kind == "word":
            return self.word(token)
        message = f"the formula {self.formula!r} has an unknown or misplaced symbol {token.text!r}."
        raise ValueError(message)

    def bracket(self, opening: str) -> Piece:
        """Parse the content of a bracket and the closing symbol."""
        closing = OPENING[opening]
        inner = self.sequence(closing)
        if self.take().text != closing:
            message = f"the formula {self.formula!r} lacks a {closing}."
            raise ValueError(message)
        bare = f"<mrow>{inner}</mrow>"
        if opening == "|":
            # The bars of an absolute value stay in a fraction, too.
            return _piece(f'<mrow><mo form="prefix">|</mo>{inner}<mo form="postfix">|</mo></mrow>')
        return Piece(f"<mrow><mo>{opening}</mo>{inner}<mo>{closing}</mo></mrow>", bare)

    def word(self, token: Token) -> Piece:
        text = token.text
        called = self.next.text in {"(", "["} and self.next.glued
        if text[-1] in ACCENTS:
            name = f'<mover accent="true"><mi>{text[:-1]}</mi><mo>{ACCENTS[text[-1]]}</mo></mover>'
        elif len(text) == 1:
            name = f"<mi>{text}</mi>"
        elif re.fullmatch("d[A-Za-z]", text):
            name = f'<mi class="one">{text}</mi>'
        elif called or text in FUNCTIONS or "_" in text or text == "lr":
            name = f"<mi>{text}</mi>"
        else:
            return self.prose(text)
        piece = self.scripts(_piece(name))
        if text in FUNCTIONS and not called:
            return _piece(f"<mrow>{piece.mathml}{THIN_SPACE}{self.factor().mathml}</mrow>")
        return piece

    def prose(self, text: str) -> Piece:
        while self.next.kind == "word" and len(self.next.text) > 1 and not self.next.glued:
            if self.next.text in FUNCTIONS or re.fullmatch("d[A-Za-z]", self.next.text):
                break
            text += f" {self.take().text}"
        mathml = f"<mtext>\N{NO-BREAK SPACE}{escape(text)}\N{NO-BREAK SPACE}</mtext>"
        return Piece(mathml, mathml, factor=False)

    def scripts(self, base: Piece) -> Piece:
        """Add the exponents, indices and arguments that follow the base without a space."""
        sub, super_ = "", ""
        while self.next.glued and self.next.kind in {"super", "sub"}:
            token = self.take()
            if token.kind == "super":
                super_ = _script(token.text, SUPERSCRIPTS)
            else:
                sub = _script(token.text, SUBSCRIPTS)
        if sub and super_:
            base = _piece(f"<msubsup>{base.mathml}{sub}{super_}</msubsup>")
        elif sub or super_:
            tag = "msub" if sub else "msup"
            base = _piece(f"<{tag}>{base.mathml}{sub or super_}</{tag}>")
        if self.next.glued and self.next.text == "[":
            self.take()
            return self.scripts(_piece(f"<msub>{base.mathml}{self.bracket('[').bare}</msub>"))
        if self.next.glued and self.next.text == "(":
            self.take()
            arguments = self.bracket("(").mathml
            return self.scripts(_piece(f"<mrow>{base.mathml}{arguments}</mrow>"))
        return base

    def sum_sign(self) -> Piece:
        sign = "<mo>∑</mo>"
        if self.next.glued and self.next.kind == "sub":
            sign = f"<munder>{sign}{_script(self.take().text, SUBSCRIPTS)}</munder>"
        return Piece(sign, sign, factor=False)


def _piece(mathml: str) -> Piece:
    return Piece(mathml, mathml)


def _script(text: str, letters: dict[str, str]) -> str:
    """Return superscript or subscript letters as MathML."""
    plain = "".join(letters[c] for c in text)
    parts = re.findall(r"\d+|.", plain)
    tags = ["mn" if part.isdigit() else "mi" if part.isalpha() else "mo" for part in parts]
    mathml = "".join(f"<{tag}>{part}</{tag}>" for tag, part in zip(tags, parts, strict=True))
    return mathml if len(parts) == 1 else f"<mrow>{mathml}</mrow>"

"""What to say to a person whose formula breaks the grammar: what was expected, in words, and what to write instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from gradmill_server.engine.errors import InvalidFormula
from gradmill_server.engine.formula.layout import PARTNER, STRUCTURE
from gradmill_server.engine.formula.source import Reason, Source, shown

_ONE_LINE = "a line goes on only inside parentheses"
_LOOPS = "a formula has no loops; graphs and traced Python have scan and map"
_FUNCTIONS = "a formula defines no functions; traced Python does, and loops over them"
_TEXTS = "a quoted text is nothing but the subscripts of einsum"
_ASCII_NAMES = "names are ASCII letters, digits and underscores"

_CHARACTER_ADVICE = {
    "&": "write 'and'",
    "|": "write 'or'",
    "~": "write 'not'",
    "!": "write 'not', or '!=' for 'not equal'",
    "\\": _ONE_LINE,
    ".": "only prefixes such as np. and np.linalg. may stand before a dot, and only .T after a value; write sum(x)",
    "−": "write '-'",  # noqa: RUF001 - the minus sign that word processors make
    "–": "write '-'",  # noqa: RUF001 - the dash that word processors make
    "×": "write '*'",  # noqa: RUF001 - the multiplication sign
    "·": "write '*'",
    "⋅": "write '*'",
    "÷": "write '/'",
    "²": "write '**2'",
    "³": "write '**3'",
    "√": "write sqrt(...)",
    "π": "write 'pi'",
    "∞": "write 'inf'",
    "≤": "write '<='",
    "≥": "write '>='",
    "≠": "write '!='",
}
"""Characters outside the language, with what to do about each."""

_WORD_ADVICE = {
    "if": "write where(condition, a, b)",
    "else": "write where(condition, a, b)",
    "is": "write '=='",
    "lambda": _FUNCTIONS,
    "def": _FUNCTIONS,
    "for": _LOOPS,
    "while": _LOOPS,
}
"""Words of Python where the grammar has none, with what to do about each."""

_LATEST_TOKEN = re.compile(r"(?:[0-9.]+[eE][+-]?[0-9]+|[A-Za-z0-9_.]+|\*\*|//|[<>=!]=|\S)\Z")
_WINDOW = 60
_WORDS = frozenset({"and", "or", "not", "return"})
_MULTIPLIED = re.compile(r"[A-Za-z0-9_.(]")


def unreadable_character(source: Source, position: int) -> InvalidFormula:
    """Return the refusal of a character that begins no token."""
    character = source.text[position]
    advice = _CHARACTER_ADVICE.get(character)
    if advice is None and (character.isalpha() or character.isdigit()):
        advice = _ASCII_NAMES
    name = "" if character.isascii() and character.isprintable() else f" {_described(character)}"
    suffix = f": {advice}" if advice else ""
    return source.mistake(position, Reason.SYNTAX, f"unexpected character '{shown(character)}'{name}{suffix}")


def _described(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"(U+{ord(character):04X}{' ' if name else ''}{name})"


def misplaced_token(source: Source, flat: str, position: int, found: str, expected: Collection[str]) -> InvalidFormula:
    """Return the refusal of a token that cannot stand where it stands.

    Args:
        source: the text as sent.
        flat: the same text after `layout.flatten`.
        position: offset of the token, or of the end.
        found: the token as written; empty at the end of a line or of the text.
        expected: names of the terminals that could have stood there.
    """
    before, found = _latest_token(flat, position), found[:_WINDOW]
    operand_expected = "NUMBER" in expected
    wanted = "a number, a name or '('" if operand_expected else _after_operand(flat, position)
    if operand_expected and _opens_index(flat, position):
        wanted = "an index"
    where = f"after '{before}'" if before else "at the start of a statement"
    met = f", found '{found}'" if found and not operand_expected else ""
    advice = _operand_advice(flat, position) if operand_expected else _operator_advice(flat, position, found)
    for word in (found, before):
        advice = f"; {_WORD_ADVICE[word]}" if word in _WORD_ADVICE else advice
    return source.mistake(position, Reason.SYNTAX, f"expected {wanted} {where}{met}{advice}")


def _operand_advice(flat: str, position: int) -> str:
    rest = flat[position:].lstrip(" \t")
    if rest.startswith(("'", '"')):
        return f"; {_TEXTS}"
    return f"; {_ONE_LINE}" if rest.startswith(("\r", "\n")) and rest.strip() else ""


def _operator_advice(flat: str, position: int, found: str) -> str:
    if found == "=" and _innermost_open(flat, position) is not None:
        return "; '=' gives an argument its name, as in sum(x, axis=0); to compare, write '=='"
    if found == "=":
        return "; '=' names an intermediate, as in 'name = expression'; to compare, write '=='"
    if _MULTIPLIED.match(found) and found not in _WORDS:
        return "; to multiply, write '*'"
    return ""


def _after_operand(flat: str, position: int) -> str:
    opened = _innermost_open(flat, position)
    if opened is None:
        return "an operator or the end of the statement"
    if flat[opened] == "[":
        return "an operator, ',' or ']'"
    before = _latest_token(flat, opened)
    called = before[-1:].isidentifier() or before[-1:].isdigit()
    return "an operator, ',' or ')'" if called and before not in _WORDS else "an operator or ')'"


def _opens_index(flat: str, position: int) -> bool:
    """Whether the token before a position is a bracket behind an operand."""
    before = flat[:position].rstrip(" \t")
    if not before.endswith("["):
        return False
    operand = _latest_token(flat, len(before) - 1)
    return operand not in _WORDS and (operand[-1:].isalnum() or operand[-1:] in {"_", ")", "]"})


def _innermost_open(flat: str, position: int) -> int | None:
    """Return the offset of the innermost parenthesis or bracket that is open at a position."""
    opened: list[int] = []
    for match in STRUCTURE.finditer(flat, 0, position):
        character = match.group()
        if character in {"(", "["}:
            opened.append(match.start())
        elif character in PARTNER and opened:
            opened.pop()
    return opened[-1] if opened else None


def _latest_token(flat: str, position: int) -> str:
    """Return the token before a position, as written; empty at the start of a statement."""
    tail = flat[:position].rstrip(" \t")[-_WINDOW:]
    if not tail or tail[-1] in "\r\n;":
        return ""
    match = _LATEST_TOKEN.search(tail)
    return match.group() if match else ""

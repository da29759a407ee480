"""What to say to a person whose formula breaks the grammar: what was expected, in words, and what to write instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from gradmill_server.engine.errors import InvalidFormula
from gradmill_server.engine.formula.source import Reason, Source, shown

_NO_INDEXING = "indexing and array literals are not available yet"
_ONE_LINE = "a line goes on only inside parentheses"
_ASCII_NAMES = "names are ASCII letters, digits and underscores"

_CHARACTER_ADVICE = {
    "[": _NO_INDEXING,
    "]": _NO_INDEXING,
    "@": "matrix products are not available yet",
    "&": "write 'and'",
    "|": "write 'or'",
    "~": "write 'not'",
    "!": "write 'not', or '!=' for 'not equal'",
    "\\": _ONE_LINE,
    ".": "only the prefixes np., numpy. and math. may stand before a dot",
    "'": "a formula holds no texts",
    '"': "a formula holds no texts",
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
    "lambda": "a formula defines no functions",
    "def": "a formula defines no functions",
    "for": "a formula has no loops",
    "while": "a formula has no loops",
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
    reason = Reason.UNSUPPORTED if advice == _NO_INDEXING or character == "@" else Reason.SYNTAX
    if advice is None and (character.isalpha() or character.isdigit()):
        advice = _ASCII_NAMES
    name = "" if character.isascii() and character.isprintable() else f" {_described(character)}"
    suffix = f": {advice}" if advice else ""
    return source.mistake(position, reason, f"unexpected character '{shown(character)}'{name}{suffix}")


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
    where = f"after '{before}'" if before else "at the start of a statement"
    met = f", found '{found}'" if found and not operand_expected else ""
    advice = _operand_advice(flat, position) if operand_expected else _operator_advice(flat, position, found)
    for word in (found, before):
        advice = f"; {_WORD_ADVICE[word]}" if word in _WORD_ADVICE else advice
    return source.mistake(position, Reason.SYNTAX, f"expected {wanted} {where}{met}{advice}")


def _operand_advice(flat: str, position: int) -> str:
    rest = flat[position:].lstrip(" \t")
    return f"; {_ONE_LINE}" if rest.startswith(("\r", "\n")) and rest.strip() else ""


def _operator_advice(flat: str, position: int, found: str) -> str:
    if found == "=" and _innermost_open(flat, position) is not None:
        return "; arguments are given by position"
    if found == "=":
        return "; '=' names an intermediate, as in 'name = expression'; to compare, write '=='"
    if _MULTIPLIED.match(found) and found not in _WORDS:
        return "; to multiply, write '*'"
    return ""


def _after_operand(flat: str, position: int) -> str:
    opened = _innermost_open(flat, position)
    if opened is None:
        return "an operator or the end of the statement"
    before = _latest_token(flat, opened)
    called = before[-1:].isidentifier() or before[-1:].isdigit()
    return "an operator, ',' or ')'" if called and before not in _WORDS else "an operator or ')'"


def _innermost_open(flat: str, position: int) -> int | None:
    """Return the offset of the innermost parenthesis that is open at a position."""
    depth = 0
    for match in reversed(list(re.finditer(r"[()]", flat[:position]))):
        depth += 1 if match.group() == "(" else -1
        if depth > 0:
            return match.start()
    return None


def _latest_token(flat: str, position: int) -> str:
    """Return the token before a position, as written; empty at the start of a statement."""
    tail = flat[:position].rstrip(" \t")[-_WINDOW:]
    if not tail or tail[-1] in "\r\n;":
        return ""
    match = _LATEST_TOKEN.search(tail)
    return match.group() if match else ""

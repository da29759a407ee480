"""The text of a formula, and refusals that point into it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gradmill_server.engine.errors import InvalidFormula, Violation

FIELD = "formula"
_LINE_END = re.compile(r"\r\n?|\n")
_BEFORE_CARET = 40
_AFTER_CARET = 20


class Reason(StrEnum):
    """The kinds of mistake in a formula."""

    SYNTAX = "FORMULA_SYNTAX"
    EMPTY = "FORMULA_EMPTY"
    LITERAL = "FORMULA_LITERAL"
    UNKNOWN_NAME = "FORMULA_UNKNOWN_NAME"
    UNKNOWN_FUNCTION = "FORMULA_UNKNOWN_FUNCTION"
    FUNCTION_NOT_CALLED = "FORMULA_FUNCTION_NOT_CALLED"
    ARITY = "FORMULA_ARITY"
    ARGUMENT = "FORMULA_ARGUMENT"
    INDEX = "FORMULA_INDEX"
    REASSIGNED = "FORMULA_REASSIGNED"
    USED_BEFORE_ASSIGNED = "FORMULA_USED_BEFORE_ASSIGNED"
    VALUE_UNUSED = "FORMULA_VALUE_UNUSED"
    NO_OUTPUT = "FORMULA_NO_OUTPUT"
    OUTPUT = "FORMULA_OUTPUT"
    INPUT = "FORMULA_INPUT"
    SHAPE = "FORMULA_SHAPE"


class Place(NamedTuple):
    """Where a character is; both count from 1, and a column is a character."""

    line: int
    column: int

    def __str__(self) -> str:
        """Return the place in words."""
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one formula.

    Attributes:
        text: as the caller sent it.
    """

    text: str

    def place(self, position: int) -> Place:
        """Return the line and column of a character, given by its offset in the text."""
        line, start = 1, 0
        for end in _LINE_END.finditer(self.text, 0, position):
            line, start = line + 1, end.end()
        return Place(line, position - start + 1)

    def excerpt(self, position: int) -> str:
        """Return two lines: the text round a character, at most some 60 characters of it, and a caret below it.

        Characters that would not take exactly one column of a terminal are shown as escapes.
        """
        start = position - self.place(position).column + 1
        line_end = _LINE_END.search(self.text, start)
        end = line_end.start() if line_end else len(self.text)
        left, right = max(start, position - _BEFORE_CARET), min(end, position + _AFTER_CARET)
        before = ("..." if left > start else "") + "".join(map(shown, self.text[left:position]))
        after = "".join(map(shown, self.text[position:right])) + ("..." if right < end else "")
        return f"  {before}{after}\n  {' ' * len(before)}^"

    def mistake(self, position: int, reason: Reason, message: str, **metadata: str) -> InvalidFormula:
        """Return the refusal of a formula for what stands at this offset in its text."""
        place = self.place(position)
        where = {"line": str(place.line), "column": str(place.column), **metadata}
        description = f"{place}: {message}"
        return InvalidFormula(
            f"{description}\n{self.excerpt(position)}",
            reason=reason.value,
            metadata=where,
            violations=[Violation(FIELD, description, reason.value, where)],
        )


def shown(character: str) -> str:
    """Return a character as it can be printed in exactly its number of columns: itself, or its escape."""
    if character.isascii():
        return character if character.isprintable() else ascii(character)[1:-1]
    plain = (
        character.isprintable()
        and unicodedata.east_asian_width(character) not in {"W", "F"}
        and unicodedata.bidirectional(character) not in {"R", "AL"}
        and not unicodedata.combining(character)
    )
    return character if plain else ascii(character)[1:-1]

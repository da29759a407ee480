"""What a formula says in so many digits: whole numbers, lists of them, True, False, None, and quoted texts.

Shapes, axes and indices are part of a function's form, which is known before any point is. So they are written out, and
read here, once, before operands are put in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from lark import Token

from gradmill_server.engine.errors import InvalidFormula, quote
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.formula.syntax import (
    NAME,
    NUMBER,
    SIGN,
    TEXT,
    Expression,
    Literal,
    Tuple,
    Written,
    offset,
    starts_at,
)
from gradmill_server.engine.formula.words import CONSTANTS, SETTINGS, bare

_MAXIMUM_DIGITS = 18
"""Of a whole number: what surely fits in 64 bits, and costs no time to read."""

_SHOWN_DIGITS = 30
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!=", "and", "or", "not"})


class IntegerArray(NamedTuple):
    """Whole numbers in rows: their shape, and all of them, row-major. One number has the shape ()."""

    shape: tuple[int, ...]
    values: tuple[int, ...]


Static: TypeAlias = "int | float | str | tuple[int, ...] | IntegerArray | None"


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what stands in one place of a formula.

    Attributes:
        source: the formula.
        what: what stands there, for messages: ``an index``.
        reason: the kind of mistake that anything else is.
    """

    source: Source
    what: str
    reason: Reason

    def integer(self, written: Written) -> int:
        """Return a whole number, with or without a sign.

        Raises:
            InvalidFormula: for anything else.
        """
        signed = _signed(written)
        if signed is None:
            raise self.mistake(written, f"must be a whole number written out, such as 2 or -1{_advice(written)}")
        sign, token = signed
        digits = token.value.replace("_", "")
        if not digits.isdecimal():
            raise self.mistake(written, f"must be a whole number, found {abridged(token.value)}")
        if len(digits.lstrip("0")) > _MAXIMUM_DIGITS:
            raise self.mistake(written, f"has more than {_MAXIMUM_DIGITS} digits: {abridged(token.value)}")
        return sign * int(digits)

    def integers(self, written: Written) -> tuple[int, ...] | int:
        """Return a whole number, or all of ``(1, 2)`` or ``[1, 2]``.

        Raises:
            InvalidFormula: for anything else.
        """
        if isinstance(written, (Tuple, Literal)):
            return tuple([self.integer(element) for element in written.elements])
        return self.integer(written)

    def array(self, written: Written) -> IntegerArray:
        """Return the whole numbers of ``2``, ``[0, 2]`` or ``[[0, 1], [2, 3]]``.

        Raises:
            InvalidFormula: for anything else, and for rows of different lengths.
        """
        shape: list[int] = []
        level: Sequence[Written] = [written]
        while isinstance(level[0], (Literal, Tuple)):
            below: list[Expression] = []
            count = len(level[0].elements)
            for row in level:
                if not isinstance(row, (Literal, Tuple)) or len(row.elements) != count:
                    raise self.mistake(row, f"must have rows of one length, {count} like the first of its depth")
                below += row.elements
            if not below:
                raise self.mistake(written, "is empty")
            shape.append(count)
            level = below
        return IntegerArray(tuple(shape), tuple([self.integer(element) for element in level]))

    def flag(self, written: Written) -> bool:
        """Return whether ``True`` stands there.

        Raises:
            InvalidFormula: for anything but ``True`` and ``False``.
        """
        value = SETTINGS.get(written.value) if isinstance(written, Token) else None
        if value is None:
            raise self.mistake(written, "must be True or False")
        return value

    def switch(self, written: Written) -> bool:
        """Return whether ``True`` or ``1`` stands there, as SciPy takes both.

        Raises:
            InvalidFormula: for anything but those and ``False`` and ``0``.
        """
        if isinstance(written, Token) and written.value in {"0", "1"}:
            return bool(written.value == "1")
        return self.flag(written)

    def text(self, written: Written) -> str:
        """Return a quoted text without its quotes.

        Raises:
            InvalidFormula: for anything else.
        """
        if not isinstance(written, Token) or written.type != TEXT:
            raise self.mistake(written, "must be a quoted text, such as 'ij,j->i'")
        return str(written.value[1:-1])

    def number(self, written: Written) -> float:
        """Return a number, with or without a sign; the constants have names.

        Raises:
            InvalidFormula: for anything else, and for a number beyond float64.
        """
        signed = _signed(written)
        if signed is None:
            raise self.mistake(written, f"must be a number written out{_advice(written)}")
        sign, token = signed
        return sign * number(self.source, token)

    def mistake(self, written: Written, message: str) -> InvalidFormula:
        """Return the refusal of what stands there."""
        return self.source.mistake(starts_at(written), self.reason, f"{self.what} {message}")


Read: TypeAlias = Callable[[Reader, Written], Static]


def or_none(read: Read) -> Read:
    """Return what reads ``None`` too."""

    def read_or_none(reader: Reader, written: Written) -> Static:
        return None if is_none(written) else read(reader, written)

    return read_or_none


def is_none(written: object) -> bool:
    """Whether this is the word ``None``."""
    return isinstance(written, Token) and written.value == "None"


def number(source: Source, token: Token) -> float:
    """Return the number that a literal, or the name of a constant, stands for.

    Raises:
        InvalidFormula: when it is too large for a float64.
    """
    if token.type == NAME:
        return CONSTANTS[bare(token.value)]
    value = float(token.value)
    if math.isinf(value):
        message = f"the number {abridged(token.value)} is beyond the largest float64, about 1.8e308; write inf"
        raise source.mistake(offset(token), Reason.LITERAL, message)
    return value


def is_number(token: Token) -> bool:
    """Whether a token is a number or the name of a constant."""
    return token.type == NUMBER or (token.type == NAME and bare(token.value) in CONSTANTS)


def abridged(literal: str) -> str:
    """Return a number as it was written, cut to 30 characters."""
    return literal if len(literal) <= _SHOWN_DIGITS else f"{literal[:_SHOWN_DIGITS]}..."


def _signed(written: Written) -> tuple[int, Token] | None:
    """Return the sign and the number of ``2`` or ``-2``; None for anything else."""
    if isinstance(written, Token):
        return (1, written) if is_number(written) else None
    if not isinstance(written, list):
        return None
    sign = 1
    for item in written[:-1]:
        if not isinstance(item, Token) or item.type != SIGN:
            return None
        sign = -sign if item.value == "-" else sign
    last = written[-1]
    return (sign, last) if isinstance(last, Token) and is_number(last) else None


def _advice(written: Written) -> str:
    """Return the end of a message about what is no number."""
    if isinstance(written, Token):
        return (
            f", not a text: {quote(written.value)}" if written.type == TEXT else f"; {quote(written.value)} is a name"
        )
    if isinstance(written, list) and any(isinstance(item, Token) and item.value in _COMPARISONS for item in written):
        return "; to choose by a condition, write where(condition, a, b)"
    return ""

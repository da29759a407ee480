"""From text to statements, by the grammar in ``formula.lark``.

Expressions stay as flat as the grammar leaves them: a name or number is its token, a call is a `Call`, and a run of
operands and operators is a list. Parentheses leave no trace but the list inside the list.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from gradmill_server.engine.formula.expectations import misplaced_token, unreadable_character
from gradmill_server.engine.formula.source import Source

NAME, NUMBER, SIGN, NOT, OPERATOR = "NAME", "NUMBER", "SIGN", "NOT", "OPERATOR"
OPERATORS = frozenset({SIGN, NOT, OPERATOR})
BLANK = " \t\r\n;"
"""The characters of a formula that says nothing."""

_END = "$END"
_GRAMMAR = Path(__file__).with_name("formula.lark")


class Call(NamedTuple):
    """A function applied to arguments."""

    function: Token
    arguments: Sequence[Expression]


Expression: TypeAlias = "Token | Call | list[Expression]"


class Assignment(NamedTuple):
    """``target = expression``."""

    target: Token
    expression: Expression


class Closing(NamedTuple):
    """``return`` with its outputs."""

    word: Token
    outputs: Sequence[Expression]


Statement: TypeAlias = "Assignment | Closing | Expression"


class _Actions(Transformer[Token, list[Statement]]):
    """What the parser makes of each rule, while it reads. Without state: one parser serves all threads."""

    def start(self, children: list[Statement]) -> list[Statement]:
        return children

    def assignment(self, children: list[Expression]) -> Assignment:
        target, expression = children
        return Assignment(cast("Token", target), expression)

    def closing(self, children: list[Expression]) -> Closing:
        return Closing(cast("Token", children[0]), children[1:])

    def call(self, children: list[Expression]) -> Call:
        return Call(cast("Token", children[0]), children[1:])

    def expression(self, children: list[Expression]) -> list[Expression]:
        return children


class _Parser:
    """The parser, built at first use: it takes some 15 ms, which no importer need pay."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the making of _lark
        self._lark: Lark | None = None

    def get(self) -> Lark:
        with self._lock:
            if self._lark is None:
                parser = Lark(
                    _GRAMMAR.read_text(encoding="ascii"),
                    parser="lalr",
                    lexer="basic",
                    transformer=_Actions(),
                    maybe_placeholders=False,
                )
                parser.parse("x")  # makes the parts that lark leaves to the first parse, where threads could race
                self._lark = parser
            return self._lark


_PARSER = _Parser()


def read(source: Source, flat: str) -> list[Statement]:
    """Return the statements of a formula.

    Args:
        source: the text as sent, for messages.
        flat: the same text after `layout.flatten`; not blank.

    Raises:
        InvalidFormula: where the text breaks the grammar.
    """
    parser = _PARSER.get()
    try:
        return cast("list[Statement]", parser.parse(flat))
    except UnexpectedCharacters as unexpected:
        raise unreadable_character(source, cast("int", unexpected.pos_in_stream)) from None
    except UnexpectedToken as unexpected:
        found = "" if unexpected.token.type == _END else unexpected.token.value.strip()
        end = len(flat) if unexpected.token.type == _END else offset(unexpected.token)
        position = end if found else len(flat[:end].rstrip(BLANK))
        raise misplaced_token(source, flat, position, found, unexpected.expected) from None


def offset(token: Token) -> int:
    """Return where in the text a token starts."""
    return token.start_pos or 0


def starts_at(expression: Expression) -> int:
    """Return where in the text the first token of an expression starts."""
    while not isinstance(expression, Token):
        expression = expression.function if isinstance(expression, Call) else expression[0]
    return offset(expression)

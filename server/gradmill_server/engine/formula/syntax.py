"""From text to statements, by the grammar in ``formula.lark``.

Expressions stay as flat as the grammar leaves them: a name or number is its token, a call is a `Call`, an array in
brackets a `Literal`, and a run of operands and operators is a list, in which a `Subscript` or ``.T`` follows what it
applies to. Parentheses leave no trace but the list inside the list.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.formula.expectations import misplaced_token, unreadable_character
from gradmill_server.engine.formula.source import Source

NAME, NUMBER, SIGN, NOT, OPERATOR = "NAME", "NUMBER", "SIGN", "NOT", "OPERATOR"
TEXT, TRANSPOSED, ELLIPSIS, COLON = "TEXT", "TRANSPOSED", "ELLIPSIS", "COLON"
OPERATORS = frozenset({SIGN, NOT, OPERATOR})
BLANK = " \t\r\n;"
"""The characters of a formula that says nothing."""

_END = "$END"
_TOKENS_BETWEEN_CHECKPOINTS = 256
"""Tokens that may be read between two checkpoints: some ten milliseconds."""

_GRAMMAR = Path(__file__).with_name("formula.lark")


class Call(NamedTuple):
    """A function applied to arguments; those given by name come as `Keyword`, in the order of the text."""

    function: Token
    arguments: Sequence[Argument]


class Keyword(NamedTuple):
    """``name=value`` among the arguments of a call."""

    name: Token
    value: Written


class Literal(NamedTuple):
    """``[a, b]``: an array, or where a call expects one, a list."""

    bracket: Token
    elements: Sequence[Expression]


class Tuple(NamedTuple):
    """``(a, b)`` as an argument of a call, where alone it can stand."""

    parenthesis: Token
    elements: Sequence[Expression]


class Slice(NamedTuple):
    """``start:stop:step`` as an index; what is left out is None."""

    colon: Token
    bounds: tuple[Expression | None, Expression | None, Expression | None]


class Subscript(NamedTuple):
    """``[...]`` behind an operand; an ellipsis among its indices is its token."""

    bracket: Token
    indices: Sequence[Expression | Slice]


Expression: TypeAlias = "Token | Call | Literal | Subscript | list[Expression]"
Written: TypeAlias = "Expression | Tuple"
"""What an argument can be given as; a text is its token, quotes included."""
Argument: TypeAlias = "Written | Keyword"


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

    def call(self, children: list[Argument]) -> Call:
        return Call(cast("Token", children[0]), children[1:])

    def keyword(self, children: list[Written]) -> Keyword:
        name, value = children
        return Keyword(cast("Token", name), value)

    def literal(self, children: list[Expression]) -> Literal:
        return Literal(cast("Token", children[0]), children[1:])

    def group(self, children: list[Expression]) -> Tuple:
        return Tuple(cast("Token", children[0]), children[1:])

    def subscript(self, children: list[Expression | Slice]) -> Subscript:
        return Subscript(cast("Token", children[0]), children[1:])

    def span(self, children: list[Expression]) -> Slice:
        bounds: list[Expression | None] = [None, None, None]
        colons = []
        for child in children:
            if isinstance(child, Token) and child.type == COLON:
                colons.append(child)
            else:
                bounds[len(colons)] = child
        start, stop, step = bounds
        return Slice(colons[0], (start, stop, step))

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


def read(source: Source, flat: str, checkpoint: Checkpoint = never) -> list[Statement]:
    """Return the statements of a formula.

    Args:
        source: the text as sent, for messages.
        flat: the same text after `layout.flatten`; not blank.
        checkpoint: called every few milliseconds; may raise to stop.

    Raises:
        InvalidFormula: where the text breaks the grammar.
    """
    parser = _PARSER.get()
    try:
        return cast("list[Statement]", _parsed(parser, flat, checkpoint))
    except UnexpectedCharacters as unexpected:
        raise unreadable_character(source, cast("int", unexpected.pos_in_stream)) from None
    except UnexpectedToken as unexpected:
        found = "" if unexpected.token.type == _END else unexpected.token.value.strip()
        end = len(flat) if unexpected.token.type == _END else offset(unexpected.token)
        position = end if found else len(flat[:end].rstrip(BLANK))
        raise misplaced_token(source, flat, position, found, unexpected.expected) from None


def _parsed(parser: Lark, flat: str, checkpoint: Checkpoint) -> object:
    """Return what lark makes of a text, token by token, so that it can be stopped in between."""
    interactive = parser.parse_interactive(flat)
    for number, _ in enumerate(interactive.iter_parse()):
        if number % _TOKENS_BETWEEN_CHECKPOINTS == 0:
            checkpoint()
    return interactive.feed_eof()  # type: ignore[no-untyped-call]


def offset(token: Token) -> int:
    """Return where in the text a token starts."""
    return token.start_pos or 0


def starts_at(written: Written | Slice) -> int:
    """Return where in the text the first token of an expression, a tuple or a slice starts."""
    while not isinstance(written, Token):
        if isinstance(written, Slice):
            written = written.colon if written.bounds[0] is None else written.bounds[0]
        else:
            written = written[0]
    return offset(written)

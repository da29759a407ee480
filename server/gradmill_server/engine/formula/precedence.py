"""Which operator binds tighter: a table, and the one loop that reads it.

An expression comes as a flat run, ``a + b * c``, and leaves in the order of evaluation, ``a b c * +``. Expressions
within expressions wait on an explicit stack, so nesting costs memory and never the interpreter's stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from lark import Token

from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.formula.syntax import NOT, NUMBER, OPERATORS, Call, Expression, offset


class Operator(NamedTuple):
    """How an operator binds, and what it means.

    Attributes:
        binding: the greater, the tighter.
        operations: what it applies: the first to the operands, each other one to the result before.
        right: whether ``a ? b ? c`` is ``a ? (b ? c)``.
        chained: whether ``a ? b ? c`` is ``(a ? b) and (b ? c)``.
    """

    binding: int
    operations: tuple[str, ...]
    right: bool = False
    chained: bool = False


OR, AND, NEGATION, COMPARISON, SUM, PRODUCT, UNARY, POWER = range(1, 9)

PREFIX = {
    "not": Operator(NEGATION, ("logical_not",)),
    "-": Operator(UNARY, ("negate",)),
    "+": Operator(UNARY, ()),
}

INFIX = {
    "or": Operator(OR, ("logical_or",)),
    "and": Operator(AND, ("logical_and",)),
    "<": Operator(COMPARISON, ("less",), chained=True),
    "<=": Operator(COMPARISON, ("less_equal",), chained=True),
    ">": Operator(COMPARISON, ("greater",), chained=True),
    ">=": Operator(COMPARISON, ("greater_equal",), chained=True),
    "==": Operator(COMPARISON, ("equal",), chained=True),
    "!=": Operator(COMPARISON, ("not_equal",), chained=True),
    "+": Operator(SUM, ("add",)),
    "-": Operator(SUM, ("subtract",)),
    "*": Operator(PRODUCT, ("multiply",)),
    "/": Operator(PRODUCT, ("divide",)),
    "//": Operator(PRODUCT, ("divide", "floor")),
    "%": Operator(PRODUCT, ("mod",)),
    "**": Operator(POWER, ("power",), right=True),
    "^": Operator(POWER, ("power",), right=True),
}

_BEFORE_NOT = ("and", "or", "not")


class Negative(NamedTuple):
    """A negative number: a literal directly after a minus sign, as in ``-2*x``, where it is no base of a power."""

    literal: Token


class Apply(NamedTuple):
    """Takes the latest ``operands`` values, and leaves the operations' result."""

    operations: tuple[str, ...]
    operands: int
    token: Token


class Compare(NamedTuple):
    """Takes one value more than there are signs, and leaves whether all neighbours compare as the signs say."""

    signs: Sequence[Token]


class Invoke(NamedTuple):
    """Takes the latest ``operands`` values, and leaves the function's result."""

    function: Token
    operands: int


Step: TypeAlias = Token | Negative | Apply | Compare | Invoke
"""One step of a machine with a stack; a token puts the value of a name or of a number on it."""


def postfix(source: Source, expression: Expression) -> list[Step]:
    """Return an expression in the order of evaluation: operands from left to right, operators after their operands.

    Args:
        source: the text as sent, for messages.
        expression: as `syntax.read` returns it.

    Raises:
        InvalidFormula: when ``not`` stands to the right of an operator that binds tighter.
    """
    steps: list[Step] = []
    waiting = [_Run(source, [expression])]
    while waiting:
        nested = waiting[-1].advance(steps)
        if nested is None:
            waiting.pop()
        else:
            waiting.append(nested)
    return steps


class _Pending(NamedTuple):
    """An operator whose last operand is still to come, with its sign, or all signs of a chain."""

    operator: Operator
    signs: list[Token]
    prefix: bool


class _Run:
    """A flat run on its way: an expression in parentheses, or a call's arguments, which no operator separates."""

    __slots__ = ("_items", "_last", "_next", "_pending", "_source")

    def __init__(self, source: Source, items: Sequence[Expression], last: Invoke | None = None) -> None:
        self._source = source
        self._items = items
        self._next = 0
        self._pending: list[_Pending] = []
        self._last = last

    def advance(self, steps: list[Step]) -> _Run | None:
        """Add steps up to the next run inside this one, and return that; None at the end."""
        items = self._items
        for position in range(self._next, len(items)):
            item = items[position]
            if not isinstance(item, Token):
                self._next = position + 1
                return self._inside(item)
            if item.type not in OPERATORS:
                steps.append(item)
            elif position == 0 or _is_operator(items[position - 1]):
                self._prefix(item, position)
            else:
                self._infix(item, steps)
        self._settle(0, steps)
        if self._last:
            steps.append(self._last)
        return None

    def _inside(self, item: Call | list[Expression]) -> _Run:
        if isinstance(item, Call):
            return _Run(self._source, item.arguments, Invoke(item.function, len(item.arguments)))
        return _Run(self._source, item)

    def _prefix(self, sign: Token, position: int) -> None:
        operator = PREFIX[sign.value]
        if sign.type == NOT and position > 0:
            self._check_not(sign, self._items[position - 1])
        if operator.operations:
            self._pending.append(_Pending(operator, [sign], prefix=True))

    def _check_not(self, sign: Token, before: Expression) -> None:
        if before not in _BEFORE_NOT:
            message = f"'not' after '{before}' needs parentheses, as in '(not a)'"
            raise self._source.mistake(offset(sign), Reason.SYNTAX, message)

    def _infix(self, sign: Token, steps: list[Step]) -> None:
        operator = INFIX[sign.value]
        self._settle(operator.binding + (operator.right or operator.chained), steps)
        if operator.chained and self._pending and self._pending[-1].operator.binding == operator.binding:
            self._pending[-1].signs.append(sign)
        else:
            self._pending.append(_Pending(operator, [sign], prefix=False))

    def _settle(self, binding: int, steps: list[Step]) -> None:
        """Apply the operators that wait and bind at least so tightly."""
        pending = self._pending
        while pending and pending[-1].operator.binding >= binding:
            operator, signs, prefix = pending.pop()
            latest = steps[-1]
            if len(signs) > 1:
                steps.append(Compare(signs))
            elif not prefix:
                steps.append(Apply(operator.operations, 2, signs[0]))
            elif signs[0].value == "-" and isinstance(latest, Token) and latest.type == NUMBER:
                steps[-1] = Negative(latest)
            else:
                steps.append(Apply(operator.operations, 1, signs[0]))


def _is_operator(item: Expression) -> bool:
    return isinstance(item, Token) and item.type in OPERATORS

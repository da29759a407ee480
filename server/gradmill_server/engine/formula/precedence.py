"""Which operator binds tighter: a table, and the one loop that reads it.

An expression comes as a flat run, ``a + b * c``, and leaves in the order of evaluation, ``a b c * +``. Expressions
within expressions wait on an explicit stack, so nesting costs memory and never the interpreter's stack. Here calls find
their signatures too, as what is written out is no operand, and arrays that hold nothing but numbers become one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from lark import Token

from gradmill_server.engine.formula.calls import Binding, bind, expressions, operands
from gradmill_server.engine.formula.functions import ELEMENTWISE, signature_of
from gradmill_server.engine.formula.indexing import Selection, read_selection
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.formula.static import is_number, number
from gradmill_server.engine.formula.syntax import (
    NOT,
    NUMBER,
    OPERATORS,
    TRANSPOSED,
    Call,
    Expression,
    Literal,
    Subscript,
    offset,
)
from gradmill_server.engine.formula.words import bare


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
    "@": Operator(PRODUCT, ("matmul",)),
    "**": Operator(POWER, ("power",), right=True),
    "^": Operator(POWER, ("power",), right=True),
}

_BEFORE_NOT = ("and", "or", "not")
_MOST_DIMENSIONS = 64
"""NumPy's own limit."""


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
    """Takes the latest ``operands`` values, and leaves the function's result. Functions of arrays have a binding."""

    function: Token
    operands: int
    binding: Binding | None = None


class Select(NamedTuple):
    """Takes the latest value, and leaves the part of it that an index names."""

    selection: Selection


class Transpose(NamedTuple):
    """Takes the latest value, and leaves it with its axes in reverse."""

    token: Token


class Gather(NamedTuple):
    """Takes the latest ``elements`` values, and leaves them as one array."""

    bracket: Token
    elements: int


class Numbers(NamedTuple):
    """An array of numbers: all of them, row-major."""

    bracket: Token
    shape: tuple[int, ...]
    values: list[float]


Step: TypeAlias = Token | Negative | Apply | Compare | Invoke | Select | Transpose | Gather | Numbers
"""One step of a machine with a stack; a token puts the value of a name or of a number on it."""


def postfix(source: Source, expression: Expression) -> list[Step]:
    """Return an expression in the order of evaluation: operands from left to right, operators after their operands.

    Args:
        source: the text as sent, for messages.
        expression: as `syntax.read` returns it.

    Raises:
        InvalidFormula: when ``not`` stands to the right of an operator that binds tighter, and when arguments or
            indices are not what the function, or indexing, takes.
    """
    steps: list[Step] = []
    waiting = [_Run(source, [expression], 0)]
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
    """A flat run on its way: an expression in parentheses, or the arguments of a call or elements of an array.

    Arguments and elements are operands that no operator separates; ``last`` is the step that takes them all.
    """

    __slots__ = ("_first", "_items", "_last", "_next", "_pending", "_source")

    def __init__(
        self, source: Source, items: Sequence[Expression], first: int, last: Invoke | Gather | None = None
    ) -> None:
        self._source = source
        self._items = items
        self._first = first
        self._next = 0
        self._pending: list[_Pending] = []
        self._last = last

    def advance(self, steps: list[Step]) -> _Run | None:
        """Add steps up to the next run inside this one, and return that; None at the end."""
        items = self._items
        for position in range(self._next, len(items)):
            item = items[position]
            if not isinstance(item, Token):
                if not isinstance(item, Subscript):
                    self._next = position + 1
                    return self._inside(item, len(steps))
                steps.append(Select(read_selection(self._source, item)))
            elif item.type not in OPERATORS:
                steps.append(Transpose(item) if item.type == TRANSPOSED else item)
            elif position == 0 or _is_operator(items[position - 1]):
                self._prefix(item, position)
            else:
                self._infix(item, steps)
        self._settle(0, steps)
        if isinstance(self._last, Gather):
            _gather(self._source, self._last, self._first, steps)
        elif self._last:
            steps.append(self._last)
        return None

    def _inside(self, item: Call | Literal | list[Expression], first: int) -> _Run:
        if isinstance(item, Literal):
            return _Run(self._source, item.elements, first, Gather(item.bracket, len(item.elements)))
        if not isinstance(item, Call):
            return _Run(self._source, item, first)
        signature = signature_of(item)
        if signature is None:
            known = bare(item.function.value) in ELEMENTWISE
            arguments = operands(self._source, item) if known else expressions(item)
            return _Run(self._source, arguments, first, Invoke(item.function, len(arguments)))
        binding = bind(self._source, item, signature)
        return _Run(self._source, binding.operands, first, Invoke(item.function, len(binding.operands), binding))

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


def _gather(source: Source, gather: Gather, first: int, steps: list[Step]) -> None:
    """Add the step of an array whose elements' steps start at ``first``: one step for all, if all are numbers."""
    few = len(steps) - first <= 2 * gather.elements  # a number takes a step, or two with a sign
    array = _numbers(source, gather, steps[first:]) if few else None
    if array is None:
        steps.append(gather)
    else:
        steps[first:] = [array]


def _numbers(source: Source, gather: Gather, steps: Sequence[Step]) -> Numbers | None:
    """Return the array that its elements' steps make, if they are numbers, or arrays of them of one shape."""
    rows: list[tuple[tuple[int, ...], list[float]]] = []
    for step in steps:
        if isinstance(step, Apply) and step.operations == ("negate",) and rows and not rows[-1][0]:
            rows[-1] = ((), [-rows[-1][1][0]])
            continue
        row = _row(source, step)
        if row is None or (rows and row[0] != rows[0][0]):
            return None
        rows.append(row)
    shape, values = rows[0]
    if len(shape) >= _MOST_DIMENSIONS:
        return None
    if len(rows) > 1:
        values = [value for _, row in rows for value in row]
    return Numbers(gather.bracket, (len(rows), *shape), values)


def _row(source: Source, step: Step) -> tuple[tuple[int, ...], list[float]] | None:
    """Return the shape and the numbers of a step that is one number, or an array of them."""
    if isinstance(step, Numbers):
        return step.shape, step.values
    if isinstance(step, Negative):
        return (), [-number(source, step.literal)]
    if isinstance(step, Token) and is_number(step):
        return (), [number(source, step)]
    return None

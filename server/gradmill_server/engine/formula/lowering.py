"""From steps in the order of evaluation to operations of a graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from lark import Token

from gradmill_server.engine import ops
from gradmill_server.engine.errors import InvalidFormula, InvalidGraph
from gradmill_server.engine.formula.bounds import Bound
from gradmill_server.engine.formula.precedence import INFIX, Apply, Compare, Invoke, Negative, Step
from gradmill_server.engine.formula.scope import CONSTANTS, Scope, bare
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.formula.syntax import NUMBER, offset
from gradmill_server.engine.ir import GraphBuilder, size
from gradmill_server.engine.limits import Limits

_NESTED = frozenset({"minimum", "maximum", "fmin", "fmax", "hypot"})
"""Operations of two operands that people expect to take more."""

_SHOWN_DIGITS = 30


class Lowering:
    """A machine with a stack of values of the graph that it builds.

    Attributes:
        builder: the graph so far.
        values: the value of each name: inputs, and what has been assigned.
    """

    def __init__(self, source: Source, scope: Scope, limits: Limits) -> None:
        """Start with the inputs that the scope has found."""
        self._source = source
        self._scope = scope
        self._limits = limits
        self._numbers: dict[str, int] = {}
        self._stack: list[int] = []
        self._constants = 0
        self.builder = GraphBuilder(scope.inputs.values())
        self.values: dict[str, int] = {name: index for index, name in enumerate(scope.inputs)}

    def run(self, steps: Iterable[Step]) -> int:
        """Emit one expression; return the index of its value.

        Raises:
            InvalidFormula: for an unknown function, a wrong number of arguments, a number too large for a float64,
                or shapes that do not fit.
            LimitExceeded: when the graph, or a value of it, grows too large.
        """
        stack = self._stack
        for step in steps:
            if isinstance(step, Token):
                stack.append(self._number(step, "") if step.type == NUMBER else self._value(step))
            elif isinstance(step, Apply):
                self._apply(step)
            elif isinstance(step, Invoke):
                self._invoke(step)
            elif isinstance(step, Negative):
                stack.append(self._number(step.literal, "-"))
            else:
                self._compare(step)
        return stack.pop()

    def name(self, token: Token, index: int) -> None:
        """Give a value its name. An input keeps its own as its label."""
        self.values[token.value] = index
        if index >= len(self.builder.inputs):
            self.builder.label(index, token.value)

    def _value(self, token: Token) -> int:
        index = self.values.get(token.value)
        return self._constant(token, CONSTANTS[bare(token.value)]) if index is None else index

    def _number(self, token: Token, sign: str) -> int:
        text = sign + token.value
        index = self._numbers.get(text)
        if index is not None:
            return index
        number = float(text)
        if math.isinf(number):
            message = f"the number {_abridged(token.value)} is beyond the largest float64, about 1.8e308; write inf"
            raise self._source.mistake(offset(token), Reason.LITERAL, message)
        return self._numbers.setdefault(text, self._constant(token, number))

    def _constant(self, token: Token, number: float) -> int:
        before = len(self.builder)
        index = self.builder.constant(number)
        self._constants += len(self.builder) - before
        Bound.CONSTANTS.check(self._source, offset(token), self._constants, self._limits)
        Bound.VALUES.check(self._source, offset(token), len(self.builder), self._limits)
        return index

    def _apply(self, step: Apply) -> None:
        arguments = self._take(step.operands)
        for operation in step.operations:
            arguments = [self._emit(operation, arguments, step.token)]
        self._stack += arguments

    def _invoke(self, step: Invoke) -> None:
        operation = self._scope.function(step.function)
        if not operation.accepts(step.operands):
            raise self._wrong_count(step, operation)
        self._stack.append(self._emit(operation.name, self._take(step.operands), step.function))

    def _wrong_count(self, step: Invoke, operation: ops.Row) -> InvalidFormula:
        expected, name = operation.takes, step.function.value
        message = f"{name} takes {expected} argument{'' if expected == '1' else 's'}, {step.operands} given"
        if operation.name in _NESTED:
            message += f"; nest them: {name}(a, {name}(b, c))"
        counts = {"expected": expected, "given": str(step.operands)}
        return self._source.mistake(offset(step.function), Reason.ARITY, message, name=name, **counts)

    def _compare(self, step: Compare) -> None:
        operands = self._take(len(step.signs) + 1)
        links = [
            self._emit(INFIX[sign.value].operations[0], pair, sign)
            for sign, pair in zip(step.signs, pairwise(operands), strict=True)
        ]
        together = links[0]
        for sign, link in zip(step.signs[1:], links[1:], strict=True):
            together = self._emit("logical_and", (together, link), sign)
        self._stack.append(together)

    def _take(self, count: int) -> list[int]:
        first = len(self._stack) - count
        taken = self._stack[first:]
        del self._stack[first:]
        return taken

    def _emit(self, operation: str, arguments: Sequence[int], token: Token) -> int:
        try:
            index = ops.emit(self.builder, operation, arguments)
        except InvalidGraph as mismatch:
            shapes = " and ".join(str(self.builder[argument].shape) for argument in arguments)
            details = {"operation": operation, "shapes": shapes}
            raise self._source.mistake(offset(token), Reason.SHAPE, mismatch.message, **details) from mismatch
        Bound.ELEMENTS.check(self._source, offset(token), size(self.builder[index].shape), self._limits)
        Bound.VALUES.check(self._source, offset(token), len(self.builder), self._limits)
        return index


def _abridged(literal: str) -> str:
    return literal if len(literal) <= _SHOWN_DIGITS else f"{literal[:_SHOWN_DIGITS]}..."

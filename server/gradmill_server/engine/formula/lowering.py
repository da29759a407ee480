"""From steps in the order of evaluation to operations of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from lark import Token

from gradmill_server.engine import ops
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.errors import InvalidFormula
from gradmill_server.engine.formula.emission import Emitter, Site
from gradmill_server.engine.formula.forms import reverse
from gradmill_server.engine.formula.indexing import select
from gradmill_server.engine.formula.precedence import (
    INFIX,
    Apply,
    Compare,
    Gather,
    Invoke,
    Negative,
    Numbers,
    Select,
    Step,
    Transpose,
)
from gradmill_server.engine.formula.scope import Scope
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.formula.static import number
from gradmill_server.engine.formula.syntax import NUMBER, offset
from gradmill_server.engine.formula.words import CONSTANTS, bare
from gradmill_server.engine.ir import GraphBuilder
from gradmill_server.engine.limits import Limits

_NESTED = frozenset({"minimum", "maximum", "fmin", "fmax", "hypot"})
"""Operations of two operands that people expect to take more."""


class Lowering:
    """A machine with a stack of values of the graph that it builds.

    Attributes:
        builder: the graph so far.
        values: the value of each name: inputs, and what has been assigned.
    """

    def __init__(self, source: Source, scope: Scope, limits: Limits, checkpoint: Checkpoint = never) -> None:
        """Start with the inputs that the scope has found."""
        self._source = source
        self._scope = scope
        self._emitter = Emitter(source, scope.inputs.values(), limits, checkpoint)
        self._numbers: dict[str, int] = {}
        self._stack: list[int] = []
        self.builder: GraphBuilder = self._emitter.builder
        self.values: dict[str, int] = {name: index for index, name in enumerate(scope.inputs)}

    def run(self, steps: Iterable[Step]) -> int:
        """Emit one expression; return the index of its value.

        Raises:
            InvalidFormula: for an unknown function, a wrong number of arguments, a number too large for a float64,
                or shapes that do not fit.
            LimitExceeded: when the graph, or a value of it, grows too large.
        """
        stack, result_of = self._stack, self._result
        for step in steps:
            stack.append(result_of(step))
        return stack.pop()

    def name(self, token: Token, index: int) -> None:
        """Give a value its name. An input keeps its own as its label."""
        self.values[token.value] = index
        if index >= len(self.builder.inputs):
            self.builder.label(index, token.value)

    def _result(self, step: Step) -> int:
        """Return the value that a step leaves, once it has taken its operands."""
        if isinstance(step, Token):
            return self._number(step, "") if step.type == NUMBER else self._value(step)
        if isinstance(step, Apply):
            return self._apply(step)
        if isinstance(step, Invoke):
            return self._invoke(step)
        if isinstance(step, Negative):
            return self._number(step.literal, "-")
        if isinstance(step, Compare):
            return self._compare(step)
        return self._array(step)

    def _array(self, step: Select | Transpose | Gather | Numbers) -> int:
        if isinstance(step, Select):
            return select(self._emitter, self._stack.pop(), step.selection)
        if isinstance(step, Transpose):
            return reverse(Site(self._emitter, ".T", offset(step.token)), self._stack.pop())
        position = offset(step.bracket)
        if isinstance(step, Gather):
            return self._emitter.emit(position, "stack", self._take(step.elements), (("axis", 0),))
        self._emitter.reserve(position, step.shape)
        return self._emitter.constant(position, np.array(step.values).reshape(step.shape))

    def _value(self, token: Token) -> int:
        index = self.values.get(token.value)
        return self._constant(token, CONSTANTS[bare(token.value)]) if index is None else index

    def _number(self, token: Token, sign: str) -> int:
        text = sign + token.value
        index = self._numbers.get(text)
        if index is None:
            value = number(self._source, token)
            index = self._numbers[text] = self._constant(token, -value if sign else value)
        return index

    def _constant(self, token: Token, value: float) -> int:
        return self._emitter.constant(offset(token), value)

    def _apply(self, step: Apply) -> int:
        arguments = self._take(step.operands)
        for operation in step.operations:
            arguments = [self._emit(operation, arguments, step.token)]
        return arguments[0]

    def _invoke(self, step: Invoke) -> int:
        operands = self._take(step.operands)
        if step.binding is not None:
            self._scope.check_array_function(step.function)
            site = Site(self._emitter, step.function.value, offset(step.function), step.binding.positions)
            return step.binding.signature.write(site, *step.binding.arguments(operands))
        operation = self._scope.function(step.function)
        if step.operands != operation.arity:
            raise self._wrong_count(step, operation)
        return self._emit(operation.name, operands, step.function)

    def _wrong_count(self, step: Invoke, operation: ops.Operation) -> InvalidFormula:
        expected, name = operation.arity, step.function.value
        message = f"{name} takes {expected} argument{'' if expected == 1 else 's'}, {step.operands} given"
        if step.operands > expected and operation.name in _NESTED:
            message += f"; nest them: {name}(a, {name}(b, c))"
        counts = {"expected": str(expected), "given": str(step.operands)}
        return self._source.mistake(offset(step.function), Reason.ARITY, message, name=name, **counts)

    def _compare(self, step: Compare) -> int:
        operands = self._take(len(step.signs) + 1)
        links = [
            self._emit(INFIX[sign.value].operations[0], pair, sign)
            for sign, pair in zip(step.signs, pairwise(operands), strict=True)
        ]
        together = links[0]
        for sign, link in zip(step.signs[1:], links[1:], strict=True):
            together = self._emit("logical_and", (together, link), sign)
        return together

    def _take(self, count: int) -> list[int]:
        first = len(self._stack) - count
        taken = self._stack[first:]
        del self._stack[first:]
        return taken

    def _emit(self, operation: str, arguments: Sequence[int], token: Token) -> int:
        return self._emitter.emit(offset(token), operation, arguments)

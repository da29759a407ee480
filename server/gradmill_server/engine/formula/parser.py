"""The whole road from the text of a formula to its graph."""

from __future__ import annotations

from collections.abc import Sequence

from lark import Token

from gradmill_server.engine.checkpoints import Checkpoint, never, watched
from gradmill_server.engine.formula.bounds import Bound
from gradmill_server.engine.formula.layout import flatten
from gradmill_server.engine.formula.lowering import Lowering
from gradmill_server.engine.formula.precedence import Step, postfix
from gradmill_server.engine.formula.scope import Scope, check_declared
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.formula.syntax import BLANK, NAME, Assignment, Closing, Statement, offset, read, starts_at
from gradmill_server.engine.ir import Graph, Input, Output
from gradmill_server.engine.limits import Limits

CLOSING_OUTPUT = "value"
"""The name of a closing expression's output."""


def parse_formula(text: str, inputs: Sequence[Input] | None, limits: Limits, checkpoint: Checkpoint = never) -> Graph:
    """Return the graph that a formula means. The language: ``message Formula`` of ``gradmill/v1/graph.proto``.

    Args:
        text: the formula.
        inputs: the inputs in order, their shapes within the limits; None where every free name is a scalar input, in
            order of first appearance.
        limits: what is too large; checked before the text is read where that can be.
        checkpoint: called between the stages, and every few milliseconds of the longest; may raise to stop.

    Returns:
        The graph, with the names of assigned values as labels. Values that no output needs are still in it.

    Raises:
        InvalidFormula: with a reason for each kind of mistake, line and column (from 1) and a caret.
        LimitExceeded: with the value, the limit, its knob, line and column.
    """
    source = Source(text)
    Bound.CHARACTERS.check(source, limits.maximum_formula_characters, len(text), limits)
    check_declared(inputs or ())
    flat = flatten(source, limits)
    if not flat.strip(BLANK):
        raise source.mistake(0, Reason.EMPTY, "the formula is empty")
    checkpoint()
    return _Reading(source, read(source, flat, checkpoint), inputs, limits).graph(checkpoint)


class _Reading:
    """One formula between syntax and graph."""

    def __init__(
        self, source: Source, statements: list[Statement], inputs: Sequence[Input] | None, limits: Limits
    ) -> None:
        self._source = source
        self._limits = limits
        self._statements = statements
        targets = [statement.target for statement in statements if isinstance(statement, Assignment)]
        self._scope = Scope(source, targets, inputs, limits)

    def graph(self, checkpoint: Checkpoint) -> Graph:
        """Return the graph.

        All names come before the first operation, because the inputs are a graph's first values.
        """
        checkpoint()
        self._check_order()
        ordered = [self._named(statement) for statement in watched(self._statements, checkpoint)]
        lowering = Lowering(self._source, self._scope, self._limits, checkpoint)
        outputs: list[Output] = []
        for statement, steps in zip(self._statements, ordered, strict=True):
            if isinstance(statement, Closing):
                outputs = [Output(step.value, lowering.values[step.value]) for step in steps if isinstance(step, Token)]
                break
            index = lowering.run(steps)
            name = CLOSING_OUTPUT
            if isinstance(statement, Assignment):
                name = statement.target.value
                lowering.name(statement.target, index)
            outputs = [Output(name, index)]
        return lowering.builder.build(outputs)

    def _check_order(self) -> None:
        for statement in self._statements[:-1]:
            if isinstance(statement, Closing):
                message = "'return' must be the last statement"
                raise self._source.mistake(offset(statement.word), Reason.SYNTAX, message)
            if not isinstance(statement, Assignment):
                message = "the value of this expression goes nowhere: only the last statement may be one without a name"
                raise self._source.mistake(starts_at(statement), Reason.VALUE_UNUSED, message)

    def _named(self, statement: Statement) -> list[Step]:
        """Return a statement's steps, once the scope has taken note of its names."""
        if isinstance(statement, Closing):
            return list(self._returned(statement))
        expression = statement.expression if isinstance(statement, Assignment) else statement
        steps = postfix(self._source, expression)
        for step in steps:
            if isinstance(step, Token) and step.type == NAME:
                self._scope.use(step)
        if isinstance(statement, Assignment):
            self._scope.assign(statement.target)
        return steps

    def _returned(self, closing: Closing) -> list[Token]:
        if not closing.outputs:
            raise self._source.mistake(offset(closing.word), Reason.NO_OUTPUT, "'return' names no output")
        names: dict[str, Token] = {}
        for item in closing.outputs:
            if not isinstance(item, Token) or item.type != NAME:
                message = "'return' takes names: assign the expression to a name first"
                raise self._source.mistake(starts_at(item), Reason.OUTPUT, message)
            self._scope.show(item)
            if names.setdefault(item.value, item) is not item:
                message = f"output '{item}' is returned twice"
                raise self._source.mistake(offset(item), Reason.OUTPUT, message)
            Bound.OUTPUTS.check(self._source, offset(item), len(names), self._limits)
        return list(names.values())

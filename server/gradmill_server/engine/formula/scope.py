"""What each name of a formula means: an input, an assigned value, a constant, or a mistake."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import islice

from lark import Token

from gradmill_server.engine import ops
from gradmill_server.engine.errors import InvalidFormula, Violation, quote
from gradmill_server.engine.formula.bounds import Bound
from gradmill_server.engine.formula.functions import ELEMENTWISE, SIGNATURES
from gradmill_server.engine.formula.source import FIELD, Reason, Source
from gradmill_server.engine.formula.syntax import offset
from gradmill_server.engine.formula.words import (
    COMPARED,
    COMPARED_CHARACTERS,
    CONSTANTS,
    RESERVED,
    SETTINGS,
    bare,
    suggestion,
)
from gradmill_server.engine.ir import Input
from gradmill_server.engine.limits import Limits

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LISTED = 8


def check_declared(inputs: Sequence[Input]) -> None:
    """Check that a formula can speak of its declared inputs: each has a name of its own that means nothing else.

    Raises:
        InvalidFormula: for the first that has not.
    """
    seen: set[str] = set()
    for position, entry in enumerate(inputs):
        kind = _other_meaning(entry.name)
        if kind:
            _refuse_declared(position, f"input {quote(entry.name)} has the name of {kind}")
        if not _IDENTIFIER.fullmatch(entry.name):
            _refuse_declared(position, f"input {quote(entry.name)} has a name that no formula can hold")
        if entry.name in seen:
            _refuse_declared(position, f"input {quote(entry.name)} is declared twice")
        seen.add(entry.name)


def _refuse_declared(position: int, description: str) -> None:
    field = f"{FIELD}.inputs[{position}].name"
    message = f"{field}: {description}"
    violations = [Violation(field, description, Reason.INPUT.value, {})]
    raise InvalidFormula(message, reason=Reason.INPUT.value, metadata={"field": field}, violations=violations)


def _other_meaning(name: str) -> str:
    if name in CONSTANTS:
        return "a constant"
    if name in ELEMENTWISE:
        return "a function"
    return "a reserved word" if name in RESERVED else ""


class Scope:
    """The names known so far, while the statements go by in order.

    Attributes:
        inputs: those declared, or else those met so far.
    """

    def __init__(
        self, source: Source, targets: Sequence[Token], declared: Sequence[Input] | None, limits: Limits
    ) -> None:
        """Start before the first statement.

        Args:
            source: the text as sent, for messages.
            targets: the names on the left of all assignments, in order.
            declared: the inputs, or None where every free name is one.
            limits: what is too large.
        """
        self._source = source
        self._limits = limits
        self._free = declared is None
        self._assigned: set[str] = set()
        self._target_of: dict[str, Token] = {}
        for target in targets:
            self._target_of.setdefault(target.value, target)
        self.inputs: dict[str, Input] = {entry.name: entry for entry in declared or ()}

    def use(self, token: Token) -> None:
        """Take note of a name that is used as a value.

        Raises:
            InvalidFormula: when it has no value there.
            LimitExceeded: when it makes an input too many.
        """
        name = token.value
        if name in self.inputs or name in self._assigned or bare(name) in CONSTANTS:
            return
        self._check_usable(token)
        if not self._free or "." in name:
            raise self._unknown(token, _listed(self.inputs))
        Bound.NAME.check(self._source, offset(token), len(name), self._limits)
        self.inputs[name] = Input(name)
        Bound.INPUTS.check(self._source, offset(token), len(self.inputs), self._limits)

    def assign(self, token: Token) -> None:
        """Take note of an assignment.

        Raises:
            InvalidFormula: when the name means something already.
            LimitExceeded: when the name is too long.
        """
        name = token.value
        if name in self._assigned:
            first = self._source.place(offset(self._target_of[name]))
            raise self._mistake(token, Reason.REASSIGNED, f"{quote(name)} has its value already, from {first}")
        if name in self.inputs:
            raise self._mistake(token, Reason.REASSIGNED, f"{quote(name)} is a declared input")
        kind = _other_meaning(bare(name))
        if kind or "." in name:
            message = f"{quote(name)} is the name of {kind}" if kind else f"{quote(name)} cannot be assigned to"
            raise self._mistake(token, Reason.REASSIGNED, message)
        Bound.NAME.check(self._source, offset(token), len(name), self._limits)
        self._assigned.add(name)

    def show(self, token: Token) -> None:
        """Take note of a name that ``return`` makes an output.

        Raises:
            InvalidFormula: when it is neither an assigned name nor an input. A free name that appears nowhere else is
                refused too: it is more likely misspelt than meant.
        """
        name = token.value
        if name not in self.inputs and name not in self._assigned:
            if bare(name) in CONSTANTS:
                message = f"{quote(name)} is a constant; 'return' takes names of assigned values and of inputs"
                raise self._mistake(token, Reason.OUTPUT, message)
            raise self._unknown(token, "; 'return' takes names of assigned values and of inputs used above")

    def function(self, token: Token) -> ops.Operation:
        """Return the element-wise operation that a call names.

        Raises:
            InvalidFormula: when there is no such function.
        """
        name = bare(token.value)
        operation = ELEMENTWISE.get(name)
        if operation is not None:
            return operation
        if name in self.inputs or name in self._assigned or name in CONSTANTS:
            message = f"{quote(name)} is a value, not a function; to multiply, write '*'"
        else:
            message = f"unknown function {quote(name)}{suggestion(name, [*ELEMENTWISE, *SIGNATURES])}"
        raise self._mistake(token, Reason.UNKNOWN_FUNCTION, message)

    def check_array_function(self, token: Token) -> None:
        """Check that a function of arrays is meant where one is called. A value may have its name, as long as none is.

        Raises:
            InvalidFormula: when a value has that name.
        """
        name = token.value
        if name in self.inputs or name in self._assigned:
            message = f"{quote(name)} is a value here, not a function; to multiply, write '*', or else np.{name}(...)"
            raise self._mistake(token, Reason.UNKNOWN_FUNCTION, message)

    def _check_usable(self, token: Token) -> None:
        name = token.value
        values_only = not self._free or "." in name
        if bare(name) in ELEMENTWISE or (bare(name) in SIGNATURES and values_only):
            message = f"{quote(name)} is a function: write {name}(...)"
            raise self._mistake(token, Reason.FUNCTION_NOT_CALLED, message)
        if name in SETTINGS:
            message = f"{name!r} is no value; it stands for a setting, as in sum(x, axis=None, keepdims=True)"
            raise self._mistake(token, Reason.SYNTAX, message)
        if name in RESERVED:
            raise self._mistake(token, Reason.SYNTAX, f"{quote(name)} is a reserved word; write where(condition, a, b)")
        if name in self._target_of:
            later = self._source.place(offset(self._target_of[name]))
            message = f"{quote(name)} is used before it has a value, from {later}; no name can have two meanings"
            raise self._mistake(token, Reason.USED_BEFORE_ASSIGNED, message)

    def _unknown(self, token: Token, otherwise: str) -> InvalidFormula:
        name = token.value
        known = [*self._assigned, *self.inputs]
        hint = suggestion(name, [*islice(sorted(known), COMPARED), *CONSTANTS]) or otherwise
        return self._mistake(token, Reason.UNKNOWN_NAME, f"unknown name {quote(name)}{hint}")

    def _mistake(self, token: Token, reason: Reason, message: str) -> InvalidFormula:
        return self._source.mistake(offset(token), reason, message, name=token.value[:COMPARED_CHARACTERS])


def _listed(names: Collection[str]) -> str:
    if not names:
        return "; there are no inputs"
    shown = ", ".join(quote(name) for name in islice(names, _LISTED))
    return f"; the inputs are {shown}{', ...' if len(names) > _LISTED else ''}"

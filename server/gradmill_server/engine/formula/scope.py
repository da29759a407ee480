"""What each name of a formula means: an input, an assigned value, a constant, or a mistake."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from lark import Token

from gradmill_server.engine import ops
from gradmill_server.engine.errors import InvalidFormula, Violation, quote
from gradmill_server.engine.formula.bounds import Bound
from gradmill_server.engine.formula.source import FIELD, Reason, Source
from gradmill_server.engine.formula.syntax import offset
from gradmill_server.engine.ir import Input
from gradmill_server.engine.limits import Limits

CONSTANTS: Mapping[str, float] = MappingProxyType(
    {"pi": math.pi, "e": math.e, "tau": math.tau, "inf": math.inf, "nan": math.nan}
)
"""Names that stand for numbers."""

RESERVED = frozenset({"and", "or", "not", "return", "if", "else"})
"""Words that can name nothing."""

_PREFIX = re.compile(r"(?:np|numpy|math)\.")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMPARED = 300
"""How many known names an unknown one is compared with, which keeps a wrong guess cheap."""
_COMPARED_CHARACTERS = 128
_LISTED = 8


def bare(name: str) -> str:
    """Return a name without the prefix ``np.``, ``numpy.`` or ``math.``."""
    return _PREFIX.sub("", name, count=1) if "." in name else name


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the names it may have been meant for, nearest first."""
    candidates = list(islice(known, _COMPARED))
    near = difflib.get_close_matches(name[:_COMPARED_CHARACTERS], candidates, n=3)
    return f"; did you mean {' or '.join(repr(each) for each in near)}?" if near else ""


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
    if name in ops.FUNCTION_NAMES:
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

    def function(self, token: Token) -> ops.Row:
        """Return the operation that a call names.

        Raises:
            InvalidFormula: when there is no such function.
        """
        name = bare(token.value)
        operation = ops.FUNCTION_NAMES.get(name)
        if operation is not None:
            return operation
        if name in self.inputs or name in self._assigned or name in CONSTANTS:
            message = f"{quote(name)} is a value, not a function; to multiply, write '*'"
        else:
            message = f"unknown function {quote(name)}{suggestion(name, ops.FUNCTION_NAMES)}"
        raise self._mistake(token, Reason.UNKNOWN_FUNCTION, message)

    def _check_usable(self, token: Token) -> None:
        name = token.value
        if bare(name) in ops.FUNCTION_NAMES:
            message = f"{quote(name)} is a function: write {name}(...)"
            raise self._mistake(token, Reason.FUNCTION_NOT_CALLED, message)
        if name in RESERVED:
            raise self._mistake(token, Reason.SYNTAX, f"{quote(name)} is a reserved word; write where(condition, a, b)")
        if name in self._target_of:
            later = self._source.place(offset(self._target_of[name]))
            message = f"{quote(name)} is used before it has a value, from {later}; no name can have two meanings"
            raise self._mistake(token, Reason.USED_BEFORE_ASSIGNED, message)

    def _unknown(self, token: Token, otherwise: str) -> InvalidFormula:
        name = token.value
        known = [*self._assigned, *self.inputs]
        hint = suggestion(name, [*islice(sorted(known), _COMPARED), *CONSTANTS]) or otherwise
        return self._mistake(token, Reason.UNKNOWN_NAME, f"unknown name {quote(name)}{hint}")

    def _mistake(self, token: Token, reason: Reason, message: str) -> InvalidFormula:
        return self._source.mistake(offset(token), reason, message, name=token.value[:_COMPARED_CHARACTERS])


def _listed(names: Collection[str]) -> str:
    if not names:
        return "; there are no inputs"
    shown = ", ".join(quote(name) for name in islice(names, _LISTED))
    return f"; the inputs are {shown}{', ...' if len(names) > _LISTED else ''}"

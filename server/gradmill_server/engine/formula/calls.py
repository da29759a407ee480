"""How a call is written: which arguments a function takes, and which of them are values, numbers or words.

`functions` holds the table of signatures. Here a call as written, by position or by name, is bound to one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from lark import Token

from gradmill_server.engine.errors import InvalidFormula, quote
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.formula.static import Read, Reader, Static
from gradmill_server.engine.formula.syntax import (
    TEXT,
    Call,
    Expression,
    Keyword,
    Literal,
    Tuple,
    Written,
    offset,
    starts_at,
)


class Kind(Enum):
    """What an argument is."""

    VALUE = "an array"
    LIST = "a list of arrays"
    REST = "arrays"
    STATIC = "written out"


class Parameter(NamedTuple):
    """One parameter of a function.

    Attributes:
        name: as it is given by name; only what is written out can be.
        kind: what it is.
        read: reads what is written out.
        default: what it is when it is not given; None also where it must be given.
        optional: whether it may be left out.
        by_name: whether it is given by name only.
        other_name: NumPy's name for it, where ours says more; accepted as well.
    """

    name: str
    kind: Kind = Kind.VALUE
    read: Read | None = None
    default: Static = None
    optional: bool = False
    by_name: bool = False
    other_name: str = ""

    def __str__(self) -> str:
        """Return the parameter as a signature shows it."""
        name = f"*{self.name}" if self.kind is Kind.REST else self.name
        return f"{name}={self.default!r}" if self.optional else name


def static(name: str, read: Read) -> Parameter:
    """Return a parameter that is written out."""
    return Parameter(name, Kind.STATIC, read)


def option(name: str, read: Read, default: Static, *, by_name: bool = False) -> Parameter:
    """Return a parameter that is written out, and may be left out."""
    return Parameter(name, Kind.STATIC, read, default, optional=True, by_name=by_name)


@dataclass(frozen=True, slots=True)
class Signature:
    """A function of arrays.

    Attributes:
        write: writes its operations, given the place and the parameters in order; returns the index of its value.
        parameters: those given by position, then those given by name only.
    """

    write: Callable[..., int]
    parameters: tuple[Parameter, ...]

    def __str__(self) -> str:
        """Return the parameters as Python writes them."""
        parts = [str(parameter) for parameter in self.parameters if not parameter.by_name]
        named = [str(parameter) for parameter in self.parameters if parameter.by_name]
        return ", ".join([*parts, "*", *named] if named else parts)


@dataclass(slots=True)
class Binding:
    """A call whose arguments have found their parameters.

    Attributes:
        signature: the function's.
        operands: the expressions among the arguments, in the order of the text.
        counts: for each parameter that is an array or several: how many of the operands are its own.
        statics: what is written out, by parameter.
        positions: the offset of each argument in the text, by parameter.
    """

    signature: Signature
    operands: list[Expression] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    statics: dict[str, Static] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)

    def arguments(self, operands: Sequence[int]) -> list[int | list[int] | Static]:
        """Return what each parameter is, given the values of the operands."""
        arguments: list[int | list[int] | Static] = []
        taken = 0
        for parameter in self.signature.parameters:
            if parameter.kind is Kind.STATIC:
                arguments.append(self.statics.get(parameter.name, parameter.default))
                continue
            first, taken = taken, taken + self.counts[parameter.name]
            arguments.append(operands[first] if parameter.kind is Kind.VALUE else list(operands[first:taken]))
        return arguments


def bind(source: Source, call: Call, signature: Signature) -> Binding:
    """Return a call's arguments by the function's parameters.

    Raises:
        InvalidFormula: for too many or too few arguments, names that are none, and what cannot be read.
    """
    return _Binder(source, call, signature).bind()


def operands(source: Source, call: Call) -> list[Expression]:
    """Return the arguments of an element-wise function: values, all given by position.

    Raises:
        InvalidFormula: for anything else among them.
    """
    values: list[Expression] = []
    for argument in call.arguments:
        if isinstance(argument, Keyword):
            name = quote(argument.name.value)
            message = f"{call.function} has no argument {name}; its arguments are given by position"
            raise source.mistake(offset(argument.name), Reason.ARGUMENT, message)
        values.append(_expression(source, call.function, argument))
    return values


def expressions(call: Call) -> list[Expression]:
    """Return those arguments of a call that are values, whatever it calls."""
    return [
        argument for argument in call.arguments if not isinstance(argument, (Keyword, Tuple)) and not is_text(argument)
    ]


def is_text(written: Written) -> bool:
    """Whether this is a quoted text."""
    return isinstance(written, Token) and written.type == TEXT


def _expression(source: Source, function: Token, written: Written) -> Expression:
    """Return an argument that is a value."""
    if isinstance(written, Tuple):
        message = f"{function} takes no list in parentheses here; to make an array, write [a, b]"
        raise source.mistake(starts_at(written), Reason.ARGUMENT, message)
    if is_text(written):
        message = f"{function} takes no text here; only the subscripts of einsum are one"
        raise source.mistake(starts_at(written), Reason.ARGUMENT, message)
    return written


class _Binder:
    """One call on its way to its parameters."""

    def __init__(self, source: Source, call: Call, signature: Signature) -> None:
        self._source = source
        self._function = call.function
        self._arguments = call.arguments
        self._signature = signature
        self._binding = Binding(signature)

    def bind(self) -> Binding:
        places = [parameter for parameter in self._signature.parameters if not parameter.by_name]
        positional = self._positional()
        if places[-1].kind is Kind.REST:
            places += [places[-1]] * (len(positional) - len(places))
            self._binding.counts[places[-1].name] = 0
        if len(positional) > len(places):
            raise self._too_many(len(positional), len(places))
        for parameter, written in zip(places, positional, strict=False):
            self._give(parameter, written)
        for argument in self._arguments:
            if isinstance(argument, Keyword):
                self._give_by_name(argument)
        for parameter in self._signature.parameters:
            if not parameter.optional and parameter.name not in self._binding.positions:
                raise self._missing(parameter)
        return self._binding

    def _positional(self) -> list[Written]:
        """Return the arguments given by position, which come before those given by name."""
        positional: list[Written] = []
        for place, argument in enumerate(self._arguments):
            if isinstance(argument, Keyword):
                continue
            if len(positional) < place:
                message = "an argument given by position comes before all that are given by name"
                raise self._source.mistake(starts_at(argument), Reason.SYNTAX, message)
            positional.append(argument)
        return positional

    def _give(self, parameter: Parameter, written: Written) -> None:
        binding = self._binding
        binding.positions.setdefault(parameter.name, starts_at(written))
        if parameter.read is not None:
            reader = Reader(self._source, f"{parameter.name} of {self._function}", Reason.ARGUMENT)
            binding.statics[parameter.name] = parameter.read(reader, written)
            return
        given = self._listed(written) if parameter.kind is Kind.LIST else [written]
        binding.operands += [_expression(self._source, self._function, each) for each in given]
        binding.counts[parameter.name] = binding.counts.get(parameter.name, 0) + len(given)

    def _listed(self, written: Written) -> Sequence[Expression]:
        if isinstance(written, (Literal, Tuple)) and written.elements:
            return written.elements
        message = f"{self._function} takes a list of arrays, as in {self._function}([a, b])"
        raise self._source.mistake(starts_at(written), Reason.ARGUMENT, message)

    def _give_by_name(self, argument: Keyword) -> None:
        name = argument.name.value
        parameter = next((each for each in self._signature.parameters if name in {each.name, each.other_name}), None)
        if parameter is None or parameter.kind is not Kind.STATIC:
            raise self._not_by_name(argument.name)
        if parameter.name in self._binding.positions:
            message = f"{self._function} is given its argument {quote(name)} twice"
            raise self._source.mistake(offset(argument.name), Reason.ARGUMENT, message)
        self._give(parameter, argument.value)

    def _not_by_name(self, name: Token) -> InvalidFormula:
        known = [parameter.name for parameter in self._signature.parameters]
        if name.value in known:
            message = f"{self._function} takes {quote(name.value)} by position: {self._shown()}"
        else:
            message = f"{self._function} has no argument {quote(name.value)}; it is {self._shown()}"
        return self._source.mistake(offset(name), Reason.ARGUMENT, message)

    def _too_many(self, given: int, expected: int) -> InvalidFormula:
        plural = "" if expected == 1 else "s"
        message = f"{self._shown()} takes {expected} argument{plural} by position, {given} given"
        return self._wrong_count(message, expected=str(expected), given=str(given))

    def _missing(self, parameter: Parameter) -> InvalidFormula:
        return self._wrong_count(f"{self._shown()} is missing its argument {quote(parameter.name)}")

    def _wrong_count(self, message: str, **counts: str) -> InvalidFormula:
        name = self._function.value
        return self._source.mistake(offset(self._function), Reason.ARITY, message, name=name, **counts)

    def _shown(self) -> str:
        return f"{self._function}({self._signature})"

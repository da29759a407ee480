"""What a function is to the client: inputs, values in topological order, named outputs.

Values are counted as in the contract: all inputs first, then ``values`` in order. Equal values are the same value;
constants are compared by their bits, so 0.0 and -0.0 are two.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, SupportsIndex, TypeAlias

from gradmill.errors import Failure, InvalidRequestError

Shape = tuple[int, ...]

FLOAT64 = 1
"""The number of binary64 in the contract's ``ElementType``."""

FLOAT32 = 2
"""That of binary32."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


class ParameterKind:
    """Numbers of the kinds of static parameters in the canonical form."""

    INTEGER = 1
    NUMBER = 2
    TEXT = 3
    INTEGERS = 4
    FUNCTION = 5


ParameterValue: TypeAlias = "int | bytes | str | tuple[int, ...] | Body"
"""What a static parameter can be: a whole number, a number's eight bytes, a text, whole numbers, or a body."""


class Parameter(NamedTuple):
    """A static parameter. A number is kept as its eight bytes, so that a NaN equals a NaN of the same bits."""

    name: str
    kind: int
    value: ParameterValue


def as_parameters(values: Mapping[str, ParameterValue]) -> tuple[Parameter, ...]:
    """Return values by name as static parameters, each of the kind that its Python type says."""
    return tuple([Parameter(name, _KIND_OF_TYPE[type(value)], value) for name, value in values.items()])


class Input(NamedTuple):
    """One input: its name, the shape of one point's value (a scalar has the shape ()), and its type of elements."""

    name: str
    shape: Shape = ()
    element_type: int = FLOAT64


class Constant(NamedTuple):
    """A constant: its elements as row-major little-endian bytes."""

    shape: Shape
    data: bytes
    element_type: int = FLOAT64


class Operation(NamedTuple):
    """An operation applied to earlier values, each named by its number."""

    name: str
    arguments: tuple[int, ...]
    parameters: tuple[Parameter, ...] = ()


Value = Constant | Operation


class Output(NamedTuple):
    """One output: its name and the number of the value it shows."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A function. Every argument of a value has a lower number than the value itself."""

    inputs: tuple[Input, ...]
    values: tuple[Value, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a loop or of a call: a function of its own, the same as another exactly when the digests are.

    Attributes:
        digest: the 32 bytes that name the function.
        graph: the function in canonical form.
        output_shapes: the shape of each output.
    """

    digest: bytes
    graph: Graph = field(compare=False, repr=False)
    output_shapes: tuple[Shape, ...] = field(compare=False, repr=False)


_KIND_OF_TYPE: Mapping[type, int] = {
    int: ParameterKind.INTEGER,
    bytes: ParameterKind.NUMBER,
    str: ParameterKind.TEXT,
    tuple: ParameterKind.INTEGERS,
    Body: ParameterKind.FUNCTION,
}


def bodies_of(graph: Graph) -> dict[bytes, Body]:
    """Return the bodies that a graph names, and those that these name, by digest; each after those that it names."""
    found: dict[bytes, Body] = {}
    stack = _named_bodies(graph)
    while stack:
        body = stack[-1]
        waiting = [entry for entry in _named_bodies(body.graph) if entry.digest not in found]
        if waiting and body.digest not in found:
            stack.extend(waiting)
            continue
        found.setdefault(body.digest, body)
        stack.pop()
    return found


def _named_bodies(graph: Graph) -> list[Body]:
    """Return the bodies that a graph itself names, last first, as often as it names them."""
    return [
        parameter.value
        for value in reversed(graph.values)
        if isinstance(value, Operation)
        for parameter in value.parameters
        if isinstance(parameter.value, Body)
    ]


def size(shape: Shape) -> int:
    """Return the number of elements of an array of this shape."""
    return math.prod(shape)


def check_names(what: str, names: Iterable[object]) -> tuple[str, ...]:
    """Return names as a tuple, each a valid identifier and used once.

    Raises:
        InvalidRequestError: a name is not a letter or underscore followed by letters, digits and underscores (ASCII),
            or occurs twice, or there is none.
    """
    checked: dict[str, None] = {}
    for name in names:
        if not isinstance(name, str) or not _NAME.match(name):
            message = f"{what} name {name!r} is not a letter or underscore followed by letters, digits and underscores"
            raise InvalidRequestError(message, Failure(reason="NAME_INVALID"))
        if name in checked:
            message = f"{what} name {name!r} occurs twice"
            raise InvalidRequestError(message, Failure(reason="NAME_DUPLICATE", metadata={"name": name}))
        checked[name] = None
    if not checked:
        message = f"at least one {what} is needed"
        raise InvalidRequestError(message, Failure(reason="NAME_MISSING"))
    return tuple(checked)


def as_shape(shape: object) -> Shape:
    """Return a shape given as a whole number (one dimension) or as a sequence of them.

    Raises:
        InvalidRequestError: a dimension is not a whole number, or is negative.
    """
    dimensions = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    numbers = [operator.index(entry) for entry in dimensions if isinstance(entry, SupportsIndex)]
    if len(numbers) < len(dimensions) or min(numbers, default=0) < 0:
        message = f"shape {shape!r} is not a whole number or a tuple of whole numbers"
        raise InvalidRequestError(message, Failure(reason="SHAPE_INVALID"))
    return tuple(numbers)

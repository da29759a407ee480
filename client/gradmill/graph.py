"""What a function is to the client: inputs, values in topological order, named outputs.

Values are counted as in the contract: all inputs first, then ``values`` in order. Equal values are the same value;
constants are compared by their bits, so 0.0 and -0.0 are two.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

from gradmill.errors import Failure, InvalidRequestError

Shape = tuple[int, ...]

FLOAT64 = 1
"""The number of binary64 in the contract's ``ElementType``."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


class ParameterKind:
    """Numbers of the kinds of static parameters in the canonical form."""

    INTEGER = 1
    NUMBER = 2
    TEXT = 3
    INTEGERS = 4


class Parameter(NamedTuple):
    """A static parameter. A number is kept as its eight bytes, so that a NaN equals a NaN of the same bits."""

    name: str
    kind: int
    value: int | bytes | str | tuple[int, ...]


class Input(NamedTuple):
    """One input: its name and the shape of one point's value; a scalar has the shape ()."""

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

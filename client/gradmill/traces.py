"""The record of a traced computation: an append-only list of values over one set of inputs.

Expressions are light handles that point into this record, so that a chain of a million operations is a list, not a
tower of objects: nothing here or in freeing it recurses.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gradmill.graph import Constant, Graph, Input, Operation, Output, Parameter, Shape, Value
from gradmill.places import refusal
from gradmill.shapes import result_shape

Real: TypeAlias = int | float | np.integer | np.floating | np.bool_ | npt.NDArray[np.generic]
"""A real number, or an array of real numbers."""

_REAL_KINDS = "biuf"
_SAFE_MAGNITUDE = 1e300  # below it, an int fits binary64 for certain


class Trace:
    """The values computed so far from one set of inputs. Safe to use from several threads.

    A value equal to an earlier one is that earlier one, so computing the same expression again adds nothing.
    """

    __slots__ = ("_lock", "_number_of", "_shapes", "_values", "inputs")

    parent: Trace | None = None
    """The trace around it; None when there is none, or none is known yet."""

    is_over: bool = False
    """Whether no more can be computed from its values."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        """Start with these inputs, as values 0, 1, 2, ..."""
        self.inputs = tuple(inputs)
        self._lock = threading.Lock()  # guards _values, _shapes and _number_of, which grow together
        self._values: list[Value] = []
        self._shapes: list[Shape] = [entry.shape for entry in self.inputs]
        self._number_of: dict[Value, int] = {}

    def __len__(self) -> int:
        """Return the number of values, inputs included."""
        return len(self._shapes)

    def __repr__(self) -> str:
        """Show the names of the inputs."""
        return f"inputs({', '.join(entry.name for entry in self.inputs)})"

    def shape(self, number: int) -> Shape:
        """Return the shape of a value."""
        return self._shapes[number]

    def describe(self, number: int) -> str:
        """Return a value in a few words: an input's name, or the operation that made it."""
        if number < len(self.inputs):
            return self.inputs[number].name
        value = self._values[number - len(self.inputs)]
        return value.name if isinstance(value, Operation) else "constant"

    def operation(self, name: str, arguments: tuple[int, ...], parameters: tuple[Parameter, ...] = ()) -> int:
        """Add an operation and return its number.

        Raises:
            TracingError: the arguments' shapes or the parameters do not fit.
        """
        shape = result_shape(name, parameters, [self._shapes[number] for number in arguments])
        return self._add(Operation(name, arguments, parameters), shape)

    def constant(self, value: Real) -> int:
        """Add a constant, told from others by its shape and bits, and return its number.

        Raises:
            TracingError: the value is not a real number or an array of them, or is too large for binary64.
        """
        if isinstance(value, (int, float)) and abs(value) < _SAFE_MAGNITUDE:
            return self._add(Constant((), struct.pack("<d", value)), ())
        array = real_array(value)
        return self._add(Constant(array.shape, array.tobytes()), array.shape)

    def encloses(self, other: Trace) -> bool:
        """Whether the other trace is inside this one."""
        inner = other
        while inner.parent is not None:
            inner = inner.parent
            if inner is self:
                return True
        return inner.adopts(self)

    def adopts(self, outer: Trace) -> bool:  # noqa: ARG002 - for traces that are inside another
        """Whether this trace, with none around it so far, is inside the one given from now on."""
        return False

    def captured(self, trace: Trace, number: int) -> int:  # noqa: ARG002 - for traces that have one around them
        """Take in a value of an enclosing trace and return its number here."""
        message = f"{self!r} is inside no other trace"
        raise ValueError(message)

    def graph(self, outputs: Mapping[str, int]) -> Graph:
        """Return the graph of these outputs over everything recorded so far; its constants are float64."""
        return Graph(self.inputs, tuple(self._values), tuple(Output(*entry) for entry in outputs.items()))

    def _add(self, value: Value, shape: Shape) -> int:
        with self._lock:
            number = self._number_of.setdefault(value, len(self._shapes))
            if number == len(self._shapes):
                self._values.append(value)
                self._shapes.append(shape)
            return number


def real_array(value: Real) -> npt.NDArray[np.float64]:
    """Return a number or array as little-endian float64.

    Raises:
        TracingError: it is not a real number or an array of them, or is too large for binary64.
    """
    if np.ma.is_masked(value):
        message = "a constant has masked entries; fill them first"
        raise refusal(message, reason="CONSTANT_INVALID")
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and isinstance(value, int):
            array = np.asarray(float(value))
    except OverflowError as error:
        message = f"the constant {str(value)[:30]}... is too large for a 64-bit float"
        raise refusal(message, reason="CONSTANT_INVALID") from error
    if array.dtype.kind not in _REAL_KINDS:
        message = f"a constant of type {array.dtype} is not a real number"
        raise refusal(message, reason="CONSTANT_INVALID")
    return array.astype("<f8")

"""Arrays on the wire: either plain numbers or raw little-endian bytes, row-major."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2

from gradmill_server.engine.element_types import ElementType, narrowed
from gradmill_server.engine.errors import InvalidRequest, Violation, quote
from gradmill_server.engine.ir import FloatArray, Shape
from gradmill_server.serving.errors import RequestMalformed

_NUMBER_OF = {
    ElementType.FLOAT64: graph_pb2.ELEMENT_TYPE_FLOAT64,
    ElementType.FLOAT32: graph_pb2.ELEMENT_TYPE_FLOAT32,
}
_MAXIMUM_RANK = 32
_LARGEST_EXTENTS_PRODUCT = 2**48
"""Of the extents that are not zero: beyond it an array without elements could not be represented either."""


class Encoding(Enum):
    """How the arrays of an answer are written."""

    DATA = "data"
    VALUES = "values"


class FlatArray(NamedTuple):
    """An array as sent: its shape, and its elements in one dimension, as many as the shape says."""

    shape: Shape
    elements: FloatArray

    def shaped(self) -> FloatArray:
        """Return the array in its shape, without a copy."""
        return self.elements.reshape(self.shape)


Refuse = Callable[[list[Violation]], InvalidRequest]
"""Makes the error to raise from violations: a class's ``from_violations``."""


def read_array(message: graph_pb2.Array, field: str, refuse: Refuse, function: ElementType) -> FlatArray:
    """Return a message's array. Raw bytes are not copied; nothing is allocated before the sizes are found to agree.

    Args:
        message: the array as sent.
        field: its path in the caller's message.
        refuse: makes the error to raise.
        function: the element type of the function that it is for.

    Raises:
        InvalidRequest: as made by ``refuse``: for two sets of elements, another number of them than the shape's, or
            another element type than the function's.
        RequestMalformed: for an element type that the contract does not have.
    """
    # First, because it decides how many bytes an element has.
    element_type = read_element_type(message.element_type, f"{field}.element_type")
    if element_type is not function:
        description = f"{element_type.label} for a {function.label} function; send {function.contract_name}"
        metadata = {"value": element_type.contract_name, "expected": function.contract_name}
        raise refuse([Violation(f"{field}.element_type", description, "ELEMENT_TYPE_MISMATCH", metadata)])
    shape = tuple(message.shape)
    if len(shape) > _MAXIMUM_RANK:
        description = f"shape has {len(shape)} dimensions, at most {_MAXIMUM_RANK} are possible"
        raise refuse([Violation(f"{field}.shape", description, "RANK_TOO_LARGE", {"value": str(len(shape))})])
    if math.prod(extent for extent in shape if extent) > _LARGEST_EXTENTS_PRODUCT:
        description = f"shape {quote(shape)} is too large for any message"
        raise refuse([Violation(f"{field}.shape", description, "ARRAY_SIZE", {"value": quote(shape)})])
    _check_size(message, shape, field, refuse, element_type)
    return FlatArray(shape, read_elements(message, field, refuse))


def _check_size(message: graph_pb2.Array, shape: Shape, field: str, refuse: Refuse, element_type: ElementType) -> None:
    expected = math.prod(shape)
    if message.values:
        sent, needed, where = len(message.values), expected, f"{field}.values"
        description = f"shape {quote(shape)} needs {needed} values, {sent} were sent"
    else:
        sent, needed, where = len(message.data), expected * element_type.size, f"{field}.data"
        description = f"shape {quote(shape)} has {expected} elements, which is {needed} bytes; {sent} were sent"
    if sent != needed:
        raise refuse([Violation(where, description, "ARRAY_SIZE", {"value": str(sent), "expected": str(needed)})])


def read_elements(message: graph_pb2.Array, field: str, refuse: Refuse) -> FloatArray:
    """Return a message's elements in one dimension, of the type that it says, whatever its shape.

    Raises:
        InvalidRequest: as made by ``refuse``: for two sets of elements, or a part of one.
        RequestMalformed: for an element type that the contract does not have.
    """
    element_type = read_element_type(message.element_type, f"{field}.element_type")
    if message.values and message.data:
        description = "has both values and data; give one of them"
        raise refuse([Violation(field, description, "ARRAY_AMBIGUOUS", {})])
    if message.values:
        return _from_plain_numbers(message.values, element_type)
    if len(message.data) % element_type.size:
        description = f"{len(message.data)} bytes are no whole number of {element_type.size}-byte elements"
        raise refuse([Violation(f"{field}.data", description, "ARRAY_SIZE", {"value": str(len(message.data))})])
    raw = np.frombuffer(message.data, dtype=element_type.wire_dtype)
    native: FloatArray = np.require(raw, dtype=element_type.dtype, requirements=("A",))
    return native


def _from_plain_numbers(values: Sequence[float], element_type: ElementType) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    return array if element_type is ElementType.FLOAT64 else narrowed(array)


def read_element_type(number: int, field: str) -> ElementType:
    """Return an element type; binary64 where none is said.

    Raises:
        RequestMalformed: for a number that the contract does not have.
    """
    enum_name(graph_pb2.ElementType, number, field, "ELEMENT_TYPE_UNKNOWN")
    return ElementType(number or ElementType.FLOAT64)


def enum_name(enumeration: object, number: int, field: str, reason: str) -> str:
    """Return the name of an enumeration's value. Raises RequestMalformed for a number that the contract lacks."""
    descriptor = getattr(enumeration, "DESCRIPTOR")  # noqa: B009  the stubs do not tell of it
    known = descriptor.values_by_number
    value = known.get(number)
    if value is None:
        raise RequestMalformed.at(
            field,
            reason,
            f"{descriptor.name} has no value {number}; this server knows {min(known)} to {max(known)}",
            value=str(number),
        )
    return str(value.name)


def read_encoding(number: int) -> Encoding:
    """Return how arrays are to be written. Raises RequestMalformed for a number that the contract does not have."""
    enum_name(service_pb2.ArrayEncoding, number, "encoding", "ENCODING_UNKNOWN")
    return Encoding.VALUES if number == service_pb2.ARRAY_ENCODING_VALUES else Encoding.DATA


def write_array(message: graph_pb2.Array, array: FloatArray, encoding: Encoding) -> None:
    """Write an array into a message, in its own type."""
    element_type = ElementType.FLOAT32 if array.dtype == np.float32 else ElementType.FLOAT64
    message.element_type = _NUMBER_OF[element_type]
    message.shape.extend(array.shape)
    if encoding is Encoding.VALUES:
        message.values.extend(array.ravel().tolist())
    else:
        message.data = array.astype(element_type.wire_dtype, copy=False).tobytes()

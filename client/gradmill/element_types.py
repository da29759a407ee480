"""The two types that elements of arrays can have. All inputs of a function have one, and so has every value of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from gradmill.canonical import body_of
from gradmill.errors import Failure, InvalidRequestError
from gradmill.graph import FLOAT32, FLOAT64, Body, Constant, Graph, Input, Parameter, Value, bodies_of
from gradmill.places import refusal

DTYPES: Final[dict[int, np.dtype[Any]]] = {FLOAT64: np.dtype(np.float64), FLOAT32: np.dtype(np.float32)}
"""NumPy's type of each, by its number in the contract."""


def as_element_type(dtype: object) -> int:
    """Return the number of an element type, given as NumPy takes a dtype: "float32", numpy.float32 and the like.

    Raises:
        InvalidRequestError: it is another one.
    """
    with contextlib.suppress(TypeError):  # what NumPy does not take is none of the two either
        wanted = np.dtype(dtype)  # type: ignore[call-overload]  # refused below, whatever else it is
        for number, known in DTYPES.items():
            if dtype is not None and wanted == known:  # None would mean float64 to NumPy
                return number
    message = f"inputs cannot have the dtype {str(dtype)[:60]!r}; there are float64 and float32"
    raise InvalidRequestError(message, Failure(reason="ELEMENT_TYPE_UNSUPPORTED", metadata={"dtype": str(dtype)[:60]}))


def element_type_of(inputs: Sequence[Input]) -> int:
    """Return the type of every value of a function with these inputs: theirs, and float64 where there are none."""
    return inputs[0].element_type if inputs else FLOAT64


def in_float32(graph: Graph) -> Graph:
    """Return a graph whose constants and bodies are float64 with all of them float32, each number rounded to nearest.

    Raises:
        TracingError: a number is beyond the largest float32.
    """
    changed: dict[bytes, Body] = {}
    for name, body in bodies_of(graph).items():
        inner = _retyped(body.graph, changed)
        inputs = tuple([entry._replace(element_type=FLOAT32) for entry in inner.inputs])
        changed[name] = body_of(Graph(inputs, inner.values, inner.outputs), body.output_shapes)
    return _retyped(graph, changed)


def _retyped(graph: Graph, bodies: dict[bytes, Body]) -> Graph:
    values: list[Value] = []
    for value in graph.values:
        if isinstance(value, Constant):
            values.append(_rounded(value))
        elif any(isinstance(parameter.value, Body) for parameter in value.parameters):
            values.append(value._replace(parameters=tuple([_exchanged(entry, bodies) for entry in value.parameters])))
        else:
            values.append(value)
    return Graph(graph.inputs, tuple(values), graph.outputs)


def _exchanged(parameter: Parameter, bodies: dict[bytes, Body]) -> Parameter:
    value = parameter.value
    return parameter._replace(value=bodies[value.digest]) if isinstance(value, Body) else parameter


def _rounded(constant: Constant) -> Constant:
    numbers = np.frombuffer(constant.data, dtype="<f8")
    with np.errstate(all="ignore"):
        narrow = numbers.astype("<f4")
    lost = np.isinf(narrow) & np.isfinite(numbers)
    if lost.any():
        message = f"the constant {float(numbers[lost][0])!r} is beyond the largest float32, about 3.4e38"
        raise refusal(message, reason="CONSTANT_INVALID")
    return Constant(constant.shape, narrow.tobytes(), FLOAT32)

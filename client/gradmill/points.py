"""Points as users give them, checked against the function's inputs and cut into messages.

Two forms, and each result comes back in the form its points had:

- a matrix ``[points, elements]``, every input's elements flattened row-major, inputs in declared order; one
  dimension ``[elements]`` is one point;
- a mapping from input name to number or array; an array with one more axis than its input's shape is per point,
  any other is shared by all points. A table with named columns, such as a pandas data frame, is such a mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gradmill.descriptions import FunctionInfo
from gradmill.element_types import DTYPES
from gradmill.errors import InvalidRequestError, invalid_points
from gradmill.graph import FLOAT64, Input
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import FloatArray, array_message, array_parts, enclosed
from gradmill.wire_format import Buffer, head_of, number_field

POINTS_FIELD = 3
"""The number of the field of `EvaluateRequest`."""

_REAL_KINDS = "biuf"
_ONE_POINT_RANK = 1
_MATRIX_RANK = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Points that fit a function.

    Attributes:
        count: the number of points.
        is_one_point: whether the points' own axis was left out, and is to be left out of the results.
        matrix: ``[count, elements]``, or None when the points came as a mapping.
        arrays: arrays by input name: ``[count, *shape]``, or ``shape`` for a shared one.
        shared: the names of the inputs that all points share.
        element_type: that of the function, which the arrays have, by its number in the contract.
    """

    count: int
    is_one_point: bool
    matrix: FloatArray | None
    arrays: Mapping[str, FloatArray]
    shared: frozenset[str]
    element_type: int = FLOAT64

    @property
    def bytes_per_point(self) -> int:
        """The bytes that each further point adds to a message."""
        if self.matrix is not None:
            return self.element_bytes * int(self.matrix.shape[1])
        per_point = (array for name, array in self.arrays.items() if name not in self.shared)
        return self.element_bytes * sum(array[:1].size for array in per_point)

    @property
    def element_bytes(self) -> int:
        """The bytes of one number."""
        return DTYPES[self.element_type].itemsize

    def message(self, start: int, stop: int) -> service.Points:
        """Return the points ``start`` to ``stop`` as a message."""
        if self.matrix is not None:
            return service.Points(count=stop - start, matrix=array_message(self.matrix[start:stop]))
        entries = [
            service.InputValues(
                name=name,
                values=array_message(array if name in self.shared else array[start:stop]),
                shared=name in self.shared,
            )
            for name, array in self.arrays.items()
        ]
        return service.Points(count=stop - start, inputs=entries)

    def parts(self, start: int, stop: int) -> list[Buffer]:
        """Return the bytes of :meth:`message` in parts, with the numbers not copied where that can be."""
        count: list[Buffer] = [number_field(1, stop - start)] if stop > start else []
        if self.matrix is not None:
            return count + enclosed(2, array_parts(self.matrix[start:stop]))
        for name, array in self.arrays.items():
            is_shared = name in self.shared
            title = name.encode()
            values = enclosed(2, array_parts(array if is_shared else array[start:stop]))
            shared = [number_field(3, 1)] if is_shared else []
            count += enclosed(3, [head_of(1, len(title)) + title, *values, *shared])
        return count


def pack_points(points: object, function: FunctionInfo) -> Batch:
    """Return points in either form as a batch for a function.

    Raises:
        InvalidRequestError: a name is missing or unknown, a shape does not fit, numbers of points disagree, or the
            numbers are not real. The message names the input, the expected and the actual shape.
    """
    named = as_mapping(points)
    if named is not None:
        return _pack_mapping(named, function.inputs, function.element_type)
    return _pack_matrix(real_matrix("points", points, element_type=function.element_type), function)


def as_mapping(values: object) -> Mapping[object, object] | None:
    """Return values by name: a mapping as it is, a table by its columns; None for anything else."""
    if isinstance(values, Mapping):
        return values
    columns = getattr(values, "columns", None)
    if columns is not None and hasattr(values, "__getitem__"):
        return {name: values[name] for name in columns}
    return None


def _pack_matrix(array: FloatArray, function: FunctionInfo) -> Batch:
    elements = function.elements_per_point
    names = ", ".join(function.input_names)
    is_one_point = array.ndim <= _ONE_POINT_RANK
    if array.ndim == 0 and elements == 1:
        array = array.reshape(1)
    if array.ndim not in {_ONE_POINT_RANK, _MATRIX_RANK} or array.shape[-1] != elements:
        message = (
            f"points have the shape {array.shape}, but the function of ({names}) takes [points, {elements}], "
            f"or [{elements}] for one point"
        )
        if array.ndim == _ONE_POINT_RANK and elements == 1:
            message += "; for many points of one input use points.reshape(-1, 1), or a mapping from its name"
        raise invalid_points(message, actual=str(array.shape), expected=f"(points, {elements})")
    matrix = array.reshape(1, elements) if is_one_point else array
    return Batch(matrix.shape[0], is_one_point, matrix, {}, frozenset(), function.element_type)


def _pack_mapping(points: Mapping[object, object], inputs: Sequence[Input], element_type: int) -> Batch:
    _check_names(points, inputs)
    arrays = {
        entry.name: real_matrix(f"input {entry.name!r}", points[entry.name], element_type=element_type)
        for entry in inputs
    }
    shared: set[str] = set()
    count: int | None = None
    counted_by = ""
    for entry in inputs:
        array = arrays[entry.name]
        if array.shape == entry.shape:
            shared.add(entry.name)
            continue
        if array.ndim != len(entry.shape) + 1 or array.shape[1:] != entry.shape:
            raise _misfit(entry, array)
        if count is not None and array.shape[0] != count:
            message = (
                f"input {entry.name!r} has {array.shape[0]} points, but input {counted_by!r} has {count}; "
                "give each input one value for every point, or one value for all"
            )
            raise invalid_points(message, name=entry.name)
        count, counted_by = array.shape[0], entry.name
    return Batch(1 if count is None else count, count is None, None, arrays, frozenset(shared), element_type)


def _misfit(entry: Input, array: FloatArray) -> Exception:
    inner = ", ".join(map(str, entry.shape))
    per_point = f"[points, {inner}]" if inner else "[points]"
    shared = f"[{inner}]" if inner else "a number"
    message = f"input {entry.name!r} has the shape {array.shape}; expected {per_point}, or {shared} for all points"
    return invalid_points(message, name=entry.name, actual=str(array.shape))


def _check_names(points: Mapping[object, object], inputs: Sequence[Input]) -> None:
    names = dict.fromkeys(entry.name for entry in inputs)
    known = ", ".join(names) if names else "none"
    unknown = [name for name in points if name not in names]
    if unknown:
        message = f"the function has no input {unknown[0]!r}; its inputs: {known}"
        raise invalid_points(message, name=str(unknown[0]))
    missing = [name for name in names if name not in points]
    if missing:
        message = f"no value for input {', '.join(map(repr, missing))}; the function's inputs: {known}"
        raise invalid_points(message, name=missing[0])


def real_matrix(
    what: str,
    values: object,
    refuse: Callable[..., InvalidRequestError] = invalid_points,
    *,
    element_type: int = FLOAT64,
) -> FloatArray:
    """Return numbers in any form NumPy understands as an array of an element type, rounded to it.

    Args:
        what: what they are, for the message.
        values: the numbers.
        refuse: makes the error.
        element_type: the type, by its number in the contract.

    Raises:
        InvalidRequestError: they are complex, text, objects, dates or masked, or form no array; the message says which.
    """
    try:
        if np.ma.is_masked(values):
            message = f"{what}: has masked entries; fill them, for instance with .filled(numpy.nan)"
            raise refuse(message)
        array: npt.NDArray[np.generic] = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        message = f"{what}: cannot be read as an array of numbers ({error})"
        raise refuse(message) from error
    if array.dtype.kind not in _REAL_KINDS:
        message = f"{what}: elements of type {array.dtype} are not real numbers{_hint(array)}"
        raise refuse(message, dtype=str(array.dtype))
    with np.errstate(over="ignore"):  # a number beyond the largest float32 is infinite there
        return array.astype(DTYPES[element_type], copy=False)


def _hint(array: npt.NDArray[np.generic]) -> str:
    if array.dtype.kind in "OUS":
        return "; convert them, for instance with numpy.asarray(values, dtype=float)"
    return ""

"""Sorting, and the places of extremes.

Places are not differentiated. A sorted array is its elements taken at the places that sorting found, so that each
element's derivative follows it; equal elements keep their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradmill_server.engine.ir import FloatArray, Shape, size
from gradmill_server.engine.ops.array_operation import (
    ArrayFunction,
    ArrayOperation,
    Expansion,
    Parameter,
    ParameterMap,
    ShapeRule,
    Site,
    integer,
)
from gradmill_server.engine.ops.arrays.axes import checked_axis, without_axes
from gradmill_server.engine.ops.arrays.movement import filled, reshaped
from gradmill_server.engine.ops.arrays.reductions import amax, amin
from gradmill_server.engine.ops.arrays.sums import along_axis_shape
from gradmill_server.engine.ops.value import Value, elementwise

_equal = elementwise("equal")
_logical_not = elementwise("logical_not")
_logical_or = elementwise("logical_or")
_where = elementwise("where")


def _place_shape(operation: str) -> ShapeRule:
    def shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
        if "axis" not in parameters:
            return ()
        return without_axes(shapes[0], (checked_axis(operation, parameters, len(shapes[0])),), keep=False)

    return shape


def _place_of(extreme: Callable[[Value, Sequence[int]], Value]) -> Expansion:
    """Return the expansion of the first place of an extreme or a NaN: the least of the places that qualify."""

    def expansion(site: Site) -> Value:
        (x,) = site.operands
        if "axis" not in site.parameters:
            x = reshaped(x, (size(x.shape),))
        axis = integer(site.parameters, "axis")
        found = extreme(x, (axis,))
        qualifies = _logical_or(_equal(x, found), _logical_not(_equal(x, x)))
        extent = x.shape[axis]
        column = np.arange(extent, dtype=np.float64).reshape(extent, *(1,) * (len(x.shape) - axis - 1))
        places = Value(x.builder, x.builder.constant(column))
        return amin(_where(qualifies, places, filled(x, float(extent), ())), (axis,))

    return expansion


def _take_along_shape(_parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    """Return the shape of what is taken: both have the same axes, counted from the last, or one has more in front."""
    x, places = shapes
    return x if len(x) >= len(places) else places


def _whole(x: FloatArray, places: FloatArray) -> tuple[FloatArray, np.ndarray]:
    """Return elements and places for all points and directions, of one shape."""
    rank = max(x.ndim, places.ndim)
    aligned = [each.reshape(len(each), *(1,) * (rank - each.ndim), *each.shape[1:]) for each in (x, places)]
    shape = np.broadcast_shapes(*(each.shape for each in aligned))
    elements, where = (np.broadcast_to(each, shape) for each in aligned)
    return elements, where.astype(np.intp)


def _take_along_value(parameters: ParameterMap, x: FloatArray, places: FloatArray) -> FloatArray:
    elements, where = _whole(x, places)
    return np.take_along_axis(elements, where, axis=-integer(parameters, "from_last"))


def _put_along_value(parameters: ParameterMap, x: FloatArray, places: FloatArray) -> FloatArray:
    elements, where = _whole(x, places)
    result = np.empty(elements.shape)
    np.put_along_axis(result, where, elements, axis=-integer(parameters, "from_last"))
    return result


def _take_along_pullback(site: Site, cotangent: Value, wanted: Sequence[bool]) -> list[Value | None]:
    inverse = _COUNTERPART[site.row.name]
    return [inverse.apply(cotangent, site.operands[1], **site.parameters) if wanted[0] else None, None]


def _take_along_pushforward(site: Site, tangents: Sequence[Value | None]) -> Value | None:
    tangent = tangents[0]
    return tangent and site.row.apply(tangent, site.operands[1], **site.parameters)


def _along(name: str, summary: str, value: ArrayFunction) -> ArrayOperation:
    return ArrayOperation(
        name=name,
        summary=summary,
        signature="",
        least=2,
        most=2,
        parameters=(Parameter("from_last", int),),
        shape=_take_along_shape,
        value=value,
        pullback=_take_along_pullback,
        pushforward=_take_along_pushforward,
        internal=True,
    )


_TAKE_ORDERED = _along("take_ordered", "Elements in an order given by their places along an axis.", _take_along_value)
_PUT_ORDERED = _along("put_ordered", "Elements put back to their places along an axis.", _put_along_value)
_COUNTERPART = {"take_ordered": _PUT_ORDERED, "put_ordered": _TAKE_ORDERED}

_ARGSORT = ArrayOperation(
    name="argsort",
    summary="The places of the elements in ascending order along an axis, equal ones as they stand; NaN last.",
    signature="argsort(x, axis=-1)",
    result="that of x",
    parameters=(Parameter("axis", int),),
    shape=along_axis_shape("argsort"),
    value=lambda parameters, x: np.argsort(x, axis=integer(parameters, "axis") + 1, kind="stable").astype(np.float64),
    convention="0 throughout",
)


def _sort(site: Site) -> Value:
    (x,) = site.operands
    axis = integer(site.parameters, "axis")
    return _TAKE_ORDERED.apply(x, _ARGSORT.apply(x, axis=axis), from_last=len(x.shape) - axis)


OPERATIONS = (
    _TAKE_ORDERED,
    _PUT_ORDERED,
    _ARGSORT,
    ArrayOperation(
        name="sort",
        summary="The elements along an axis in ascending order; NaN last.",
        signature="sort(x, axis=-1)",
        result="that of x",
        parameters=(Parameter("axis", int),),
        shape=along_axis_shape("sort"),
        expansion=_sort,
        convention="each element's derivative follows it; equal ones keep their order",
    ),
    ArrayOperation(
        name="argmax",
        summary="The place of the largest element, the first of several; of the first NaN where there is one.",
        signature="argmax(x, axis=None)",
        result="that of x without the axis; a scalar without one",
        parameters=(Parameter("axis", int, optional=True),),
        shape=_place_shape("argmax"),
        expansion=_place_of(lambda x, axes: amax(x, axes, keep=True)),
        convention="0 throughout",
    ),
    ArrayOperation(
        name="argmin",
        summary="The place of the smallest element, the first of several; of the first NaN where there is one.",
        signature="argmin(x, axis=None)",
        result="that of x without the axis; a scalar without one",
        parameters=(Parameter("axis", int, optional=True),),
        shape=_place_shape("argmin"),
        expansion=_place_of(lambda x, axes: amin(x, axes, keep=True)),
        convention="0 throughout",
    ),
)

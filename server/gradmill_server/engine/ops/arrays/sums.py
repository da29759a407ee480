"""Sums over axes and along an axis, and broadcasting, which is the sum's counterpart.

A sum is taken in halves: the second half of the elements is added to the first, until one is left; of an odd number the
last waits for the next turn. The rounding error grows with the logarithm of the number of elements (N. J. Higham,
"Accuracy and Stability of Numerical Algorithms", 2nd ed., SIAM 2002, section 4.2), and the order, hence every bit, is
the same in all backends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradmill_server.engine.ir import FloatArray, Shape, size
from gradmill_server.engine.ops.array_operation import (
    ArrayFunction,
    ArrayOperation,
    Emit,
    Parameter,
    ParameterMap,
    Site,
    Unrolling,
    integer,
    integers,
    pulling,
    pushing,
)
from gradmill_server.engine.ops.arrays.axes import (
    checked_axes,
    checked_axis,
    checked_shape,
    mismatch,
    shifted,
    without_axes,
)
from gradmill_server.engine.ops.arrays.movement import part, reshaped, transposed
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.shapes import broadcast

REDUCED = (Parameter("axes", tuple), Parameter("keepdims", int, optional=True))
"""The parameters of a reduction."""

REDUCED_RESULT = "that of x without the axes, which keepdims keeps with extent 1"


def reduced_shape(operation: str) -> Callable[[ParameterMap, Sequence[Shape]], Shape]:
    """Return the rule of shapes of a reduction over axes."""

    def shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
        axes = checked_axes(operation, parameters, len(shapes[0]))
        return without_axes(shapes[0], axes, keep=bool(integer(parameters, "keepdims")))

    return shape


Combine = Callable[[FloatArray, FloatArray], FloatArray]


def reducing(combine: Combine) -> Callable[[ParameterMap, FloatArray], FloatArray]:
    """Return what reduces the axes of a NumPy array in halves."""

    def value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
        axes = shifted(integers(parameters, "axes"), 1)
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        rows = x.transpose(*axes, *kept).reshape(-1, *(x.shape[axis] for axis in kept))
        shape = without_axes(x.shape, axes, keep=bool(integer(parameters, "keepdims")))
        return in_halves(rows, combine).reshape(shape)

    return value


def unrolled_reduction(operation: str) -> Unrolling:
    """Return what unrolls a reduction by an element-wise operation of two operands."""
    return lambda emit: reducing(lambda x, y: emit(operation, x, y))


def in_halves(rows: FloatArray, combine: Combine) -> FloatArray:
    """Combine rows, [count, ...], into one: the second half with the first, until one is left."""
    while len(rows) > 1:
        half, odd = divmod(len(rows), 2)
        combined = combine(rows[:half], rows[half : 2 * half])
        rows = np.concatenate([combined, rows[-1:]]) if odd else combined
    first: FloatArray = rows[0]
    return first


def _sum_back(site: Site, cotangent: Value) -> Value | None:
    return spread(site, cotangent)


def spread(site: Site, cotangent: Value) -> Value:
    """Return the cotangent of a reduction's result, repeated over the axes that were reduced."""
    shape = site.operands[0].shape
    kept = without_axes(shape, integers(site.parameters, "axes"), keep=True)
    return broadcasted(reshaped(cotangent, site.leading + kept), site.leading + shape)


def _sum_forward(site: Site, tangent: Value) -> Value | None:
    return reduced_behind(site, tangent)


def reduced_behind(site: Site, tangent: Value) -> Value:
    """Return the sum of a tangent over the axes that the operation reduces."""
    axes = shifted(integers(site.parameters, "axes"), len(site.leading))
    return summed(tangent, axes, keep=bool(integer(site.parameters, "keepdims")))


_SUM = ArrayOperation(
    name="sum",
    summary="The sum of all elements, or along some axes.",
    signature="sum(x, axis=None, keepdims=False)",
    result=REDUCED_RESULT,
    parameters=REDUCED,
    shape=reduced_shape("sum"),
    value=reducing(np.add),
    unrolling=unrolled_reduction("add"),
    pullback=pulling(_sum_back),
    pushforward=pushing(_sum_forward),
)

# Broadcasting.


def _broadcast_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    shape = checked_shape("broadcast_to", parameters)
    if len(shapes[0]) > len(shape) or broadcast("broadcast_to", [shapes[0], shape]) != shape:
        raise mismatch(shapes[0], operation="broadcast_to", problem=f"it does not broadcast to {shape}")
    return shape


def _broadcast_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    shape = integers(parameters, "shape")
    padding = (1,) * (len(shape) + 1 - x.ndim)
    return np.broadcast_to(x.reshape(len(x), *padding, *x.shape[1:]), (len(x), *shape))


def _broadcast_back(site: Site, cotangent: Value) -> Value | None:
    return summed_to(cotangent, site.leading, site.operands[0].shape)


def _broadcast_forward(site: Site, tangent: Value) -> Value | None:
    shape = site.result.shape
    return broadcasted(aligned(tangent, site.leading, len(shape)), site.leading + shape)


_BROADCAST = ArrayOperation(
    name="broadcast_to",
    summary="The elements repeated to fill a shape, by NumPy's rules of broadcasting.",
    signature="broadcast_to(x, shape)",
    result="the one given",
    parameters=(Parameter("shape", tuple),),
    shape=_broadcast_shape,
    value=_broadcast_value,
    unrolling=lambda _emit: _broadcast_value,
    pullback=pulling(_broadcast_back),
    pushforward=pushing(_broadcast_forward),
)

# Running sums.


def along_axis_shape(operation: str) -> Callable[[ParameterMap, Sequence[Shape]], Shape]:
    """Return the rule of shapes of an operation along an axis, which keeps the shape."""

    def shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
        checked_axis(operation, parameters, len(shapes[0]))
        return shapes[0]

    return shape


def _cumsum_back(site: Site, cotangent: Value) -> Value | None:
    axis = integer(site.parameters, "axis") + len(site.leading)
    return flipped(_CUMSUM.apply(flipped(cotangent, axis), axis=axis), axis)


def _cumsum_forward(site: Site, tangent: Value) -> Value | None:
    return _CUMSUM.apply(tangent, axis=integer(site.parameters, "axis") + len(site.leading))


def _cumsum_unrolled(emit: Emit) -> ArrayFunction:
    def cumsum(parameters: ParameterMap, x: FloatArray) -> FloatArray:
        result = x.copy()
        rows = np.moveaxis(result, integer(parameters, "axis") + 1, 0)
        for place in range(1, len(rows)):
            rows[place] = emit("add", rows[place - 1], rows[place])
        return result

    return cumsum


_CUMSUM = ArrayOperation(
    name="cumsum",
    summary="The running sum along an axis, added from the first element on.",
    signature="cumsum(x, axis=None)",
    result="that of x",
    parameters=(Parameter("axis", int),),
    shape=along_axis_shape("cumsum"),
    value=lambda parameters, x: np.add.accumulate(x, axis=integer(parameters, "axis") + 1),
    unrolling=_cumsum_unrolled,
    pullback=pulling(_cumsum_back),
    pushforward=pushing(_cumsum_forward),
)

OPERATIONS = (_SUM, _BROADCAST, _CUMSUM)

# How other rows write them.


def summed(x: Value, axes: Sequence[int], *, keep: bool = False) -> Value:
    """Return the sum over axes, which are dropped, or kept with extent 1."""
    if not axes:
        return x
    if all(x.shape[axis] == 1 for axis in axes):
        return reshaped(x, without_axes(x.shape, axes, keep=keep))
    return _SUM.apply(x, axes=tuple(axes), **({"keepdims": 1} if keep else {}))


def broadcasted(x: Value, shape: Shape) -> Value:
    """Return the elements repeated to fill a shape."""
    return x if x.shape == shape else _BROADCAST.apply(x, shape=shape)


def running_sum(x: Value, axis: int) -> Value:
    """Return the running sum along an axis."""
    return _CUMSUM.apply(x, axis=axis)


def flipped(x: Value, axis: int) -> Value:
    """Return the elements along an axis in reverse order."""
    extent = x.shape[axis]
    return part(x, axis, extent - 1, extent, -1)


def summed_to(x: Value, leading: Shape, shape: Shape) -> Value:
    """Return a cotangent [*leading, *a shape that ``shape`` broadcasts to], added up to [*leading, *shape]."""
    if x.shape == leading + shape:
        return x
    first = len(leading)
    added = len(x.shape) - first - len(shape)
    stretched = [axis for axis, extent in enumerate(shape, start=first + added) if extent == 1 and x.shape[axis] != 1]
    return reshaped(summed(x, (*range(first, first + added), *stretched)), leading + shape)


def aligned(x: Value, leading: Shape, rank: int) -> Value:
    """Return a tangent [*leading, *shape] with axes of extent 1 put in, so that its shape has so many axes."""
    own = x.shape[len(leading) :]
    return reshaped(x, (*leading, *(1,) * (rank - len(own)), *own))


def last_axes(x: Value, axes: Sequence[int]) -> Value:
    """Return an array [..., elements along the axes, row by row], other axes first and in order."""
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]
    count = size(tuple([x.shape[axis] for axis in axes]))
    return reshaped(transposed(x, (*kept, *axes)), (*(x.shape[axis] for axis in kept), count))

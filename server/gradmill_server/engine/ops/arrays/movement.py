"""Elements moved, repeated, taken and put: linear operations without arithmetic.

Each is its own derivative: a tangent moves as the value does, and a cotangent moves back. The functions at the end
apply the rows, and leave out what would change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gradmill_server.engine.ir import FloatArray, Shape, size
from gradmill_server.engine.ops.array_operation import (
    ArrayFunction,
    ArrayOperation,
    Emit,
    Parameter,
    ParameterMap,
    Site,
    integer,
    integers,
    pulling,
    pushing,
)
from gradmill_server.engine.ops.arrays.axes import checked_axis, checked_shape, mismatch, refused
from gradmill_server.engine.ops.value import Value

_LARGEST_CONSTANT = 4096
"""Elements up to which an array of one number is a constant."""

# Reshape.


def _reshape_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    shape = checked_shape("reshape", parameters)
    if size(shape) != size(shapes[0]):
        raise mismatch(
            shapes[0],
            operation="reshape",
            problem=f"{size(shapes[0])} elements do not make {shape}, which has {size(shape)}",
        )
    return shape


def _reshape_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    return x.reshape(len(x), *integers(parameters, "shape"))


def _reshape_back(site: Site, cotangent: Value) -> Value | None:
    return reshaped(cotangent, site.leading + site.operands[0].shape)


def _reshape_forward(site: Site, tangent: Value) -> Value | None:
    return reshaped(tangent, site.leading + site.result.shape)


_RESHAPE = ArrayOperation(
    name="reshape",
    summary="The same elements, row by row, in another shape.",
    signature="reshape(x, shape)",
    result="the one given, of as many elements",
    parameters=(Parameter("shape", tuple),),
    shape=_reshape_shape,
    value=_reshape_value,
    unrolling=lambda _emit: _reshape_value,
    pullback=pulling(_reshape_back),
    pushforward=pushing(_reshape_forward),
)

# Transpose.


def _transpose_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    axes = integers(parameters, "axes")
    if sorted(axes) != list(range(len(shapes[0]))):
        raise mismatch(
            shapes[0], operation="transpose", problem=f"axes {axes[:8]} are no order of its {len(shapes[0])} axes"
        )
    return tuple([shapes[0][axis] for axis in axes])


def _transpose_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    return x.transpose(0, *(axis + 1 for axis in integers(parameters, "axes")))


def _transpose_back(site: Site, cotangent: Value) -> Value | None:
    axes = integers(site.parameters, "axes")
    return transposed(cotangent, _behind(site.leading, [axes.index(axis) for axis in range(len(axes))]))


def _transpose_forward(site: Site, tangent: Value) -> Value | None:
    return transposed(tangent, _behind(site.leading, integers(site.parameters, "axes")))


def _behind(leading: Shape, axes: Sequence[int]) -> tuple[int, ...]:
    """Return a permutation of axes that keeps those in front."""
    count = len(leading)
    return (*range(count), *(axis + count for axis in axes))


_TRANSPOSE = ArrayOperation(
    name="transpose",
    summary="The same elements with the axes in another order.",
    signature="transpose(x, axes=None)",
    result="that of x, its axes in the order given",
    parameters=(Parameter("axes", tuple),),
    shape=_transpose_shape,
    value=_transpose_value,
    unrolling=lambda _emit: _transpose_value,
    pullback=pulling(_transpose_back),
    pushforward=pushing(_transpose_forward),
)

# Slices, and their counterpart: what puts a slice among zeros.


def _slice_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    starts, counts, steps = (integers(parameters, name) for name in ("starts", "counts", "steps"))
    if not len(starts) == len(counts) == len(steps) == len(shape):
        problem = f"starts, counts and steps need one entry for each of its {len(shape)} axes"
        raise mismatch(shape, operation="slice", problem=problem)
    for axis, (start, count, step, extent) in enumerate(zip(starts, counts, steps, shape, strict=True)):
        last = start + (count - 1) * step
        if count < 1 or step == 0 or not (0 <= start < extent and 0 <= last < extent):
            problem = f"{count} elements from {start} in steps of {step} are not within axis {axis}, which has {extent}"
            raise mismatch(shape, operation="slice", problem=problem)
    return counts


def _slice_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    return x[_slices(parameters, integers(parameters, "counts"))]


def _slices(parameters: ParameterMap, counts: Sequence[int]) -> tuple[slice, ...]:
    starts, steps = integers(parameters, "starts"), integers(parameters, "steps")
    return (slice(None), *(_one_slice(*entry) for entry in zip(starts, counts, steps, strict=True)))


def _one_slice(start: int, count: int, step: int) -> slice:
    stop = start + count * step
    return slice(start, None if stop < 0 else stop, step)


def _slice_back(site: Site, cotangent: Value) -> Value | None:
    starts, steps = _sliced_behind(site)
    shape = site.leading + site.operands[0].shape
    return _UNSLICE.apply(cotangent, starts=starts, steps=steps, shape=shape)


def _slice_forward(site: Site, tangent: Value) -> Value | None:
    starts, steps = _sliced_behind(site)
    return _SLICE.apply(tangent, starts=starts, counts=site.leading + site.result.shape, steps=steps)


def _sliced_behind(site: Site) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return starts and steps that keep the axes in front."""
    count = len(site.leading)
    return (0,) * count + integers(site.parameters, "starts"), (1,) * count + integers(site.parameters, "steps")


_SLICE = ArrayOperation(
    name="slice",
    summary="Evenly spaced elements along each axis, as x[start:stop:step] takes them.",
    signature="x[start:stop:step, ...]",
    result="as many elements along each axis as are taken",
    parameters=(Parameter("starts", tuple), Parameter("counts", tuple), Parameter("steps", tuple)),
    shape=_slice_shape,
    value=_slice_value,
    unrolling=lambda _emit: _slice_value,
    pullback=pulling(_slice_back),
    pushforward=pushing(_slice_forward),
)


def _unslice_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    shape = checked_shape("unslice", parameters)
    _slice_shape({**parameters, "counts": shapes[0]}, [shape])
    return shape


def _unslice_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    result = np.zeros((len(x), *integers(parameters, "shape")), dtype=x.dtype)
    result[_slices(parameters, x.shape[1:])] = x
    return result


def _unslice_back(site: Site, cotangent: Value) -> Value | None:
    starts, steps = _sliced_behind(site)
    counts = site.leading + site.operands[0].shape
    return _SLICE.apply(cotangent, starts=starts, counts=counts, steps=steps)


def _unslice_forward(site: Site, tangent: Value) -> Value | None:
    starts, steps = _sliced_behind(site)
    return _UNSLICE.apply(tangent, starts=starts, steps=steps, shape=site.leading + site.result.shape)


_UNSLICE = ArrayOperation(
    name="unslice",
    summary="Zeros, with the elements at the places that a slice would take them from.",
    signature="",
    parameters=(Parameter("starts", tuple), Parameter("steps", tuple), Parameter("shape", tuple)),
    shape=_unslice_shape,
    value=_unslice_value,
    unrolling=lambda _emit: _unslice_value,
    pullback=pulling(_unslice_back),
    pushforward=pushing(_unslice_forward),
    internal=True,
)

# Elements taken by number, and their counterpart: what adds up elements at numbered places.


def _take_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    axis = checked_axis("take", parameters, len(shape))
    index_shape = checked_shape("take", parameters, "index_shape")
    _check_indices("take", integers(parameters, "indices"), index_shape, shape[axis], shape)
    return shape[:axis] + index_shape + shape[axis + 1 :]


def _check_indices(operation: str, indices: Sequence[int], index_shape: Shape, extent: int, shape: Shape) -> None:
    if len(indices) != size(index_shape):
        raise refused(
            operation=operation,
            parameter="indices",
            problem=f"has {len(indices)} entries, but index_shape is {index_shape}",
        )
    if min(indices) < 0 or max(indices) >= extent:
        worst = min(indices) if min(indices) < 0 else max(indices)
        raise mismatch(shape, operation=operation, problem=f"index {worst} is not from 0 to {extent - 1}")


def _take_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    return np.take(x, _index_array(parameters), axis=integer(parameters, "axis") + 1)


def _index_array(parameters: ParameterMap) -> np.ndarray:
    return np.array(integers(parameters, "indices")).reshape(integers(parameters, "index_shape"))


def _take_back(site: Site, cotangent: Value) -> Value | None:
    axis = integer(site.parameters, "axis")
    extent = site.operands[0].shape[axis]
    return _PUT.apply(cotangent, **{**site.parameters, "axis": axis + len(site.leading)}, extent=extent)


def _moved_forward(site: Site, tangent: Value) -> Value | None:
    axis = integer(site.parameters, "axis") + len(site.leading)
    return site.row.apply(tangent, **{**site.parameters, "axis": axis})


_TAKE = ArrayOperation(
    name="take",
    summary="Elements along an axis by their numbers, which are part of the function.",
    signature="take(x, indices, axis=None)",
    result="that of x, with the shape of the indices in place of the axis",
    parameters=(Parameter("indices", tuple), Parameter("index_shape", tuple), Parameter("axis", int)),
    shape=_take_shape,
    value=_take_value,
    unrolling=lambda _emit: _take_value,
    pullback=pulling(_take_back),
    pushforward=pushing(_moved_forward),
)


def _put_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    index_shape = checked_shape("put", parameters, "index_shape")
    axis = integer(parameters, "axis")
    extent = integer(parameters, "extent")
    if shape[axis : axis + len(index_shape)] != index_shape:
        raise mismatch(shape, operation="put", problem=f"axes from {axis} on are not {index_shape}")
    _check_indices("put", integers(parameters, "indices"), index_shape, extent, shape)
    return (*shape[:axis], extent, *shape[axis + len(index_shape) :])


def _put_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    result, rows, places = _to_put(parameters, x)
    np.add.at(rows[0], places, rows[1])
    return result


def _to_put(parameters: ParameterMap, x: FloatArray) -> tuple[FloatArray, tuple[FloatArray, FloatArray], np.ndarray]:
    """Return zeros to put elements into; views of them and of the elements with the axis first; and the places."""
    axis = integer(parameters, "axis") + 1
    indices = integers(parameters, "indices")
    rank = len(integers(parameters, "index_shape"))
    flat = x.reshape(*x.shape[:axis], len(indices), *x.shape[axis + rank :])
    result = np.zeros((*x.shape[:axis], integer(parameters, "extent"), *x.shape[axis + rank :]), dtype=x.dtype)
    return result, (np.moveaxis(result, axis, 0), np.moveaxis(flat, axis, 0)), np.array(indices)


def _put_unrolled(emit: Emit) -> ArrayFunction:
    def put(parameters: ParameterMap, x: FloatArray) -> FloatArray:
        result, (rows, given), places = _to_put(parameters, x)
        for place, elements in zip(places, given, strict=True):
            rows[place] = emit("add", rows[place], elements)
        return result

    return put


def _put_back(site: Site, cotangent: Value) -> Value | None:
    parameters = {name: value for name, value in site.parameters.items() if name != "extent"}
    axis = integer(parameters, "axis") + len(site.leading)
    return _TAKE.apply(cotangent, **{**parameters, "axis": axis})


_PUT = ArrayOperation(
    name="put",
    summary="Zeros along an axis, with elements added at numbered places, in the order of the elements.",
    signature="",
    parameters=(
        Parameter("indices", tuple),
        Parameter("index_shape", tuple),
        Parameter("axis", int),
        Parameter("extent", int),
    ),
    shape=_put_shape,
    value=_put_value,
    pullback=pulling(_put_back),
    pushforward=pushing(_moved_forward),
    unrolling=_put_unrolled,
    internal=True,
)

# Concatenation.


def _concatenate_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    axis = checked_axis("concatenate", parameters, len(first))
    for shape in shapes[1:]:
        if len(shape) != len(first) or shape[:axis] != first[:axis] or shape[axis + 1 :] != first[axis + 1 :]:
            raise mismatch(first, shape, operation="concatenate", problem=f"they differ in more than axis {axis}")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def _concatenate_value(parameters: ParameterMap, *operands: FloatArray) -> FloatArray:
    points = max(map(len, operands))
    whole = [
        operand if len(operand) == points else np.broadcast_to(operand, (points, *operand.shape[1:]))
        for operand in operands
    ]
    return np.concatenate(whole, axis=integer(parameters, "axis") + 1)


def _concatenate_pullback(site: Site, cotangent: Value, wanted: Sequence[bool]) -> list[Value | None]:
    axis = integer(site.parameters, "axis")
    ends = [0]
    for operand in site.operands:
        ends.append(ends[-1] + operand.shape[axis])
    place = axis + len(site.leading)
    return [
        part(cotangent, place, begin, end - begin) if want else None
        for want, (begin, end) in zip(wanted, pairwise(ends), strict=True)
    ]


def _concatenate_pushforward(site: Site, tangents: Sequence[Value | None]) -> Value | None:
    whole = [
        filled(site.result, 0.0, site.leading + operand.shape) if tangent is None else tangent
        for tangent, operand in zip(tangents, site.operands, strict=True)
    ]
    return concatenated(whole, integer(site.parameters, "axis") + len(site.leading))


_CONCATENATE = ArrayOperation(
    name="concatenate",
    summary="Arrays one after the other along an axis.",
    signature="concatenate([x, y, ...], axis=0)",
    result="that of the operands, extents along the axis added up",
    parameters=(Parameter("axis", int),),
    most=None,
    shape=_concatenate_shape,
    value=_concatenate_value,
    unrolling=lambda _emit: _concatenate_value,
    pullback=_concatenate_pullback,
    pushforward=_concatenate_pushforward,
)

OPERATIONS = (_RESHAPE, _TRANSPOSE, _SLICE, _UNSLICE, _TAKE, _PUT, _CONCATENATE)

# How other rows write them.


def reshaped(x: Value, shape: Shape) -> Value:
    """Return the same elements in another shape."""
    return x if x.shape == shape else _RESHAPE.apply(x, shape=shape)


def transposed(x: Value, axes: Sequence[int]) -> Value:
    """Return the axes in another order."""
    return x if list(axes) == list(range(len(axes))) else _TRANSPOSE.apply(x, axes=tuple(axes))


def matrix_transposed(x: Value) -> Value:
    """Return the last two axes exchanged."""
    rank = len(x.shape)
    return transposed(x, (*range(rank - 2), rank - 1, rank - 2))


def sliced(x: Value, starts: Sequence[int], counts: Sequence[int], steps: Sequence[int]) -> Value:
    """Return evenly spaced elements along each axis."""
    if tuple(counts) == x.shape and not any(starts) and set(steps) <= {1}:
        return x
    return _SLICE.apply(x, starts=tuple(starts), counts=tuple(counts), steps=tuple(steps))


def unsliced(x: Value, starts: Sequence[int], steps: Sequence[int], shape: Shape) -> Value:
    """Return zeros of a shape, with elements at the places of a slice."""
    return _UNSLICE.apply(x, starts=tuple(starts), steps=tuple(steps), shape=shape)


def part(x: Value, axis: int, start: int, count: int, step: int = 1) -> Value:
    """Return evenly spaced elements along one axis."""
    rank = len(x.shape)
    starts = [start if place == axis else 0 for place in range(rank)]
    counts = [count if place == axis else extent for place, extent in enumerate(x.shape)]
    return sliced(x, starts, counts, [step if place == axis else 1 for place in range(rank)])


def taken(x: Value, indices: Sequence[int], axis: int = 0) -> Value:
    """Return elements along an axis by their numbers."""
    return _TAKE.apply(x, indices=tuple(indices), index_shape=(len(indices),), axis=axis)


def put_among_zeros(x: Value, places: Sequence[int], extent: int) -> Value:
    """Return a vector of zeros with the elements of another added at numbered places."""
    return _PUT.apply(x, indices=tuple(places), index_shape=(len(places),), axis=0, extent=extent)


def concatenated(parts: Sequence[Value], axis: int) -> Value:
    """Return arrays one after the other along an axis."""
    return parts[0] if len(parts) == 1 else _CONCATENATE.apply(*parts, axis=axis)


def filled(beside: Value, number: float, shape: Shape) -> Value:
    """Return an array of one number, in the graph of another value: a constant, or of many elements one repeated.

    A derivative in many directions may ask for more elements than there is memory, before its size is looked at.
    """
    builder = beside.builder
    if size(shape) <= _LARGEST_CONSTANT:
        return Value(builder, builder.constant(np.full(shape, number)))
    return Value(builder, builder.put("broadcast_to", (builder.constant(number),), shape, (("shape", shape),)))

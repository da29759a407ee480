"""What is written in moves and sums: flips, stacks, repetitions, diagonals, differences. None has a rule of its own."""

from __future__ import annotations

from collections.abc import Sequence

from gradmill_server.engine.ir import Shape, size
from gradmill_server.engine.ops.array_operation import ArrayOperation, Parameter, ParameterMap, Site, integer, integers
from gradmill_server.engine.ops.arrays.axes import LARGEST_EXTENT, checked_axes, checked_axis, mismatch, refused
from gradmill_server.engine.ops.arrays.movement import concatenated, part, reshaped, unsliced
from gradmill_server.engine.ops.arrays.sums import along_axis_shape, broadcasted, flipped, summed
from gradmill_server.engine.ops.value import Value

_MATRIX_RANK = 2


def _flip_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    checked_axes("flip", parameters, len(shapes[0]))
    return shapes[0]


def _flip(site: Site) -> Value:
    (x,) = site.operands
    for axis in integers(site.parameters, "axes"):
        x = flipped(x, axis)
    return x


def _stack_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    axis = checked_axis("stack", parameters, len(first) + 1)
    for shape in shapes[1:]:
        if shape != first:
            raise mismatch(first, shape, operation="stack", problem="all must have one shape")
    return (*first[:axis], len(shapes), *first[axis:])


def _stack(site: Site) -> Value:
    axis = integer(site.parameters, "axis")
    shape = site.operands[0].shape
    return concatenated([reshaped(x, (*shape[:axis], 1, *shape[axis:])) for x in site.operands], axis)


def _repeat_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    axis = checked_axis("repeat", parameters, len(shape))
    repeats = _checked_repeats("repeat", [integer(parameters, "repeats")])
    return (*shape[:axis], shape[axis] * repeats[0], *shape[axis + 1 :])


def _checked_repeats(operation: str, repeats: Sequence[int]) -> Sequence[int]:
    if any(not 1 <= count < LARGEST_EXTENT for count in repeats):
        raise refused(operation=operation, parameter="repeats", problem="must be at least 1")
    return repeats


def _repeat(site: Site) -> Value:
    (x,) = site.operands
    axis, repeats = integer(site.parameters, "axis"), integer(site.parameters, "repeats")
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    wide = broadcasted(reshaped(x, (*before, 1, *after)), (*before, repeats, *after))
    return reshaped(wide, site.result.shape)


def _tile_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    repeats = _checked_repeats("tile", integers(parameters, "repeats"))
    if len(repeats) < len(shape):
        raise mismatch(shape, operation="tile", problem=f"repeats needs an entry for each of its {len(shape)} axes")
    padded = (1,) * (len(repeats) - len(shape)) + shape
    return tuple([extent * count for extent, count in zip(padded, repeats, strict=True)])


def _tile(site: Site) -> Value:
    (x,) = site.operands
    repeats = integers(site.parameters, "repeats")
    padded = (1,) * (len(repeats) - len(x.shape)) + x.shape
    narrow = tuple([entry for extent in padded for entry in (1, extent)])
    wide = tuple([entry for pair in zip(repeats, padded, strict=True) for entry in pair])
    return reshaped(broadcasted(reshaped(x, narrow), wide), site.result.shape)


def _diag_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    offset = integer(parameters, "offset")
    if abs(offset) >= LARGEST_EXTENT or len(shape) not in {1, _MATRIX_RANK}:
        raise mismatch(shape, operation="diag", problem="it takes a vector or a matrix")
    if len(shape) == 1:
        extent = shape[0] + abs(offset)
        return (extent, extent)
    length = min(shape[0] + min(offset, 0), shape[1] - max(offset, 0))
    if length < 1:
        raise mismatch(shape, operation="diag", problem=f"it has no diagonal {offset}")
    return (length,)


def _diag(site: Site) -> Value:
    (x,) = site.operands
    offset = integer(site.parameters, "offset")
    shape = site.result.shape if len(x.shape) == 1 else x.shape
    start = offset if offset >= 0 else -offset * shape[1]
    step = shape[1] + 1
    if len(x.shape) == 1:
        return reshaped(unsliced(x, (start,), (step,), (size(shape),)), shape)
    return part(reshaped(x, (size(shape),)), 0, start, site.result.shape[0], step)


def _trace_shape(_parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    if len(shapes[0]) != _MATRIX_RANK:
        raise mismatch(shapes[0], operation="trace", problem="it takes a matrix")
    return ()


def _trace(site: Site) -> Value:
    (x,) = site.operands
    flat = reshaped(x, (size(x.shape),))
    return summed(part(flat, 0, 0, min(x.shape), x.shape[1] + 1), (0,))


def _diff_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    axis = checked_axis("diff", parameters, len(shape))
    if shape[axis] == 1:
        raise mismatch(shape, operation="diff", problem=f"axis {axis} has one element only")
    return (*shape[:axis], shape[axis] - 1, *shape[axis + 1 :])


def _diff(site: Site) -> Value:
    (x,) = site.operands
    axis = integer(site.parameters, "axis")
    count = x.shape[axis] - 1
    return part(x, axis, 1, count) - part(x, axis, 0, count)


def running_in_halves(x: Value, axis: int) -> Value:
    """Return running products along an axis, in a number of steps that is the logarithm of its extent.

    W. D. Hillis and G. L. Steele, "Data parallel algorithms", CACM 29, 1986. A product of products has the right
    derivatives of every order, also among zeros, where a quotient by the element would not.
    """
    extent, reach = x.shape[axis], 1
    while reach < extent:
        later = part(x, axis, reach, extent - reach) * part(x, axis, 0, extent - reach)
        x = concatenated([part(x, axis, 0, reach), later], axis)
        reach *= 2
    return x


OPERATIONS = (
    ArrayOperation(
        name="flip",
        summary="The elements in reverse order along some axes.",
        signature="flip(x, axis=None)",
        result="that of x",
        parameters=(Parameter("axes", tuple),),
        shape=_flip_shape,
        expansion=_flip,
    ),
    ArrayOperation(
        name="stack",
        summary="Arrays of one shape side by side along a new axis.",
        signature="stack([x, y, ...], axis=0)",
        result="that of the operands, with one more axis",
        parameters=(Parameter("axis", int),),
        most=None,
        shape=_stack_shape,
        expansion=_stack,
    ),
    ArrayOperation(
        name="repeat",
        summary="Each element along an axis repeated.",
        signature="repeat(x, repeats, axis=None)",
        result="that of x, so many times longer along the axis",
        parameters=(Parameter("repeats", int), Parameter("axis", int)),
        shape=_repeat_shape,
        expansion=_repeat,
    ),
    ArrayOperation(
        name="tile",
        summary="The whole array repeated along each axis.",
        signature="tile(x, repeats)",
        result="each extent of x so many times",
        parameters=(Parameter("repeats", tuple),),
        shape=_tile_shape,
        expansion=_tile,
    ),
    ArrayOperation(
        name="diag",
        summary="The diagonal of a matrix, or the matrix with a vector as its diagonal and zeros elsewhere.",
        signature="diag(x, offset=0)",
        result="a vector of a matrix, a square matrix of a vector",
        parameters=(Parameter("offset", int, optional=True),),
        shape=_diag_shape,
        expansion=_diag,
    ),
    ArrayOperation(
        name="trace",
        summary="The sum of a matrix's diagonal.",
        signature="trace(x)",
        result="a scalar",
        shape=_trace_shape,
        expansion=_trace,
    ),
    ArrayOperation(
        name="diff",
        summary="Differences between neighbours along an axis.",
        signature="diff(x, n=1, axis=-1)",
        result="that of x, one shorter along the axis",
        parameters=(Parameter("axis", int),),
        shape=_diff_shape,
        expansion=_diff,
    ),
    ArrayOperation(
        name="cumprod",
        summary="The running product along an axis.",
        signature="cumprod(x, axis=None)",
        result="that of x",
        parameters=(Parameter("axis", int),),
        shape=along_axis_shape("cumprod"),
        expansion=lambda site: running_in_halves(site.operands[0], integer(site.parameters, "axis")),
    ),
)

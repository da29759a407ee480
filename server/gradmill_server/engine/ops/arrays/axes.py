"""Axes and shapes: what the rules of shapes have in common."""

from __future__ import annotations

from collections.abc import Sequence

from gradmill_server.engine.ir import Shape
from gradmill_server.engine.ops.array_operation import InvalidParameter, ParameterMap, integer, integers
from gradmill_server.engine.shapes import ShapeMismatch

LARGEST_EXTENT = 2**31
"""Beyond it an extent is refused where it stands, before products of extents are formed."""


def mismatch(*shapes: Shape, operation: str, problem: str) -> ShapeMismatch:
    """Return the refusal of operands whose shapes do not fit: it names the operation and the shapes."""
    given = " and ".join(map(str, shapes))
    message = f"{operation} of shape {given}: {problem}" if len(shapes) == 1 else f"{operation} of {given}: {problem}"
    return ShapeMismatch(message, metadata={"operation": operation, "shapes": given[:200]})


def refused(*, operation: str, parameter: str, problem: str) -> InvalidParameter:
    """Return the refusal of a parameter's value."""
    message = f"{operation}: parameter {parameter!r} {problem}"
    return InvalidParameter(message, metadata={"operation": operation, "parameter": parameter})


def checked_axis(operation: str, parameters: ParameterMap, rank: int, name: str = "axis") -> int:
    """Return the parameter that names an axis of an operand of this rank."""
    axis = integer(parameters, name)
    if not 0 <= axis < rank:
        raise refused(
            operation=operation, parameter=name, problem=f"is {axis}, but there are {rank} axes, counted from 0"
        )
    return axis


def checked_axes(operation: str, parameters: ParameterMap, rank: int) -> tuple[int, ...]:
    """Return the parameter that lists axes: ascending, each of an operand of this rank."""
    axes = integers(parameters, "axes")
    if any(not 0 <= axis < rank for axis in axes) or list(axes) != sorted(set(axes)):
        raise refused(
            operation=operation,
            parameter="axes",
            problem=f"is {axes}, not an ascending list of axes from 0 to {rank - 1}",
        )
    return axes


def checked_shape(operation: str, parameters: ParameterMap, name: str = "shape") -> Shape:
    """Return the parameter that is a shape."""
    shape = integers(parameters, name)
    if any(not 1 <= extent < LARGEST_EXTENT for extent in shape):
        raise refused(operation=operation, parameter=name, problem=f"is {shape[:8]}, but every extent is at least 1")
    return shape


def without_axes(shape: Shape, axes: Sequence[int], *, keep: bool) -> Shape:
    """Return a shape after a reduction over axes, which are dropped, or kept with extent 1."""
    if keep:
        return tuple([1 if axis in axes else extent for axis, extent in enumerate(shape)])
    return tuple([extent for axis, extent in enumerate(shape) if axis not in axes])


def shifted(axes: Sequence[int], count: int) -> tuple[int, ...]:
    """Return axes as they are counted with more axes in front."""
    return tuple([axis + count for axis in axes])

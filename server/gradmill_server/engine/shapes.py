"""Shapes: how the shapes of operands make the shape of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill_server.engine.errors import InvalidGraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.ir import Shape


class ShapeMismatch(InvalidGraph):
    """Operands whose shapes do not fit the operation or one another."""

    default_reason = "SHAPE_MISMATCH"
    advice = "Make the shapes equal, or such that one broadcasts to the other by NumPy's rules."


def broadcast(operation: str, shapes: Sequence[Shape]) -> Shape:
    """Return the shape that an element-wise operation gives these operand shapes, by NumPy's broadcasting rules.

    Args:
        operation: name for the message.
        shapes: one for each operand; at least one.

    Raises:
        ShapeMismatch: when an axis has two different extents, neither of them 1.
    """
    first = shapes[0]
    if shapes.count(first) == len(shapes):
        return first
    rank = max(map(len, shapes))
    extents = [1] * rank
    for shape in shapes:
        for axis, extent in enumerate(shape, start=rank - len(shape)):
            if extent == 1 or extent == extents[axis]:
                continue
            if extents[axis] != 1:
                given = " and ".join(str(each) for each in shapes)
                message = f"{operation} cannot broadcast shapes {given}: axis {axis - rank} differs"
                raise ShapeMismatch(message, metadata={"operation": operation})
            extents[axis] = extent
    return tuple(extents)

"""Axes and shapes as NumPy's users write them, brought to the form that operations carry."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import SupportsIndex, TypeAlias

import numpy as np

from gradmill.graph import Shape, size
from gradmill.shapes import refuse_shapes

Axes: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
"""One axis, several, or None for all; a negative one counts from the last."""


def one_axis(name: str, axis: SupportsIndex, shape: Shape, *, rank: int | None = None) -> int:
    """Return an axis counted from the first.

    Args:
        name: the operation, for the message.
        axis: the axis as written.
        shape: the operand's shape, for the message.
        rank: how many axes there are to choose from, when these are not the operand's.

    Raises:
        TracingError: there is no such axis.
    """
    count = len(shape) if rank is None else rank
    number = operator.index(axis)
    if not -count <= number < count:
        refuse_shapes(name, f"has no axis {number}", [shape])
    return number % count


def listed(axes: SupportsIndex | Sequence[SupportsIndex]) -> tuple[int, ...]:
    """Return one whole number or several as a tuple."""
    if isinstance(axes, SupportsIndex) and not (isinstance(axes, np.ndarray) and axes.ndim):
        return (operator.index(axes),)
    return tuple(map(operator.index, axes))


def axis_list(
    name: str, axes: SupportsIndex | Sequence[SupportsIndex], shape: Shape, *, rank: int | None = None
) -> tuple[int, ...]:
    """Return axes counted from the first, in the order written.

    Raises:
        TracingError: there is no such axis, or one is named twice.
    """
    found = tuple([one_axis(name, axis, shape, rank=rank) for axis in listed(axes)])
    if len(set(found)) < len(found):
        refuse_shapes(name, f"has an axis named twice in {listed(axes)}", [shape])
    return found


def ascending_axes(name: str, axes: Axes, shape: Shape) -> tuple[int, ...]:
    """Return axes counted from the first, ascending; all of them for None.

    Raises:
        TracingError: there is no such axis, or one is named twice.
    """
    return tuple(range(len(shape))) if axes is None else tuple(sorted(axis_list(name, axes, shape)))


def full_shape(name: str, wanted: SupportsIndex | Sequence[SupportsIndex], shape: Shape) -> Shape:
    """Return the shape wanted for an operand's elements, where one extent may be -1 and then follows from the others.

    Raises:
        TracingError: it does not follow, because there are two such, or the others do not divide the elements.
    """
    extents = listed(wanted)
    if -1 not in extents:
        return extents
    others = size(tuple([extent for extent in extents if extent != -1]))
    if extents.count(-1) > 1 or others < 1 or size(shape) % others:
        refuse_shapes(name, f"has {size(shape)} elements, which do not make {extents}", [shape])
    return tuple([size(shape) // others if extent == -1 else extent for extent in extents])

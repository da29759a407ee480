"""Normal forms: the one way in which each change of shape is written as operations.

Traced Python writes the same, so that equal functions have equal digests: axes count from 0, lists of axes ascend, and
what would change nothing is no operation.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradmill_server.engine.errors import quote
from gradmill_server.engine.formula.emission import Site
from gradmill_server.engine.formula.source import Reason
from gradmill_server.engine.ir import Shape, size

Axes = int | tuple[int, ...] | None
"""One axis, several, or all of them."""


def axis(site: Site, value: int, rank: int, argument: str = "axis") -> int:
    """Return an axis counted from 0.

    Raises:
        InvalidFormula: when an array of that many dimensions has no such axis.
    """
    if not -rank <= value < rank:
        dimensions = f"{rank} dimension{'' if rank == 1 else 's'}"
        message = f"{site.name} has no axis {value} of an array of {dimensions}"
        raise site.mistake(message, argument, Reason.SHAPE)
    return value % rank


def axes(site: Site, values: int | Sequence[int] | None, rank: int, argument: str = "axis") -> tuple[int, ...]:
    """Return axes counted from 0, ascending; None is all of them.

    Raises:
        InvalidFormula: when there is no such axis, or one is given twice.
    """
    if values is None:
        return tuple(range(rank))
    return tuple(sorted(distinct_axes(site, (values,) if isinstance(values, int) else values, rank, argument)))


def distinct_axes(site: Site, values: Sequence[int], rank: int, argument: str = "axis") -> tuple[int, ...]:
    """Return axes counted from 0, in the order given. Raises like `axes`."""
    counted: dict[int, int] = {}
    for value in values:
        place = axis(site, value, rank, argument)
        if place in counted:
            message = f"{site.name} has axis {value} twice"
            raise site.mistake(message, argument, Reason.SHAPE)
        counted[place] = value
    return tuple(counted)


def reshape(site: Site, x: int, shape: Shape) -> int:
    """Write a reshape to a shape of as many elements."""
    return x if shape == site.shape(x) else site.emit("reshape", x, shape=shape)


def flat(site: Site, x: int) -> int:
    """Write a reshape to one dimension."""
    return reshape(site, x, (size(site.shape(x)),))


def extents(site: Site, shape: int | Shape, argument: str = "shape") -> Shape:
    """Return a shape as it was given, all extents at least 1.

    Raises:
        InvalidFormula: when one is not.
    """
    wanted = (shape,) if isinstance(shape, int) else shape
    if any(extent < 1 for extent in wanted):
        message = f"{site.name}: every extent is at least 1, not {quote(wanted)}"
        raise site.mistake(message, argument, Reason.SHAPE)
    return wanted


def transpose(site: Site, x: int, order: Sequence[int]) -> int:
    """Write a permutation of axes."""
    wanted = tuple(order)
    return x if wanted == tuple(range(len(wanted))) else site.emit("transpose", x, axes=wanted)


def reverse(site: Site, x: int) -> int:
    """Write the transpose that reverses all axes."""
    return transpose(site, x, range(len(site.shape(x)))[::-1])


def part(site: Site, x: int, ranges: Sequence[range]) -> int:
    """Write a slice, given by the indices that it takes of each axis."""
    if all(taken == range(extent) for taken, extent in zip(ranges, site.shape(x), strict=True)):
        return x
    return site.emit(
        "slice",
        x,
        starts=tuple([taken.start for taken in ranges]),
        counts=tuple(map(len, ranges)),
        steps=tuple([taken.step for taken in ranges]),
    )

"""Where the elements of an array lie: a start and a step for each axis, in slots or in the table of uniform values.

Reshaping, transposing, slicing, flipping and broadcasting only change steps, so they cost nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradmill_server.engine.ir import Shape


class Space(StrEnum):
    """What elements lie in: a slot has a value for each lane, a uniform value is one double for all points."""

    SLOTS = "s"
    UNIFORMS = "u"


class View(NamedTuple):
    """An array.

    Attributes:
        space: what its elements lie in.
        start: where its first element is.
        shape: its shape.
        steps: how far it is to the next element, for each axis; 0 where one stands for all.
    """

    space: Space
    start: int
    shape: Shape
    steps: tuple[int, ...]


class Grid(NamedTuple):
    """Nested loops over several arrays at once.

    Attributes:
        counts: the extents, the outermost first.
        starts: for each array where its first element is.
        steps: for each array its step at each extent.
    """

    counts: tuple[int, ...]
    starts: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]


def row_major(shape: Shape) -> tuple[int, ...]:
    """Return the steps of an array whose elements lie side by side."""
    steps = [1] * len(shape)
    for axis in range(len(shape) - 1, 0, -1):
        steps[axis - 1] = steps[axis] * shape[axis]
    return tuple(steps)


def side_by_side(space: Space, start: int, shape: Shape) -> View:
    """Return an array whose elements lie side by side."""
    return View(space, start, shape, row_major(shape))


def spacing(view: View) -> int | None:
    """Return the distance between successive elements in row-major order; None when it is not the same for all."""
    unit: int | None = None
    for extent, step, plain in zip(view.shape, view.steps, row_major(view.shape), strict=True):
        if extent == 1:
            continue
        if step % plain or unit not in {None, step // plain}:
            return None
        unit = step // plain
    return 1 if unit is None else unit


def evenly_spaced(view: View, shape: Shape) -> View | None:
    """Return the elements in row-major order in another shape; None where they are not evenly spaced."""
    unit = spacing(view)
    if unit is None:
        return None
    return View(view.space, view.start, shape, tuple([unit * step for step in row_major(shape)]))


def part(view: View, first: int, count: int) -> View:
    """Return some elements of the last axis."""
    return View(view.space, view.start + first * view.steps[-1], (*view.shape[:-1], count), view.steps)


def with_axes(view: View, axes: Sequence[int]) -> View:
    """Return the axes in another order."""
    shape, steps = view.shape, view.steps
    return View(view.space, view.start, tuple([shape[axis] for axis in axes]), tuple([steps[axis] for axis in axes]))


def without(view: View, count: int) -> View:
    """Return the first elements of so many last axes."""
    kept = len(view.shape) - count
    return View(view.space, view.start, view.shape[:kept], view.steps[:kept])


def last_axes_joined(view: View, count: int) -> View | None:
    """Return so many last axes as one, of extent 1 for none; None where one step does not lead through them all."""
    kept = len(view.shape) - count
    last = View(view.space, view.start, view.shape[kept:], view.steps[kept:])
    joined = evenly_spaced(last, (prod(last.shape),))
    if joined is None:
        return None
    return View(view.space, view.start, (*view.shape[:kept], *joined.shape), (*view.steps[:kept], *joined.steps))


def spread(view: View, shape: Shape) -> View:
    """Return an array broadcast to a shape by NumPy's rules."""
    added = len(shape) - len(view.shape)
    steps = [0] * added
    steps += [0 if extent == 1 else step for extent, step in zip(view.shape, view.steps, strict=True)]
    return View(view.space, view.start, shape, tuple(steps))


def places(view: View) -> npt.NDArray[np.int64]:
    """Return where every element is, in the array's shape."""
    found = np.full((), view.start, dtype=np.int64)
    for extent, step in zip(view.shape, view.steps, strict=True):
        found = np.add.outer(found, step * np.arange(extent))
    return found


def grids(views: Sequence[View], axes: int) -> Iterator[Grid]:
    """Cut loops over arrays of one shape into as few nested ones as possible, of exactly so many extents.

    Neighbouring axes become one where every array allows it; what is left beyond the innermost ones is spelled out.
    """
    counts, steps = _merged(views)
    outer = max(0, len(counts) - axes)
    missing = (1,) * (axes - len(counts))
    for place in itertools.product(*map(range, counts[:outer])):
        starts = tuple(
            [
                view.start + sum(number * step for number, step in zip(place, own, strict=False))
                for view, own in zip(views, steps, strict=True)
            ]
        )
        inner = tuple([(0,) * len(missing) + own[outer:] for own in steps])
        yield Grid(missing + counts[outer:], starts, inner)


def _merged(views: Sequence[View]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Return the extents and each array's steps, without axes of extent 1, neighbours made one where they can be."""
    counts: list[int] = []
    steps: list[list[int]] = [[] for _ in views]
    for axis, extent in enumerate(views[0].shape):
        if extent == 1:
            continue
        here = [view.steps[axis] for view in views]
        if counts and all(own[-1] == step * extent for own, step in zip(steps, here, strict=True)):
            counts[-1] *= extent
            for own, step in zip(steps, here, strict=True):
                own[-1] = step
            continue
        counts.append(extent)
        for own, step in zip(steps, here, strict=True):
            own.append(step)
    return tuple(counts), [tuple(own) for own in steps]

"""What the functions write that move elements without computing with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradmill_server.engine.errors import quote
from gradmill_server.engine.formula.emission import Site
from gradmill_server.engine.formula.forms import (
    Axes,
    axes,
    axis,
    distinct_axes,
    extents,
    flat,
    reshape,
    reverse,
    transpose,
)
from gradmill_server.engine.formula.source import Reason
from gradmill_server.engine.formula.static import IntegerArray
from gradmill_server.engine.ir import Shape, size


def reshape_to(site: Site, x: int, shape: int | tuple[int, ...]) -> int:
    """Write ``reshape``, where one extent may be -1."""
    return reshape(site, x, _resolved(site, site.shape(x), (shape,) if isinstance(shape, int) else shape))


def _resolved(site: Site, shape: Shape, wanted: Shape) -> Shape:
    """Return the shape wanted, with as much as it takes in the place of -1."""
    known = math.prod(extent for extent in wanted if extent != -1)
    if wanted.count(-1) > 1 or any(extent < 1 for extent in wanted if extent != -1):
        message = f"{site.name}: every extent is at least 1, or one of them -1, not {quote(wanted)}"
        raise site.mistake(message, "shape", Reason.SHAPE)
    fits = size(shape) % known == 0 if -1 in wanted else size(shape) == known
    if not fits:
        message = f"cannot make shape {quote(wanted)} of shape {shape}"
        raise site.misshapen(message, shape, wanted)
    return tuple([size(shape) // known if extent == -1 else extent for extent in wanted])


def expand_dims(site: Site, x: int, along: int | tuple[int, ...]) -> int:
    """Write ``expand_dims``: axes of extent 1, counted in the result."""
    shape = site.shape(x)
    rank = len(shape) + (1 if isinstance(along, int) else len(along))
    new = set(axes(site, along, rank))
    old = iter(shape)
    return reshape(site, x, tuple([1 if place in new else next(old) for place in range(rank)]))


def squeeze(site: Site, x: int, along: Axes) -> int:
    """Write ``squeeze``: without some axes of extent 1, or without all of them."""
    shape = site.shape(x)
    gone = [place for place, extent in enumerate(shape) if extent == 1]
    if along is not None:
        chosen = axes(site, along, len(shape))
        for place in chosen:
            if place not in gone:
                message = f"{site.name} cannot leave out axis {place} of shape {shape}: its extent is not 1"
                raise site.mistake(message, "axis", Reason.SHAPE)
        gone = list(chosen)
    return reshape(site, x, tuple([extent for place, extent in enumerate(shape) if place not in gone]))


def transpose_to(site: Site, x: int, order: Axes) -> int:
    """Write ``transpose``: all axes in reverse, or in the order given."""
    if order is None:
        return reverse(site, x)
    shape = site.shape(x)
    wanted = distinct_axes(site, (order,) if isinstance(order, int) else order, len(shape), "axes")
    if len(wanted) != len(shape):
        message = f"{site.name} needs all {len(shape)} axes of shape {shape} in order, not {quote(wanted)}"
        raise site.mistake(message, "axes", Reason.SHAPE)
    return transpose(site, x, wanted)


def swapaxes(site: Site, x: int, first: int, second: int) -> int:
    """Write ``swapaxes``."""
    rank = len(site.shape(x))
    one, other = axis(site, first, rank, "axis1"), axis(site, second, rank, "axis2")
    order = list(range(rank))
    order[one], order[other] = other, one
    return transpose(site, x, order)


def moveaxis(site: Site, x: int, source: int, destination: int) -> int:
    """Write ``moveaxis`` of one axis."""
    rank = len(site.shape(x))
    order = list(range(rank))
    moved = order.pop(axis(site, source, rank, "source"))
    order.insert(axis(site, destination, rank, "destination"), moved)
    return transpose(site, x, order)


def broadcast_to(site: Site, x: int, shape: int | tuple[int, ...]) -> int:
    """Write ``broadcast_to``."""
    wanted = extents(site, shape)
    return x if wanted == site.shape(x) else site.emit("broadcast_to", x, shape=wanted)


def concatenate(site: Site, arrays: Sequence[int], along: int | None) -> int:
    """Write ``concatenate`` along an axis, or of all elements in one row; of one array, nothing."""
    if along is None:
        arrays, along = [flat(site, x) for x in arrays], 0
    place = axis(site, along, len(site.shape(arrays[0])))
    return arrays[0] if len(arrays) == 1 else site.emit("concatenate", *arrays, axis=place)


def stack(site: Site, arrays: Sequence[int], along: int) -> int:
    """Write ``stack`` along a new axis, counted in the result."""
    return site.emit("stack", *arrays, axis=axis(site, along, len(site.shape(arrays[0])) + 1))


def flip(site: Site, x: int, along: Axes) -> int:
    """Write ``flip`` of some axes, or of all."""
    return site.emit("flip", x, axes=axes(site, along, len(site.shape(x))))


def repeat(site: Site, x: int, repeats: int, along: int | None) -> int:
    """Write ``repeat``: each element several times along an axis, or of all elements in one row."""
    if repeats < 1:
        message = f"{site.name} repeats once or more often, not {repeats} times"
        raise site.mistake(message, "repeats")
    if along is None:
        x, along = flat(site, x), 0
    return site.emit("repeat", x, axis=axis(site, along, len(site.shape(x))), repeats=repeats)


def tile(site: Site, x: int, repeats: int | tuple[int, ...]) -> int:
    """Write ``tile``."""
    times = (repeats,) if isinstance(repeats, int) else repeats
    if any(each < 1 for each in times):
        message = f"{site.name} repeats once or more often along each axis, not {quote(times)} times"
        raise site.mistake(message, "repeats")
    return site.emit("tile", x, repeats=(1,) * (len(site.shape(x)) - len(times)) + times)


def take(site: Site, x: int, indices: IntegerArray, along: int | None) -> int:
    """Write ``take`` along an axis, or of all elements in one row."""
    if along is None:
        x, along = flat(site, x), 0
    place = axis(site, along, len(site.shape(x)))
    extent = site.shape(x)[place]
    for index in indices.values:
        if not -extent <= index < extent:
            message = f"index {index} is out of range for an axis of extent {extent}"
            raise site.mistake(message, "indices", Reason.INDEX)
    counted = tuple([index % extent for index in indices.values])
    return site.emit("take", x, axis=place, index_shape=indices.shape, indices=counted)

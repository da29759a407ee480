"""How NumPy's spellings become operations: each in one normal form, so that equal functions have one digest.

Axes are counted from the first and lists of them ascend; a parameter at its default is left out; what would change
nothing is no operation. Formulas become the same forms on the server.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from gradmill.axes import Axes, ascending_axes, axis_list, full_shape, listed, one_axis
from gradmill.graph import Shape, size
from gradmill.handles import Handle, SomeHandle, derived
from gradmill.shapes import refuse_shapes
from gradmill.traces import Real

Operand = Handle | Real


def shape_of(operand: Operand) -> Shape:
    """Return the shape of a traced value or of a constant."""
    return operand.shape if isinstance(operand, Handle) else np.shape(operand)


# Reductions, and what runs along an axis.


def reduced(x: SomeHandle, name: str, axis: Axes, *, keepdims: bool, ddof: int = 0) -> SomeHandle:
    """Return a reduction over axes, None being all."""
    flags = {"keepdims": 1} if keepdims else {}
    freedom = {"ddof": operator.index(ddof)} if ddof else {}
    return derived(x, name, [x], axes=ascending_axes(name, axis, x.shape), **flags, **freedom)


def place_of_extreme(x: SomeHandle, name: str, axis: SupportsIndex | None) -> SomeHandle:
    """Return the index of an extreme along an axis, or among all elements for None."""
    return derived(x, name, [x]) if axis is None else along(x, name, axis)


def along(x: SomeHandle, name: str, axis: SupportsIndex) -> SomeHandle:
    """Return an operation along one axis."""
    return derived(x, name, [x], axis=one_axis(name, axis, x.shape))


def along_or_flat(x: SomeHandle, name: str, axis: SupportsIndex | None) -> SomeHandle:
    """Return an operation along one axis, or along all elements in a row for None."""
    return along(raveled(x), name, 0) if axis is None else along(x, name, axis)


def differences(x: SomeHandle, times: SupportsIndex, axis: SupportsIndex) -> SomeHandle:
    """Return differences between neighbours along an axis, taken several times."""
    number = operator.index(times)
    if number < 0:
        refuse_shapes("diff", f"cannot be differenced {number} times", [x.shape])
    for _ in range(number):
        x = along(x, "diff", axis)
    return x


# Elements moved.


def reshaped(x: SomeHandle, shape: SupportsIndex | Sequence[SupportsIndex]) -> SomeHandle:
    """Return the elements in another shape, in which one extent may be -1."""
    wanted = full_shape("reshape", shape, x.shape)
    return x if wanted == x.shape else derived(x, "reshape", [x], shape=wanted)


def raveled(x: SomeHandle) -> SomeHandle:
    """Return the elements in a row."""
    return reshaped(x, (size(x.shape),))


def transposed(x: SomeHandle, axes: Sequence[SupportsIndex] | None) -> SomeHandle:
    """Return the axes in another order, in reverse for None."""
    rank = len(x.shape)
    order = tuple(reversed(range(rank))) if axes is None else axis_list("transpose", axes, x.shape)
    return x if order == tuple(range(rank)) else derived(x, "transpose", [x], axes=order)


def swapped(x: SomeHandle, one: SupportsIndex, other: SupportsIndex) -> SomeHandle:
    """Return two axes in each other's place."""
    first, second = (one_axis("swapaxes", axis, x.shape) for axis in (one, other))
    order = list(range(len(x.shape)))
    order[first], order[second] = second, first
    return transposed(x, order)


def moved(
    x: SomeHandle,
    source: SupportsIndex | Sequence[SupportsIndex],
    destination: SupportsIndex | Sequence[SupportsIndex],
) -> SomeHandle:
    """Return some axes at other places, the rest in order."""
    origins = axis_list("moveaxis", source, x.shape)
    places = axis_list("moveaxis", destination, x.shape)
    if len(origins) != len(places):
        refuse_shapes("moveaxis", f"has {len(origins)} axes to move to {len(places)} places", [x.shape])
    order = [axis for axis in range(len(x.shape)) if axis not in origins]
    for place, axis in sorted(zip(places, origins, strict=True)):
        order.insert(place, axis)
    return transposed(x, order)


def with_axes(x: SomeHandle, axis: SupportsIndex | Sequence[SupportsIndex]) -> SomeHandle:
    """Return the elements with new axes of extent 1, counted in the result."""
    rank = len(x.shape) + len(listed(axis))
    places = axis_list("expand_dims", axis, x.shape, rank=rank)
    extents = iter(x.shape)
    return reshaped(x, [1 if place in places else next(extents) for place in range(rank)])


def squeezed(x: SomeHandle, axis: Axes) -> SomeHandle:
    """Return the elements without some axes of extent 1, or without all such for None."""
    ones = tuple([place for place, extent in enumerate(x.shape) if extent == 1])
    places = ones if axis is None else axis_list("squeeze", axis, x.shape)
    if not set(places) <= set(ones):
        refuse_shapes("squeeze", f"has other extents than 1 along {places}", [x.shape])
    return reshaped(x, [extent for place, extent in enumerate(x.shape) if place not in places])


def broadcasted(x: SomeHandle, shape: SupportsIndex | Sequence[SupportsIndex]) -> SomeHandle:
    """Return the elements repeated to a larger shape by NumPy's rules."""
    wanted = listed(shape)
    return x if wanted == x.shape else derived(x, "broadcast_to", [x], shape=wanted)


def flipped(x: SomeHandle, axis: Axes) -> SomeHandle:
    """Return the elements in reverse order along axes, all for None."""
    return derived(x, "flip", [x], axes=ascending_axes("flip", axis, x.shape))


def repeated(x: SomeHandle, repeats: SupportsIndex, axis: SupportsIndex | None) -> SomeHandle:
    """Return each element repeated along an axis, or in a row for None."""
    if axis is None:
        return repeated(raveled(x), repeats, 0)
    place = one_axis("repeat", axis, x.shape)
    return derived(x, "repeat", [x], repeats=operator.index(repeats), axis=place)


def tiled(x: SomeHandle, repeats: SupportsIndex | Sequence[SupportsIndex]) -> SomeHandle:
    """Return the whole array repeated along each axis."""
    counts = listed(repeats)
    return derived(x, "tile", [x], repeats=(1,) * (len(x.shape) - len(counts)) + counts)


def concatenated(like: SomeHandle, arrays: Sequence[Operand], axis: SupportsIndex | None) -> SomeHandle:
    """Return arrays one after the other along an axis, or all elements in a row for None."""
    if axis is None:
        rows = [raveled(x) if isinstance(x, Handle) else np.ravel(x) for x in arrays]
        return concatenated(like, rows, 0)
    if len(arrays) == 1:
        one_axis("concatenate", axis, like.shape)
        return like
    place = one_axis("concatenate", axis, shape_of(arrays[0]))
    return derived(like, "concatenate", arrays, axis=place)


def stacked(like: SomeHandle, arrays: Sequence[Operand], axis: SupportsIndex) -> SomeHandle:
    """Return arrays side by side along a new axis, counted in the result."""
    shape = shape_of(arrays[0])
    return derived(like, "stack", arrays, axis=one_axis("stack", axis, shape, rank=len(shape) + 1))


def diagonal(x: SomeHandle, offset: SupportsIndex) -> SomeHandle:
    """Return a diagonal of a matrix, or the matrix with this vector on a diagonal."""
    number = operator.index(offset)
    return derived(x, "diag", [x], **({"offset": number} if number else {}))


def sliced(x: SomeHandle, starts: Sequence[int], counts: Sequence[int], steps: Sequence[int]) -> SomeHandle:
    """Return evenly spaced elements along each axis."""
    if tuple(counts) == x.shape and set(starts) <= {0} and set(steps) <= {1}:
        return x
    return derived(x, "slice", [x], starts=tuple(starts), counts=tuple(counts), steps=tuple(steps))


def taken(x: SomeHandle, indices: npt.NDArray[np.integer], axis: int, name: str = "take") -> SomeHandle:
    """Return elements along an axis by number; a negative one counts from the last."""
    extent = x.shape[axis]
    for worst in (indices.min(), indices.max()) if indices.size else ():
        if not -extent <= worst < extent:
            refuse_shapes(name, f"has no element {worst} along axis {axis}", [x.shape])
    if not indices.size:
        refuse_shapes(name, "cannot give no elements", [x.shape])
    flat = tuple((indices.ravel() % extent).tolist())
    return derived(x, "take", [x], indices=flat, index_shape=indices.shape, axis=axis)


# Products.


def explicit_subscripts(subscripts: object) -> str:
    """Return einsum's subscripts without blanks and with their result written out, as NumPy would take it.

    A result that is left out has the letters that occur once, sorted.

    Raises:
        TypeError: for subscripts that are no text, such as those that come after the operands.
    """
    if not isinstance(subscripts, str):
        message = f"einsum: {type(subscripts).__name__} is no text of subscripts; they come first, as in 'ij,j->i'"
        raise TypeError(message)
    given = "".join(subscripts.split())
    if "->" in given:
        return given
    letters = given.replace(",", "")
    return f"{given}->{''.join(sorted(letter for letter in letters if letters.count(letter) == 1))}"

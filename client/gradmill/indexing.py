"""What ``x[...]`` means: one slice, then one take where arrays of indices are used, then one reshape.

Each of the three is left out where it would change nothing. The meaning is NumPy's. Indices are part of the function,
so none of them can be traced.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from types import EllipsisType
from typing import SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from gradmill.graph import Shape
from gradmill.handles import Handle, SomeHandle
from gradmill.normal_forms import reshaped, sliced, taken
from gradmill.places import refuse
from gradmill.shapes import refuse_shapes, shape_refusal

_IndexArray: TypeAlias = npt.NDArray[np.intp]
_Item: TypeAlias = "int | slice | EllipsisType | npt.NDArray[np.generic] | None"

_NAME = "x[...]"


def indexed(x: SomeHandle, key: object) -> SomeHandle:
    """Return the elements that ``x[key]`` names.

    Raises:
        TracingError: there are none such, an index is traced, or arrays of indices do not stand side by side.
    """
    plan = _Plan(x.shape)
    for item in _completed(_items(key), x.shape):
        plan.add(item)
    return plan.followed(x)


def _items(key: object) -> list[_Item]:
    return [_item(entry) for entry in (key if isinstance(key, tuple) else (key,))]


def _item(entry: object) -> _Item:
    """Return a part of an index as a whole number, an array of them, a mask, or what it is."""
    if entry is None or isinstance(entry, EllipsisType):
        return entry
    if isinstance(entry, slice):
        _refuse_traced(entry.start, entry.stop, entry.step)
        return entry
    if isinstance(entry, SupportsIndex) and not isinstance(entry, (bool, np.bool_, np.ndarray)):
        return operator.index(entry)
    _refuse_traced(entry, *(entry if isinstance(entry, (list, tuple)) else ()))
    is_empty = isinstance(entry, list) and not entry  # NumPy would make it an array of floats
    array = np.asarray(entry, dtype=np.intp if is_empty else None)
    if array.dtype.kind == "b" and array.ndim:
        return array
    if array.dtype.kind not in "iu":
        refuse(
            f"{type(entry).__name__} is no index of a traced value",
            "Use whole numbers, slices, ..., None, arrays of whole numbers, or a mask of bools that is known now.",
        )
    return array.astype(np.intp) if array.ndim else int(array)


def _refuse_traced(*entries: object) -> None:
    if any(isinstance(entry, Handle) for entry in entries):
        refuse(
            "an index cannot be traced: which elements are taken is part of the function",
            "Multiply by a condition, or choose with gradmill.where, to let values decide.",
        )


def _completed(items: list[_Item], shape: Shape) -> list[_Item]:
    """Return items with one for each axis: full slices after the ellipsis, or at the end."""
    used = sum(map(_axes_used, items))
    dots = [place for place, item in enumerate(items) if item is Ellipsis]
    if used > len(shape):
        refuse_shapes(_NAME, f"has {len(shape)} axes, but the index is for {used}", [shape])
    if len(dots) > 1:
        refuse_shapes(_NAME, "has an index with more than one ellipsis", [shape])
    place = dots[0] + 1 if dots else len(items)
    return [*items[:place], *[slice(None)] * (len(shape) - used), *items[place:]]


def _axes_used(item: _Item) -> int:
    if isinstance(item, np.ndarray) and item.dtype.kind == "b":
        return item.ndim
    return 0 if item is None or item is Ellipsis else 1


@dataclass(slots=True)
class _Plan:
    """What to do with an operand of this shape, item by item of the index.

    Attributes:
        shape: the operand's shape.
        starts, counts, steps: the slice, an entry for each axis so far.
        result: the result's shape so far, without the axes that arrays of indices make.
        arrays: the arrays of indices by their axes.
        place: where the arrays' axes stand in the result; None while there is no array.
        advanced: for each item so far, whether it is an array or a whole number, which NumPy then counts as one.
    """

    shape: Shape
    starts: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    result: list[int] = field(default_factory=list)
    arrays: dict[int, _IndexArray] = field(default_factory=dict)
    place: int | None = None
    advanced: list[bool] = field(default_factory=list)

    def add(self, item: _Item) -> None:
        """Take in the next item."""
        axis = len(self.starts)
        self.advanced.append(isinstance(item, (int, np.ndarray)))
        if item is None:
            self.result.append(1)
        elif isinstance(item, slice):
            found = range(*item.indices(self.shape[axis]))
            if not found:
                refuse_shapes(_NAME, f"has nothing along axis {axis} that the index takes", [self.shape])
            self._slice(found.start, len(found), found.step)
            self.result.append(len(found))
        elif isinstance(item, int):
            if not -self.shape[axis] <= item < self.shape[axis]:
                refuse_shapes(_NAME, f"has no element {item} along axis {axis}", [self.shape])
            self._slice(item % self.shape[axis], 1, 1)
        elif isinstance(item, np.ndarray):
            self._add_arrays(axis, item)

    def _add_arrays(self, axis: int, item: npt.NDArray[np.generic]) -> None:
        """Take in an array of indices, or a mask as the arrays of indices where it is true."""
        is_mask = item.dtype.kind == "b"
        if is_mask and self.shape[axis : axis + item.ndim] != item.shape:
            refuse_shapes(_NAME, f"has other extents from axis {axis} on than a mask of {item.shape}", [self.shape])
        self.place = len(self.result) if self.place is None else self.place
        for place, array in enumerate(np.nonzero(item) if is_mask else [item], start=axis):
            self.arrays[place] = array.astype(np.intp)
            self._slice(0, self.shape[place], 1)

    def _slice(self, start: int, count: int, step: int) -> None:
        self.starts.append(start)
        self.counts.append(count)
        self.steps.append(step)

    def followed(self, x: SomeHandle) -> SomeHandle:
        """Return the elements of the operand that the index names."""
        x = sliced(x, self.starts, self.counts, self.steps)
        if self.place is None:
            return reshaped(x, self.result)
        places = [place for place, is_advanced in enumerate(self.advanced) if is_advanced]
        if places != list(range(places[0], places[-1] + 1)):
            refuse(
                f"{_NAME}: in the index of an array of shape {self.shape}, something stands between arrays of indices "
                "and whole numbers",
                "Take the elements in two steps, as in x[0][:, [1, 2]].",
                reason="SHAPE_MISMATCH",
            )
        axis, indices = self._joined()
        last = max(self.arrays)
        joined = reshaped(x, (*x.shape[:axis], math.prod(x.shape[axis : last + 1]), *x.shape[last + 1 :]))
        shape = (*self.result[: self.place], *indices.shape, *self.result[self.place :])
        return reshaped(taken(joined, indices, axis, _NAME), shape)

    def _joined(self) -> tuple[int, _IndexArray]:
        """Return the first axis of the arrays, and the indices into it once their axes are one."""
        first, last = min(self.arrays), max(self.arrays)
        extents = self.counts[first : last + 1]
        pieces = []
        for axis in range(first, last + 1):
            array, extent = self.arrays.get(axis, np.zeros((), np.intp)), self.counts[axis]
            outside = array[(array < -extent) | (array >= extent)]
            if outside.size:
                refuse_shapes(_NAME, f"has no element {outside[0]} along axis {axis}", [self.shape])
            pieces.append(array % extent)
        try:
            together = np.broadcast_arrays(*pieces)
        except ValueError:
            problem = "of arrays of indices do not broadcast together"
            raise shape_refusal(_NAME, problem, [piece.shape for piece in pieces]) from None
        return first, np.ravel_multi_index(tuple(together), extents) if len(extents) > 1 else together[0]

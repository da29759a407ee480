"""What stands in brackets behind a value: read once, and written as at most a slice, a take and a reshape."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from lark import Token

from gradmill_server.engine.errors import InvalidFormula
from gradmill_server.engine.formula.emission import Emitter, Site
from gradmill_server.engine.formula.forms import part, reshape
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.formula.static import IntegerArray, Reader, is_none
from gradmill_server.engine.formula.syntax import ELLIPSIS, Expression, Literal, Slice, Subscript, offset, starts_at
from gradmill_server.engine.ir import Shape, size
from gradmill_server.engine.shapes import ShapeMismatch, broadcast

_NEW_AXIS = frozenset({"None", "newaxis", "np.newaxis", "numpy.newaxis"})


class Span(NamedTuple):
    """``start:stop:step``; what is left out is None."""

    start: int | None
    stop: int | None
    step: int | None


class NewAxis(NamedTuple):
    """``None`` or ``newaxis``: an axis of extent 1 in the result."""


class Rest(NamedTuple):
    """``...``: all axes that the other indices leave."""


Index: TypeAlias = int | Span | IntegerArray | NewAxis | Rest


class Placed(NamedTuple):
    """An index, and the offset in the text where it starts."""

    what: Index
    position: int


class Selection(NamedTuple):
    """The indices of one pair of brackets, and the offset of the opening one."""

    indices: tuple[Placed, ...]
    position: int


def read_selection(source: Source, subscript: Subscript) -> Selection:
    """Return what a subscript selects.

    Raises:
        InvalidFormula: when an index is not written out in whole numbers.
    """
    indices = [Placed(_read(source, each), starts_at(each)) for each in subscript.indices]
    rests = [placed for placed in indices if isinstance(placed.what, Rest)]
    if len(rests) > 1:
        raise source.mistake(rests[1].position, Reason.INDEX, "only one index may be '...'")
    return Selection(tuple(indices), offset(subscript.bracket))


def _read(source: Source, written: Expression | Slice) -> Index:
    if isinstance(written, Slice):
        return _span(source, written)
    if isinstance(written, Token) and written.type == ELLIPSIS:
        return Rest()
    if isinstance(written, Token) and written.value in _NEW_AXIS:
        return NewAxis()
    reader = Reader(source, "an index", Reason.INDEX)
    return reader.array(written) if isinstance(written, Literal) else reader.integer(written)


def _span(source: Source, written: Slice) -> Span:
    reader = Reader(source, "a bound of a slice", Reason.INDEX)
    start, stop, step = [None if each is None or is_none(each) else reader.integer(each) for each in written.bounds]
    if step == 0:
        raise source.mistake(starts_at(written), Reason.INDEX, "a slice cannot have a step of 0")
    return Span(start, stop, step)


def select(emitter: Emitter, x: int, selection: Selection) -> int:
    """Write the operations of a selection; return the index of its value.

    Raises:
        InvalidFormula: when the value has no such axes or elements, or nothing would be left.
        LimitExceeded: when a value, or the graph, grows too large.
    """
    return _Selecting(emitter, x, selection).write()


class _Selecting:
    """One selection from one value."""

    def __init__(self, emitter: Emitter, x: int, selection: Selection) -> None:
        self._source = emitter.source
        self._selection = selection
        self._site = Site(emitter, "indexing", selection.position)
        self._x = x
        self._shape = self._site.shape(x)
        self._indices = self._complete(selection.indices)

    def write(self) -> int:
        ranges = [self._range(placed, extent) for placed, extent in self._axes()]
        value = part(self._site, self._x, ranges)
        arrays = [axis for axis, (placed, _) in enumerate(self._axes()) if isinstance(placed.what, IntegerArray)]
        taken: Shape = ()
        if arrays:
            self._check_adjacent()
            value, taken = self._take(value, range(arrays[0], arrays[-1] + 1))
        return reshape(self._site, value, self._result(ranges, taken))

    def _complete(self, indices: Sequence[Placed]) -> list[Placed]:
        """Return the indices with as many full slices as the value has axes that none of them speaks of."""
        given = [placed for placed in indices if not isinstance(placed.what, (NewAxis, Rest))]
        rank = len(self._shape)
        if len(given) > rank:
            axes = "no axis" if rank == 0 else f"{rank} ax{'i' if rank == 1 else 'e'}s"
            plural = "index" if len(given) == 1 else "indices"
            message = f"{len(given)} {plural} for a value of shape {self._shape}, which has {axes}"
            raise self._mistake(given[rank], message)
        rest = next((place for place, placed in enumerate(indices) if isinstance(placed.what, Rest)), len(indices))
        full = [Placed(Span(None, None, None), self._site.position)] * (rank - len(given))
        return [*indices[:rest], *full, *indices[rest + 1 :]]

    def _axes(self) -> Iterator[tuple[Placed, int]]:
        """Iterate over the value's axes: the index of each, and its extent."""
        given = [placed for placed in self._indices if not isinstance(placed.what, NewAxis)]
        return zip(given, self._shape, strict=True)

    def _range(self, placed: Placed, extent: int) -> range:
        """Return what a slice takes of an axis; an integer array takes its share later."""
        index = placed.what
        if isinstance(index, int):
            place = self._counted(placed, index, extent)
            return range(place, place + 1)
        if not isinstance(index, Span):
            return range(extent)
        taken = range(extent)[slice(*index)]
        if not taken:
            raise self._mistake(placed, f"the slice takes nothing of an axis of extent {extent}")
        return taken

    def _counted(self, placed: Placed, value: int, extent: int) -> int:
        if not -extent <= value < extent:
            raise self._mistake(placed, f"index {value} is out of range for an axis of extent {extent}")
        return value % extent

    def _check_adjacent(self) -> None:
        """Refuse what NumPy would move to the front: arrays, or numbers beside them, with something else between.

        An ellipsis that stands for no axis is something else, too.
        """
        given = self._selection.indices
        places = [place for place, (index, _) in enumerate(given) if isinstance(index, (int, IntegerArray))]
        for before, place in pairwise(places):
            if place != before + 1:
                message = (
                    "integer arrays, and whole numbers beside them, must stand next to one another; "
                    "index twice, as in x[[0, 1]][:, :, 2]"
                )
                raise self._mistake(given[place], message)

    def _take(self, value: int, block: range) -> tuple[int, Shape]:
        """Write a take along the axes of all arrays, made one; return its value and the shape of what it takes."""
        shape = self._site.shape(value)
        extents = shape[block.start : block.stop]
        joined = (*shape[: block.start], math.prod(extents), *shape[block.stop :])
        chosen = [self._chosen(placed, extent) for placed, extent in list(self._axes())[block.start : block.stop]]
        shapes = [array.shape for array in chosen]
        try:
            taken = broadcast("indexing", shapes)
        except ShapeMismatch as mismatch:
            raise self._site.misshapen(mismatch.message.removeprefix("indexing "), *shapes) from mismatch
        self._site.check(taken)
        self._site.count(size(taken))
        indices = np.ravel_multi_index(np.broadcast_arrays(*chosen), extents).ravel().tolist()
        flat = reshape(self._site, value, joined)
        return self._site.emit("take", flat, axis=block.start, index_shape=taken, indices=tuple(indices)), taken

    def _chosen(self, placed: Placed, extent: int) -> npt.NDArray[np.int64]:
        """Return the indices that an array holds, counted from 0; a number's part has been sliced out already."""
        if not isinstance(placed.what, IntegerArray):
            return np.zeros((), dtype=np.int64)
        self._site.check(placed.what.shape)
        counted = [self._counted(placed, value, extent) for value in placed.what.values]
        return np.array(counted, dtype=np.int64).reshape(placed.what.shape)

    def _result(self, ranges: Sequence[range], taken: Shape) -> Shape:
        """Return the shape of the result: what arrays take stands where the first of the run is."""
        extents: list[int] = []
        axis = 0
        waiting = taken
        for index, _ in self._indices:
            if isinstance(index, NewAxis):
                extents.append(1)
                continue
            if isinstance(index, Span):
                extents.append(len(ranges[axis]))
            elif isinstance(index, IntegerArray):
                extents += waiting
                waiting = ()
            axis += 1
        return tuple(extents)

    def _mistake(self, placed: Placed, message: str) -> InvalidFormula:
        return self._source.mistake(placed.position, Reason.INDEX, message)

"""Colourings: columns of one colour share a direction, and every entry can still be read off.

Gebremedhin, Manne and Pothen, "What color is your Jacobian? Graph coloring for computing derivatives", SIAM Review 47,
2005. Sets of colours are whole numbers with a bit for each, so that an entry of the pattern costs a few operations on
such numbers, however dense the pattern is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.derivatives.patterns import SparsePattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from gradmill_server.engine.checkpoints import Checkpoint

_ENTRIES_BETWEEN_CHECKPOINTS = 4096


class Coloring(NamedTuple):
    """A colour, from 0 on, for each column, and how many colours there are."""

    color_of: npt.NDArray[np.int64]
    colors: int


def transposed_pattern(pattern: SparsePattern) -> SparsePattern:
    """Return the pattern of the transposed matrix."""
    order = np.lexsort((pattern.rows, pattern.columns))
    ends = np.cumsum(np.bincount(pattern.columns, minlength=pattern.shape[1]))
    starts = np.concatenate([[0], ends]).astype(np.int64)
    return SparsePattern((pattern.shape[1], pattern.shape[0]), starts, pattern.rows[order])


def symmetric_pattern(pattern: SparsePattern) -> SparsePattern:
    """Return a square matrix's pattern together with its transpose's."""
    count = pattern.shape[0]
    both = [each.rows * count + each.columns for each in (pattern, transposed_pattern(pattern))]
    places = np.sort(np.concatenate(both), kind="stable")  # two ascending runs, which this merges
    rows, columns = np.divmod(places[np.diff(places, prepend=-1) > 0], count)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))]).astype(np.int64)
    return SparsePattern(pattern.shape, starts, columns)


def color_columns(pattern: SparsePattern, most: int | None = None, checkpoint: Checkpoint = never) -> Coloring | None:
    """Colour columns so that no two of one colour meet in a row: each row of a product holds an entry by itself.

    Greedy, columns with many entries first.

    Args:
        pattern: of any matrix.
        most: how many colours there may be; None for any number.
        checkpoint: called every few milliseconds; may raise to stop.

    Returns:
        The colouring, or None when it would need more colours.
    """
    most = pattern.shape[1] if most is None else most
    turned = transposed_pattern(pattern)
    color_of = np.full(turned.shape[0], -1, dtype=np.int64)
    used = [0] * pattern.shape[0]
    for column, rows in _large_first(turned, checkpoint):
        taken = 0
        for row in rows:
            taken |= used[row]
        color = _first_free(taken)
        if color >= most:
            return None
        color_of[column] = color
        for row in rows:
            used[row] |= 1 << color
    return Coloring(color_of, int(color_of.max(initial=-1)) + 1)


def color_symmetric(pattern: SparsePattern, most: int | None = None, checkpoint: Checkpoint = never) -> Coloring | None:
    """Colour a symmetric matrix's columns so that each entry, or its mirror image, stands alone in its row and colour.

    A star colouring: neighbours differ, and no path of four columns has two colours (the paper's section 5). Greedy,
    columns with many entries first. Takes and returns what `color_columns` does.
    """
    most = pattern.shape[0] if most is None else most
    stars = _Stars(pattern.shape[0])
    for column, neighbours in _large_first(_without_diagonal(pattern), checkpoint):
        color = _first_free(stars.forbidden(neighbours))
        if color >= most:
            return None
        stars.add(column, color, neighbours)
    color_of = np.array(stars.color_of, dtype=np.int64)
    return Coloring(color_of, int(color_of.max(initial=-1)) + 1)


class _Stars:
    """A star colouring that grows.

    Attributes:
        color_of: the colour of each column; -1 for none yet.
    """

    def __init__(self, count: int) -> None:
        self.color_of = [-1] * count
        self._colors_beside = [0] * count
        """For each column the colours of its neighbours."""
        self._first_beside: list[dict[int, int]] = [{} for _ in range(count)]
        """For each column and each of these colours, the neighbour that had it first."""
        self._hubs = [0] * count
        """For each column the colours of neighbours that have another neighbour of the column's own colour."""

    def forbidden(self, neighbours: Sequence[int]) -> int:
        """Return the colours that a column with these neighbours may not have."""
        colors = 0
        for near in neighbours:
            if self.color_of[near] < 0:  # it may get any colour yet: nobody at distance two may share one
                colors |= self._colors_beside[near]
            else:
                colors |= 1 << self.color_of[near] | self._hubs[near]
        return colors

    def add(self, column: int, color: int, neighbours: Sequence[int]) -> None:
        """Colour a column."""
        self.color_of[column] = color
        for near in neighbours:
            first = self._first_beside[near].setdefault(color, column)
            self._colors_beside[near] |= 1 << color
            if first != column:  # then the neighbour has a colour, as those beside one without any all differ
                self._hubs[first] |= 1 << self.color_of[near]
                self._hubs[column] |= 1 << self.color_of[near]


def _without_diagonal(pattern: SparsePattern) -> SparsePattern:
    rows = pattern.rows
    kept = rows != pattern.columns
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=pattern.shape[0]))]).astype(np.int64)
    return SparsePattern(pattern.shape, starts, pattern.columns[kept])


def _large_first(pattern: SparsePattern, checkpoint: Checkpoint) -> Iterator[tuple[int, list[int]]]:
    """Iterate over rows and their columns, rows with many entries first, with a checkpoint every few milliseconds."""
    starts = pattern.row_starts.tolist()
    entries = 0
    for row in np.argsort(-np.diff(pattern.row_starts), kind="stable").tolist():
        columns = pattern.columns[starts[row] : starts[row + 1]].tolist()
        entries += len(columns) + 1
        if entries >= _ENTRIES_BETWEEN_CHECKPOINTS:
            checkpoint()
            entries = 0
        yield row, columns


def _first_free(taken: int) -> int:
    """Return the first colour that is not among those taken."""
    return (~taken & (taken + 1)).bit_length() - 1

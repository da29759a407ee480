"""Colourings: columns of one colour share a direction, and every entry can still be read off.

Gebremedhin, Manne and Pothen, "What color is your Jacobian? Graph coloring for computing derivatives", SIAM Review 47,
2005.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine.derivatives.patterns import SparsePattern, pattern_from_sets

if TYPE_CHECKING:
    import numpy.typing as npt


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
    turned = transposed_pattern(pattern)
    rows = [np.union1d(_row(pattern, row), _row(turned, row)) for row in range(pattern.shape[0])]
    return pattern_from_sets(rows, pattern.shape[1])


def color_columns(pattern: SparsePattern) -> Coloring:
    """Colour columns so that no two of one colour meet in a row: each row of a product holds an entry by itself.

    Greedy, columns with many entries first.
    """
    turned = transposed_pattern(pattern)
    color_of = np.full(pattern.shape[1], -1, dtype=np.int64)
    for column in np.argsort(-np.diff(turned.row_starts), kind="stable").tolist():
        met = [_row(pattern, row) for row in _row(turned, column).tolist()]
        color_of[column] = _first_free(color_of[np.concatenate(met)] if met else color_of[:0])
    return Coloring(color_of, int(color_of.max(initial=-1)) + 1)


def color_symmetric(pattern: SparsePattern) -> Coloring:
    """Colour a symmetric matrix's columns so that each entry, or its mirror image, stands alone in its row and colour.

    A star colouring: neighbours differ, and no path of four columns has two colours (the paper's section 5). Greedy,
    columns with many entries first.
    """
    count = pattern.shape[0]
    neighbours = [_row(pattern, row)[_row(pattern, row) != row].tolist() for row in range(count)]
    color_of = np.full(count, -1, dtype=np.int64)
    for column in np.argsort([-len(each) for each in neighbours], kind="stable").tolist():
        forbidden: set[int] = set()
        for near in neighbours[column]:
            if color_of[near] >= 0:
                forbidden.add(int(color_of[near]))
            forbidden.update(_of_stars(near, column, neighbours, color_of))
        color_of[column] = next(color for color in range(count) if color not in forbidden)
    return Coloring(color_of, int(color_of.max(initial=-1)) + 1)


def _of_stars(near: int, column: int, neighbours: list[list[int]], color_of: npt.NDArray[np.int64]) -> set[int]:
    """Return the colours that would make a path of four columns with two colours by way of a neighbour."""
    colors: set[int] = set()
    for far in neighbours[near]:
        if far == column or color_of[far] < 0:
            continue
        if color_of[near] < 0 or any(
            color_of[last] == color_of[near] for last in neighbours[far] if last != near
        ):  # the neighbour has no colour yet: nobody at distance two may share one
            colors.add(int(color_of[far]))
    return colors


def _first_free(taken: npt.NDArray[np.int64]) -> int:
    used = np.unique(taken[taken >= 0])
    gaps = np.flatnonzero(used != np.arange(len(used)))
    return int(gaps[0]) if len(gaps) else len(used)


def _row(pattern: SparsePattern, row: int) -> npt.NDArray[np.int64]:
    return pattern.columns[pattern.row_starts[row] : pattern.row_starts[row + 1]]

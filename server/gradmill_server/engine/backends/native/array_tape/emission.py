"""Writes the records for operations on arrays that lie somewhere: loops spelled out, costs, large ones in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gradmill_server.engine.backends.native.array_tape.memory import Memory
from gradmill_server.engine.backends.native.array_tape.records import (
    AXES,
    COPY,
    LOAD,
    MAPS,
    PRODUCT_SLOTS,
    PRODUCT_UNIFORM,
    STORE,
    SUM_PRODUCTS,
    SUM_VALUES,
)
from gradmill_server.engine.backends.native.array_tape.views import (
    Grid,
    Space,
    View,
    grids,
    side_by_side,
    spacing,
)
from gradmill_server.engine.backends.native.array_tape.writer import LARGEST_COST, TapeWriter, cut
from gradmill_server.engine.ir import Shape, size
from gradmill_server.engine.ops import TABLE

_COST_OF_COLUMN: Final = 4
"""What moving a column of points or results costs, in additions."""


class Emission:
    """Writes records to a tape."""

    def __init__(self, writer: TapeWriter, memory: Memory) -> None:
        """Write there; what has to be put in order first lies in memory for a while."""
        self._writer = writer
        self._memory = memory

    def load(self, source: int, view: View) -> None:
        """Read all columns of an array of points into slots side by side."""
        for first, count in cut(size(view.shape), _COST_OF_COLUMN):
            self._writer.record(LOAD, (source, first, count, view.start + first, 1), _COST_OF_COLUMN * count)

    def store(self, target: int, view: View) -> None:
        """Write an array in slots to the columns of an array of results."""
        step = spacing(view)
        if step is None:
            ordered = self._memory.take_briefly(view.shape)
            self.map(COPY, [ordered], [view])
            view, step = ordered, 1
        for first, count in cut(size(view.shape), _COST_OF_COLUMN):
            words = (target, first, count, view.start + first * step, step)
            self._writer.record(STORE, words, _COST_OF_COLUMN * count)

    def map(self, operation: str | tuple[str, str], results: Sequence[View], operands: Sequence[View]) -> None:
        """Compute element by element; all arrays have one shape, results lie in slots, and so does some operand."""
        if isinstance(operation, str) and operation != COPY and TABLE[operation].commutative:
            operands = sorted(operands, key=lambda view: view.space is Space.UNIFORMS)
        kind = MAPS[operation, "".join(view.space for view in operands)]
        cost = cost_of(operation)
        for grid in grids([*results, *operands], AXES):
            for part in _parts(grid, cost):
                self._writer.record(kind, _words(part), cost * size(part.counts))

    def product(self, result: View, left: View, right: View, strong: int) -> None:
        """Multiply [.., m, k] by [.., k, n], one of them in slots at least; zeros of some sides are strong."""
        if left.space is Space.UNIFORMS or (right.space is Space.SLOTS and result.shape[-2] > result.shape[-1]):
            # The other way round, all three transposed: what is in slots comes first, and the longer axis last.
            result, left, right = (_transposed(view) for view in (result, right, left))
            strong = _EXCHANGED[strong]
        kind = PRODUCT_UNIFORM if right.space is Space.UNIFORMS else PRODUCT_SLOTS
        rows, columns = result.shape[-2:]
        inner = left.shape[-1]
        batches = [View(view.space, view.start, view.shape[:-2], view.steps[:-2]) for view in (result, left, right)]
        for grid in grids(batches, 1):
            for first, count in cut(grid.counts[0], rows * columns * inner):
                for row, row_count in cut(rows, count * columns * inner):
                    for column, column_count in cut(columns, count * row_count * inner):
                        moves = ((row, column), (row, 0), (0, column))
                        words: list[int] = [count, row_count, column_count, inner]
                        for view, start, step, move in zip(
                            (result, left, right), grid.starts, grid.steps, moves, strict=True
                        ):
                            last = view.steps[-2:]
                            words += (start + first * step[0] + move[0] * last[0] + move[1] * last[1], step[0], *last)
                        words.append(strong)
                        self._writer.record(kind, words, count * row_count * column_count * inner)

    def sum_values(self, first: int, view: View) -> None:
        """Add an array in slots to sums over points."""
        sums = side_by_side(Space.SLOTS, first, view.shape)
        for grid in grids([sums, view], AXES):
            for part in _parts(grid, 1):
                self._writer.record(SUM_VALUES, _words(part), size(part.counts))

    def sum_matrix_products(self, first: int, shape: Shape, left: View, right: View, strong: int) -> None:
        """Add [.., m, k] times [.., k, n], both in slots, to sums over points; zeros of some sides are strong."""
        sums = side_by_side(Space.SLOTS, first, shape)
        batches = [View(view.space, view.start, view.shape[:-2], view.steps[:-2]) for view in (sums, left, right)]
        for grid in grids(batches, 1):
            for place in range(grid.counts[0]):
                starts = [start + place * step[0] for start, step in zip(grid.starts, grid.steps, strict=True)]
                counts = (*shape[-2:], left.shape[-1])
                steps = (sums.steps[-2:], left.steps[-2:], right.steps[-2:])
                self._sum_products(starts, counts, steps, strong)

    def sum_outer_products(self, first: int, left: View, right: View, strong: int) -> None:
        """Add products of each element of one array in slots with each of another, to sums over points."""
        sums = side_by_side(Space.SLOTS, first, left.shape)
        for grid in grids([sums, left, right], 2):
            (_, one, other) = grid.steps
            starts, sides = list(grid.starts), strong
            if one[1]:  # the left operand is the one that changes with the column
                one, other = other, one
                starts[1:] = starts[:0:-1]
                sides = _EXCHANGED[strong]
            self._sum_products(starts, (*grid.counts, 1), (grid.steps[0], (one[0], 0), (0, other[1])), sides)

    def _sum_products(
        self, starts: Sequence[int], counts: tuple[int, ...], steps: tuple[Sequence[int], ...], strong: int
    ) -> None:
        rows, columns, inner = counts
        sums, left, right = steps
        for row, count in cut(rows, columns * inner):
            words = (
                *(count, columns, inner),
                *(starts[0] + row * sums[0], sums[0]),
                *(starts[1] + row * left[0], *left),
                *(starts[2], *right),
                strong,
            )
            self._writer.record(SUM_PRODUCTS, words, count * columns * inner)


_EXCHANGED: Final = (0, 2, 1, 3)
"""Of which sides zeros are strong when the sides are exchanged."""


def cost_of(operation: str | tuple[str, str]) -> int:
    """Return what an element of a map costs, in additions."""
    if operation == COPY:
        return 1
    names = (operation,) if isinstance(operation, str) else operation
    return sum(TABLE[name].cost for name in names)


def _words(grid: Grid) -> list[int]:
    words = list(grid.counts)
    for start, steps in zip(grid.starts, grid.steps, strict=True):
        words += (start, *steps)
    return words


def _parts(grid: Grid, cost: int) -> Iterator[Grid]:
    """Cut a grid along its longest axis, in order, into parts that a record can cost at most."""
    total = size(grid.counts)
    if cost * total <= LARGEST_COST:
        yield grid
        return
    axis = max(range(len(grid.counts)), key=lambda place: grid.counts[place])
    for first, count in cut(grid.counts[axis], cost * total // grid.counts[axis]):
        starts = tuple([start + first * steps[axis] for start, steps in zip(grid.starts, grid.steps, strict=True)])
        yield Grid((*grid.counts[:axis], count, *grid.counts[axis + 1 :]), starts, grid.steps)


def _transposed(view: View) -> View:
    shape, steps = view.shape, view.steps
    return View(view.space, view.start, (*shape[:-2], shape[-1], shape[-2]), (*steps[:-2], steps[-1], steps[-2]))

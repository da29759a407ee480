"""A graph of arrays on the tape machine, behind the protocol of every backend."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Final

import numpy as np

from gradmill_server.engine.backends.native.addresses import LOCATE, UNRUN, address_of
from gradmill_server.engine.backends.native.array_tape.library import array_library
from gradmill_server.engine.backends.native.array_tape.linked import Arrays
from gradmill_server.engine.backends.native.array_tape.variant import Variant
from gradmill_server.engine.backends.native.frame import BYTES_PER_LANE
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.tape import misshapen
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.ir import FloatArray, Graph, size

if TYPE_CHECKING:
    from gradmill_server.engine.backends.results import ColumnResults, PointFlags, ResultGroup, RowResults
    from gradmill_server.engine.limits import Limits

VARIANTS: Final = 8
"""Tapes kept of one graph, one for each set of inputs that all points share."""

_LARGE_INPUT: Final = 1024
"""Elements of an input from which on it is uniform when there is a single point, if others are not.

In lanes it would take eight times the memory, and time to get there.
"""

_empty, _zeros = np.empty, np.zeros


class ArrayTapeExecutable:
    """A graph of arrays as a tape. Immutable but for the tapes it keeps; runs in many threads at once.

    Attributes:
        byte_size: bytes it occupies.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Sequence[ResultGroup],
        level: Level,
        checkpoint: Checkpoint = never,
        widest: int | None = None,
    ) -> None:
        """Assemble the tape of a graph whose outputs are those of the groups, one after the other.

        The graph must be one that `arrays_run_natively`. The checkpoint is called every few milliseconds and may raise
        to stop. Blocks have no more than `widest` points, where that is said; it changes no bit.
        """
        self._graph = graph
        self._groups = tuple(groups)
        self._library = array_library(level)  # its code has to live as long as this
        self._sets = [each for each in self._library.sets if widest is None or each.lanes <= widest]
        self._shapes = [entry.shape for entry in graph.inputs]
        self._sizes = [size(shape) for shape in self._shapes]
        self._strides = [count * BYTES_PER_LANE for count in self._sizes]
        members = [(number, shape) for number, group in enumerate(groups) for shape in group.shapes]
        self._members = [(number, shape, size(shape) * BYTES_PER_LANE) for number, shape in members]
        self._bits = [groups[number].flag for number, _ in members]
        self._variants: dict[tuple[tuple[bool, ...], tuple[int, ...]], Variant] = {}
        self._keeping = threading.Lock()
        """Guards changes of the variants kept: the oldest one is looked for among all."""
        self._by_point = (False,) * len(self._shapes)
        large = tuple([count >= _LARGE_INPUT for count in self._sizes])
        self._large = self._by_point if all(large) else large
        usual = self._variant(self._by_point, (), checkpoint)
        self.slots = usual.point.tape.slots
        self.byte_size = 2 * usual.byte_size

    def evaluate_rows(self, matrix: FloatArray, limits: Limits, checkpoint: Checkpoint) -> RowResults:
        """Evaluate a matrix of points, as `Executable` says."""
        rows = len(matrix)
        held = np.ascontiguousarray(matrix, dtype=np.float64)
        columns = sum(self._sizes)
        if held.shape != (rows, columns):
            raise misshapen(held.shape, (rows, columns))
        arrays, members = self._side_by_side(rows)
        flags = _zeros(rows, np.uint8)
        if rows:
            variant = self._variant(self._by_point, (), checkpoint)
            base, stride = address_of(held), columns * BYTES_PER_LANE
            firsts = [base + first for first in accumulate(self._strides, initial=0)][:-1]
            sources = [field for first in firsts for field in (first, stride)]
            self._run(variant, rows, sources, [], members, flags, limits, checkpoint)
        return arrays, flags

    def _side_by_side(self, rows: int) -> tuple[list[FloatArray], list[FloatArray]]:
        """Return an array for each group, and one for each output; in a row it is a part of the matrix."""
        arrays: list[FloatArray] = []
        members: list[FloatArray] = []
        for group in self._groups:
            if group.is_row:
                sizes = [size(shape) for shape in group.shapes]
                arrays.append(_empty((rows, sum(sizes))))
                ends = list(accumulate(sizes))
                members += [arrays[-1][:, end - count : end] for count, end in zip(sizes, ends, strict=True)]
            else:
                arrays.append(_empty((rows, *group.shapes[0])))
                members.append(arrays[-1])
        return arrays, members

    def evaluate_columns(
        self, columns: Sequence[FloatArray], rows: int, limits: Limits, checkpoint: Checkpoint
    ) -> ColumnResults:
        """Evaluate points by input, as `Executable` says."""
        return self.evaluate_sums(columns, rows, (), limits, checkpoint)

    def evaluate_sums(
        self,
        columns: Sequence[FloatArray],
        rows: int,
        summed: Sequence[int],
        limits: Limits,
        checkpoint: Checkpoint,
    ) -> ColumnResults:
        """Evaluate points by input, the results of some groups summed over the points.

        A sum's order depends on the number of points alone: of each `POINTS_PER_SUM` points eight partial sums, of the
        points whose number has the same remainder by eight, in ascending order; these in halving order; and the sums
        of such parts in ascending order. Products that are only summed are added with one rounding each.

        Args:
            columns: for each input [points, *shape], or [1, *shape] when all points share it.
            rows: the number of points.
            summed: the numbers of the groups whose arrays are summed: [*shape] for each output. They mark no points.
            limits: of scratch.
            checkpoint: called every few milliseconds; may raise to stop.

        Raises:
            LimitExceeded: when the smallest block of points needs more scratch than allowed.
        """
        held = [np.ascontiguousarray(values, dtype=np.float64) for values in columns]
        if len(held) != len(self._shapes):
            raise misshapen((len(held),), (len(self._shapes),))
        sources: list[int] = []
        shared = []
        alone = self._large if rows == 1 else self._by_point
        for values, shape, stride, is_large in zip(held, self._shapes, self._strides, alone, strict=True):
            is_shared = is_large or len(values) == 1 != rows
            shared.append(is_shared)
            if values.shape[1:] != shape or len(values) not in {1, rows}:
                raise misshapen(values.shape, (rows, *shape))
            if not is_shared:
                sources += (LOCATE(values), stride)
        chosen = frozenset(summed)
        members = [_zeros(shape) if number in chosen else _empty((rows, *shape)) for number, shape, _ in self._members]
        totalled = tuple([place for place, (number, _, _) in enumerate(self._members) if number in chosen])
        flags = _zeros(rows, np.uint8)
        if rows:
            variant = self._variant(tuple(shared), totalled, checkpoint)
            self._run(variant, rows, sources, held, members, flags, limits, checkpoint)
        rest = iter(members)
        return [list(islice(rest, len(group.shapes))) for group in self._groups], flags

    def _run(
        self,
        variant: Variant,
        rows: int,
        sources: Sequence[int],
        columns: Sequence[FloatArray],
        members: Sequence[FloatArray],
        flags: PointFlags,
        limits: Limits,
        checkpoint: Checkpoint,
    ) -> None:
        """Fill the array of each output. Without columns the points are a matrix, and outputs may be parts of one."""
        division = variant.division
        table, shown = variant.compute_once(columns, limits, checkpoint)
        for place, values in zip(division.shown, shown, strict=True):
            members[place].reshape(rows, -1)[...] = values.reshape(-1)
            flags |= np.uint8(0 if np.isfinite(values).all() else self._bits[place])
        if columns:
            targets = [LOCATE(members[place]) for place in division.stored]
            shapes = [field for place in division.stored for field in (self._members[place][2], self._bits[place])]
            arrays = Arrays(sources, targets, shapes, LOCATE(flags), UNRUN)
        else:
            targets = [members[place].__array_interface__["data"][0] for place in division.stored]
            shapes = [field for place in division.stored for field in (members[place].strides[0], self._bits[place])]
            arrays = Arrays(sources, targets, shapes, address_of(flags))
        sums = variant.point.run(rows, arrays, table, limits, checkpoint)
        for place, numbers in zip(division.summed, division.sums, strict=True):
            members[place].reshape(-1)[:] = sums[numbers]

    def _variant(self, shared: tuple[bool, ...], summed: tuple[int, ...], checkpoint: Checkpoint) -> Variant:
        """Return the tapes for a set of shared inputs and of summed outputs, assembled when first asked for."""
        key = (shared, summed)
        variant = self._variants.get(key)
        if variant is None:
            variant = Variant(self._graph, shared, summed, self._sets, checkpoint)
            with self._keeping:
                if len(self._variants) >= VARIANTS:
                    self._variants.pop(next(iter(self._variants)))
                self._variants[key] = variant
        return variant

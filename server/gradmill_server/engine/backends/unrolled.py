"""Functions of small arrays on the tape machine: unrolled into scalars, with a column for each element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.backends.native.tape import TapeExecutable
from gradmill_server.engine.backends.results import ResultGroup
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.ir import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.backends.native.levels import Level
    from gradmill_server.engine.backends.native.resident import ResidentRun
    from gradmill_server.engine.backends.results import ColumnResults, RowResults
    from gradmill_server.engine.ir import FloatArray, Graph
    from gradmill_server.engine.limits import Limits


class UnrolledExecutable:
    """A graph of arrays as a tape of scalars. Immutable; runs in many threads at once.

    Attributes:
        byte_size: bytes it occupies.
    """

    def __init__(
        self, scalars: Graph, groups: Sequence[ResultGroup], level: Level, checkpoint: Checkpoint = never
    ) -> None:
        """Assemble the tape of a graph that `scalarize` made.

        Args:
            scalars: the graph, with an input and an output for each element.
            groups: the outputs of the graph of arrays that it was made from, in order.
            level: the processor's.
            checkpoint: called every few milliseconds; may raise to stop.
        """
        self._groups = tuple(groups)
        self._tape = TapeExecutable(scalars, [_in_columns(group) for group in groups], level, checkpoint)
        self._dtype = scalars.element_type.dtype
        self.byte_size = self._tape.byte_size

    def evaluate_rows(self, matrix: FloatArray, limits: Limits, checkpoint: Checkpoint) -> RowResults:
        """Evaluate a matrix of points, as `Executable` says."""
        arrays, flags = self._tape.evaluate_rows(matrix, limits, checkpoint)
        return self._shaped(arrays), flags

    def resident(self, rows: int, limits: Limits) -> ResidentRun | None:
        """Return a run with memory of its own, as `ResidentExecutable` says."""
        run = self._tape.resident(rows, limits)
        if run is not None:
            run.arrays = self._shaped(run.arrays)
        return run

    def _shaped(self, arrays: Sequence[FloatArray]) -> list[FloatArray]:
        return [
            array if group.is_row else array.reshape(len(array), *group.shapes[0])
            for group, array in zip(self._groups, arrays, strict=True)
        ]

    def evaluate_columns(
        self, columns: Sequence[FloatArray], rows: int, limits: Limits, checkpoint: Checkpoint
    ) -> ColumnResults:
        """Evaluate points by input, as `Executable` says."""
        matrix = np.empty((rows, sum(size(values.shape[1:]) for values in columns)), self._dtype)
        first = 0
        for values in columns:
            count = size(values.shape[1:])
            matrix[:, first : first + count] = values.reshape(len(values), count)
            first += count
        arrays, flags = self._tape.evaluate_rows(matrix, limits, checkpoint)
        return [_members(group, array) for group, array in zip(self._groups, arrays, strict=True)], flags


def _in_columns(group: ResultGroup) -> ResultGroup:
    """Return a group of arrays as one of scalars: a row, unless it is one scalar by itself."""
    columns = sum(map(size, group.shapes))
    return ResultGroup(group.flag, ((),) * columns, group.is_row or group.shapes != ((),))


def _members(group: ResultGroup, array: FloatArray) -> list[FloatArray]:
    """Take a group's array apart."""
    flat = array.reshape(len(array), sum(map(size, group.shapes)))
    members: list[FloatArray] = []
    first = 0
    for shape in group.shapes:
        count = size(shape)
        members.append(np.ascontiguousarray(flat[:, first : first + count]).reshape(len(array), *shape))
        first += count
    return members

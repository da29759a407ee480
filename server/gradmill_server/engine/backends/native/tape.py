"""The tape machine: a graph of scalars as records over scratch, run by handlers that were compiled beforehand."""

from __future__ import annotations

import struct
from array import array
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from gradmill_server.engine.backends.native.addresses import DATA_OFFSET, LOCATE, UNRUN, address_of
from gradmill_server.engine.backends.native.assembler import assemble
from gradmill_server.engine.backends.native.frame import (
    BYTES_PER_LANE,
    CACHE_LINE_BYTES,
    FIELDS,
    FIELDS_PER_GROUP,
    PAUSED,
    Layout,
)
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.library import HandlerSet, library
from gradmill_server.engine.backends.native.linking import link
from gradmill_server.engine.backends.native.resident import ResidentRun
from gradmill_server.engine.backends.native.workspace import Workspace, give_back, take_workspace
from gradmill_server.engine.backends.results import scratch_too_large
from gradmill_server.engine.checkpoints import Checkpoint, never

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradmill_server.engine.backends.results import ColumnResults, ResultGroup, RowResults
    from gradmill_server.engine.ir import FloatArray, Graph
    from gradmill_server.engine.limits import Limits

WIDE_SCRATCH_BYTES: Final = 32 * 1024 * 1024
"""Scratch above which blocks are narrower.

Measured on graphs of 1,000 to 400,000 values: a block of 64 points beats narrower ones as long as its scratch is in a
cache of any level. Beyond the second, waiting costs less than four or eight times as many jumps that are guessed wrong.
"""

_BUDGET_PER_LANE: Final = 200_000
"""What a block may cost, in additions, between two checkpoints: about a millisecond at any width."""

_RUN_FIELDS: Final = FIELDS.index("points")
RUN: Final = struct.Struct(f"={_RUN_FIELDS}q")
"""The fields of a frame that differ from one run of a call to the next; from `points` on they are its arrays."""

_VECTOR: Final = -1
"""Stands for the number of columns of an array of results that has one axis only."""

_BRIEF_VALUES = 16_384
"""Values that are computed in some microseconds: less than it may take to get the interpreter lock back."""

_RESIDENT_BYTES = 64 * 1024
"""Scratch of a run that keeps its memory: there may be hundreds of them."""

_empty, _zeros, _contiguous = np.empty, np.zeros, np.ascontiguousarray
_UINT8 = np.dtype(np.uint8)


class _Linked:
    """A tape fitted to a width of block.

    Attributes:
        lanes: points in a block.
        for_rest: the handlers for each number of points up to that.
        tape: the address of the first record.
        scratch_bytes: what a block needs.
    """

    __slots__ = ("_words", "for_rest", "lanes", "scratch_bytes", "tape")

    def __init__(
        self, sets: Sequence[HandlerSet], lanes: int, words: npt.NDArray[np.int32], scratch_bytes: int
    ) -> None:
        """Keep the words for blocks of so many lanes, and find the handlers for each number of points up to that."""
        self._words = words
        self.lanes = lanes
        self.for_rest = [next(each for each in sets if each.lanes >= rest) for rest in range(lanes + 1)]
        self.tape = address_of(words)
        self.scratch_bytes = scratch_bytes

    def parts(self, rows: int) -> Sequence[tuple[HandlerSet, int, int]]:
        """Cut a batch into full blocks and a rest that fits narrower ones, each with the handlers it is run by."""
        if rows <= self.lanes:
            return ((self.for_rest[rows], 0, rows),)
        widest, rest = self.for_rest[-1], rows % self.lanes
        if self.for_rest[rest] is widest or not rest:
            return ((widest, 0, rows),)
        return ((widest, 0, rows - rest), (self.for_rest[rest], rows - rest, rows))


def stride_of(lanes: int, element_bytes: int = BYTES_PER_LANE) -> int:
    """Return the bytes from one slot to the next: an odd number of lines of cache.

    Slots a power of two apart would fall on the same few lines of the first-level cache (measured: 1.7 to 2.2 times
    slower).
    """
    lines = lanes * element_bytes // CACHE_LINE_BYTES
    return (lines | 1) * CACHE_LINE_BYTES


class TapeExecutable:
    """A graph as a tape. Immutable; runs in many threads at once, each with scratch of its own.

    Attributes:
        byte_size: bytes it occupies.
        slots: values held at a time for each point.
    """

    def __init__(
        self, graph: Graph, groups: Sequence[ResultGroup], level: Level, checkpoint: Checkpoint = never
    ) -> None:
        """Assemble the tape of a graph whose outputs are those of the groups, one after the other.

        The level is that of the processor; the graph says the element type.
        Every value must be a scalar and every operation have machine code. The checkpoint is called every few
        milliseconds and may raise to stop.
        """
        self._columns = [len(group.shapes) for group in groups]
        if any(len(group.shapes) != 1 for group in groups if not group.is_row):
            message = "only a row has more or fewer than one column"
            raise ValueError(message)
        self._element_type = graph.element_type
        self._dtype, self._element_bytes = self._element_type.dtype, self._element_type.size
        self._flags = [group.flag for group in groups]
        self._row_columns = [len(group.shapes) if group.is_row else _VECTOR for group in groups]
        strides = [columns * self._element_bytes for columns in self._columns]
        self._row_shapes = tuple(chain(*zip(strides, self._flags, strict=True)))
        self._inputs = len(graph.inputs)
        self._point_bytes = self._inputs * self._element_bytes
        self._library = library(level.of(self._element_type))  # its code has to live as long as this
        self._sets = self._library.sets
        self._tape = assemble(graph, self._columns, checkpoint)
        self._constants = address_of(self._tape.constants)
        self._frame = struct.Struct(f"={len(FIELDS) + FIELDS_PER_GROUP * len(groups)}q")
        self.slots = self._tape.slots
        # A block is computed whole, however few of its points there are.
        self._brief_points = _BRIEF_VALUES // max(1, len(self._tape.begins))
        self._linked: dict[int, _Linked] = {}
        self._preferred = self._within(WIDE_SCRATCH_BYTES)
        words = self._tape.words.nbytes
        self.byte_size = 2 * words + self._tape.begins.nbytes + self._tape.constants.nbytes

    def evaluate_rows(self, matrix: FloatArray, limits: Limits, checkpoint: Checkpoint) -> RowResults:
        """Evaluate a matrix of points, as `Executable` says."""
        linked = self._allowed(limits)
        rows = len(matrix)
        held = _contiguous(matrix, self._dtype)
        if held.shape != (rows, self._inputs):
            raise misshapen(held.shape, (rows, self._inputs))
        arrays = self._results(rows)
        flags = _zeros(rows, _UINT8)
        given = (LOCATE(held), self._point_bytes, 0, LOCATE(flags), 0)
        self._run(linked, Layout.ROWS, rows, given, (*map(LOCATE, arrays), *self._row_shapes), checkpoint)
        del held  # until here the points had to live
        return arrays, flags

    def resident(self, rows: int, limits: Limits) -> ResidentRun | None:
        """Return a run for so many points with memory of its own; None where that would save nothing."""
        linked = self._allowed(limits)
        if not 0 < rows <= linked.lanes or not self._inputs or linked.scratch_bytes > _RESIDENT_BYTES:
            return None
        ((handlers, start, stop),) = linked.parts(rows)
        if max(rows, handlers.lanes) > self._brief_points:
            return None
        points = _empty((rows, self._inputs), self._dtype)
        arrays, flags = self._results(rows), _zeros(rows, _UINT8)
        workspace = Workspace(linked.scratch_bytes, self._frame.size)
        code = (linked.tape, linked.tape, workspace.scratch)
        run = (handlers.tables[Layout.ROWS], self._constants, start, stop, 0, UNRUN)
        given = (LOCATE(points), self._point_bytes, 0, LOCATE(flags), 0)
        counts = (len(self._columns), DATA_OFFSET)
        groups = (*map(LOCATE, arrays), *self._row_shapes)
        self._frame.pack_into(workspace.frame, 0, *code, *run, *given, *counts, *groups)
        return ResidentRun(points, arrays, flags, workspace, handlers.enter_briefly, _BUDGET_PER_LANE * handlers.lanes)

    def _results(self, rows: int) -> list[FloatArray]:
        """Return arrays for results in the layout ROWS, not filled."""
        return [
            _empty(rows, self._dtype) if columns == _VECTOR else _empty((rows, columns), self._dtype)
            for columns in self._row_columns
        ]

    def evaluate_columns(
        self, columns: Sequence[FloatArray], rows: int, limits: Limits, checkpoint: Checkpoint
    ) -> ColumnResults:
        """Evaluate points by input, as `Executable` says."""
        linked = self._allowed(limits)
        held = [_contiguous(values, self._dtype) for values in columns]
        if len(held) != self._inputs:
            raise misshapen((len(held),), (self._inputs,))
        whole, shared = (rows,), (1,)
        fields: list[int] = []
        for values in held:
            shape = values.shape
            if shape not in (whole, shared):
                raise misshapen(shape, whole)
            fields += (LOCATE(values), 0 if shape == shared else self._element_bytes)
        places = array("q", fields)
        arrays = [_empty(rows if count == 1 else (count, rows), self._dtype) for count in self._columns]
        flags = _zeros(rows, _UINT8)
        shapes = chain(*((rows * self._element_bytes, flag) for flag in self._flags))
        given = (0, 0, address_of(places), LOCATE(flags), len(held))
        self._run(linked, Layout.COLUMNS, rows, given, (*map(LOCATE, arrays), *shapes), checkpoint)
        return [[values] if values.ndim == 1 else list(values) for values in arrays], flags

    def _run(
        self,
        linked: _Linked,
        layout: Layout,
        rows: int,
        given: tuple[int, ...],
        groups: tuple[int, ...],
        checkpoint: Checkpoint,
    ) -> None:
        """Run wide blocks while there are points to fill them, then one that fits the rest.

        The numbers given are the frame's fields, from `points` to `column_count` and those of the groups.
        """
        if not rows:
            return
        workspace = take_workspace(linked.scratch_bytes, self._frame.size)
        frame, address = workspace.frame, workspace.frame_address
        code = (linked.tape, linked.tape, workspace.scratch)
        state = UNRUN
        for handlers, start, stop in linked.parts(rows):
            run = (handlers.tables[layout], self._constants, start, stop, 0, state)
            if state == UNRUN:
                counts = (len(self._columns), DATA_OFFSET)
                self._frame.pack_into(frame, 0, *code, *run, *given, *counts, *groups)
                state = PAUSED  # the arrays are found in the first run
            else:
                RUN.pack_into(frame, 0, *code, *run)
            budget = _BUDGET_PER_LANE * handlers.lanes
            brief = max(stop - start, handlers.lanes) <= self._brief_points
            enter = handlers.enter_briefly if brief else handlers.enter
            checkpoint()
            while enter(address, budget):
                checkpoint()
        give_back(workspace)

    def _within(self, scratch_bytes: int) -> _Linked:
        """Return the tape for the widest block whose scratch has no more bytes; for the narrowest if none has."""
        fitting = [each.lanes for each in self._sets if self.slots * self._stride(each.lanes) <= scratch_bytes]
        lanes = fitting[-1] if fitting else self._sets[0].lanes
        linked = self._linked.get(lanes)
        if linked is None:
            stride = self._stride(lanes)
            words = link(self._tape, stride, self._inputs, self._columns)
            linked = self._linked[lanes] = _Linked(self._sets, lanes, words, self.slots * stride)
        return linked

    def _stride(self, lanes: int) -> int:
        return stride_of(lanes, self._element_bytes)

    def _allowed(self, limits: Limits) -> _Linked:
        """Return the tape for the widest block that is preferred and allowed."""
        linked = self._preferred
        if linked.scratch_bytes > limits.maximum_scratch_bytes:
            linked = self._within(limits.maximum_scratch_bytes)
            if linked.scratch_bytes > limits.maximum_scratch_bytes:
                raise scratch_too_large(limits, linked.scratch_bytes)
        return linked


def misshapen(shape: tuple[int, ...], expected: tuple[int, ...]) -> ValueError:
    """Return the refusal of points that would be read beyond their end: a mistake of the program around the engine."""
    return ValueError(f"points have shape {shape}, expected {expected}")

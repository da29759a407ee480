"""The tape machine: a graph of scalars as records over scratch, run by handlers that were compiled beforehand."""

from __future__ import annotations

import ctypes
import struct
import threading
from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from gradmill_server.engine.backends.native.addresses import DATA_OFFSET, LOCATE, UNRUN, address_of
from gradmill_server.engine.backends.native.assembler import assemble
from gradmill_server.engine.backends.native.frame import FIELDS, FIELDS_PER_GROUP, PAUSED, Layout
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.library import HandlerSet, library
from gradmill_server.engine.backends.native.linking import link
from gradmill_server.engine.backends.results import scratch_too_large
from gradmill_server.engine.checkpoints import Checkpoint, never

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradmill_server.engine.backends.results import ResultGroup, Results
    from gradmill_server.engine.ir import FloatArray, Graph
    from gradmill_server.engine.limits import Limits
    from gradmill_server.engine.points import PointBatch

_BYTES_PER_LANE: Final = 8
_CACHE_LINE: Final = 64
_WIDE_SCRATCH_BYTES: Final = 32 * 1024 * 1024
"""Scratch above which blocks are narrower.

Measured on graphs of 1,000 to 400,000 values: a block of 64 points beats narrower ones as long as its scratch is in a
cache of any level. Beyond the second, waiting costs less than four or eight times as many jumps that are guessed wrong.
"""

_BUDGET_PER_LANE: Final = 200_000
"""What a block may cost, in additions, between two checkpoints: about a millisecond at any width."""

_KEPT_SCRATCH_BYTES: Final = _WIDE_SCRATCH_BYTES
"""Scratch that a thread keeps for its next run; more is given back."""


_RUN_FIELDS: Final = FIELDS.index("points")
"""How many fields of a frame differ from one run of a call to the next; from `points` on they are its arrays."""

_RUN: Final = struct.Struct(f"={_RUN_FIELDS}q")


class _Workspace:
    """What a run writes to besides its results. All programs of a thread share one: of those no cache counts.

    Attributes:
        scratch: the address of the scratch, aligned to a line of cache.
        scratch_bytes: its size from there.
        frame: the frame.
        frame_address: where it lies.
    """

    __slots__ = ("_memory", "frame", "frame_address", "scratch", "scratch_bytes")

    def __init__(self, scratch_bytes: int, frame_bytes: int) -> None:
        """Take memory. What scratch holds is never read before it is written."""
        self._memory = ctypes.create_string_buffer(scratch_bytes + _CACHE_LINE)
        self.scratch = -(-ctypes.addressof(self._memory) // _CACHE_LINE) * _CACHE_LINE
        self.scratch_bytes = scratch_bytes
        self.frame = bytearray(frame_bytes)
        self.frame_address = address_of(self.frame)


class _Thread(threading.local):
    """One thread's workspace, while no run has it."""

    workspace: _Workspace | None = None


_THREAD: Final = _Thread()


class _Linked:
    """A tape fitted to a width of block.

    Attributes:
        tape: the address of the first record.
        scratch_bytes: what a block needs.
    """

    __slots__ = ("_for_rest", "_lanes", "_words", "scratch_bytes", "tape")

    def __init__(
        self, sets: Sequence[HandlerSet], lanes: int, words: npt.NDArray[np.int32], scratch_bytes: int
    ) -> None:
        """Keep the words for blocks of so many lanes, and find the handlers for each number of points up to that."""
        self._lanes = lanes
        self._words = words
        self._for_rest = [next(each for each in sets if each.lanes >= rest) for rest in range(lanes + 1)]
        self.tape = address_of(words)
        self.scratch_bytes = scratch_bytes

    def parts(self, rows: int) -> Sequence[tuple[HandlerSet, int, int]]:
        """Cut a batch into full blocks and a rest that fits narrower ones, each with the handlers it is run by."""
        if rows <= self._lanes:
            return ((self._for_rest[rows], 0, rows),)
        widest, rest = self._for_rest[-1], rows % self._lanes
        if self._for_rest[rest] is widest or not rest:
            return ((widest, 0, rows),)
        return ((widest, 0, rows - rest), (self._for_rest[rest], rows - rest, rows))


def stride_of(lanes: int) -> int:
    """Return the bytes from one slot to the next: an odd number of lines of cache.

    Slots a power of two apart would fall on the same few lines of the first-level cache (measured: 1.7 to 2.2 times
    slower).
    """
    lines = lanes * _BYTES_PER_LANE // _CACHE_LINE
    return (lines | 1) * _CACHE_LINE


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

        Every value must be a scalar and every operation have machine code. The checkpoint is called every few
        milliseconds and may raise to stop.
        """
        self._columns = [len(group.shapes) for group in groups]
        self._groups = [(group.is_row, len(group.shapes), group.flag) for group in groups]
        self._inputs = len(graph.inputs)
        self._point_bytes = self._inputs * _BYTES_PER_LANE
        self._sets = library(level).sets
        self._tape = assemble(graph, self._columns, checkpoint)
        self._constants = address_of(self._tape.constants)
        self._given = struct.Struct(f"={len(FIELDS) + FIELDS_PER_GROUP * len(groups) - _RUN_FIELDS}q")
        self.slots = self._tape.slots
        self._linked: dict[int, _Linked] = {}
        self._preferred = self._within(_WIDE_SCRATCH_BYTES)
        words = self._tape.words.nbytes
        self.byte_size = 2 * words + self._tape.begins.nbytes + self._tape.constants.nbytes

    def evaluate(self, points: PointBatch, limits: Limits, checkpoint: Checkpoint) -> Results:
        """Evaluate a batch of points: wide blocks while there are points to fill them, then one that fits the rest.

        Args:
            points: the points.
            limits: of scratch.
            checkpoint: called every few milliseconds; may raise to stop.

        Raises:
            LimitExceeded: when the narrowest block needs more scratch than allowed.
        """
        linked = self._preferred
        if linked.scratch_bytes > limits.maximum_scratch_bytes:
            linked = self._allowed(limits)
        rows = points.count
        flags = np.zeros(rows, dtype=np.uint8)
        if points.matrix is None:
            layout = Layout.COLUMNS
            arrays, fields = self._columns_of_results(rows)
            held, columns = _columns_of_points(points.arrays)
            given = (0, 0, columns)
        else:
            layout = Layout.ROWS
            arrays, fields = self._rows_of_results(rows)
            held = np.ascontiguousarray(points.matrix, np.float64)
            given = (LOCATE(held), self._point_bytes, 0)
        if not rows:
            return arrays, flags
        counts = (LOCATE(flags), len(points.arrays), len(self._groups), DATA_OFFSET)
        workspace = self._workspace(linked)
        code = (linked.tape, linked.tape, workspace.scratch)
        self._given.pack_into(workspace.frame, _RUN.size, *given, *counts, *fields)
        state = UNRUN
        for handlers, start, stop in linked.parts(rows):
            run = (handlers.tables[layout], self._constants, start, stop, 0, state)
            _RUN.pack_into(workspace.frame, 0, *code, *run)
            state = PAUSED  # the arrays are found in the first run
            budget = _BUDGET_PER_LANE * handlers.lanes
            checkpoint()
            while handlers.enter(workspace.frame_address, budget):
                checkpoint()
        if workspace.scratch_bytes <= _KEPT_SCRATCH_BYTES:
            _THREAD.workspace = workspace
        del held  # until here the callers' arrays had to live
        return arrays, flags

    def _within(self, scratch_bytes: int) -> _Linked:
        """Return the tape for the widest block whose scratch has no more bytes; for the narrowest if none has."""
        fitting = [each.lanes for each in self._sets if self.slots * stride_of(each.lanes) <= scratch_bytes]
        lanes = fitting[-1] if fitting else self._sets[0].lanes
        linked = self._linked.get(lanes)
        if linked is None:
            stride = stride_of(lanes)
            words = link(self._tape, stride, self._inputs, self._columns)
            linked = self._linked[lanes] = _Linked(self._sets, lanes, words, self.slots * stride)
        return linked

    def _allowed(self, limits: Limits) -> _Linked:
        linked = self._within(limits.maximum_scratch_bytes)
        if linked.scratch_bytes > limits.maximum_scratch_bytes:
            raise scratch_too_large(limits, linked.scratch_bytes)
        return linked

    def _workspace(self, linked: _Linked) -> _Workspace:
        """Take the thread's workspace, or a new one where it is too small or a run has it already."""
        workspace = _THREAD.workspace
        _THREAD.workspace = None
        needed, frame_bytes = linked.scratch_bytes, _RUN.size + self._given.size
        if workspace is None or workspace.scratch_bytes < needed or len(workspace.frame) < frame_bytes:
            return _Workspace(needed, frame_bytes)
        return workspace

    def _rows_of_results(self, rows: int) -> tuple[list[list[FloatArray]], list[int]]:
        """Return each group as one array, and for handlers where it lies, its stride from row to row and its flag."""
        arrays: list[list[FloatArray]] = []
        fields: list[int] = []
        for is_row, columns, flag in self._groups:
            whole = np.empty((rows, columns)) if is_row else np.empty(rows)
            arrays.append([whole])
            fields += (LOCATE(whole), columns * _BYTES_PER_LANE, flag)
        return arrays, fields

    def _columns_of_results(self, rows: int) -> tuple[list[list[FloatArray]], list[int]]:
        """Return each group's arrays, and for handlers where they lie, the stride from one to the next and the flag."""
        arrays: list[list[FloatArray]] = []
        fields: list[int] = []
        for _, columns, flag in self._groups:
            whole = np.empty((columns, rows))
            arrays.append([whole[0]] if columns == 1 else list(whole))
            fields += (LOCATE(whole), rows * _BYTES_PER_LANE, flag)
        return arrays, fields


def _columns_of_points(arrays: Sequence[FloatArray]) -> tuple[object, int]:
    """Return what must live until the points are read, and the address of where each column lies and its step."""
    contiguous = [np.ascontiguousarray(values, np.float64) for values in arrays]
    columns = array("q")
    for values in contiguous:
        columns.extend((LOCATE(values), _BYTES_PER_LANE if len(values) > 1 else 0))
    return (contiguous, columns), address_of(columns)

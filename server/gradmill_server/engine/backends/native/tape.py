"""The tape machine: a graph of scalars as records over scratch, run by handlers that were compiled beforehand."""

from __future__ import annotations

import ctypes
import threading
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gradmill_server.engine.backends.native.assembler import assemble
from gradmill_server.engine.backends.native.frame import BUDGET, PAUSED, Layout
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.library import HandlerSet, library
from gradmill_server.engine.backends.native.linking import link
from gradmill_server.engine.backends.results import ResultGroup, Results, scratch_too_large

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import FloatArray, Graph
    from gradmill_server.engine.limits import Limits
    from gradmill_server.engine.points import PointBatch

_BYTES_PER_LANE: Final = 8
_CACHE_LINE: Final = 64
_WIDE_SCRATCH_BYTES: Final = 4 * 1024 * 1024
"""Scratch above which blocks are narrower: beyond the second-level cache (measured), within a share of the third."""

_BUDGET_PER_LANE: Final = 200_000
"""What a block may cost, in additions, between two checkpoints: about a millisecond at any width."""

_THREAD: Final = threading.local()


class _Linked(NamedTuple):
    """A tape fitted to a width of block.

    Attributes:
        widest: the handlers of that width.
        sets: the handlers of that width and of all narrower ones, the narrowest first.
        words: the records; here so that they live.
        tape: the address of the first record.
        scratch_bytes: what a block needs.
    """

    widest: HandlerSet
    sets: tuple[HandlerSet, ...]
    words: npt.NDArray[np.int32]
    tape: int
    scratch_bytes: int


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

    def __init__(self, graph: Graph, groups: Sequence[ResultGroup], level: Level) -> None:
        """Assemble the tape of a graph whose outputs are those of the groups, one after the other.

        Every value must be a scalar and every operation have machine code.
        """
        self._columns = [len(group.shapes) for group in groups]
        self._groups = [(group.is_row, len(group.shapes), group.flag) for group in groups]
        self._inputs = len(graph.inputs)
        self._sets = library(level).sets
        self._tape = assemble(graph, self._columns)
        self._constants = address_of(self._tape.constants)
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
        linked = self._allowed(limits)
        rows = points.count
        flags = np.zeros(rows, dtype=np.uint8)
        arrays, groups = self._allocate(rows, as_matrix=points.is_matrix)
        if not rows:
            return Results(arrays, flags)
        layout = Layout.ROWS if points.is_matrix else Layout.COLUMNS
        given, held = _given(points)
        scratch = _scratch(linked.scratch_bytes)
        marks = address_of(flags)
        for handlers, start, stop in _parts(rows, linked):
            budget = _BUDGET_PER_LANE * handlers.lanes
            code = (linked.tape, linked.tape, scratch, handlers.tables[layout], self._constants)
            frame = array("q", (*code, start, stop, budget, 1, *given, marks, *groups))
            address = address_of(frame)
            while frame[PAUSED]:
                checkpoint()
                frame[BUDGET] = budget
                handlers.enter(address)
        del held  # until here the callers' arrays had to live
        return Results(arrays, flags)

    def _within(self, scratch_bytes: int) -> _Linked:
        """Return the tape for the widest block whose scratch has no more bytes; for the narrowest if none has."""
        fitting = [each.lanes for each in self._sets if self.slots * stride_of(each.lanes) <= scratch_bytes]
        lanes = fitting[-1] if fitting else self._sets[0].lanes
        linked = self._linked.get(lanes)
        if linked is None:
            stride = stride_of(lanes)
            sets = tuple(each for each in self._sets if each.lanes <= lanes)
            words = link(self._tape, stride, self._inputs, self._columns)
            linked = _Linked(sets[-1], sets, words, address_of(words), self.slots * stride)
            self._linked[lanes] = linked
        return linked

    def _allowed(self, limits: Limits) -> _Linked:
        if self._preferred.scratch_bytes <= limits.maximum_scratch_bytes:
            return self._preferred
        linked = self._within(limits.maximum_scratch_bytes)
        if linked.scratch_bytes > limits.maximum_scratch_bytes:
            raise scratch_too_large(limits, linked.scratch_bytes)
        return linked

    def _allocate(self, rows: int, *, as_matrix: bool) -> tuple[list[list[FloatArray]], list[int]]:
        """Return the arrays of each group, and for handlers where each group lies, its stride and its flag."""
        arrays: list[list[FloatArray]] = []
        fields: list[int] = []
        for is_row, columns, flag in self._groups:
            if columns == 1 and not (is_row and as_matrix):
                whole = np.empty(rows)
                members, stride = [whole], 1
            elif is_row and as_matrix:
                whole = np.empty((rows, columns))
                members, stride = [whole], columns
            else:
                whole = np.empty((columns, rows))
                members, stride = list(whole), rows
            arrays.append(members)
            fields += (address_of(whole), stride * _BYTES_PER_LANE, flag)
        return arrays, fields


def _parts(rows: int, linked: _Linked) -> list[tuple[HandlerSet, int, int]]:
    """Cut a batch into full blocks and a rest, each with the handlers it is run by."""
    rest = rows % linked.widest.lanes
    full = rows - rest
    parts = [(linked.widest, 0, full)] if full else []
    if rest:
        parts.append((next(each for each in linked.sets if each.lanes >= rest), full, rows))
    return parts


def _given(points: PointBatch) -> tuple[tuple[int, int, int], object]:
    """Return where the points lie (matrix, bytes from row to row, columns), and what must live until they are read."""
    if points.matrix is not None:
        matrix = np.ascontiguousarray(points.matrix)
        return (address_of(matrix), matrix.shape[1] * _BYTES_PER_LANE, 0), matrix
    arrays = [np.ascontiguousarray(values) for values in points.arrays]
    columns = array("q")
    for values in arrays:
        columns.extend((address_of(values), _BYTES_PER_LANE if len(values) > 1 else 0))
    return (0, 0, address_of(columns)), (arrays, columns)


def address_of(memory: array[int] | npt.NDArray[np.generic]) -> int:
    """Return where an array's elements lie; 0 when it has none."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(memory))  # type: ignore[arg-type]  # arrays are buffers
    except TypeError:  # read-only, such as the bytes of a request: NumPy knows, four times slower
        return int(np.asarray(memory).__array_interface__["data"][0])
    except ValueError:  # empty
        return 0


def _scratch(needed: int) -> int:
    """Return the address of this thread's scratch, grown to the bytes needed; what it holds is left from earlier runs.

    All programs of a thread share it: one for each would hold memory that no cache counts.
    """
    held: ctypes.Array[ctypes.c_char] | None = getattr(_THREAD, "scratch", None)
    if held is None or len(held) < needed + _CACHE_LINE:
        held = _THREAD.scratch = ctypes.create_string_buffer(needed + _CACHE_LINE)
    return -(-ctypes.addressof(held) // _CACHE_LINE) * _CACHE_LINE

"""The tape machine: a graph of scalars as records over scratch, run by handlers that were compiled beforehand."""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.backends.native.handlers import (
    LANE_QUANTUM,
    OPERAND_FIELDS,
    RECORD,
    HandlerLibrary,
    library,
)
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.slots import plan_slots

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import FloatArray, Graph

_BYTES_PER_LANE = 8
_SCRATCH_TARGET_BYTES = 256 * 1024
"""What a block's scratch should fit in: half of a common second-level cache."""

_WIDEST_BLOCK = 1024
_LANES_PER_SLICE = 2_000_000
"""Records times lanes between two checkpoints: one to two milliseconds."""

_THREAD = threading.local()


class TapeExecutable:
    """A graph as a tape. Immutable; runs in many threads at once, each with scratch of its own.

    Attributes:
        fewest_points: points whose values are held at a time, however few are asked for.
        byte_size: bytes it occupies.
        scratch_bytes_per_point: bytes of values alive at once, for one point.
    """

    fewest_points = LANE_QUANTUM

    def __init__(self, graph: Graph, level: Level) -> None:
        """Assemble the tape. Every value must be a scalar and every operation have machine code."""
        handlers = library(level)
        plan = plan_slots(graph)
        self._slots = plan.slot_count
        self._inputs = len(graph.inputs)
        self._widest = _widest_block(plan.slot_count)
        self._tape, starts = _assemble(graph, plan.slot_of, handlers, _LANES_PER_SLICE // self._widest)
        self._slices = [self._tape.ctypes.data + start * RECORD.itemsize for start in starts]
        self._enter = handlers.enter
        constants = [(plan.slot_of[index], node) for index, node in enumerate(graph.nodes) if node.is_constant]
        self._constant_slots = np.array([slot for slot, _ in constants], dtype=np.intp)
        self._constants = np.array([float(node.constant_array()) for _, node in constants])
        self._results = np.array([plan.slot_of[output.node] for output in graph.outputs], dtype=np.intp)
        self.scratch_bytes_per_point = plan.slot_count * _BYTES_PER_LANE
        self.byte_size = self._tape.nbytes + self._constants.nbytes * 2 + self._results.nbytes

    def run(self, inputs: Sequence[FloatArray], rows: int, checkpoint: Checkpoint) -> list[FloatArray]:
        """Evaluate one batch of points, a block of lanes at a time.

        Args:
            inputs: for each input an array [rows], or [1] when all points share it.
            rows: the number of points.
            checkpoint: called every few milliseconds; may raise to stop.

        Returns:
            For each output an array [rows].
        """
        columns = np.empty((self._inputs, rows))
        for column, values in zip(columns, inputs, strict=True):
            column[:] = values
        results = np.empty((len(self._results), rows))
        lanes = _lanes_of_a_block(rows, self._widest)
        buffer = _scratch(self._slots * lanes * _BYTES_PER_LANE)
        scratch = np.frombuffer(memoryview(buffer), count=self._slots * lanes).reshape(self._slots, lanes)
        scratch[self._constant_slots] = self._constants[:, np.newaxis]
        address = ctypes.addressof(buffer)
        for start in range(0, rows, lanes):
            used = min(lanes, rows - start)
            scratch[: self._inputs, :used] = columns[:, start : start + used]
            for record in self._slices:
                checkpoint()
                self._enter(record, address, lanes * _BYTES_PER_LANE)
            results[:, start : start + used] = scratch[self._results, :used]
        return list(results)


def _scratch(needed: int) -> ctypes.Array[ctypes.c_char]:
    """Return this thread's scratch, grown to the bytes needed; lanes that hold no point hold what was left there.

    All programs of a thread share it: one for each would hold memory that no cache counts.
    """
    held: ctypes.Array[ctypes.c_char] | None = getattr(_THREAD, "scratch", None)
    if held is None or len(held) < needed:
        held = _THREAD.scratch = ctypes.create_string_buffer(max(1, needed))
    return held


def _widest_block(slots: int) -> int:
    """Return how many lanes keep the scratch in cache, as a multiple of the quantum."""
    fitting = _SCRATCH_TARGET_BYTES // (_BYTES_PER_LANE * max(1, slots))
    return max(LANE_QUANTUM, min(_WIDEST_BLOCK, fitting // LANE_QUANTUM * LANE_QUANTUM))


def _lanes_of_a_block(rows: int, widest: int) -> int:
    """Return the width that cuts the points into equal blocks: an odd multiple of the quantum.

    Slots a power of two apart would fall on the same few lines of the first-level cache (measured: 1.7 to 2.2 times
    slower).
    """
    blocks = max(1, -(-rows // widest))
    quanta = -(-rows // (blocks * LANE_QUANTUM))
    return max(1, quanta | 1) * LANE_QUANTUM


def _assemble(
    graph: Graph, slot_of: Sequence[int], handlers: HandlerLibrary, records_per_slice: int
) -> tuple[npt.NDArray[np.void], list[int]]:
    """Return the records, cut into slices that each end in a return, and where each slice starts."""
    handler_of: list[int] = []
    slots: list[list[int]] = [[], [], [], []]
    starts = [0]
    for index, node in enumerate(graph.nodes):
        if not node.arguments:
            continue
        if len(handler_of) - starts[-1] >= records_per_slice:
            handler_of.append(handlers.return_address)
            for column in slots:
                column.append(0)
            starts.append(len(handler_of))
        handler_of.append(handlers.addresses[node.operation])
        places = [slot_of[index], *(slot_of[argument] for argument in node.arguments)]
        for position, column in enumerate(slots):
            column.append(places[position] if position < len(places) else 0)
    tape = np.zeros(len(handler_of) + 1, dtype=RECORD)
    tape["handler"][:-1] = handler_of
    tape["handler"][-1] = handlers.return_address
    for field, column in zip(("result", *OPERAND_FIELDS), slots, strict=True):
        tape[field][:-1] = column
    return tape, starts

"""A tape and what runs it: the widths of block it suits, its blocks one after the other, and sums over points."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gradmill_server.engine.backends.native.addresses import DATA_OFFSET, address_of
from gradmill_server.engine.backends.native.array_tape.library import ArrayHandlerSet
from gradmill_server.engine.backends.native.array_tape.linking import link_arrays
from gradmill_server.engine.backends.native.array_tape.sums import BYTES_OF_SUM, LANES_OF_SUM
from gradmill_server.engine.backends.native.frame import FIELDS, FIELDS_PER_GROUP, PAUSED
from gradmill_server.engine.backends.native.tape import RUN, stride_of
from gradmill_server.engine.backends.native.workspace import give_back, take_workspace
from gradmill_server.engine.backends.results import scratch_too_large
from gradmill_server.engine.checkpoints import Checkpoint
from gradmill_server.engine.ir import FloatArray

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradmill_server.engine.backends.native.array_tape.writer import ArrayTape
    from gradmill_server.engine.limits import Limits

WIDE_SCRATCH_BYTES: Final = 768 * 1024
"""Scratch above which blocks are narrower: three quarters of a second-level cache of today's machines.

A record goes through whole arrays, so that what it reads has left a smaller cache by the next one.
"""

_BUDGET_PER_LANE: Final = 200_000
"""What a block may cost, in additions, between two checkpoints: about a millisecond at any width."""

POINTS_PER_SUM: Final = 8192
"""Points whose sum is taken by itself, before it is added to that of those before."""


class Arrays(NamedTuple):
    """The arrays of points and results of a run.

    Attributes:
        sources: for each array of points its address and the bytes from one point to the next, one after the other.
        targets: the address of each array of results.
        shapes: for each array of results the bytes from one point to the next, and the bit that marks a point with a
            value that is not finite, one after the other.
        flags: the address of a uint8 for each point.
        state: `PAUSED` where these are addresses of elements, `UNRUN` where they are what `LOCATE` gives.
    """

    sources: Sequence[int]
    targets: Sequence[int]
    shapes: Sequence[int]
    flags: int
    state: int = PAUSED


class LinkedTape:
    """A tape and what runs it, fitted to widths of block as they are needed.

    Attributes:
        tape: the tape.
    """

    def __init__(self, tape: ArrayTape, sets: Sequence[ArrayHandlerSet]) -> None:
        """Keep a tape for these widths of block."""
        self.tape = tape
        self._sets = sets
        self._frame = struct.Struct(f"={len(FIELDS) + FIELDS_PER_GROUP * len(tape.targets)}q")
        self._words: dict[int, tuple[npt.NDArray[np.int32], int]] = {}

    @property
    def byte_size(self) -> int:
        """Bytes it occupies, with the words for two widths of block."""
        tape = self.tape
        return 3 * (tape.words.nbytes + tape.tables.nbytes) + tape.begins.nbytes

    def needed(self, lanes: int) -> int:
        """Return the bytes of scratch that blocks of so many lanes need."""
        return self.tape.slots * stride_of(lanes) + self.tape.sums * BYTES_OF_SUM

    def run(self, rows: int, arrays: Arrays, table: FloatArray, limits: Limits, checkpoint: Checkpoint) -> FloatArray:
        """Run all points, wide blocks first; return the sums over points [elements].

        Args:
            rows: the number of points, at least one.
            arrays: where they are, and where results go; they have to live until this returns.
            table: the uniform values.
            limits: of scratch.
            checkpoint: called every few milliseconds; may raise to stop.

        Raises:
            LimitExceeded: when the smallest block of points needs more scratch than allowed.
        """
        wide = self._widest(rows, limits)
        lanes = wide.lanes
        stride = stride_of(lanes)
        words, tape = self._linked(lanes, stride)
        workspace = take_workspace(self.needed(lanes), self._frame.size)
        frame, address = workspace.frame, workspace.frame_address
        places = array("q", arrays.sources)
        count = self.tape.sums
        sums = workspace.floats(self.tape.slots * stride, count * LANES_OF_SUM).reshape(count, LANES_OF_SUM)
        totals = np.zeros(count)
        code = (tape, tape, workspace.scratch)
        constants, state = address_of(table), arrays.state
        for begin in range(0, rows, POINTS_PER_SUM if count else rows):
            end = min(begin + POINTS_PER_SUM, rows) if count else rows
            if count:
                sums.fill(0.0)
            for handlers, start, stop in self._blocks(wide, begin, end):
                run = (*code, handlers.table, constants, start, stop, 0, state)
                if begin == start == 0:
                    fixed = (0, 0, address_of(places), arrays.flags, len(places) // 2, len(arrays.targets), DATA_OFFSET)
                    self._frame.pack_into(frame, 0, *run, *fixed, *arrays.targets, *arrays.shapes)
                    state = PAUSED  # the arrays are found in the first run
                else:
                    RUN.pack_into(frame, 0, *run)
                checkpoint()
                while handlers.enter(address, _BUDGET_PER_LANE * handlers.lanes):
                    checkpoint()
            if count:
                with np.errstate(all="ignore"):
                    totals += _halved(sums)
        give_back(workspace)
        del words  # until here they had to live
        return totals

    def _linked(self, lanes: int, stride: int) -> tuple[npt.NDArray[np.int32], int]:
        """Return the words for blocks of so many lanes, and where they lie."""
        linked = self._words.get(lanes)
        if linked is None:
            words = link_arrays(self.tape, stride)
            linked = self._words[lanes] = (words, address_of(words))
        return linked

    def _widest(self, rows: int, limits: Limits) -> ArrayHandlerSet:
        """Return the handlers of the widest block that its scratch and the number of points suggest."""
        chosen = self._sets[0]
        needed = self.needed(chosen.lanes)
        if needed > limits.maximum_scratch_bytes:
            raise scratch_too_large(limits, needed)
        # Each block goes through all sums, so that narrow blocks would save nothing where these are the larger part.
        wide = max(WIDE_SCRATCH_BYTES, self.tape.sums * BYTES_OF_SUM)
        for each in self._sets[1:]:
            fits = self.tape.slots * stride_of(each.lanes) <= wide
            if chosen.lanes < rows and fits and self.needed(each.lanes) <= limits.maximum_scratch_bytes:
                chosen = each
        return chosen

    def _blocks(self, wide: ArrayHandlerSet, start: int, stop: int) -> list[tuple[ArrayHandlerSet, int, int]]:
        """Cut points into full blocks and a rest that fits narrower ones, each with the handlers it is run by."""
        rest = (stop - start) % wide.lanes
        narrow = next(each for each in self._sets if each.lanes >= rest)
        whole = stop if narrow is wide or not rest else stop - rest
        parts = ((wide, start, whole), (narrow, whole, stop))
        return [part for part in parts if part[1] < part[2]]


def _halved(partial: FloatArray) -> FloatArray:
    """Return the sums of eight partial sums [elements, 8] in halving order."""
    lanes = np.ascontiguousarray(partial.T)
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    total: FloatArray = lanes[0]
    return total

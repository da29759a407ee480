"""Writes the records of an array tape: large ones in parts, and places between them where a run may stop."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gradmill_server.engine.backends.native.array_tape.records import END, PAUSE, TABLE_WORD

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradmill_server.engine.checkpoints import Checkpoint

LARGEST_COST: Final = 50_000
"""What a record should cost at most for each lane, in additions: some tenth of a millisecond."""

_COST_OF_RECORD: Final = 4


class ArrayTape(NamedTuple):
    """A program for the array tape, not yet fitted to a width of block.

    Attributes:
        words: the records, int32, with slots by number, uniform values and sums by theirs.
        begins: where each record begins.
        tables: the slots that records with a table refer to, one after the other.
        slots: how many slots of scratch it needs.
        uniforms: how many uniform values it reads.
        sums: how many elements are summed over points.
        sources: columns of each array of points that is read.
        targets: columns of each array of results.
    """

    words: npt.NDArray[np.int32]
    begins: npt.NDArray[np.int64]
    tables: npt.NDArray[np.int32]
    slots: int
    uniforms: int
    sums: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]


class TapeWriter:
    """Grows a tape."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Start empty; the checkpoint is called every few milliseconds."""
        self._checkpoint = checkpoint
        self._words = array("i")
        self._begins = array("q")
        self._tables = array("i")
        self._cost = 0

    def record(self, kind: int, words: Iterable[int], cost: int) -> None:
        """Write a record that costs so many additions for each lane."""
        self._begins.append(len(self._words))
        self._words.append(kind)
        self._words.extend(words)
        self._cost += cost + _COST_OF_RECORD
        if self._cost >= LARGEST_COST:
            self._checkpoint()
            self._write(PAUSE)

    def with_table(self, kind: int, words: Sequence[int], slots: npt.NDArray[np.int64]) -> None:
        """Write a record that goes through a table of slots; its words come before that of the table."""
        if 1 + len(words) != TABLE_WORD:
            message = "a table comes after its count, a slot and a step"
            raise ValueError(message)
        place = len(self._tables)
        self._tables.frombytes(slots.astype(np.int32).tobytes())
        self.record(kind, (*words, place), 2 * len(slots))

    def finished(
        self, slots: int, uniforms: int, sums: int, sources: Sequence[int], targets: Sequence[int]
    ) -> ArrayTape:
        """Return the tape, ended."""
        self._write(END)
        return ArrayTape(
            np.array(self._words, dtype=np.int32),
            np.array(self._begins, dtype=np.int64),
            np.array(self._tables, dtype=np.int32),
            slots,
            uniforms,
            sums,
            tuple(sources),
            tuple(targets),
        )

    def _write(self, kind: int) -> None:
        self._begins.append(len(self._words))
        self._words.extend((kind, self._cost + 1))
        self._cost = 0


def cut(count: int, cost_of_each: int) -> list[tuple[int, int]]:
    """Cut a number of equal things into parts, each by its first and their number, that a record can cost at most."""
    size = max(1, LARGEST_COST // max(1, cost_of_each))
    return [(first, min(size, count - first)) for first in range(0, count, size)]

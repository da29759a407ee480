"""From an array tape with slots by number to one that handlers run: every word checked, every place in bytes.

Handlers trust their words, so that nothing is checked while they run; everything is checked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gradmill_server.engine.backends.native.array_tape.records import (
    END,
    GATHER,
    KINDS,
    LOAD,
    NEXT,
    SCATTER,
    STORE,
    TABLE_WORD,
)
from gradmill_server.engine.backends.native.array_tape.sums import BYTES_OF_SUM
from gradmill_server.engine.backends.native.frame import BYTES_PER_LANE
from gradmill_server.engine.backends.native.handler_text import BYTES_PER_WORD
from gradmill_server.engine.backends.native.linking import BrokenTape, Part

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradmill_server.engine.backends.native.array_tape.records import Access, Kind
    from gradmill_server.engine.backends.native.array_tape.writer import ArrayTape

_LENGTHS: Final = np.array([kind.length for kind in KINDS], dtype=np.int64)
_BOUND_OTHERWISE: Final = (LOAD, STORE, GATHER, SCATTER)
_LARGEST_OFFSET: Final = 2**31 - 1
_PART_OF: Final = {"s": Part.SLOT, "u": Part.CONSTANT, "a": Part.SUM}


def link_arrays(tape: ArrayTape, stride: int) -> npt.NDArray[np.int32]:
    """Return the words of a tape whose slots lie `stride` bytes apart, its tables after its records.

    Args:
        tape: as assembled.
        stride: bytes from one slot to the next.

    Raises:
        BrokenTape: for a tape that would read or write outside its memory or its caller's arrays.
    """
    kinds = _checked_kinds(tape)
    sums = tape.slots * stride
    last = max(sums + tape.sums * BYTES_OF_SUM, tape.uniforms * BYTES_PER_LANE, tape.words.nbytes + tape.tables.nbytes)
    if last > _LARGEST_OFFSET:
        raise BrokenTape(Part.SCRATCH)
    limits = {"s": tape.slots, "u": tape.uniforms, "a": tape.sums}
    scales = {"s": (stride, 0), "u": (BYTES_PER_LANE, 0), "a": (BYTES_OF_SUM, sums)}
    _check_range(tape.tables, tape.slots, Part.SLOT)
    words = tape.words.copy()
    for place in np.unique(kinds).tolist():
        begins = tape.begins[kinds == place]
        kind = KINDS[place]
        rows = tape.words[begins[:, np.newaxis] + np.arange(kind.length)].astype(np.int64)
        _check_counts(rows, kind)
        for access in kind.accesses:
            _check_access(rows, access, limits[access.space])
        if place in {LOAD, STORE}:
            _check_columns(rows, tape.sources if place == LOAD else tape.targets)
        for access in kind.accesses:
            scale, base = scales[access.space]
            rows[:, access.start] = rows[:, access.start] * scale + base
            for step in {step for _, step in access.axes} - {NEXT}:
                rows[:, step] *= scale
        if place in {GATHER, SCATTER}:
            _check_table(rows, len(tape.tables))
            rows[:, TABLE_WORD] = (rows[:, TABLE_WORD] + len(tape.words) - begins) * BYTES_PER_WORD
        words[begins[:, np.newaxis] + np.arange(kind.length)] = rows
    return np.concatenate([words, (tape.tables.astype(np.int64) * stride).astype(np.int32)])


def _checked_kinds(tape: ArrayTape) -> npt.NDArray[np.int64]:
    """Return the kind of every record; records follow one another without a gap, and the last one ends the block."""
    begins = tape.begins
    if not len(begins) or begins.min() < 0 or begins.max() >= len(tape.words):
        raise BrokenTape(Part.ORDER)
    kinds = tape.words[begins].astype(np.int64)
    if kinds.min() < 0 or kinds.max() >= len(KINDS):
        raise BrokenTape(Part.KIND)
    ends = begins + _LENGTHS[kinds]
    if begins[0] or kinds[-1] != END or not np.array_equal(ends, [*begins[1:].tolist(), len(tape.words)]):
        raise BrokenTape(Part.ORDER)
    return kinds


def _check_counts(rows: npt.NDArray[np.int64], kind: Kind) -> None:
    """Check that every loop runs, and that one of several turns gets somewhere, so that its end is within memory.

    What goes through columns or a table may read one slot again and again: these bound the turns.
    """
    for count in kind.counts:
        steps = [step for access in kind.accesses for counted, step in access.axes if counted == count]
        # NEXT is the word of the kind, which is never 0 where there are counts.
        moves = (rows[:, steps] != 0).any(axis=1) | np.isin(rows[:, 0], _BOUND_OTHERWISE)
        if (rows[:, count] < 1).any() or (~moves & (rows[:, count] > 1)).any():
            raise BrokenTape(Part.COUNT)


def _check_access(rows: npt.NDArray[np.int64], access: Access, limit: int) -> None:
    """Check that every element of a grid is there. A step that is never taken is small enough to be scaled, too."""
    part = _PART_OF[access.space]
    lowest = rows[:, access.start].copy()
    highest = lowest.copy()
    for count, step in access.axes:
        moved = np.ones(len(rows), dtype=np.int64) if step == NEXT else rows[:, step]
        if (np.abs(moved) > limit).any():
            raise BrokenTape(part)
        reach = (rows[:, count] - 1) * moved
        lowest += np.minimum(reach, 0)
        highest += np.maximum(reach, 0)
    if (lowest < 0).any() or (highest >= limit).any():
        raise BrokenTape(part)


def _check_columns(rows: npt.NDArray[np.int64], columns: tuple[int, ...]) -> None:
    """Check that the columns that are moved are there."""
    number, first, count = rows[:, 1], rows[:, 2], rows[:, 3]
    _check_range(number, len(columns), Part.ARRAY)
    if (first < 0).any() or (first + count > np.array(columns, dtype=np.int64)[number]).any():
        raise BrokenTape(Part.TILE)


def _check_table(rows: npt.NDArray[np.int64], length: int) -> None:
    """Check that tables lie within the tables there are."""
    begin = rows[:, TABLE_WORD]
    if (begin < 0).any() or (begin + rows[:, 1] > length).any():
        raise BrokenTape(Part.TABLE)


def _check_range(words: npt.NDArray[np.integer], limit: int, part: Part) -> None:
    if len(words) and (words.min() < 0 or words.max() >= limit):
        raise BrokenTape(part)

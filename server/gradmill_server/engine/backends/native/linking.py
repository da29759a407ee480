"""From a tape with slots by number to one that handlers run: every word checked, every slot at its place in scratch."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from gradmill_server.engine.backends.native.records import (
    END,
    HALF_TILE_COLUMNS,
    KINDS,
    LOAD,
    STORE,
    STORE_ACCUMULATOR,
    TILE_COLUMNS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradmill_server.engine.backends.native.assembler import Tape

_WORDS: Final = 1 + max(len(kind.words) for kind in KINDS)
_LENGTHS: Final = np.array([1 + len(kind.words) for kind in KINDS], dtype=np.int64)
_SORTS: Final = np.array([list(f" {kind.words}".ljust(_WORDS)) for kind in KINDS])
"""For each kind and each word of a record, its sort: see `records.Kind.words`."""

_OF_LONGER_ROWS: Final = (HALF_TILE_COLUMNS, TILE_COLUMNS)
_LARGEST_OFFSET: Final = 2**31 - 1


class Part(StrEnum):
    """What of a tape can be wrong."""

    KIND = "kind of a record"
    ORDER = "order of records"
    SCRATCH = "size of scratch"
    CONSTANT = "place of a constant"
    SLOT = "place of a slot"
    TILE = "place of a tile"
    ARRAY = "number of an array"
    COUNT = "number of elements"
    SUM = "place of a sum"
    TABLE = "place of a table"


class BrokenTape(ValueError):
    """A tape that would leave its memory: a mistake of the assembler, never of a caller."""

    def __init__(self, part: Part) -> None:
        """Say which part of the tape is wrong."""
        super().__init__(f"the tape is broken: {part}")


def link(tape: Tape, stride: int, inputs: int, group_columns: Sequence[int]) -> npt.NDArray[np.int32]:
    """Return the words of a tape whose slots lie `stride` bytes apart.

    Handlers trust their words, so that nothing is checked while they run; everything is checked here.

    Args:
        tape: as assembled.
        stride: bytes from one slot to the next.
        inputs: columns of points.
        group_columns: columns of each array of results.

    Raises:
        BrokenTape: for a tape that would read or write outside its scratch, its constants or its caller's arrays.
    """
    begins = tape.begins.astype(np.int64)
    kinds = tape.words[begins].astype(np.int64)
    if kinds.min() < 0 or kinds.max() >= len(KINDS):
        raise BrokenTape(Part.KIND)
    ends = begins + _LENGTHS[kinds]
    if begins[0] or kinds[-1] != END or not np.array_equal(ends, [*begins[1:].tolist(), len(tape.words)]):
        raise BrokenTape(Part.ORDER)
    if (tape.slots - 1) * stride > _LARGEST_OFFSET:
        raise BrokenTape(Part.SCRATCH)
    words = tape.words.copy()
    for place in range(1, _WORDS):
        sorts = _SORTS[kinds, place]
        slots = begins[sorts == "s"] + place
        constants = tape.words[begins[sorts == "c"] + place]
        _check_range(tape.words[slots], tape.slots, Part.SLOT)
        _check_range(constants, tape.constants.nbytes, Part.CONSTANT)
        if (constants % tape.constants.itemsize).any():
            raise BrokenTape(Part.CONSTANT)
        words[slots] *= stride
    _check_columns(tape, begins, kinds, inputs, group_columns)
    return words


def _check_columns(
    tape: Tape,
    begins: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.int64],
    inputs: int,
    group_columns: Sequence[int],
) -> None:
    """Check that tiles lie within the arrays they are moved from and to, and are whole rows where they are narrow."""
    loads = (kinds >= LOAD) & (kinds < LOAD + TILE_COLUMNS)
    _check_tiles(tape.words[begins[loads] + 1], kinds[loads] - LOAD + 1, np.full(int(loads.sum()), inputs))
    stores = (kinds >= STORE) & (kinds < STORE + TILE_COLUMNS)
    groups = tape.words[begins[stores] + 1]
    _check_range(groups, len(group_columns), Part.ARRAY)
    columns = np.array([*group_columns, 0], dtype=np.int64)[groups]
    _check_tiles(tape.words[begins[stores] + 2], kinds[stores] - STORE + 1, columns)
    groups = tape.words[begins[kinds == STORE_ACCUMULATOR] + 1]
    _check_range(groups, len(group_columns), Part.ARRAY)
    single = np.array([*group_columns, 0], dtype=np.int64)[groups]
    _check_tiles(np.zeros(len(groups), dtype=np.int32), np.ones(len(groups), dtype=np.int64), single)


def _check_tiles(first: npt.NDArray[np.int32], count: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> None:
    if (
        (first < 0).any()
        or (first + count > columns).any()
        or (~np.isin(count, _OF_LONGER_ROWS) & (count != columns)).any()
    ):
        raise BrokenTape(Part.TILE)


def _check_range(words: npt.NDArray[np.int32], limit: int, part: Part) -> None:
    if len(words) and (words.min() < 0 or words.max() >= limit):
        raise BrokenTape(part)

"""What one run of a tape is given: where its points, results and scratch lie, and how far it may go.

A frame is a row of int64. Handlers read and write its fields by their offsets.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Layout(StrEnum):
    """How a caller's array of several columns lies in memory.

    ``ROWS``: row-major, the columns of a point side by side. ``COLUMNS``: each column contiguous.
    """

    ROWS = "rows"
    COLUMNS = "columns"


FIELDS: Final = (
    "record",  # address of the record to begin or to go on with
    "tape",  # address of the first record, where each block begins
    "scratch",  # address of slot 0, aligned to a line of cache
    "table",  # address of the handlers' addresses, by kind of record
    "constants",  # address of the program's constants, float64
    "row",  # the first point of the block
    "end",  # one past the last point
    "budget",  # what may still be spent before returning
    "state",  # FRESH, then PAUSED while there is more to do, then DONE
    "points",  # address of the matrix of points, in the layout ROWS
    "point_stride",  # bytes from one of its rows to the next
    "columns",  # address of the columns of points, in the layout COLUMNS: for each its address and its step in bytes,
    #             which is 0 when all points share the value
    "flags",  # address of a uint8 for each point
    "column_count",  # how many columns of points there are, in the layout COLUMNS
    "group_count",  # how many arrays of results there are
    "data_offset",  # see FRESH
)
"""The fields, 8 bytes each. The arrays of results follow them: for each its address, then for each its stride and flag.

The stride is the bytes from one row to the next, or from one column to the next, by the layout; the flag is the bit
that marks a point with a value that is not finite.
"""

DONE: Final = 0
PAUSED: Final = 1
FRESH: Final = 2
"""In place of the addresses of the caller's arrays there are those of Python's objects.

The run's first step replaces them: an object's elements lie where the pointer says that is `data_offset` bytes into it.
Asking Python for each of four addresses costs a fifth of the shortest call (measured).
"""

BYTES_PER_FIELD: Final = 8
BYTES_PER_LANE: Final = 8
CACHE_LINE_BYTES: Final = 64

FIELDS_PER_COLUMN: Final = 2
FIELDS_PER_GROUP: Final = 3
FIELDS_OF_SHAPE: Final = 2
GROUPS_OFFSET: Final = len(FIELDS) * BYTES_PER_FIELD
"""Where the arrays of results begin, in bytes."""


def offset_of(field: str) -> int:
    """Return a field's offset in a frame, in bytes."""
    return FIELDS.index(field) * BYTES_PER_FIELD

"""The kinds of record of an array tape, each with one handler, and what memory each may touch.

A record is a row of 32-bit words: its kind, then numbers. A kind says by its accesses which words tell where its
operands and results are, so that one check serves all (`linking.py`). Memory is of three sorts:

    ``s``  slots of scratch: a value for each lane
    ``u``  uniform values: a double for all points, constants among them
    ``a``  sums over points: eight partial sums for each element, by the point's number modulo eight
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from gradmill_server.engine.backends.native.records import NATIVE_OPERATIONS
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.vector_math.pairs import PAIRS

NEXT: Final = 0
"""In place of the word of a step: elements lie side by side."""

COPY: Final = "copy"
"""The map that leaves its operand as it is."""

AXES: Final = 3
"""Nested loops of a map."""


class Access(NamedTuple):
    """Elements that a record reads or writes.

    Attributes:
        space: the sort of memory.
        start: the word that says where the first element is.
        axes: for each loop the word of its count and that of the step, or `NEXT`.
    """

    space: str
    start: int
    axes: tuple[tuple[int, int], ...]


class Kind(NamedTuple):
    """A kind of record.

    Attributes:
        name: for people and for symbols of machine code.
        length: words, the kind included.
        counts: words that are numbers of elements, at least one.
        accesses: what it reads and writes.
        operation: for a map, the operation, or the pair of operations, or `COPY`.
        operands: for a map, the sort of memory of each operand; for a product, that of its right side.
    """

    name: str
    length: int
    counts: tuple[int, ...] = ()
    accesses: tuple[Access, ...] = ()
    operation: str | tuple[str, str] = ""
    operands: str = ""


END: Final = 0
"""Ends a block: the next one begins, unless there is none or the budget of the call is spent. Words: cost."""
PAUSE: Final = 1
"""Ends the call here when its budget is spent. Words: cost."""
LOAD: Final = 2
"""Reads columns of an array of points. Words: array, first column, count, slot, step."""
STORE: Final = 3
"""Writes slots to columns of an array of results. Words: array, first column, count, slot, step."""
GATHER: Final = 4
"""Fills slots from those of a table. Words: count, slot, step, table."""
SCATTER: Final = 5
"""Adds slots to those of a table. Words: count, slot, step, table."""
SUM_VALUES: Final = 6
"""Adds values to sums over points. Words: three counts, sum and its steps, slot and its steps."""
SUM_PRODUCTS: Final = 7
"""Adds [p, k] times [k, q] to sums over points. Words: p, q, k, sum and step by row, left and two steps, right and two
steps, and of which side zeros are strong: 1 for the left, 2 for the right, 3 for both."""
PRODUCT_SLOTS: Final = 8
"""[b, p, k] times [b, k, q]. Words: b, p, q, k, result and three steps, left and three steps, right and three
steps, and of which side zeros are strong: 1 for the left, 2 for the right, 3 for both."""
PRODUCT_UNIFORM: Final = 9
"""The same with a uniform right side."""

TABLE_WORD: Final = 4
"""The word of GATHER and SCATTER that says where their table of slots is; word 1 is the number of its entries."""


def _product(name: str, right: str) -> Kind:
    batch, rows, columns, inner = 1, 2, 3, 4
    accesses = (
        Access("s", 5, ((batch, 6), (rows, 7), (columns, 8))),
        Access("s", 9, ((batch, 10), (rows, 11), (inner, 12))),
        Access(right, 13, ((batch, 14), (inner, 15), (columns, 16))),
    )
    return Kind(name, 18, (batch, rows, columns, inner), accesses, operands=right)


def _map_accesses(spaces: str) -> tuple[Access, ...]:
    """Return the accesses of a map: three counts, then for each array its start and three steps."""
    starts = range(1 + AXES, 1 + AXES + (1 + AXES) * len(spaces), 1 + AXES)
    return tuple(
        [
            Access(space, start, tuple([(1 + axis, start + 1 + axis) for axis in range(AXES)]))
            for space, start in zip(spaces, starts, strict=True)
        ]
    )


def _map(operation: str | tuple[str, str], results: int, operands: str) -> Kind:
    written = operation if isinstance(operation, str) else "_and_".join(operation)
    accesses = _map_accesses("s" * results + operands)
    length = 1 + AXES + (1 + AXES) * len(accesses)
    return Kind(f"{written}.{operands}", length, tuple(range(1, 1 + AXES)), accesses, operation, operands)


def _patterns(name: str) -> Iterator[str]:
    """Yield where operands may lie: one in slots at least, and of a commutative operation the first."""
    row = TABLE[name]
    for spaces in map("".join, itertools.product("su", repeat=row.arity)):
        if "s" in spaces and not (row.commutative and spaces == "us"):
            yield spaces


_FIXED: Final = (
    Kind("end", 2),
    Kind("pause", 2),
    Kind("load", 6, (3,), (Access("s", 4, ((3, 5),)),)),
    Kind("store", 6, (3,), (Access("s", 4, ((3, 5),)),)),
    Kind("gather", 5, (1,), (Access("s", 2, ((1, 3),)),)),
    Kind("scatter", 5, (1,), (Access("s", 2, ((1, 3),)),)),
    Kind("sum_values", 12, (1, 2, 3), _map_accesses("as")),
    Kind(
        "sum_products",
        13,
        (1, 2, 3),
        (
            Access("a", 4, ((1, 5), (2, NEXT))),
            Access("s", 6, ((1, 7), (3, 8))),
            Access("s", 9, ((3, 10), (2, 11))),
        ),
    ),
    _product("product.s", "s"),
    _product("product.u", "u"),
)

_MAPS: Final = (
    _map(COPY, 1, "s"),
    _map(COPY, 1, "u"),
    *[_map(pair, 2, "s") for pair in PAIRS],
    *[_map(name, 1, spaces) for name in TABLE if name in NATIVE_OPERATIONS for spaces in _patterns(name)],
)

KINDS: Final[tuple[Kind, ...]] = (*_FIXED, *_MAPS)
"""Every kind of record; a record begins with its kind's place here."""

MAPS: Final[Mapping[tuple[str | tuple[str, str], str], int]] = MappingProxyType(
    {(kind.operation, kind.operands): place for place, kind in enumerate(KINDS) if kind.operation}
)
"""The kind of a map by its operation, or pair of operations, and the sorts of memory of its operands."""

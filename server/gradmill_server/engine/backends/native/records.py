"""What a tape is made of: the kinds of record, each with one handler.

The machine has one accumulator, a vector register file as wide as a block, and scratch. A record computes an expression
of one or two operations and leaves the result in the accumulator; some also store it in a slot. The leaves of the
expression say where an operand comes from:

    ``a``  the accumulator, which holds the result of the record before
    ``s``  a slot of scratch
    ``c``  a constant of the program, the same for all lanes
    ``r``  the slot before once more, as in x*x: loading costs as much as computing

So a chain of operations passes values along in registers, and only what is needed later costs a store and a load. Two
operations in one record are rounded twice, as two records are: joining them changes no bit.

A record is a row of 32-bit words: the record's kind, then a word for each ``s`` and ``c`` in the order in which the
leaves are written, then the slot of the result if it is stored.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.vector_math.pairs import PAIRS

Expression = str | tuple["Expression", ...]
"""A leaf, or an operation's name followed by its operands."""

TILE_COLUMNS: Final = 8
"""Columns of a batch that one record reads or writes at most."""

HALF_TILE_COLUMNS: Final = 4
"""The other number of columns that can be read from or written to longer rows."""

SPARE_SLOT: Final = 0
"""The slot that takes what nobody needs, such as a column of points that the function does not read."""


class Kind(NamedTuple):
    """A kind of record.

    Attributes:
        name: for people and for symbols of machine code.
        words: what each word after the first is: ``s`` a slot, ``c`` a constant, ``n`` a number of another sort.
        expression: what it computes; empty for the kinds that do not compute.
        stores: whether the result goes to a slot as well.
    """

    name: str
    words: str
    expression: Expression = ""
    stores: bool = False


def computes_once(operands: Sequence[Expression]) -> bool:
    """Whether an operation has one operand twice: a slot once more, or the same inner expression."""
    first, *others = operands
    return others == ["r"] or (others == [first] and not isinstance(first, str))


def _leaves(expression: Expression) -> str:
    """Return an expression's leaves from left to right; an inner expression that stands twice is computed once."""
    if isinstance(expression, str):
        return expression
    _, *operands = expression
    if computes_once(operands):
        operands = operands[:1]
    return "".join(map(_leaves, operands))


def _written(expression: Expression) -> str:
    if isinstance(expression, str):
        return expression
    return f"{expression[0]}.{'_'.join(_written(operand) for operand in expression[1:])}"


# Records that end or begin something, or move values between scratch and the caller's arrays.
END: Final = 0
"""Ends a block: the next one begins, unless there is none or the budget of the call is spent."""
PAUSE: Final = 1
"""Ends the call here when its budget is spent; what the accumulator held is lost."""
CONSTANT: Final = 2
"""Puts a constant into a slot."""
LOAD: Final = 3
"""LOAD + k - 1 reads k columns of the points into k slots."""
STORE: Final = LOAD + TILE_COLUMNS
"""STORE + k - 1 writes k slots to k columns of the results."""
STORE_ACCUMULATOR: Final = STORE + TILE_COLUMNS
"""Writes the accumulator to an array of results of one column."""
BOTH: Final = MappingProxyType({pair: STORE_ACCUMULATOR + 1 + place for place, pair in enumerate(PAIRS)})
"""For two operations that are computed together: what puts both of one slot into two."""
FIRST_COMPUTING: Final = STORE_ACCUMULATOR + 1 + len(BOTH)
"""All kinds from here on compute an expression."""

_MOVING: Final = (
    Kind("end", "n"),
    Kind("pause", "n"),
    Kind("constant", "cs"),
    *(Kind(f"load_{count}", "n" + "s" * count) for count in range(1, TILE_COLUMNS + 1)),
    *(Kind(f"store_{count}", "nn" + "s" * count) for count in range(1, TILE_COLUMNS + 1)),
    Kind("store_accumulator", "n"),
    *(Kind(f"{first}_and_{second}", "sss") for first, second in BOTH),
)

PAIRED: Final = frozenset(name for pair in BOTH for name in pair)
"""The operations that are computed together with another one of the same argument, when both are wanted."""

JOINABLE: Final = frozenset({"add", "subtract", "multiply", "strong_product", "negate"})
"""The operations that are joined in pairs: cheap, and most of any gradient."""

REPEATING: Final = frozenset({"add", "multiply"})
"""The operations that often have one operand twice."""


def _patterns(name: str) -> Iterator[tuple[str, ...]]:
    """Yield where an operation's operands may come from: at most one constant, and the accumulator as it may stand."""
    row = TABLE[name]
    if name in REPEATING:
        yield ("s", "r")
    for leaves in itertools.product("asc", repeat=row.arity):
        if leaves.count("c") == row.arity or leaves.count("c") > 1:
            continue
        if leaves.count("a") > 1 and leaves != ("a", "a"):
            continue
        if row.commutative and leaves in {("s", "a"), ("c", "a"), ("c", "s")}:
            continue
        yield leaves


def _joined_patterns(name: str) -> Iterator[tuple[str, ...]]:
    """Yield those patterns that are common enough to be joined: each kind of record costs a machine's first start."""
    for leaves in _patterns(name):
        if name == "strong_product" and "c" in leaves:
            continue
        if leaves == ("a", "a") and name not in REPEATING:
            continue
        yield leaves


def _pairs() -> Iterator[tuple[Expression, Expression, Expression, bool]]:
    """Yield two records and the one that does the work of both, and whether the second's word comes first in it."""
    for inner, outer in itertools.product(sorted(JOINABLE), repeat=2):
        for leaves in _joined_patterns(inner):
            first = (inner, *leaves)
            for pattern in _joined_patterns(outer):
                if "a" not in pattern:
                    continue
                joined = (outer, *(first if leaf == "a" else leaf for leaf in pattern))
                yield first, (outer, *pattern), joined, pattern[0] != "a"


def _beside() -> Iterator[tuple[str, int, Expression, Expression]]:
    """Yield an operation, which of its operands the accumulator is, the other operand's expression, and the record."""
    for inner, outer in itertools.product(sorted(JOINABLE - {"negate"}), repeat=2):
        for leaves in _joined_patterns(inner):
            if "a" in leaves:
                continue
            other = (inner, *leaves)
            yield outer, 0, other, (outer, "a", other)
            if not TABLE[outer].commutative:
                yield outer, 1, other, (outer, other, "a")


def _expressions() -> list[Expression]:
    """Return everything that records compute, each once."""
    simple = [(name, *leaves) for name in TABLE for leaves in _patterns(name) if TABLE[name].lanes is not None]
    joined = [record for _, _, record, _ in _pairs()] + [record for _, _, _, record in _beside()]
    return list(dict.fromkeys([*simple, *joined]))


def _computing() -> Iterator[Kind]:
    for expression in _expressions():
        words = _leaves(expression).replace("a", "")
        yield Kind(_written(expression), words, expression)
        yield Kind(_written(expression) + ".kept", words + "s", expression, stores=True)


KINDS: Final[tuple[Kind, ...]] = (*_MOVING, *_computing())
"""Every kind of record; a record begins with its kind's place here. One that stores follows its like that does not."""

_PLACE: Final = {kind.expression: place for place, kind in enumerate(KINDS) if kind.expression and not kind.stores}

NATIVE_OPERATIONS: Final = frozenset(name for name, row in TABLE.items() if row.lanes is not None)
"""The operations that have machine code."""


def _simple() -> dict[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {name: {} for name in NATIVE_OPERATIONS}
    for name in NATIVE_OPERATIONS:
        for leaves in _patterns(name):
            found[name]["".join(leaves)] = _PLACE[name, *leaves]
    return {name: MappingProxyType(patterns) for name, patterns in found.items()}


SIMPLE: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(_simple())
"""For each operation and each pattern of its operands, the kind that does not store."""

JOINED: Final[Mapping[tuple[int, int], tuple[int, bool]]] = MappingProxyType(
    {(_PLACE[first], _PLACE[second]): (_PLACE[joined], ahead) for first, second, joined, ahead in _pairs()}
)
"""For a record and the next one, which takes its result: the one record for both, and whether the second's words,
if any, come ahead of the first's."""

BESIDE: Final[Mapping[tuple[str, int, int], int]] = MappingProxyType(
    {(outer, place, _PLACE[other]): _PLACE[record] for outer, place, other, record in _beside()}
)
"""For an operation, which of its operands is the accumulator, and the kind that computes the other: the joined kind."""

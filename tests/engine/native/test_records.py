"""Every kind of record, on every level and at every width of block: it computes what its expression says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from gradmill_server.engine.backends.native.addresses import address_of
from gradmill_server.engine.backends.native.assembler import Tape
from gradmill_server.engine.backends.native.frame import PAUSED, Layout
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.library import HandlerSet, library
from gradmill_server.engine.backends.native.linking import link
from gradmill_server.engine.backends.native.records import (
    END,
    FIRST_COMPUTING,
    JOINED,
    KINDS,
    LOAD,
    SIMPLE,
    STORE,
    STORE_ACCUMULATOR,
    Expression,
    Kind,
)
from gradmill_server.engine.backends.native.tape import stride_of
from gradmill_server.engine.ops import TABLE

from tests.engine.native.running import HOST_LEVELS, SPECIALS, Array, bits

_CONSTANTS = np.array([1.0, 0.75])
_INPUTS = 4
_KEPT, _MOVED = 5, 6
WIDTHS = [(level, handlers.lanes) for level in HOST_LEVELS for handlers in library(level).sets]


def taped(records: list[list[int]]) -> Tape:
    """Return records as a tape of seven slots."""
    lengths = [len(record) for record in records]
    begins = np.cumsum([0, *lengths[:-1]]).astype(np.int32)
    return Tape(np.array([*itertools.chain(*records)], dtype=np.int32), begins, _CONSTANTS, 7)


def around(record: list[int]) -> Tape:
    """Return a tape that puts the first of four inputs in the accumulator, runs a record, and shows what that leaves.

    The inputs are in slots 1 to 4. The results are slot 5, where the record may store, and the accumulator.
    """
    show = SIMPLE["multiply"]["ac"] + 1
    take = SIMPLE["multiply"]["sc"]
    return taped(
        [
            [LOAD + _INPUTS - 1, 0, 1, 2, 3, 4],
            [take + 1, 1, 0, _KEPT],
            [take, 1, 0],
            record,
            [show, 0, _MOVED],
            [STORE + 1, 0, 0, _KEPT, _MOVED],
            [END, 1],
        ]
    )


def run(tape: Tape, handlers: HandlerSet, matrix: Array) -> Array:
    """Run a tape at a block of points [lanes, 4]; return its results [lanes, 2]."""
    stride = stride_of(handlers.lanes)
    words = link(tape, stride, _INPUTS, [2])
    memory = np.zeros(tape.slots * stride // 8 + 8)
    scratch = -(-address_of(memory) // 64) * 64
    results, flags = np.zeros((len(matrix), 2)), np.zeros(len(matrix), dtype=np.uint8)
    code = (address_of(words), address_of(words), scratch, handlers.tables[Layout.ROWS], address_of(_CONSTANTS))
    given = (address_of(matrix), matrix.shape[1] * 8, 0)
    counts = (address_of(flags), 0, 1, 0)
    frame = np.array([*code, 0, len(matrix), 0, PAUSED, *given, *counts, address_of(results), 16, 1])
    assert not handlers.enter(address_of(frame), 10**9)
    return results


def computed(expression: Expression, accumulator: Array, leaves: Iterator[Array], level: Level) -> Array:
    """Compute an expression one operation at a time, each by the record of that operation alone."""
    if expression == "a":
        return accumulator
    if isinstance(expression, str):
        return next(leaves)
    name, *parts = expression
    if parts[1:] == ["r"] or (len(parts) == 2 and parts[0] == parts[1] and not isinstance(parts[0], str)):
        operands = [computed(parts[0], accumulator, leaves, level)] * 2
    else:
        operands = [computed(part, accumulator, leaves, level) for part in parts]
    padded = [*operands, *[np.ones_like(accumulator)] * (_INPUTS - len(operands))]
    record = [SIMPLE[str(name)]["s" * len(operands)], *range(1, len(operands) + 1)]
    handlers = next(each for each in library(level).sets if each.lanes == len(accumulator))
    return run(around(record), handlers, np.column_stack(padded))[:, 1]


def points(lanes: int) -> Array:
    """Return a block of points, awkward numbers among them."""
    random = np.random.default_rng(lanes)
    matrix = random.normal(size=(lanes, _INPUTS)) * 2.0
    awkward = random.random(matrix.shape) < 0.2
    matrix[awkward] = random.choice(SPECIALS, size=int(awkward.sum()))
    return matrix


@pytest.mark.parametrize(("level", "lanes"), WIDTHS, ids=[f"{level.name}-{lanes}" for level, lanes in WIDTHS])
def test_every_record_computes_its_expression(level: Level, lanes: int) -> None:
    """A record has the bits of its operations one after the other, in the accumulator and, if it stores, a slot."""
    handlers = next(each for each in library(level).sets if each.lanes == lanes)
    matrix = points(lanes)
    for place, kind in enumerate(KINDS[FIRST_COMPUTING:], start=FIRST_COMPUTING):
        words, leaves = operands(kind, matrix)
        found = run(around([place, *words]), handlers, matrix)
        with np.errstate(all="ignore"):
            expected = computed(kind.expression, matrix[:, 0], iter(leaves), level)
        assert bits([found[:, 1]]) == bits([expected]), kind.name
        assert bits([found[:, 0]]) == bits([expected if kind.stores else matrix[:, 0]]), kind.name


def operands(kind: Kind, matrix: Array) -> tuple[list[int], list[Array]]:
    """Return words for a record, slots 2, 3, ... and the second constant, and the operands they stand for."""
    words: list[int] = []
    leaves: list[Array] = []
    for word in kind.words[: -1 if kind.stores else None]:
        words.append(8 if word == "c" else len(leaves) + 2)
        leaves.append(np.full(len(matrix), _CONSTANTS[1]) if word == "c" else matrix[:, len(leaves) + 1])
    return words + [_KEPT] * kind.stores, leaves


def test_simple_records_of_exact_operations_have_numpys_bits() -> None:
    """The records that the others are compared with compute what NumPy does."""
    level = HOST_LEVELS[0]
    for name in ("add", "subtract", "multiply", "divide", "negate", "strong_product", "where", "maximum"):
        handlers = library(level).sets[-1]
        matrix = points(handlers.lanes)
        arity = TABLE[name].arity
        with np.errstate(all="ignore"):
            expected = TABLE[name].value(*matrix.T[1 : arity + 1])
        found = run(around([SIMPLE[name]["s" * arity], *range(2, arity + 2)]), handlers, matrix)
        np.testing.assert_array_equal(found[:, 1], expected)


def test_joined_records_have_the_words_of_both() -> None:
    """A record that joins two has as many operands as the two together."""
    for (first, second), (joined, _) in JOINED.items():
        assert len(KINDS[joined].words) == len(KINDS[first].words) + len(KINDS[second].words)


SOUND = [LOAD + _INPUTS - 1, 0, 1, 2, 3, 4]
BROKEN = {
    "a kind there is none of": [[len(KINDS)], [END, 1]],
    "a kind below all others": [[-1], [END, 1]],
    "no end": [SOUND],
    "a slot there is none of": [[SIMPLE["add"]["ss"], 1, 7], [END, 1]],
    "a slot below scratch": [[SIMPLE["add"]["ss"], -1, 2], [END, 1]],
    "a result outside scratch": [[SIMPLE["add"]["ss"] + 1, 1, 2, 7], [END, 1]],
    "a constant there is none of": [[SIMPLE["add"]["sc"], 1, 16], [END, 1]],
    "half a constant": [[SIMPLE["add"]["sc"], 1, 4], [END, 1]],
    "points there are none of": [[LOAD + 4, 0, 1, 2, 3, 4, 5], [END, 1]],
    "points before the first": [[LOAD + 3, -1, 1, 2, 3, 4], [END, 1]],
    "a part of a row": [[LOAD + 1, 0, 1, 2], [END, 1]],
    "results there are none of": [[STORE + 1, 0, 1, 1, 2], [END, 1]],
    "an array there is none of": [[STORE + 1, 1, 0, 1, 2], [END, 1]],
    "a result alone of an array there is none of": [[STORE_ACCUMULATOR, 1], [END, 1]],
    "a result alone before the first array": [[STORE_ACCUMULATOR, -1], [END, 1]],
    "a result alone of an array of two": [[STORE_ACCUMULATOR, 0], [END, 1]],
    "an array before the first": [[STORE + 1, -1, 0, 1, 2], [END, 1]],
    "a record cut short": [[SIMPLE["add"]["ss"], 1], [END, 1]],
}


@pytest.mark.parametrize("records", BROKEN.values(), ids=list(BROKEN))
def test_a_tape_that_would_leave_its_memory_is_refused(records: list[list[int]]) -> None:
    """No word that points outside scratch, constants or arrays reaches a handler."""
    link(taped([SOUND, [END, 1]]), 64, _INPUTS, [2])
    with pytest.raises(ValueError, match="the tape is broken"):
        link(taped(records), 64, _INPUTS, [2])


def test_a_tape_too_large_for_its_words_is_refused() -> None:
    """Slots that 32 bits cannot address are refused rather than wrapped round."""
    tape = taped([SOUND, [END, 1]])._replace(slots=2**26)
    with pytest.raises(ValueError, match="size of scratch"):
        link(tape, 576, _INPUTS, [2])

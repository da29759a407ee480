"""Handlers of matrix products: a block of registers of vectors of lanes by columns, one fused step for each product.

Each element is the sum over k in ascending order, whatever the block, so its bits do not depend on the sizes around it.
Where zeros of a side are strong, sums that are not numbers are made once more without the products they belong to: as
long as there is none, no zero has met an infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gradmill_server.engine.backends.native.array_tape.loops import (
    ArrayHandlerText,
    Loop,
    Place,
    Strong,
    strong_sides,
)
from gradmill_server.engine.backends.native.handler_text import HandlerText
from gradmill_server.engine.backends.native.transfer import total
from gradmill_server.engine.lanes import Lanes, constant, select

_MANY_REGISTERS = 8
"""Lanes in a register of the machines that have 32 registers, so that more results are summed at once."""


class _Tile(NamedTuple):
    """What is summed at once: so many vectors of lanes, of so many columns."""

    groups: int
    columns: int


def _tiles(text: ArrayHandlerText, right: str) -> list[_Tile]:
    """Return the tile for most columns, and that for each column left over.

    A uniform right side is loaded once for all vectors; of one that lies in slots every vector differs.
    """
    many = text.width >= _MANY_REGISTERS
    if right == "u":
        groups = min(text.groups, 4)
        sums = 16 if many else 8
        return [_Tile(groups, min(8, sums // groups)), _Tile(text.groups, 1)]
    groups = min(text.groups, 2)
    return [_Tile(groups, 4), _Tile(min(text.groups, 4), 1)]


def product_handler(text: ArrayHandlerText, right: str) -> HandlerText:
    """Write the handler that multiplies [b, p, k] in slots by [b, k, q] in slots or uniform."""
    batch, rows, columns, inner = (text.word() for _ in range(4))
    result, left = text.place("s", 3), text.place("s", 3)
    other = text.place(right, 3)
    strong = text.word()
    by_batch = [(place.base, place.steps[0]) for place in (result, left, other)]
    with text.loop(batch, by_batch) as outer:
        targets, lefts, rights = outer.pointers
        with text.loop(rows, [(targets, result.steps[1]), (lefts, left.steps[1])]) as loop:
            target, row = loop.pointers
            first = Place(target, result.steps[2:]), Place(row, left.steps[2:]), Place(rights, other.steps[1:])
            _columns(text, right, first, (columns, inner, strong))
    return text.leave()


def _columns(
    text: ArrayHandlerText, right: str, first: tuple[Place, Place, Place], words: tuple[str, str, str]
) -> None:
    """Write the loops over the columns of one row: tiles, then those left over."""
    target, row, other = first
    count, inner, strong = words
    wide, narrow = _tiles(text, right)
    whole = text.write(f"udiv i64 {count}, {wide.columns}")
    covered = text.write(f"mul i64 {whole}, {wide.columns}")
    rest = text.write(f"sub i64 {count}, {covered}")
    for tile, turns, begin in ((wide, whole, "0"), (narrow, rest, covered)):
        with text.when(text.write(f"icmp sgt i64 {turns}, 0")):
            starts = []
            for place in (target, other):
                step = place.steps[-1]
                base = text.offset(place.base, text.write(f"mul i64 {begin}, {step}"))
                starts.append((base, text.write(f"mul i64 {step}, {tile.columns}")))
            with text.loop(turns, starts) as loop:
                here, there = loop.pointers
                places = Place(here, target.steps), row, Place(there, other.steps)
                _tile(text, right, tile, places, (inner, strong))


def _tile(
    text: ArrayHandlerText, right: str, tile: _Tile, places: tuple[Place, Place, Place], words: tuple[str, str]
) -> None:
    """Write the sums of a tile for all vectors of the block."""
    target, row, other = places
    inner, strong = words
    by_column = other.steps[1]
    firsts = [text.offset(other.base, text.write(f"mul i64 {by_column}, {column}")) for column in range(tile.columns)]
    results = [
        text.offset(target.base, text.write(f"mul i64 {target.steps[0]}, {column}")) for column in range(tile.columns)
    ]
    chunk = tile.groups * text.vector_bytes
    moves = [chunk] * (len(results) + 1) + [0 if right == "u" else chunk] * len(firsts)
    pointers = list(zip([*results, row.base, *firsts], moves, strict=True))
    turns = text.groups // tile.groups
    with text.loop(turns, pointers, more=turns > 1) as loop:
        targets = loop.pointers[: tile.columns]
        operands, steps = loop.pointers[tile.columns :], (row.steps[0], other.steps[0])
        sums = _sums(text, right, tile, operands, steps, inner, None)
        _store(text, tile, targets, sums)
        with text.when(text.write(f"icmp ne i64 {strong}, 0")), text.when(text.anywhere(total(sums).is_nan())):
            careful = _sums(text, right, tile, operands, steps, inner, strong_sides(text, strong))
            chosen = [select(one.is_nan(), other, one) for one, other in zip(sums, careful, strict=True)]
            _store(text, tile, targets, chosen)


def _store(text: ArrayHandlerText, tile: _Tile, targets: Sequence[str], sums: Sequence[Lanes]) -> None:
    for place, value in enumerate(sums):
        column, group = divmod(place, tile.groups)
        text.store(value, targets[column], group)


def _sums(
    text: ArrayHandlerText,
    right: str,
    tile: _Tile,
    operands: Sequence[str],
    steps: Sequence[str],
    inner: str,
    strong: Strong | None,
) -> list[Lanes]:
    """Write the loop over k; return the sums, those of the first column first."""
    zero = constant(text, 0.0)
    moves = [steps[0]] + [steps[1]] * tile.columns
    loop = Loop(text, inner, list(zip(operands, moves, strict=True)), [zero] * (tile.groups * tile.columns))
    left = [text.load(loop.pointers[0], group) for group in range(tile.groups)]
    held = iter(loop.carried)
    new: list[Lanes] = []
    for pointer in loop.pointers[1:]:
        shared = text.uniform(pointer) if right == "u" else None
        for group, value in enumerate(left):
            factor = text.load(pointer, group) if shared is None else shared
            before = next(held)
            after = value.times_plus(factor, before)
            new.append(after if strong is None else select(strong.dead(value, factor), before, after))
    loop.close(new)
    return loop.carried

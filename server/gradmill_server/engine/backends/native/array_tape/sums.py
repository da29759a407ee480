"""Handlers that add up over points: eight partial sums for each element, by the point's number modulo eight.

Each partial sum takes its points in ascending order, whatever the width of a block, so that its bits depend on the
points alone. Lanes past the last point add nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from gradmill_server.engine.backends.native.array_tape.loops import (
    ArrayHandlerText,
    Loop,
    Place,
    Strong,
    nested,
    strong_sides,
)
from gradmill_server.engine.backends.native.array_tape.records import AXES
from gradmill_server.engine.backends.native.frame import BYTES_PER_LANE
from gradmill_server.engine.backends.native.handler_text import HandlerText
from gradmill_server.engine.lanes import Lanes, Mask, select

LANES_OF_SUM: Final = 8
"""Partial sums of an element."""

BYTES_OF_SUM: Final = LANES_OF_SUM * BYTES_PER_LANE

_TILE: Final = {8: (4, 4), 4: (2, 2)}
"""Rows and columns whose sums are held in registers at once, by the lanes of a vector."""


def sum_values_handler(text: ArrayHandlerText) -> HandlerText:
    """Write the handler that adds values to sums over points."""
    counts = [text.word() for _ in range(AXES)]
    arrays = [text.place(space, AXES) for space in "as"]
    masks = _masks(text)
    with nested(text, counts, arrays) as (total, element):
        parts = LANES_OF_SUM // text.width
        held = [text.load(total, part) for part in range(parts)]
        for group, mask in enumerate(masks):
            part = group % parts
            held[part] = select(mask, held[part] + text.load(element, group), held[part])
        for part, value in enumerate(held):
            text.store(value, total, part)
    return text.leave()


def sum_products_handler(text: ArrayHandlerText) -> HandlerText:
    """Write the handler that adds [p, k] times [k, q] to sums over points.

    Full blocks go by tiles, with zeros of one side strong, or of none. What is left goes one element after the other.
    """
    counts = _Counts(*[text.word() for _ in range(3)])
    places = _Places(text.place("a", 1), text.place("s", 2), text.place("s", 2))
    strong = text.word()
    past = text.write(f"add i64 {text.field('row')}, {text.lanes}")
    full = text.write(f"icmp sle i64 {past}, {text.field('end')}")
    for side in (0, _LEFT, _RIGHT):
        meant = text.write(f"and i1 {full}, {text.write(f'icmp eq i64 {strong}, {side}')}")
        text.branch(meant, f"strong{side}", f"strong{side}.else")
        text.open_block(f"strong{side}")
        _tiled(text, counts, places, side)
        text.lines.append("  br label %done")
        text.open_block(f"strong{side}.else")
    _each(text, (1, 1), counts, places, _Masks(_masks(text), strong_sides(text, strong)))
    text.lines.append("  br label %done")
    text.open_block("done")
    return text.leave()


_LEFT, _RIGHT = 1, 2
"""Of which side zeros are strong."""


class _Masks(NamedTuple):
    """Which lanes of each vector have a point, and of which side zeros are strong."""

    there: Sequence[Mask]
    strong: Strong


class _Counts(NamedTuple):
    """The extents of a product."""

    rows: str
    columns: str
    inner: str


class _Places(NamedTuple):
    """Where the sums, the left side and the right side of a product lie."""

    total: Place
    left: Place
    right: Place


def _tiled(text: ArrayHandlerText, counts: _Counts, places: _Places, side: int) -> None:
    """Write loops over tiles, and over the rows and columns left over."""
    high, wide = _TILE[text.width]
    for tall, first_row, row_count in _parts(text, counts.rows, high):
        with text.when(text.write(f"icmp sgt i64 {row_count}, 0")):
            for broad, first_column, column_count in _parts(text, counts.columns, wide):
                with text.when(text.write(f"icmp sgt i64 {column_count}, 0")):
                    total = _along(text, places.total, 0, first_row)
                    along = text.write(f"mul i64 {first_column}, {BYTES_OF_SUM}")
                    moved = _Places(
                        Place(text.offset(total, along), places.total.steps),
                        Place(_along(text, places.left, 0, first_row), places.left.steps),
                        Place(_along(text, places.right, 1, first_column), places.right.steps),
                    )
                    _each(text, (tall, broad), _Counts(row_count, column_count, counts.inner), moved, side)


def _parts(text: ArrayHandlerText, count: str, size: int) -> list[tuple[int, str, str]]:
    """Cut a count into whole tiles and ones: for each the size, the first, and how many tiles."""
    whole = text.write(f"udiv i64 {count}, {size}")
    covered = text.write(f"mul i64 {whole}, {size}")
    return [(size, "0", whole), (1, covered, text.write(f"sub i64 {count}, {covered}"))]


def _each(text: ArrayHandlerText, tile: tuple[int, int], counts: _Counts, places: _Places, masks: _Masks | int) -> None:
    """Write the loops over tiles of one size."""
    total, left, right = places
    tall, broad = tile
    down = [text.write(f"mul i64 {step}, {tall}") for step in (total.steps[0], left.steps[0])]
    along = text.write(f"mul i64 {right.steps[1]}, {broad}")
    rows = Loop(text, counts.rows, [(total.base, down[0]), (left.base, down[1])])
    columns = Loop(text, counts.columns, [(rows.pointers[0], broad * BYTES_OF_SUM), (right.base, along)])
    here = _Places(
        Place(columns.pointers[0], total.steps),
        Place(rows.pointers[1], left.steps),
        Place(columns.pointers[1], right.steps),
    )
    _tile(text, tile, counts.inner, here, masks)
    columns.close()
    rows.close()


def _tile(text: ArrayHandlerText, tile: tuple[int, int], inner: str, places: _Places, masks: _Masks | int) -> None:
    """Write the additions of all lanes of a block to the sums of one tile, one partial sum's vector after the other."""
    total, left, right = places
    tall, broad = tile
    sums = [(_along(text, total, 0, row), column * BYTES_OF_SUM) for row in range(tall) for column in range(broad)]
    operands = [_along(text, left, 0, row) for row in range(tall)]
    operands += [_along(text, right, 1, column) for column in range(broad)]
    steps = [left.steps[1]] * tall + [right.steps[0]] * broad
    parts = LANES_OF_SUM // text.width
    for part in range(parts):
        within = part * text.vector_bytes
        held = [text.load_at(row, column + within) for row, column in sums]
        if isinstance(masks, _Masks):
            for group in range(part, text.groups, parts):
                held = _over_inner(text, inner, operands, steps, held, group, _masked(masks, group), tall)
        else:
            moves = [parts * text.vector_bytes] * len(steps)
            pointers = [text.offset(place, within) for place in operands]
            loop = Loop(text, text.groups // parts, list(zip(pointers, moves, strict=True)), held)
            loop.close(_over_inner(text, inner, loop.pointers, steps, loop.carried, 0, _TAKEN[masks], tall))
            held = loop.carried
        for value, (row, column) in zip(held, sums, strict=True):
            text.store_at(value, row, column + within)


Taken = Callable[[Lanes, Lanes], Mask | None]
"""Given a vector of either side, returns the lanes in which their product is added; None for all."""

_TAKEN: Final[Mapping[int, Taken]] = MappingProxyType(
    {
        0: lambda _left, _right: None,
        _LEFT: lambda left, _right: left.differs(0.0),
        _RIGHT: lambda _left, right: right.differs(0.0),
    }
)


def _masked(masks: _Masks, group: int) -> Taken:
    return lambda left, right: masks.there[group] & ~masks.strong.dead(left, right)


def _over_inner(
    text: ArrayHandlerText,
    inner: str,
    operands: Sequence[str],
    steps: Sequence[str],
    held: Sequence[Lanes],
    group: int,
    taken: Taken,
    tall: int,
) -> list[Lanes]:
    """Write the loop over k for one vector of points; return the new partial sums."""
    loop = Loop(text, inner, list(zip(operands, steps, strict=True)), held)
    values = [text.load(pointer, group) for pointer in loop.pointers]
    pairs = [(one, other) for one in values[:tall] for other in values[tall:]]
    new = []
    for (one, other), before in zip(pairs, loop.carried, strict=True):
        after, mask = one.times_plus(other, before), taken(one, other)
        new.append(after if mask is None else select(mask, after, before))
    loop.close(new)
    return loop.carried


def _along(text: ArrayHandlerText, place: Place, axis: int, number: str | int) -> str:
    """Return the address of an element so many steps on."""
    return place.base if number == 0 else text.offset(place.base, text.write(f"mul i64 {place.steps[axis]}, {number}"))


def _masks(text: ArrayHandlerText) -> list[Mask]:
    """Return for each vector of the block which lanes have a point."""
    left = text.write(f"sub i64 {text.field('end')}, {text.field('row')}")
    one = text.write(f"insertelement {text.bits_type} poison, i64 {left}, i64 0")
    spread = f"{text.bits_type} poison, <{text.width} x i32> zeroinitializer"
    all_left = text.write(f"shufflevector {text.bits_type} {one}, {spread}")
    masks = []
    for group in range(text.groups):
        numbers = ", ".join(f"i64 {group * text.width + lane}" for lane in range(text.width))
        masks.append(Mask(text, text.write(f"icmp slt {text.bits_type} <{numbers}>, {all_left}")))
    return masks

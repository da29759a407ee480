"""Handlers that add up over points: eight partial sums for each element, by the point's number modulo eight.

Each partial sum takes its points in ascending order, whatever the width of a block, so that its bits depend on the
points alone. Lanes past the last point add nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gradmill_server.engine.backends.native.array_tape.loops import ArrayHandlerText, Loop, Place, nested
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
    """Write the handler that adds [p, k] times [k, q] to sums over points: full blocks by tiles, others masked."""
    counts = _Counts(*[text.word() for _ in range(3)])
    places = _Places(text.place("a", 1), text.place("s", 2), text.place("s", 2))
    past = text.write(f"add i64 {text.field('row')}, {text.lanes}")
    full = text.write(f"icmp sle i64 {past}, {text.field('end')}")
    text.branch(full, "full", "partial")
    text.open_block("full")
    text.branch(text.write(f"icmp eq i64 {counts.inner}, 1"), "outer", "matrix")
    text.open_block("outer")
    _tiled(text, counts._replace(inner=_ONE), places)
    text.lines.append("  br label %done")
    text.open_block("matrix")
    _tiled(text, counts, places)
    text.lines.append("  br label %done")
    text.open_block("partial")
    _each(text, (1, 1), counts, places, _masks(text))
    text.lines.append("  br label %done")
    text.open_block("done")
    return text.leave()


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


_ONE: Final = "1"
"""An inner extent that is known to be 1: the product is an outer one."""


def _tiled(text: ArrayHandlerText, counts: _Counts, places: _Places) -> None:
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
                    _each(text, (tall, broad), _Counts(row_count, column_count, counts.inner), moved, ())


def _parts(text: ArrayHandlerText, count: str, size: int) -> list[tuple[int, str, str]]:
    """Cut a count into whole tiles and ones: for each the size, the first, and how many tiles."""
    whole = text.write(f"udiv i64 {count}, {size}")
    covered = text.write(f"mul i64 {whole}, {size}")
    return [(size, "0", whole), (1, covered, text.write(f"sub i64 {count}, {covered}"))]


def _each(
    text: ArrayHandlerText, tile: tuple[int, int], counts: _Counts, places: _Places, masks: Sequence[Mask]
) -> None:
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


def _tile(text: ArrayHandlerText, tile: tuple[int, int], inner: str, places: _Places, masks: Sequence[Mask]) -> None:
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
        if masks:
            for group in range(part, text.groups, parts):
                held = _over_inner(text, inner, operands, steps, held, group, masks[group], tall)
        else:
            moves = [parts * text.vector_bytes] * len(steps)
            pointers = [text.offset(place, within) for place in operands]
            loop = Loop(text, text.groups // parts, list(zip(pointers, moves, strict=True)), held)
            loop.close(_over_inner(text, inner, loop.pointers, steps, loop.carried, 0, None, tall))
            held = loop.carried
        for value, (row, column) in zip(held, sums, strict=True):
            text.store_at(value, row, column + within)


def _over_inner(
    text: ArrayHandlerText,
    inner: str,
    operands: Sequence[str],
    steps: Sequence[str],
    held: Sequence[Lanes],
    group: int,
    mask: Mask | None,
    tall: int,
) -> list[Lanes]:
    """Write the loop over k for one vector of points; return the new partial sums."""

    def added(pointers: Sequence[str], before: Sequence[Lanes]) -> list[Lanes]:
        values = [text.load(pointer, group) for pointer in pointers]
        pairs = [(one, other) for one in values[:tall] for other in values[tall:]]
        new = [one.times_plus(other, old) for (one, other), old in zip(pairs, before, strict=True)]
        return new if mask is None else [select(mask, *pair) for pair in zip(new, before, strict=True)]

    if inner == _ONE:
        return added(operands, held)
    loop = Loop(text, inner, list(zip(operands, steps, strict=True)), held)
    loop.close(added(loop.pointers, loop.carried))
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

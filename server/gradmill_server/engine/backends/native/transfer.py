"""Handlers that move tiles of points into slots and slots into tiles of results.

Row-major arrays are read and written where they lie: a tile is turned in registers, rows to columns, on its way. A
block that reaches past the last point takes a slow road, lane by lane, that touches nothing beyond it; lanes without a
point repeat the last one, so that they take no time of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gradmill_server.engine.backends.native.frame import (
    BYTES_PER_FIELD,
    CACHE_LINE_BYTES,
    FIELDS_OF_SHAPE,
    FIELDS_PER_COLUMN,
    GROUPS_OFFSET,
    Layout,
)
from gradmill_server.engine.backends.native.handler_text import HandlerText
from gradmill_server.engine.backends.native.lane_by_lane import load_lane_by_lane, store_lane_by_lane
from gradmill_server.engine.backends.native.records import SPARE_SLOT, TILE_COLUMNS
from gradmill_server.engine.backends.native.tiles import (
    load_tile,
    load_vector,
    row_address,
    store_tile,
    store_vector,
)
from gradmill_server.engine.lanes import Lanes

FAR_APART_BYTES = 256
"""Rows longer than this are so far apart that no hardware foresees which lines are wanted next."""

_FORESEEN_COLUMNS = 4
"""Rows up to this many columns need no help: hardware foresees them (measured: asking costs them a tenth)."""

_CACHED_BYTES = 512 * 1024
"""Arrays up to this size are likely to be in the second-level cache already."""

_BLOCKS_AHEAD = 4


def load_handler(text: HandlerText, layout: Layout, count: int) -> HandlerText:
    """Write the handler that reads some columns of a block of points.

    Args:
        text: the handler, begun.
        layout: how the points lie.
        count: columns; in the layout ROWS all there are, or four or eight of more.
    """
    first = text.word()
    slots = [text.slot() for _ in range(count)]
    row, end = text.field("row"), text.field("end")
    if layout is Layout.COLUMNS:
        for place, slot in enumerate(slots):
            _load_column(text, _column_address(text, first, place), slot, row, end)
        return text.go_on().end()
    stride = text.field("point_stride")
    column = text.write(f"mul i64 {first}, {text.element_bytes}")
    base = text.offset(text.field("points", "ptr"), column)
    text.branch(fits(text, row, end), "whole", "partial")
    text.open_block("whole")
    here = text.offset(base, text.write(f"mul i64 {row}, {stride}"))
    before = "whole"
    if count > _FORESEEN_COLUMNS:
        before = _prefetch(text, here, stride, first, "read")
    _load_rows(text, before, here, stride, slots)
    text.lines.append("  br label %done")
    text.open_block("partial")
    steps = [(text.offset(base, place * text.element_bytes), stride) for place in range(count)]
    load_lane_by_lane(text, "partial", steps, slots, row, end)
    text.lines.append("  br label %done")
    text.open_block("done")
    return text.go_on().end()


def store_handler(text: HandlerText, layout: Layout, count: int) -> HandlerText:
    """Write the handler that writes some columns of a block of results, and marks the points that are not finite.

    Args:
        text: the handler, begun.
        layout: how the results lie.
        count: columns; in the layout ROWS all there are, or four or eight of more.
    """
    group = group_of(text)
    first = text.word()
    slots = [text.slot() for _ in range(count)]
    base = text.write(f"load ptr, ptr {group.address}")
    stride = text.write(f"load i64, ptr {group.stride}")
    row, end = text.field("row"), text.field("end")
    by_column, by_row = (stride, text.element_bytes) if layout is Layout.COLUMNS else (text.element_bytes, stride)
    start = text.offset(base, text.write(f"mul i64 {first}, {by_column}"))
    start = text.offset(start, text.write(f"mul i64 {row}, {by_row}"))
    text.branch(fits(text, row, end), "whole", "slow")
    text.open_block("whole")
    before = "whole"
    if layout is Layout.COLUMNS:
        sums = _store_columns(text, before, start, stride, slots)
    else:
        if count > _FORESEEN_COLUMNS:
            before = _prefetch(text, start, stride, first, "write")
        sums = _store_rows(text, before, start, stride, slots)
    text.branch(any_not_finite(text, sums), "slow", "done")
    text.open_block("slow")
    columns = [text.offset(start, text.write(f"mul i64 {place}, {by_column}")) for place in range(count)]
    store_lane_by_lane(text, columns, by_row, slots, group.flag, row, end)
    text.open_block("done")
    return text.go_on().end()


def _prefetch(text: HandlerText, base: str, stride: str, first: str, purpose: str) -> str:
    """Ask for what comes next, into the second-level cache; return the block of code that follows.

    Where rows are far apart: of the tile after the next, the part in this block. Where they are near one another, in
    the first tile of arrays too large to be in that cache anyway: a whole block, a few blocks ahead. Measured at 1,000
    columns: 1.8 times faster than without, where the next tile, or the first-level cache, gave 1.2; at 10 and 25
    columns and 100,000 points: 1.7 and 1.4 times.
    """
    text.branch(text.write(f"icmp ugt i64 {stride}, {FAR_APART_BYTES}"), "far", "near")
    text.open_block("far")
    for lane in range(text.lanes):
        place = text.offset(row_address(text, base, stride, lane), 2 * TILE_COLUMNS * text.element_bytes)
        prefetch(text, place, purpose)
    text.lines.append("  br label %fetched")
    text.open_block("near")
    array_bytes = text.write(f"mul i64 {text.field('end')}, {stride}")
    large = text.write(f"icmp ugt i64 {array_bytes}, {_CACHED_BYTES}")
    begins = text.write(f"icmp eq i64 {first}, 0")
    text.branch(text.write(f"and i1 {begins}, {large}"), "ahead", "fetched")
    text.open_block("ahead")
    size = text.write(f"mul i64 {stride}, {text.lanes}")
    start = text.offset(base, text.write(f"mul i64 {size}, {_BLOCKS_AHEAD}"))
    at = text.open_loop("ahead")
    prefetch(text, text.offset(start, at), purpose)
    text.close_loop(at, size, CACHE_LINE_BYTES)
    text.lines.append("  br label %fetched")
    text.open_block("fetched")
    return "fetched"


def prefetch(text: HandlerText, place: str, purpose: str) -> None:
    """Ask for a line of cache, to be read or written, into the second-level cache."""
    text.declarations.add("declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
    intent = int(purpose == "write")
    text.lines.append(f"  call void @llvm.prefetch.p0(ptr {place}, i32 {intent}, i32 2, i32 1)")


def store_accumulator_handler(text: HandlerText) -> HandlerText:
    """Write the handler that writes the accumulator to an array of one column, which lies alike in either layout."""
    group = group_of(text)
    row, end = text.field("row"), text.field("end")
    start = text.offset(
        text.write(f"load ptr, ptr {group.address}"), text.write(f"mul i64 {row}, {text.element_bytes}")
    )
    text.branch(fits(text, row, end), "whole", "slow")
    text.open_block("whole")
    for place, value in enumerate(text.accumulator):
        store_vector(text, value, start, place * text.width * text.element_bytes)
    text.branch(any_not_finite(text, total(text.accumulator)), "slow", "done")
    text.open_block("slow")
    spare = text.offset("%scratch", SPARE_SLOT)
    for place, value in enumerate(text.accumulator):
        text.store(value, spare, place)
    store_lane_by_lane(text, [start], text.element_bytes, [spare], group.flag, row, end)
    text.open_block("done")
    return text.go_on().end()


class _Group(NamedTuple):
    """Where in the frame the fields of an array of results are."""

    address: str
    stride: str
    flag: str


def group_of(text: HandlerText) -> _Group:
    """Read the record's next word, an array of results; return where its fields are."""
    number = text.word()
    addresses = text.offset("%frame", GROUPS_OFFSET)
    address = text.offset(addresses, text.write(f"mul i64 {number}, {BYTES_PER_FIELD}"))
    shapes = text.offset(addresses, text.write(f"mul i64 {text.field('group_count')}, {BYTES_PER_FIELD}"))
    stride = text.offset(shapes, text.write(f"mul i64 {number}, {FIELDS_OF_SHAPE * BYTES_PER_FIELD}"))
    return _Group(address, stride, text.offset(stride, BYTES_PER_FIELD))


def fits(text: HandlerText, row: str, end: str) -> str:
    """Return whether every lane of the block has a point."""
    past = text.write(f"add i64 {row}, {text.lanes}")
    return text.write(f"icmp sle i64 {past}, {end}")


def _load_rows(text: HandlerText, before: str, base: str, stride: str, slots: Sequence[str]) -> None:
    lane = text.open_loop(before)
    here = text.offset(base, text.write(f"mul i64 {lane}, {stride}"))
    at = text.write(f"mul i64 {lane}, {text.element_bytes}")
    for value, slot in zip(load_tile(text, here, stride, len(slots)), slots, strict=True):
        text.store_at(value, slot, at)
    text.close_loop(lane, text.lanes, text.width)


def _over_groups(text: HandlerText, before: str, body: Callable[[str, str], Lanes]) -> Lanes:
    """Write a loop over the groups of a block; return the sum of what its body gives.

    A loop and not straight code: the compiler would move the sums behind everything else and keep all columns on the
    stack until then (measured: half the speed).

    Args:
        text: the handler.
        before: the block of code in which the loop is entered.
        body: writes one group, given its first lane and that lane's offset in a slot, in bytes.
    """
    lane = text.open_loop(before)
    kind = text.lanes_type
    text.lines.append(f"  {lane}.sum = phi {kind} [ zeroinitializer, %{before} ], [ {lane}.total, %{lane[1:]}.loop ]")
    added = body(lane, text.write(f"mul i64 {lane}, {text.element_bytes}"))
    text.lines.append(f"  {lane}.total = fadd {kind} {lane}.sum, {added.name}")
    text.close_loop(lane, text.lanes, text.width)
    return Lanes(text, f"{lane}.total")


def _store_rows(text: HandlerText, before: str, base: str, stride: str, slots: Sequence[str]) -> Lanes:
    """Store whole vectors; return NaN or infinity in some lane if something was not finite."""

    def group(lane: str, at: str) -> Lanes:
        here = text.offset(base, text.write(f"mul i64 {lane}, {stride}"))
        columns = [text.load_at(slot, at) for slot in slots]
        store_tile(text, here, stride, columns)
        return total(columns)

    return _over_groups(text, before, group)


def _store_columns(text: HandlerText, before: str, base: str, stride: str, slots: Sequence[str]) -> Lanes:
    """Store whole vectors; return NaN or infinity in some lane if something was not finite."""
    addresses = [text.offset(base, text.write(f"mul i64 {stride}, {place}")) for place in range(len(slots))]

    def group(_lane: str, at: str) -> Lanes:
        columns = [text.load_at(slot, at) for slot in slots]
        for value, address in zip(columns, addresses, strict=True):
            store_vector(text, value, address, at)
        return total(columns)

    return _over_groups(text, before, group)


def total(values: Sequence[Lanes]) -> Lanes:
    """Add up in pairs, which waits less than a chain. Not finite where a value is not (or where the sum overflows)."""
    left = list(values)
    while len(left) > 1:
        pairs = [one + other for one, other in zip(left[::2], left[1::2], strict=False)]
        left = pairs + left[len(pairs) * 2 :]
    return left[0]


def any_not_finite(text: HandlerText, sums: Lanes) -> str:
    """Return whether any lane is not finite."""
    packed = text.write(f"bitcast {text.mask_type} {(sums - sums).is_nan().name} to i{text.width}")
    return text.write(f"icmp ne i{text.width} {packed}, 0")


def _column_address(text: HandlerText, first: str, place: int) -> str:
    number = text.write(f"add i64 {first}, {place}")
    return text.offset(
        text.field("columns", "ptr"), text.write(f"mul i64 {number}, {FIELDS_PER_COLUMN * BYTES_PER_FIELD}")
    )


def _load_column(text: HandlerText, column: str, slot: str, row: str, end: str) -> None:
    """Load a block of one column: a value shared by all points, whole vectors, or lane by lane."""
    base = text.write(f"load ptr, ptr {column}")
    step = text.write(f"load i64, ptr {text.offset(column, BYTES_PER_FIELD)}")
    label = text.fresh()[1:]
    text.branch(text.write(f"icmp eq i64 {step}, 0"), f"{label}.shared", f"{label}.own")
    text.open_block(f"{label}.shared")
    value = text.splat(text.write(f"load {text.element}, ptr {base}"))
    for group in range(text.groups):
        text.store(value, slot, group)
    text.lines.append(f"  br label %{label}.done")
    text.open_block(f"{label}.own")
    text.branch(fits(text, row, end), f"{label}.whole", f"{label}.partial")
    text.open_block(f"{label}.whole")
    here = text.offset(base, text.write(f"mul i64 {row}, {text.element_bytes}"))
    for group in range(text.groups):
        text.store(load_vector(text, here, group * text.width * text.element_bytes), slot, group)
    text.lines.append(f"  br label %{label}.done")
    text.open_block(f"{label}.partial")
    load_lane_by_lane(text, f"{label}.partial", [(base, step)], [slot], row, end)
    text.lines.append(f"  br label %{label}.done")
    text.open_block(f"{label}.done")

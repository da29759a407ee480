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
    FIELDS_OF_SHAPE,
    FIELDS_PER_COLUMN,
    GROUPS_OFFSET,
    Layout,
)
from gradmill_server.engine.backends.native.handler_text import BYTES_PER_LANE, HandlerText
from gradmill_server.engine.backends.native.records import HALF_TILE_COLUMNS, SPARE_SLOT, TILE_COLUMNS
from gradmill_server.engine.lanes import Lanes

_HALF = HALF_TILE_COLUMNS
"""Columns that are turned at a time: squares of four by four, one or two to a vector."""

_FAR_APART_BYTES = 256
"""Rows longer than this are so far apart that no hardware foresees which lines are wanted next."""

_FORESEEN_COLUMNS = 4
"""Rows up to this many columns need no help: hardware foresees them (measured: asking costs them a tenth)."""

_CACHED_BYTES = 512 * 1024
"""Arrays up to this size are likely to be in the second-level cache already."""

_BLOCKS_AHEAD = 4
_CACHE_LINE = 64


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
    column = text.write(f"mul i64 {first}, {BYTES_PER_LANE}")
    base = text.offset(text.field("points", "ptr"), column)
    _branch(text, _fits(text, row, end), "whole", "partial")
    text.open_block("whole")
    here = text.offset(base, text.write(f"mul i64 {row}, {stride}"))
    before = "whole"
    if count > _FORESEEN_COLUMNS:
        before = _prefetch(text, here, stride, first, "read")
    _load_rows(text, before, here, stride, slots)
    text.lines.append("  br label %done")
    text.open_block("partial")
    steps = [(text.offset(base, place * BYTES_PER_LANE), stride) for place in range(count)]
    _load_lane_by_lane(text, "partial", steps, slots, row, end)
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
    group = _group_of(text)
    first = text.word()
    slots = [text.slot() for _ in range(count)]
    base = text.write(f"load ptr, ptr {group.address}")
    stride = text.write(f"load i64, ptr {group.stride}")
    row, end = text.field("row"), text.field("end")
    by_column, by_row = (stride, BYTES_PER_LANE) if layout is Layout.COLUMNS else (BYTES_PER_LANE, stride)
    start = text.offset(base, text.write(f"mul i64 {first}, {by_column}"))
    start = text.offset(start, text.write(f"mul i64 {row}, {by_row}"))
    _branch(text, _fits(text, row, end), "whole", "slow")
    text.open_block("whole")
    before = "whole"
    if layout is Layout.COLUMNS:
        sums = _store_columns(text, before, start, stride, slots)
    else:
        if count > _FORESEEN_COLUMNS:
            before = _prefetch(text, start, stride, first, "write")
        sums = _store_rows(text, before, start, stride, slots)
    _branch(text, _any_not_finite(text, sums), "slow", "done")
    text.open_block("slow")
    columns = [text.offset(start, text.write(f"mul i64 {place}, {by_column}")) for place in range(count)]
    _store_lane_by_lane(text, columns, by_row, slots, group.flag, row, end)
    text.open_block("done")
    return text.go_on().end()


def _prefetch(text: HandlerText, base: str, stride: str, first: str, purpose: str) -> str:
    """Ask for what comes next, into the second-level cache; return the block of code that follows.

    Where rows are far apart: of the tile after the next, the part in this block. Where they are near one another, in
    the first tile of arrays too large to be in that cache anyway: a whole block, a few blocks ahead. Measured at 1,000
    columns: 1.8 times faster than without, where the next tile, or the first-level cache, gave 1.2; at 10 and 25
    columns and 100,000 points: 1.7 and 1.4 times.
    """
    text.declarations.add("declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
    intent = int(purpose == "write")
    _branch(text, text.write(f"icmp ugt i64 {stride}, {_FAR_APART_BYTES}"), "far", "near")
    text.open_block("far")
    for lane in range(text.lanes):
        place = text.offset(_row(text, base, stride, lane), 2 * TILE_COLUMNS * BYTES_PER_LANE)
        text.lines.append(f"  call void @llvm.prefetch.p0(ptr {place}, i32 {intent}, i32 2, i32 1)")
    text.lines.append("  br label %fetched")
    text.open_block("near")
    array_bytes = text.write(f"mul i64 {text.field('end')}, {stride}")
    large = text.write(f"icmp ugt i64 {array_bytes}, {_CACHED_BYTES}")
    begins = text.write(f"icmp eq i64 {first}, 0")
    _branch(text, text.write(f"and i1 {begins}, {large}"), "ahead", "fetched")
    text.open_block("ahead")
    size = text.write(f"mul i64 {stride}, {text.lanes}")
    start = text.offset(base, text.write(f"mul i64 {size}, {_BLOCKS_AHEAD}"))
    text.lines.append("  br label %lines")
    text.open_block("lines")
    text.lines.append("  %line = phi i64 [ 0, %ahead ], [ %line.next, %lines ]")
    place = text.offset(start, "%line")
    text.lines.append(f"  call void @llvm.prefetch.p0(ptr {place}, i32 {intent}, i32 2, i32 1)")
    text.lines.append(f"  %line.next = add i64 %line, {_CACHE_LINE}")
    _branch(text, text.write(f"icmp ult i64 %line.next, {size}"), "lines", "fetched")
    text.open_block("fetched")
    return "fetched"


def store_accumulator_handler(text: HandlerText) -> HandlerText:
    """Write the handler that writes the accumulator to an array of one column, which lies alike in either layout."""
    group = _group_of(text)
    row, end = text.field("row"), text.field("end")
    start = text.offset(text.write(f"load ptr, ptr {group.address}"), text.write(f"mul i64 {row}, {BYTES_PER_LANE}"))
    _branch(text, _fits(text, row, end), "whole", "slow")
    text.open_block("whole")
    for place, value in enumerate(text.accumulator):
        _put(text, value, start, place * text.width * BYTES_PER_LANE)
    _branch(text, _any_not_finite(text, _total(text.accumulator)), "slow", "done")
    text.open_block("slow")
    spare = text.offset("%scratch", SPARE_SLOT)
    for place, value in enumerate(text.accumulator):
        text.store(value, spare, place)
    _store_lane_by_lane(text, [start], BYTES_PER_LANE, [spare], group.flag, row, end)
    text.open_block("done")
    return text.go_on().end()


class _Group(NamedTuple):
    """Where in the frame the fields of an array of results are."""

    address: str
    stride: str
    flag: str


def _group_of(text: HandlerText) -> _Group:
    """Read the record's next word, an array of results; return where its fields are."""
    number = text.word()
    addresses = text.offset("%frame", GROUPS_OFFSET)
    address = text.offset(addresses, text.write(f"mul i64 {number}, {BYTES_PER_FIELD}"))
    shapes = text.offset(addresses, text.write(f"mul i64 {text.field('group_count')}, {BYTES_PER_FIELD}"))
    stride = text.offset(shapes, text.write(f"mul i64 {number}, {FIELDS_OF_SHAPE * BYTES_PER_FIELD}"))
    return _Group(address, stride, text.offset(stride, BYTES_PER_FIELD))


def _fits(text: HandlerText, row: str, end: str) -> str:
    """Return whether every lane of the block has a point."""
    past = text.write(f"add i64 {row}, {text.lanes}")
    return text.write(f"icmp sle i64 {past}, {end}")


def _branch(text: HandlerText, condition: str, if_true: str, if_false: str) -> None:
    text.lines.append(f"  br i1 {condition}, label %{if_true}, label %{if_false}")


def _vector(text: HandlerText, pointer: str, count: str | int) -> Lanes:
    """Load a vector from a caller's array, aligned to its elements only."""
    place = text.offset(pointer, count)
    return Lanes(text, text.write(f"load {text.lanes_type}, ptr {place}, align {BYTES_PER_LANE}"))


def _put(text: HandlerText, value: Lanes, pointer: str, count: str | int) -> None:
    place = text.offset(pointer, count)
    text.lines.append(f"  store {text.lanes_type} {value.name}, ptr {place}, align {BYTES_PER_LANE}")


def _shuffle(text: HandlerText, first: Lanes, second: Lanes, picks: Sequence[int]) -> Lanes:
    """Return lanes picked from two vectors, the second's numbered after the first's."""
    mask = ", ".join(f"i32 {pick}" for pick in picks)
    kind = text.lanes_type
    operands = f"{kind} {first.name}, {kind} {second.name}, <{text.width} x i32> <{mask}>"
    return Lanes(text, text.write(f"shufflevector {operands}"))


def _permuted(text: HandlerText, value: Lanes, picks: Sequence[int]) -> Lanes:
    return value if list(picks) == list(range(text.width)) else _shuffle(text, value, value, picks)


def _blended(text: HandlerText, vectors: Sequence[Lanes], source: Sequence[int]) -> Lanes:
    """Return each lane from the vector that is named for it, in its place: blends are cheaper than permutations."""
    result = vectors[0]
    for place in range(1, len(vectors)):
        picks = [text.width + lane if source[lane] == place else lane for lane in range(text.width)]
        result = _shuffle(text, result, vectors[place], picks)
    return result


def _is_interleaved(count: int) -> bool:
    """Whether rows of so many columns are moved as whole vectors.

    An odd number has no divisor in common with the lanes of a vector. So the elements of a column lie in different
    lanes of the vectors that hold the rows, and blends with one permutation bring them together. Two columns are taken
    apart by a shuffle each.
    """
    return count % 2 == 1 or count == 2  # noqa: PLR2004 - see above


def _over_groups(text: HandlerText, before: str, body: Callable[[str, str], Lanes]) -> Lanes:
    """Write a loop over the groups of a block; return the sum of what its body gives.

    A loop and not straight code: the compiler would move the sums behind everything else and keep all columns on the
    stack until then (measured: half the speed).

    Args:
        text: the handler.
        before: the block of code in which the loop is entered.
        body: writes one group, given its first lane and that lane's offset in a slot, in bytes.
    """
    name = text.fresh()
    label = name[1:]
    text.lines.append(f"  br label %{label}.loop")
    text.open_block(f"{label}.loop")
    text.lines.append(f"  {name}.lane = phi i64 [ 0, %{before} ], [ {name}.next, %{label}.loop ]")
    text.lines.append(
        f"  {name}.sum = phi {text.lanes_type} [ zeroinitializer, %{before} ], [ {name}.total, %{label}.loop ]"
    )
    at = text.write(f"mul i64 {name}.lane, {BYTES_PER_LANE}")
    added = body(f"{name}.lane", at)
    text.lines.append(f"  {name}.total = fadd {text.lanes_type} {name}.sum, {added.name}")
    text.lines.append(f"  {name}.next = add i64 {name}.lane, {text.width}")
    more = text.write(f"icmp ult i64 {name}.next, {text.lanes}")
    _branch(text, more, f"{label}.loop", f"{label}.done")
    text.open_block(f"{label}.done")
    return Lanes(text, f"{name}.total")


def _load_rows(text: HandlerText, before: str, base: str, stride: str, slots: Sequence[str]) -> None:
    def group(lane: str, at: str) -> Lanes:
        here = text.offset(base, text.write(f"mul i64 {lane}, {stride}"))
        load = _loaded_interleaved if _is_interleaved(len(slots)) else _loaded_turned
        for value, slot in zip(load(text, here, stride, len(slots)), slots, strict=True):
            text.store_at(value, slot, at)
        return text.splat("0.0")

    _over_groups(text, before, group)


def _store_rows(text: HandlerText, before: str, base: str, stride: str, slots: Sequence[str]) -> Lanes:
    """Store whole vectors; return NaN or infinity in some lane if something was not finite."""

    def group(lane: str, at: str) -> Lanes:
        here = text.offset(base, text.write(f"mul i64 {lane}, {stride}"))
        columns = [text.load_at(slot, at) for slot in slots]
        store = _store_interleaved if _is_interleaved(len(slots)) else _store_turned
        store(text, here, stride, columns)
        return _total(columns)

    return _over_groups(text, before, group)


def _store_columns(text: HandlerText, before: str, base: str, stride: str, slots: Sequence[str]) -> Lanes:
    """Store whole vectors; return NaN or infinity in some lane if something was not finite."""
    addresses = [text.offset(base, text.write(f"mul i64 {stride}, {place}")) for place in range(len(slots))]

    def group(_lane: str, at: str) -> Lanes:
        columns = [text.load_at(slot, at) for slot in slots]
        for value, address in zip(columns, addresses, strict=True):
            _put(text, value, address, at)
        return _total(columns)

    return _over_groups(text, before, group)


def _loaded_interleaved(text: HandlerText, base: str, _stride: str, count: int) -> list[Lanes]:
    width = text.width
    vectors = [_vector(text, base, place * width * BYTES_PER_LANE) for place in range(count)]
    columns = []
    for column in range(count):
        places = [divmod(lane * count + column, width) for lane in range(width)]
        if count % 2:
            source = {lane: vector for vector, lane in places}
            value = _blended(text, vectors, [source[lane] for lane in range(width)])
            columns.append(_permuted(text, value, [lane for _, lane in places]))
        else:
            first, second = vectors
            columns.append(_shuffle(text, first, second, [vector * width + lane for vector, lane in places]))
    return columns


def _store_interleaved(text: HandlerText, base: str, _stride: str, columns: Sequence[Lanes]) -> None:
    count, width = len(columns), text.width
    if count % 2:
        # Row r of column c belongs into lane (r*count + c) mod width.
        rows = [{(row * count + column) % width: row for row in range(width)} for column in range(count)]
        columns = [
            _permuted(text, value, [rows[column][lane] for lane in range(width)])
            for column, value in enumerate(columns)
        ]
    for place in range(count):
        elements = range(place * width, (place + 1) * width)
        if count % 2:
            value = _blended(text, columns, [element % count for element in elements])
        else:
            value = _shuffle(text, columns[0], columns[1], [element % 2 * width + element // 2 for element in elements])
        _put(text, value, base, place * width * BYTES_PER_LANE)


def _turned(text: HandlerText, vectors: Sequence[Lanes]) -> list[Lanes]:
    """Return the transposes of the squares of four by four lanes in four vectors, by exchanges of blocks.

    J. O. Eklundh, "A fast computer method for matrix transposing", IEEE Transactions on Computers 21, 1972.
    """
    turned = list(vectors)
    lanes = range(text.width)
    for block in (1, 2):
        for place in (place for place in range(_HALF) if not place & block):
            one, other = turned[place], turned[place + block]
            low = [lane if not lane & block else text.width + lane - block for lane in lanes]
            high = [lane + block if not lane & block else text.width + lane for lane in lanes]
            turned[place], turned[place + block] = _shuffle(text, one, other, low), _shuffle(text, one, other, high)
    return turned


def _loaded_turned(text: HandlerText, base: str, stride: str, count: int) -> list[Lanes]:
    """Load a group of rows by squares of four columns; a vector holds one row of each of its squares."""
    columns: list[Lanes] = []
    for start in range(0, count, _HALF):
        squares = []
        for row in range(_HALF):
            numbers = range(row, text.width, _HALF)
            parts = [_part(text, _row(text, base, stride, number), number, start, count) for number in numbers]
            squares.append(_joined(text, parts))
        columns += _turned(text, squares)
    return columns[:count]


def _store_turned(text: HandlerText, base: str, stride: str, columns: Sequence[Lanes]) -> None:
    """Store a group of rows, in ascending order: what one writes past its end the next overwrites."""
    count = len(columns)
    padded = [*columns, *[columns[-1]] * (-count % _HALF)]
    squares = [_turned(text, padded[start : start + _HALF]) for start in range(0, count, _HALF)]
    for number in range(text.width):
        row = _row(text, base, stride, number)
        for start, square in zip(range(0, count, _HALF), squares, strict=True):
            _put_part(text, _half(text, square[number % _HALF], number // _HALF), row, number, start, count)


_PART = f"<{_HALF} x double>"


def _joined(text: HandlerText, parts: Sequence[str]) -> Lanes:
    if len(parts) == 1:
        return Lanes(text, parts[0])
    mask = ", ".join(f"i32 {lane}" for lane in range(text.width))
    operands = f"{_PART} {parts[0]}, {_PART} {parts[1]}, <{text.width} x i32> <{mask}>"
    return Lanes(text, text.write(f"shufflevector {operands}"))


def _half(text: HandlerText, value: Lanes, square: int) -> str:
    """Return the four lanes of one of a vector's squares."""
    if text.width == _HALF:
        return value.name
    mask = ", ".join(f"i32 {square * _HALF + lane}" for lane in range(_HALF))
    return text.write(
        f"shufflevector {text.lanes_type} {value.name}, {text.lanes_type} poison, <{_HALF} x i32> <{mask}>"
    )


def _part(text: HandlerText, row: str, number: int, start: int, count: int) -> str:
    """Load four columns of a row. What is read past the row's end is the next row's, except in a group's last."""
    place = text.offset(row, start * BYTES_PER_LANE)
    if count - start >= _HALF or number < text.width - 1:
        return text.write(f"load {_PART}, ptr {place}, align {BYTES_PER_LANE}")
    name = f"@llvm.masked.load.v{_HALF}f64.p0"
    mask_type, mask = _first_columns(count - start)
    text.declarations.add(f"declare {_PART} {name}(ptr, i32, {mask_type}, {_PART})")
    return text.write(f"call {_PART} {name}(ptr {place}, i32 8, {mask_type} {mask}, {_PART} zeroinitializer)")


def _put_part(text: HandlerText, part: str, row: str, number: int, start: int, count: int) -> None:
    """Store four columns of a row; in a group's last row only those that are there."""
    place = text.offset(row, start * BYTES_PER_LANE)
    if count - start >= _HALF or number < text.width - 1:
        text.lines.append(f"  store {_PART} {part}, ptr {place}, align {BYTES_PER_LANE}")
        return
    name = f"@llvm.masked.store.v{_HALF}f64.p0"
    mask_type, mask = _first_columns(count - start)
    text.declarations.add(f"declare void {name}({_PART}, ptr, i32, {mask_type})")
    text.lines.append(f"  call void {name}({_PART} {part}, ptr {place}, i32 8, {mask_type} {mask})")


def _first_columns(count: int) -> tuple[str, str]:
    """Return the type and the value of a mask of the first columns of a part."""
    return f"<{_HALF} x i1>", f"<{', '.join(f'i1 {int(lane < count)}' for lane in range(_HALF))}>"


def _row(text: HandlerText, base: str, stride: str, number: int) -> str:
    return text.offset(base, text.write(f"mul i64 {stride}, {number}"))


def _total(values: Sequence[Lanes]) -> Lanes:
    """Add up in pairs, which waits less than a chain. Not finite where a value is not (or where the sum overflows)."""
    left = list(values)
    while len(left) > 1:
        pairs = [one + other for one, other in zip(left[::2], left[1::2], strict=False)]
        left = pairs + left[len(pairs) * 2 :]
    return left[0]


def _any_not_finite(text: HandlerText, sums: Lanes) -> str:
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
    _branch(text, text.write(f"icmp eq i64 {step}, 0"), f"{label}.shared", f"{label}.own")
    text.open_block(f"{label}.shared")
    value = text.splat(text.write(f"load double, ptr {base}"))
    for group in range(text.groups):
        text.store(value, slot, group)
    text.lines.append(f"  br label %{label}.done")
    text.open_block(f"{label}.own")
    _branch(text, _fits(text, row, end), f"{label}.whole", f"{label}.partial")
    text.open_block(f"{label}.whole")
    here = text.offset(base, text.write(f"mul i64 {row}, {BYTES_PER_LANE}"))
    for group in range(text.groups):
        text.store(_vector(text, here, group * text.width * BYTES_PER_LANE), slot, group)
    text.lines.append(f"  br label %{label}.done")
    text.open_block(f"{label}.partial")
    _load_lane_by_lane(text, f"{label}.partial", [(base, step)], [slot], row, end)
    text.lines.append(f"  br label %{label}.done")
    text.open_block(f"{label}.done")


def _load_lane_by_lane(
    text: HandlerText, before: str, columns: Sequence[tuple[str, str]], slots: Sequence[str], row: str, end: str
) -> None:
    """Load column by column (address, bytes from a row to the next); lanes past the last point repeat it."""
    last = text.write(f"sub i64 {end}, 1")
    lane = _open_loop(text, before)
    number = text.write(f"add i64 {row}, {lane}")
    inside = text.write(f"icmp slt i64 {number}, {last}")
    number = text.write(f"select i1 {inside}, i64 {number}, i64 {last}")
    for (base, stride), slot in zip(columns, slots, strict=True):
        value = text.write(f"load double, ptr {text.offset(base, text.write(f'mul i64 {number}, {stride}'))}")
        text.lines.append(f"  store double {value}, ptr {_lane_of(text, slot, lane)}")
    _close_loop(text, lane, str(text.lanes))


def _store_lane_by_lane(
    text: HandlerText, columns: Sequence[str], step: str | int, slots: Sequence[str], flag: str, row: str, end: str
) -> None:
    """Store the lanes that have a point, and mark the points of which something is not finite."""
    bit = text.write(f"trunc i64 {text.write(f'load i64, ptr {flag}')} to i8")
    flags = text.offset(text.field("flags", "ptr"), row)
    left = text.write(f"sub i64 {end}, {row}")
    some = text.write(f"icmp slt i64 {left}, {text.lanes}")
    count = text.write(f"select i1 {some}, i64 {left}, i64 {text.lanes}")
    lane = _open_loop(text, "slow")
    total = "0.0"
    for column, slot in zip(columns, slots, strict=True):
        value = text.write(f"load double, ptr {_lane_of(text, slot, lane)}")
        place = text.offset(column, text.write(f"mul i64 {lane}, {step}"))
        text.lines.append(f"  store double {value}, ptr {place}")
        total = text.write(f"fadd double {total}, {text.write(f'fsub double {value}, {value}')}")
    place = text.offset(flags, lane)
    held = text.write(f"load i8, ptr {place}")
    wrong = text.write(f"fcmp uno double {total}, {total}")
    marked = text.write(f"or i8 {held}, {text.write(f'select i1 {wrong}, i8 {bit}, i8 0')}")
    text.lines.append(f"  store i8 {marked}, ptr {place}")
    _close_loop(text, lane, count)
    text.lines.append("  br label %done")


def _lane_of(text: HandlerText, slot: str, lane: str) -> str:
    return text.write(f"getelementptr double, ptr {slot}, i64 {lane}")


def _open_loop(text: HandlerText, before: str) -> str:
    """Begin a loop over lanes in a block of its own; return the lane."""
    label = text.fresh()
    name = label[1:]
    text.lines.append(f"  br label %{name}.loop")
    text.open_block(f"{name}.loop")
    text.lines.append(f"  {label}.lane = phi i64 [ 0, %{before} ], [ {label}.next, %{name}.loop ]")
    return f"{label}.lane"


def _close_loop(text: HandlerText, lane: str, count: str) -> None:
    label = lane.removesuffix(".lane")
    text.lines.append(f"  {label}.next = add i64 {lane}, 1")
    more = text.write(f"icmp slt i64 {label}.next, {count}")
    _branch(text, more, f"{label[1:]}.loop", f"{label[1:]}.after")
    text.open_block(f"{label[1:]}.after")

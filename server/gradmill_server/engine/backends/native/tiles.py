"""Tiles of row-major arrays, turned in registers: a vector for each column of some rows, and the other way round.

Rows of an odd number of columns, and of two, are taken apart as whole vectors; others are turned by squares of four by
four, up to four of them to a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gradmill_server.engine.backends.native.handler_text import HandlerText
from gradmill_server.engine.backends.native.records import HALF_TILE_COLUMNS
from gradmill_server.engine.lanes import Lanes

_SQUARE: Final = HALF_TILE_COLUMNS


def load_tile(text: HandlerText, base: str, stride: str, count: int) -> list[Lanes]:
    """Load as many rows as a vector has lanes; return a vector for each column.

    Args:
        text: the handler.
        base: the address of the first row's first element.
        stride: bytes from one row to the next.
        count: columns; fewer than eight that are not four are all columns there are.
    """
    return (_load_interleaved if _is_interleaved(count) else _load_turned)(text, base, stride, count)


def store_tile(text: HandlerText, base: str, stride: str, columns: Sequence[Lanes]) -> None:
    """Store a vector for each column as rows; the arguments are those of `load_tile`."""
    (_store_interleaved if _is_interleaved(len(columns)) else _store_turned)(text, base, stride, columns)


def load_vector(text: HandlerText, pointer: str, at: str | int) -> Lanes:
    """Load a vector from a caller's array, aligned to its elements only."""
    place = text.offset(pointer, at)
    return Lanes(text, text.write(f"load {text.lanes_type}, ptr {place}, align {text.element_bytes}"))


def store_vector(text: HandlerText, value: Lanes, pointer: str, at: str | int) -> None:
    """Store a vector to a caller's array, aligned to its elements only."""
    place = text.offset(pointer, at)
    text.lines.append(f"  store {text.lanes_type} {value.name}, ptr {place}, align {text.element_bytes}")


def row_address(text: HandlerText, base: str, stride: str, number: int) -> str:
    """Return the address of a row."""
    return text.offset(base, text.write(f"mul i64 {stride}, {number}"))


def _is_interleaved(count: int) -> bool:
    """Whether rows of so many columns are moved as whole vectors.

    An odd number has no divisor in common with the lanes of a vector. So the elements of a column lie in different
    lanes of the vectors that hold the rows, and blends with one permutation bring them together. Two columns are taken
    apart by a shuffle each.
    """
    return count % 2 == 1 or count == 2  # noqa: PLR2004 - see above


def _load_interleaved(text: HandlerText, base: str, _stride: str, count: int) -> list[Lanes]:
    width = text.width
    vectors = [load_vector(text, base, place * width * text.element_bytes) for place in range(count)]
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
        store_vector(text, value, base, place * width * text.element_bytes)


def _turned(text: HandlerText, vectors: Sequence[Lanes]) -> list[Lanes]:
    """Return the transposes of the squares of four by four lanes in four vectors, by exchanges of blocks.

    J. O. Eklundh, "A fast computer method for matrix transposing", IEEE Transactions on Computers 21, 1972.
    """
    turned = list(vectors)
    lanes = range(text.width)
    for block in (1, 2):
        for place in (place for place in range(_SQUARE) if not place & block):
            one, other = turned[place], turned[place + block]
            low = [lane if not lane & block else text.width + lane - block for lane in lanes]
            high = [lane + block if not lane & block else text.width + lane for lane in lanes]
            turned[place], turned[place + block] = _shuffle(text, one, other, low), _shuffle(text, one, other, high)
    return turned


def _load_turned(text: HandlerText, base: str, stride: str, count: int) -> list[Lanes]:
    """Load a group of rows by squares of four columns; a vector holds one row of each of its squares."""
    columns: list[Lanes] = []
    for start in range(0, count, _SQUARE):
        squares = []
        for row in range(_SQUARE):
            numbers = range(row, text.width, _SQUARE)
            parts = [_part(text, row_address(text, base, stride, number), number, start, count) for number in numbers]
            squares.append(_joined(text, parts))
        columns += _turned(text, squares)
    return columns[:count]


def _store_turned(text: HandlerText, base: str, stride: str, columns: Sequence[Lanes]) -> None:
    """Store a group of rows, in ascending order: what one writes past its end the next overwrites."""
    count = len(columns)
    padded = [*columns, *[columns[-1]] * (-count % _SQUARE)]
    squares = [_turned(text, padded[start : start + _SQUARE]) for start in range(0, count, _SQUARE)]
    for number in range(text.width):
        row = row_address(text, base, stride, number)
        for start, square in zip(range(0, count, _SQUARE), squares, strict=True):
            _put_part(text, _half(text, square[number % _SQUARE], number // _SQUARE), row, number, start, count)


def _joined(text: HandlerText, parts: Sequence[str]) -> Lanes:
    width = _SQUARE
    joined = list(parts)
    while len(joined) > 1:
        kind, width = f"<{width} x {text.element}>", 2 * width
        mask = f"<{width} x i32> <{', '.join(f'i32 {lane}' for lane in range(width))}>"
        pairs = zip(joined[::2], joined[1::2], strict=True)
        joined = [text.write(f"shufflevector {kind} {one}, {kind} {other}, {mask}") for one, other in pairs]
    return Lanes(text, joined[0])


def _half(text: HandlerText, value: Lanes, square: int) -> str:
    """Return the four lanes of one of a vector's squares."""
    if text.width == _SQUARE:
        return value.name
    mask = ", ".join(f"i32 {square * _SQUARE + lane}" for lane in range(_SQUARE))
    return text.write(
        f"shufflevector {text.lanes_type} {value.name}, {text.lanes_type} poison, <{_SQUARE} x i32> <{mask}>"
    )


def _part(text: HandlerText, row: str, number: int, start: int, count: int) -> str:
    """Load four columns of a row. What is read past the row's end is the next row's, except in a group's last."""
    place = text.offset(row, start * text.element_bytes)
    part = _part_type(text)
    if count - start >= _SQUARE or number < text.width - 1:
        return text.write(f"load {part}, ptr {place}, align {text.element_bytes}")
    name = f"@llvm.masked.load.v{_SQUARE}f{8 * text.element_bytes}.p0"
    mask_type, mask = _first_columns(count - start)
    text.declarations.add(f"declare {part} {name}(ptr, i32, {mask_type}, {part})")
    given = f"ptr {place}, i32 {text.element_bytes}, {mask_type} {mask}, {part} zeroinitializer"
    return text.write(f"call {part} {name}({given})")


def _put_part(text: HandlerText, part: str, row: str, number: int, start: int, count: int) -> None:
    """Store four columns of a row; in a group's last row only those that are there."""
    place = text.offset(row, start * text.element_bytes)
    kind = _part_type(text)
    if count - start >= _SQUARE or number < text.width - 1:
        text.lines.append(f"  store {kind} {part}, ptr {place}, align {text.element_bytes}")
        return
    name = f"@llvm.masked.store.v{_SQUARE}f{8 * text.element_bytes}.p0"
    mask_type, mask = _first_columns(count - start)
    text.declarations.add(f"declare void {name}({kind}, ptr, i32, {mask_type})")
    text.lines.append(f"  call void {name}({kind} {part}, ptr {place}, i32 {text.element_bytes}, {mask_type} {mask})")


def _part_type(text: HandlerText) -> str:
    """Return the LLVM type of four columns of a row."""
    return f"<{_SQUARE} x {text.element}>"


def _first_columns(count: int) -> tuple[str, str]:
    """Return the type and the value of a mask of the first columns of a part."""
    return f"<{_SQUARE} x i1>", f"<{', '.join(f'i1 {int(lane < count)}' for lane in range(_SQUARE))}>"


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

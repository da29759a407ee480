"""Handlers that move columns of points into slots and slots into columns of results.

An array of points is its address and the bytes from one point to the next: the elements of an input lie side by side,
whether it is an array of its own or part of a matrix. Four or eight columns at a time are turned in registers; where
their number is no multiple, the last ones are moved once more. A block that reaches past the last point goes lane by
lane and touches nothing beyond it; its lanes without a point repeat the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gradmill_server.engine.backends.native.array_tape.loops import ArrayHandlerText, Loop, Place
from gradmill_server.engine.backends.native.frame import BYTES_PER_FIELD, BYTES_PER_LANE, FIELDS_PER_COLUMN
from gradmill_server.engine.backends.native.handler_text import HandlerText
from gradmill_server.engine.backends.native.records import HALF_TILE_COLUMNS, TILE_COLUMNS
from gradmill_server.engine.backends.native.tiles import load_tile, store_tile
from gradmill_server.engine.backends.native.transfer import (
    FAR_APART_BYTES,
    any_not_finite,
    fits,
    group_of,
    prefetch,
    total,
)
from gradmill_server.engine.lanes import Lanes, constant

_NARROW: Final = (1, 2, 3)
"""Numbers of columns that are moved as whole vectors where the points lie side by side, else lane by lane."""

_ASKED_AT_ONCE: Final = 8
"""Points for which a turn of the loop asks."""

Move = Callable[[str, Sequence[str], int, Sequence[Lanes]], Sequence[Lanes]]
"""Writes the code that moves a tile: the first point's address, the slots, the columns, what is carried; returns it."""


def load_handler(text: ArrayHandlerText) -> HandlerText:
    """Write the handler that reads columns of points."""
    number, first, count = text.word(), text.word(), text.word()
    slots = text.place("s", 1)
    entry = text.offset(
        text.field("columns", "ptr"), text.write(f"mul i64 {number}, {FIELDS_PER_COLUMN * BYTES_PER_FIELD}")
    )
    base = text.write(f"load ptr, ptr {entry}")
    stride = text.write(f"load i64, ptr {text.offset(entry, BYTES_PER_FIELD)}")
    start = text.offset(base, text.write(f"mul i64 {first}, {BYTES_PER_LANE}"))
    row, end = text.field("row"), text.field("end")

    def move(here: str, columns: Sequence[str], count: int, _carried: Sequence[Lanes]) -> Sequence[Lanes]:
        for value, slot in zip(load_tile(text, here, stride, count), columns, strict=True):
            text.store(value, slot, 0)
        return ()

    text.branch(fits(text, row, end), "whole", "slow")
    text.open_block("whole")
    here = text.offset(start, text.write(f"mul i64 {row}, {stride}"))
    _whole(text, (here, stride, count), slots, move, (), lambda _carried: None)
    text.open_block("slow")
    _load_lane_by_lane(text, (start, stride, count), slots, row, end)
    text.lines.append("  br label %done")
    text.open_block("done")
    return text.leave()


def store_handler(text: ArrayHandlerText) -> HandlerText:
    """Write the handler that writes columns of results, and marks the points that are not finite."""
    group = group_of(text)
    first, count = text.word(), text.word()
    slots = text.place("s", 1)
    base = text.write(f"load ptr, ptr {group.address}")
    stride = text.write(f"load i64, ptr {group.stride}")
    row, end = text.field("row"), text.field("end")
    start = text.offset(base, text.write(f"mul i64 {first}, {BYTES_PER_LANE}"))
    here = text.offset(start, text.write(f"mul i64 {row}, {stride}"))

    def move(here: str, columns: Sequence[str], _count: int, carried: Sequence[Lanes]) -> Sequence[Lanes]:
        values = [text.load(slot, 0) for slot in columns]
        store_tile(text, here, stride, values)
        return [carried[0] + total(values)]

    def check(carried: Sequence[Lanes]) -> None:
        text.branch(any_not_finite(text, carried[0]), "slow", "done")

    text.branch(fits(text, row, end), "whole", "slow")
    text.open_block("whole")
    _whole(text, (here, stride, count), slots, move, [constant(text, 0.0)], check)
    text.open_block("slow")
    _store_lane_by_lane(text, (here, stride, count), slots, group.flag, row, end)
    text.lines.append("  br label %done")
    text.open_block("done")
    return text.leave()


def _whole(
    text: ArrayHandlerText,
    array: tuple[str, str, str],
    slots: Place,
    move: Move,
    carried: Sequence[Lanes],
    after: Callable[[Sequence[Lanes]], None],
) -> None:
    """Write the choice between tiles of eight and of four columns, narrow rows, and the slow road; all end at done."""
    here, stride, count = array
    choices = [
        ("eight", text.write(f"icmp uge i64 {count}, {TILE_COLUMNS}"), TILE_COLUMNS),
        ("four", text.write(f"icmp uge i64 {count}, {HALF_TILE_COLUMNS}"), HALF_TILE_COLUMNS),
    ]
    for narrow in _NARROW:
        few = text.write(f"icmp eq i64 {count}, {narrow}")
        dense = text.write(f"icmp eq i64 {stride}, {narrow * BYTES_PER_LANE}")
        choices.append((f"narrow{narrow}", text.write(f"and i1 {few}, {dense}"), narrow))
    for name, condition, columns in choices:
        text.branch(condition, name, f"{name}.else")
        text.open_block(name)
        left = _tiles(text, (here, stride, count), slots, move, carried, columns)
        after(left)
        if not carried:
            text.lines.append("  br label %done")
        text.open_block(f"{name}.else")
    text.lines.append("  br label %slow")


def _tiles(
    text: ArrayHandlerText,
    array: tuple[str, str, str],
    slots: Place,
    move: Move,
    carried: Sequence[Lanes],
    columns: int,
) -> Sequence[Lanes]:
    """Write the loops over tiles of so many columns and, within, over the vectors of a block."""
    here, stride, count = array
    (step,) = slots.steps
    rounded = text.write(f"add i64 {count}, {columns - 1}")
    turns = text.write(f"udiv i64 {rounded}, {columns}")
    last = text.write(f"sub i64 {count}, {columns}")
    outer = Loop(text, turns, (), carried)
    wanted = text.write(f"mul i64 {outer.counter}, {columns}")
    before = text.write(f"icmp slt i64 {wanted}, {last}")
    first = text.write(f"select i1 {before}, i64 {wanted}, i64 {last}")
    start = text.offset(here, text.write(f"mul i64 {first}, {BYTES_PER_LANE}"))
    at = text.offset(slots.base, text.write(f"mul i64 {first}, {step}"))
    targets = [text.offset(at, text.write(f"mul i64 {step}, {place}")) for place in range(columns)]
    by_vector = text.write(f"mul i64 {stride}, {text.width}")
    if columns == TILE_COLUMNS:
        _ask_ahead(text, start, stride, "write" if carried else "read")
    moves = [(start, by_vector), *[(target, str(text.vector_bytes)) for target in targets]]
    inner = Loop(text, text.groups, moves, outer.carried)
    inner.close(move(inner.pointers[0], inner.pointers[1:], columns, inner.carried))
    outer.close(inner.carried)
    return outer.carried


def _ask_ahead(text: ArrayHandlerText, start: str, stride: str, purpose: str) -> None:
    """Ask for the tile after the next where points lie so far apart that no hardware foresees what is wanted."""
    with text.when(text.write(f"icmp ugt i64 {stride}, {FAR_APART_BYTES}")):
        first = text.offset(start, 2 * TILE_COLUMNS * BYTES_PER_LANE)
        with text.loop(
            text.lanes // _ASKED_AT_ONCE, [(first, text.write(f"mul i64 {stride}, {_ASKED_AT_ONCE}"))]
        ) as loop:
            for number in range(_ASKED_AT_ONCE):
                prefetch(text, text.offset(loop.pointers[0], text.write(f"mul i64 {stride}, {number}")), purpose)


def _load_lane_by_lane(text: ArrayHandlerText, array: tuple[str, str, str], slots: Place, row: str, end: str) -> None:
    """Write the slow road of a load; lanes past the last point repeat it."""
    start, stride, count = array
    last = text.write(f"sub i64 {end}, 1")
    with text.loop(text.lanes) as lanes:
        number = text.write(f"add i64 {row}, {lanes.counter}")
        inside = text.write(f"icmp slt i64 {number}, {last}")
        number = text.write(f"select i1 {inside}, i64 {number}, i64 {last}")
        point = text.offset(start, text.write(f"mul i64 {number}, {stride}"))
        lane = text.offset(slots.base, text.write(f"mul i64 {lanes.counter}, {BYTES_PER_LANE}"))
        with text.loop(count, [(point, BYTES_PER_LANE), (lane, slots.steps[0])]) as columns:
            source, target = columns.pointers
            text.lines.append(f"  store double {text.write(f'load double, ptr {source}')}, ptr {target}")


def _store_lane_by_lane(
    text: ArrayHandlerText, array: tuple[str, str, str], slots: Place, flag: str, row: str, end: str
) -> None:
    """Write the slow road of a store: the lanes that have a point, marked where something is not finite."""
    here, stride, count = array
    bit = text.write(f"trunc i64 {text.write(f'load i64, ptr {flag}')} to i8")
    flags = text.offset(text.field("flags", "ptr"), row)
    left = text.write(f"sub i64 {end}, {row}")
    some = text.write(f"icmp slt i64 {left}, {text.lanes}")
    points = text.write(f"select i1 {some}, i64 {left}, i64 {text.lanes}")
    moves = [(here, stride), (slots.base, str(BYTES_PER_LANE)), (flags, "1")]
    with text.loop(points, moves) as lanes:
        point, lane, place = lanes.pointers
        with text.loop(count, [(lane, slots.steps[0]), (point, BYTES_PER_LANE)]) as columns:
            source, target = columns.pointers
            value = text.write(f"load double, ptr {source}")
            text.lines.append(f"  store double {value}, ptr {target}")
            wrong = text.write(f"fcmp uno double {text.write(f'fsub double {value}, {value}')}, 0.0")
            held = text.write(f"load i8, ptr {place}")
            marked = text.write(f"or i8 {held}, {text.write(f'select i1 {wrong}, i8 {bit}, i8 0')}")
            text.lines.append(f"  store i8 {marked}, ptr {place}")

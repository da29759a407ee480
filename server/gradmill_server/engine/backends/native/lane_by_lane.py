"""The slow road of blocks that reach past the last point, lane by lane, which touches nothing beyond it."""

from __future__ import annotations

from collections.abc import Sequence

from gradmill_server.engine.backends.native.handler_text import HandlerText


def load_lane_by_lane(
    text: HandlerText, before: str, columns: Sequence[tuple[str, str]], slots: Sequence[str], row: str, end: str
) -> None:
    """Load column by column (address, bytes from a row to the next); lanes past the last point repeat it."""
    last = text.write(f"sub i64 {end}, 1")
    lane = text.open_loop(before)
    number = text.write(f"add i64 {row}, {lane}")
    inside = text.write(f"icmp slt i64 {number}, {last}")
    number = text.write(f"select i1 {inside}, i64 {number}, i64 {last}")
    for (base, stride), slot in zip(columns, slots, strict=True):
        value = text.write(f"load {text.element}, ptr {text.offset(base, text.write(f'mul i64 {number}, {stride}'))}")
        text.lines.append(f"  store {text.element} {value}, ptr {_lane_of(text, slot, lane)}")
    text.close_loop(lane, text.lanes)


def store_lane_by_lane(
    text: HandlerText, columns: Sequence[str], step: str | int, slots: Sequence[str], flag: str, row: str, end: str
) -> None:
    """Store the lanes that have a point, and mark the points of which something is not finite."""
    bit = text.write(f"trunc i64 {text.write(f'load i64, ptr {flag}')} to i8")
    flags = text.offset(text.field("flags", "ptr"), row)
    left = text.write(f"sub i64 {end}, {row}")
    some = text.write(f"icmp slt i64 {left}, {text.lanes}")
    count = text.write(f"select i1 {some}, i64 {left}, i64 {text.lanes}")
    lane = text.open_loop("slow")
    total = "0.0"
    for column, slot in zip(columns, slots, strict=True):
        value = text.write(f"load {text.element}, ptr {_lane_of(text, slot, lane)}")
        place = text.offset(column, text.write(f"mul i64 {lane}, {step}"))
        text.lines.append(f"  store {text.element} {value}, ptr {place}")
        total = text.write(f"fadd {text.element} {total}, {text.write(f'fsub {text.element} {value}, {value}')}")
    place = text.offset(flags, lane)
    held = text.write(f"load i8, ptr {place}")
    wrong = text.write(f"fcmp uno {text.element} {total}, {total}")
    marked = text.write(f"or i8 {held}, {text.write(f'select i1 {wrong}, i8 {bit}, i8 0')}")
    text.lines.append(f"  store i8 {marked}, ptr {place}")
    text.close_loop(lane, count)
    text.lines.append("  br label %done")


def _lane_of(text: HandlerText, slot: str, lane: str) -> str:
    return text.write(f"getelementptr {text.element}, ptr {slot}, i64 {lane}")

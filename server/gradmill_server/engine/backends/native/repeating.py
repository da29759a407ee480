"""What runs a tape again and again: the steps of a loop, without going back to Python between them.

A loop has two sets of columns for its carries. A step reads one and writes the other, and then they change places. What
a step takes from sequences and gives to stacked results moves on by its own size, forwards or backwards.
"""

from __future__ import annotations

from typing import Final

from gradmill_server.engine.backends.native.frame import BYTES_PER_FIELD, FIELDS_PER_COLUMN, offset_of
from gradmill_server.engine.backends.native.llvm_text import LlvmFunctionText

LOOP_FIELDS: Final = (
    "frame",  # address of the frame of a step
    "tape",  # address of its first record
    "row",  # its first point
    "columns",  # address of the first carry among the columns of points: for each its address and its step in bytes
    "carries",  # how many carries there are
    "carry_stride",  # bytes from one carry to the next
    "results",  # address of the field in the frame that says where the new carries go
    "moving_count",  # how many addresses move on after each step
)
"""The fields of a loop, 8 bytes each. For each address that moves, where it stands and by how many bytes follow."""

FIELDS_PER_MOVING: Final = 2

_ENDLESS: Final = 1 << 60
"""A budget that no step uses up."""


def repeat_symbol(lanes: int) -> str:
    """Return the symbol of what runs a loop, for a width of block."""
    return f"repeat_{lanes}"


def repeat_text(text: LlvmFunctionText, lanes: int, enter: str) -> LlvmFunctionText:
    """Write ``void repeat(loop, steps)``, which runs some steps of a loop.

    Args:
        text: an empty text.
        lanes: points in a block.
        enter: the symbol of what runs a frame.
    """
    text.lines.append(f'define void @"{repeat_symbol(lanes)}"(ptr %loop, i64 %steps) {{')
    text.open_block("entry")
    field = {
        name: text.write(f"load {'i64' if name in _NUMBERS else 'ptr'}, ptr {_offset(text, '%loop', place)}")
        for place, name in enumerate(LOOP_FIELDS)
    }
    record, row = (
        text.write(f"getelementptr i8, ptr {field['frame']}, i64 {offset_of(name)}") for name in ("record", "row")
    )
    moving = _offset(text, "%loop", len(LOOP_FIELDS))
    text.lines.append("  br label %step")
    text.open_block("step")
    text.lines += [
        "  %done = phi i64 [ 0, %entry ], [ %done.next, %moved ]",
        f"  store ptr {field['tape']}, ptr {record}",
        f"  store i64 {field['row']}, ptr {row}",
    ]
    text.write(f'call i64 @"{enter}"(ptr {field["frame"]}, i64 {_ENDLESS})')
    _exchange_carries(text, field)
    _move_on(text, field, moving)
    text.lines.append("  %done.next = add i64 %done, 1")
    text.branch(text.write("icmp slt i64 %done.next, %steps"), "step", "finished")
    text.open_block("finished")
    text.lines += ["  ret void", "}"]
    return text


_NUMBERS: Final = frozenset({"row", "carries", "carry_stride", "moving_count"})


def _offset(text: LlvmFunctionText, pointer: str, fields: int) -> str:
    return text.write(f"getelementptr i8, ptr {pointer}, i64 {fields * BYTES_PER_FIELD}")


def _exchange_carries(text: LlvmFunctionText, field: dict[str, str]) -> None:
    """Read next what was written now, and write where was read."""
    text.branch(text.write(f"icmp sgt i64 {field['carries']}, 0"), "exchange", "exchanged")
    text.open_block("exchange")
    written = text.write(f"load i64, ptr {field['results']}")
    read = text.write(f"load i64, ptr {field['columns']}")
    text.lines += [f"  store i64 {read}, ptr {field['results']}", "  br label %carry"]
    text.open_block("carry")
    text.lines.append("  %carry.at = phi i64 [ 0, %exchange ], [ %carry.next, %carry ]")
    bytes_on = text.write(f"mul i64 %carry.at, {FIELDS_PER_COLUMN * BYTES_PER_FIELD}")
    place = text.write(f"getelementptr i8, ptr {field['columns']}, i64 {bytes_on}")
    from_first = text.write(f"mul i64 %carry.at, {field['carry_stride']}")
    address = text.write(f"add i64 {written}, {from_first}")
    text.lines += [f"  store i64 {address}, ptr {place}", "  %carry.next = add i64 %carry.at, 1"]
    text.branch(text.write(f"icmp slt i64 %carry.next, {field['carries']}"), "carry", "exchanged")
    text.open_block("exchanged")


def _move_on(text: LlvmFunctionText, field: dict[str, str], moving: str) -> None:
    """Add to each address that moves what it moves by."""
    text.branch(text.write(f"icmp sgt i64 {field['moving_count']}, 0"), "move", "moved")
    text.open_block("move")
    text.lines.append("  %move.at = phi i64 [ 0, %exchanged ], [ %move.next, %move ]")
    bytes_on = text.write(f"mul i64 %move.at, {FIELDS_PER_MOVING * BYTES_PER_FIELD}")
    entry = text.write(f"getelementptr i8, ptr {moving}, i64 {bytes_on}")
    place = text.write(f"load ptr, ptr {entry}")
    by = text.write(f"load i64, ptr {_offset(text, entry, 1)}")
    stood = text.write(f"load i64, ptr {place}")
    moved = text.write(f"add i64 {stood}, {by}")
    text.lines += [f"  store i64 {moved}, ptr {place}", "  %move.next = add i64 %move.at, 1"]
    text.branch(text.write(f"icmp slt i64 %move.next, {field['moving_count']}"), "move", "moved")
    text.open_block("moved")

"""The handlers of the tape machine: one short loop over lanes for each operation, ending in a jump to the next record.

A record is 24 bytes: the handler's address, the result's slot, and up to three operands' slots. A slot is `stride`
bytes of scratch: one float64 for each point of the block. Threaded code (J. R. Bell, "Threaded Code", CACM 16, 1973):
nothing returns to an interpreter loop until the last record.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from gradmill_server.engine.backends.native.compiler import LoadedObject, module_text
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.llvm_text import LlvmFunctionText
from gradmill_server.engine.backends.native.object_cache import cached_object
from gradmill_server.engine.lanes import Lanes
from gradmill_server.engine.ops import TABLE, Operation

RECORD = np.dtype(
    [("handler", "<u8"), ("result", "<i4"), ("first", "<i4"), ("second", "<i4"), ("third", "<i4")], align=False
)
"""One instruction of a tape."""

OPERAND_FIELDS = ("first", "second", "third")
NATIVE_OPERATIONS: frozenset[str] = frozenset(
    name for name, row in TABLE.items() if row.lanes is not None and row.arity <= len(OPERAND_FIELDS)
)
"""The operations that have machine code."""

LANE_QUANTUM = 8
"""Block widths are multiples of this: the lanes of the widest vector, so that one width suits every level."""

_RETURN = "handler_return"
_ENTER = "handler_enter"
_ENDS = f"""
define void @{_RETURN}(ptr %record, ptr %scratch, i64 %stride) {{
  ret void
}}
define void @{_ENTER}(ptr %record, ptr %scratch, i64 %stride) {{
  %handler = load ptr, ptr %record
  tail call void %handler(ptr %record, ptr %scratch, i64 %stride)
  ret void
}}
"""
_BYTES_PER_LANE = 8
_Enter = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class HandlerLibrary:
    """The handlers of one processor level, in executable memory.

    Attributes:
        addresses: for each operation its handler's address.
        return_address: address of the handler that ends a run.
        enter: runs the tape from a record on, as enter(record, scratch, stride); without the interpreter lock.
    """

    def __init__(self, level: Level) -> None:
        """Load the handlers, compiled on this machine's first start and kept on disk since."""
        self._object = LoadedObject(cached_object(library_text(level), level))
        self.addresses: Mapping[str, int] = MappingProxyType(
            {name: self._object.address(_symbol(name)) for name in sorted(NATIVE_OPERATIONS)}
        )
        self.return_address = self._object.address(_RETURN)
        self.enter = _Enter(self._object.address(_ENTER))


@cache
def library(level: Level) -> HandlerLibrary:
    """Return the handlers of a level; the same ones for the whole process."""
    return HandlerLibrary(level)


def library_text(level: Level) -> str:
    """Return the module of all handlers and of the vector functions they call."""
    bodies = [_handler(TABLE[name], level.width) for name in sorted(NATIVE_OPERATIONS)]
    return module_text(level, bodies, _ENDS)


def _symbol(operation: str) -> str:
    return f"handler_{operation}"


def _handler(row: Operation, width: int) -> LlvmFunctionText:
    text = LlvmFunctionText(width)
    text.lines.append(f"define void @{_symbol(row.name)}(ptr %record, ptr %scratch, i64 %stride) {{")
    text.open_block("entry")
    result, *operands = [_slot_pointer(text, place) for place in range(row.arity + 1)]
    text.lines.append("  br label %body")
    text.open_block("body")
    text.lines.append("  %at = phi i64 [ 0, %entry ], [ %following, %end ]")
    _write_lane_step(text, row.lanes, result, operands)
    text.lines += ["  br label %end", "end:", f"  %following = add i64 %at, {width * _BYTES_PER_LANE}"]
    text.lines += ["  %more = icmp ult i64 %following, %stride", "  br i1 %more, label %body, label %next"]
    text.lines += ["next:", f"  %successor = getelementptr i8, ptr %record, i64 {RECORD.itemsize}"]
    text.lines += ["  %handler = load ptr, ptr %successor"]
    text.lines += ["  musttail call void %handler(ptr %successor, ptr %scratch, i64 %stride)", "  ret void", "}"]
    return text


def _slot_pointer(text: LlvmFunctionText, place: int) -> str:
    """Write the address of the record's result (place 0) or operand (1, 2, 3)."""
    offset = RECORD.fields[("result", *OPERAND_FIELDS)[place]][1]  # type: ignore[index]  # it has fields
    field = text.write(f"getelementptr i8, ptr %record, i64 {offset}")
    slot = text.write(f"zext i32 {text.write(f'load i32, ptr {field}')} to i64")
    return text.write(f"getelementptr i8, ptr %scratch, i64 {text.write(f'mul i64 {slot}, %stride')}")


def _write_lane_step(
    text: LlvmFunctionText, lanes: Callable[..., Lanes] | None, result: str, operands: list[str]
) -> None:
    if lanes is None:
        message = "an operation without machine code has no handler"
        raise ValueError(message)
    kind = text.lanes_type
    places = [text.write(f"getelementptr i8, ptr {pointer}, i64 %at") for pointer in operands]
    value = lanes(*(Lanes(text, text.write(f"load {kind}, ptr {place}, align 8")) for place in places))
    target = text.write(f"getelementptr i8, ptr {result}, i64 %at")
    text.lines.append(f"  store {kind} {value.name}, ptr {target}, align 8")

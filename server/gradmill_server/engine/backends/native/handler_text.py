"""Writes one handler: its words, its loads and stores, and the jump to the next."""

from __future__ import annotations

from collections.abc import Sequence

from gradmill_server.engine.backends.native.frame import offset_of
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.llvm_text import LlvmFunctionText
from gradmill_server.engine.lanes import Lanes

BYTES_PER_WORD = 4
"""Words of records are 32 bits wide."""

_POINTERS = ("record", "scratch", "table", "frame", "constants")


class HandlerText(LlvmFunctionText):
    """The text of one handler, begun with its first line.

    Attributes:
        level: what it is compiled for.
        lanes: points in a block.
        groups: vectors that make a block.
        accumulator: what the record before left, one vector for each group.
    """

    def __init__(self, level: Level, lanes: int, name: str) -> None:
        """Begin a handler for blocks of so many lanes."""
        super().__init__(level.width, level.element_type)
        self.level = level
        self.lanes = lanes
        self.groups = lanes // level.width
        self._given = [f"%a{group}" for group in range(self.groups)]
        self.accumulator = [Lanes(self, given) for given in self._given]
        self._words = 1
        parameters = [f"ptr %{pointer}" for pointer in _POINTERS] + [f"{self.lanes_type} {a}" for a in self._given]
        self.lines.append(f'define internal void @"{lanes}.{name}"({", ".join(parameters)}) {{')
        self.open_block("entry")

    def word(self) -> str:
        """Read the record's next word, as i64."""
        place = self.offset("%record", self._words * BYTES_PER_WORD)
        self._words += 1
        return self.write(f"zext i32 {self.write(f'load i32, ptr {place}')} to i64")

    def slot(self) -> str:
        """Read the record's next word, a slot; return its address."""
        return self.offset("%scratch", self.word())

    def constant(self) -> Lanes:
        """Read the record's next word, a constant; return it in every lane."""
        return self.splat(self.write(f"load {self.element}, ptr {self.offset('%constants', self.word())}"))

    def splat(self, number: str) -> Lanes:
        """Return one element in every lane."""
        one = self.write(f"insertelement {self.lanes_type} poison, {self.element} {number}, i64 0")
        spread = f"{self.lanes_type} poison, <{self.width} x i32> zeroinitializer"
        return Lanes(self, self.write(f"shufflevector {self.lanes_type} {one}, {spread}"))

    def offset(self, pointer: str, count: str | int) -> str:
        """Return an address some bytes on."""
        return self.write(f"getelementptr i8, ptr {pointer}, i64 {count}")

    def open_loop(self, before: str) -> str:
        """Begin a loop that is run at least once, entered from a block of code; return its counter, from 0 on."""
        counter = self.fresh()
        label = counter[1:]
        self.lines.append(f"  br label %{label}.loop")
        self.open_block(f"{label}.loop")
        self.lines.append(f"  {counter} = phi i64 [ 0, %{before} ], [ {counter}.next, %{label}.loop ]")
        return counter

    def close_loop(self, counter: str, count: str | int, step: int = 1) -> None:
        """End a loop whose body is one block of code: once more while the counter, a step on, is below the count."""
        label = counter[1:]
        self.lines.append(f"  {counter}.next = add i64 {counter}, {step}")
        self.branch(self.write(f"icmp slt i64 {counter}.next, {count}"), f"{label}.loop", f"{label}.after")
        self.open_block(f"{label}.after")

    def field(self, name: str, kind: str = "i64") -> str:
        """Read a field of the frame."""
        return self.write(f"load {kind}, ptr {self.offset('%frame', offset_of(name))}")

    def set_field(self, name: str, value: str, kind: str = "i64") -> None:
        """Write a field of the frame."""
        self.lines.append(f"  store {kind} {value}, ptr {self.offset('%frame', offset_of(name))}")

    def load(self, slot: str, group: int) -> Lanes:
        """Load a group's lanes from a slot."""
        return self.load_at(slot, group * self._vector_bytes)

    def store(self, value: Lanes, slot: str, group: int) -> None:
        """Store a group's lanes to a slot."""
        self.store_at(value, slot, group * self._vector_bytes)

    def load_at(self, slot: str, at: str | int) -> Lanes:
        """Load a vector that lies some bytes into a slot."""
        return Lanes(
            self, self.write(f"load {self.lanes_type}, ptr {self.offset(slot, at)}, align {self._vector_bytes}")
        )

    def store_at(self, value: Lanes, slot: str, at: str | int) -> None:
        """Store a vector some bytes into a slot."""
        place = self.offset(slot, at)
        self.lines.append(f"  store {self.lanes_type} {value.name}, ptr {place}, align {self._vector_bytes}")

    @property
    def _vector_bytes(self) -> int:
        return self.width * self.element_bytes

    def go_on(self, accumulator: Sequence[Lanes] | None = None) -> HandlerText:
        """Jump to the next record's handler, with this in the accumulator or what was there."""
        return self.jump(self.following(), accumulator)

    def following(self) -> str:
        """Return the address of the next record."""
        return self.offset("%record", self._words * BYTES_PER_WORD)

    def jump(self, record: str, accumulator: Sequence[Lanes] | None = None) -> HandlerText:
        """Jump to a record's handler, with this in the accumulator or what was there."""
        handler = handler_of(self, record, "%table")
        passed = self._given if accumulator is None else [value.name for value in accumulator]
        pointers = [f"ptr {record}", *(f"ptr %{pointer}" for pointer in _POINTERS[1:])]
        arguments = [*pointers, *(f"{self.lanes_type} {value}" for value in passed)]
        self.lines += [f"  musttail call void {handler}({', '.join(arguments)})", "  ret void"]
        return self

    def end(self) -> HandlerText:
        """Close the function; return itself."""
        self.lines.append("}")
        return self


def handler_of(text: LlvmFunctionText, record: str, table: str) -> str:
    """Write the look-up of a record's handler; return its address."""
    kind = text.write(f"zext i32 {text.write(f'load i32, ptr {record}')} to i64")
    return text.write(f"load ptr, ptr {text.write(f'getelementptr ptr, ptr {table}, i64 {kind}')}")

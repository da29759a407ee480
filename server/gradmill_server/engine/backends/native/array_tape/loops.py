"""Handlers with loops over elements: what they read of a record, and loops that may stand within one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gradmill_server.engine.backends.native.frame import BYTES_PER_LANE
from gradmill_server.engine.backends.native.handler_text import HandlerText
from gradmill_server.engine.lanes import Lanes, Mask


class Place(NamedTuple):
    """Where an array is: the address of its first element, and bytes from one to the next for each loop."""

    base: str
    steps: tuple[str, ...]


class Loop:
    """A loop that runs at least once.

    Attributes:
        counter: its counter, from 0 on.
        pointers: addresses that move on by their steps.
        carried: vectors that the loop changes: within it what the turn before left, after it what the last one left.
    """

    def __init__(
        self,
        text: HandlerText,
        count: str | int,
        pointers: Sequence[tuple[str, str | int]] = (),
        carried: Sequence[Lanes] = (),
    ) -> None:
        """Begin a loop of so many turns.

        Args:
            text: the handler.
            count: turns, at least one.
            pointers: addresses at the first turn, each with the bytes it moves on.
            carried: vectors at the first turn.
        """
        self._text = text
        self._count = count
        self._steps = [step for _, step in pointers]
        before = text.block
        self._label = text.fresh()[1:]
        label = self._label
        text.lines.append(f"  br label %{label}.loop")
        text.open_block(f"{label}.loop")

        def phi(kind: str, name: str, first: str) -> str:
            text.lines.append(f"  %{name} = phi {kind} [ {first}, %{before} ], [ %{name}.next, %{label}.turn ]")
            return f"%{name}"

        self.counter = phi("i64", f"{label}.at", "0")
        self.pointers = [phi("ptr", f"{label}.p{place}", base) for place, (base, _) in enumerate(pointers)]
        self.carried = [
            Lanes(text, phi(text.lanes_type, f"{label}.c{place}", value.name)) for place, value in enumerate(carried)
        ]

    def close(self, carried: Sequence[Lanes] = ()) -> None:
        """End the loop, each turn leaving these vectors to the next."""
        text, label = self._text, self._label
        text.lines.append(f"  br label %{label}.turn")
        text.open_block(f"{label}.turn")
        text.lines.append(f"  {self.counter}.next = add i64 {self.counter}, 1")
        for pointer, step in zip(self.pointers, self._steps, strict=True):
            text.lines.append(f"  {pointer}.next = getelementptr i8, ptr {pointer}, i64 {step}")
        for before, value in zip(self.carried, carried, strict=True):
            # A name of its own: the value may be one that another loop has left.
            kind = text.lanes_type
            text.lines.append(f"  {before.name}.next = bitcast {kind} {value.name} to {kind}")
        self.carried = [Lanes(text, f"{before.name}.next") for before in self.carried]
        text.branch(text.write(f"icmp slt i64 {self.counter}.next, {self._count}"), f"{label}.loop", f"{label}.after")
        text.open_block(f"{label}.after")


class ArrayHandlerText(HandlerText):
    """The text of one handler of an array tape."""

    @property
    def vector_bytes(self) -> int:
        """Bytes of a vector."""
        return self.width * BYTES_PER_LANE

    def step(self) -> str:
        """Read the record's next word, a number of bytes that may be negative."""
        return self.write(f"sext i32 {self.write(f'trunc i64 {self.word()} to i32')} to i64")

    def place(self, space: str, axes: int) -> Place:
        """Read the record's next words: where an array lies, and its step for each loop."""
        base = self.offset("%constants", self.word()) if space == "u" else self.slot()
        return Place(base, tuple([self.step() for _ in range(axes)]))

    def uniform(self, pointer: str) -> Lanes:
        """Load a uniform value into every lane."""
        return self.splat(self.write(f"load double, ptr {pointer}"))

    def anywhere(self, mask: Mask) -> str:
        """Return whether a mask holds in some lane."""
        packed = self.write(f"bitcast {self.mask_type} {mask.name} to i{self.width}")
        return self.write(f"icmp ne i{self.width} {packed}, 0")

    def everywhere(self, condition: str) -> Mask:
        """Return a mask that holds in all lanes if a condition holds."""
        one = self.write(f"insertelement {self.mask_type} poison, i1 {condition}, i64 0")
        spread = f"{self.mask_type} poison, <{self.width} x i32> zeroinitializer"
        return Mask(self, self.write(f"shufflevector {self.mask_type} {one}, {spread}"))

    def leave(self) -> HandlerText:
        """Jump to the next record; no accumulator is passed on."""
        return self.go_on([Lanes(self, "poison")] * self.groups).end()

    @contextmanager
    def loop(
        self, count: str | int, pointers: Sequence[tuple[str, str | int]] = (), *, more: bool = True
    ) -> Iterator[Loop]:
        """Write a loop that carries no vectors; one of no turns more than the first is written as straight code."""
        if not more:
            yield _Once([base for base, _ in pointers])
            return
        turning = Loop(self, count, pointers)
        yield turning
        turning.close()

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Write code that runs where a condition holds."""
        label = self.fresh()[1:]
        self.branch(condition, f"{label}.then", f"{label}.after")
        self.open_block(f"{label}.then")
        yield
        self.lines.append(f"  br label %{label}.after")
        self.open_block(f"{label}.after")


class _Once(Loop):
    """The only turn of a loop."""

    def __init__(self, pointers: list[str]) -> None:
        """Stand at the beginning."""
        self.counter = "0"
        self.pointers = pointers
        self.carried = []


@contextmanager
def nested(text: ArrayHandlerText, counts: Sequence[str], arrays: Sequence[Place]) -> Iterator[list[str]]:
    """Write loops over all elements of some arrays, the last axis innermost; give the address of each one's element."""
    opened: list[Loop] = []
    pointers = [array.base for array in arrays]
    for axis, count in enumerate(counts):
        steps = [array.steps[axis] for array in arrays]
        opened.append(Loop(text, count, list(zip(pointers, steps, strict=True))))
        pointers = opened[-1].pointers
    yield pointers
    for loop in reversed(opened):
        loop.close()


class Strong(NamedTuple):
    """Of which side of a product zeros are strong, so that nothing times them is more than zero."""

    left: Mask
    right: Mask

    def dead(self, left: Lanes, right: Lanes) -> Mask:
        """Return where a product is zero, whatever the other side."""
        return (self.left & left.equals(0.0)) | (self.right & right.equals(0.0))


def strong_sides(text: ArrayHandlerText, word: str) -> Strong:
    """Return what a record's word says of both sides."""
    sides = [text.write(f"trunc i64 {text.write(f'lshr i64 {word}, {bit}')} to i1") for bit in (0, 1)]
    return Strong(*map(text.everywhere, sides))

"""Handlers that compute element by element."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from gradmill_server.engine.backends.native.array_tape.loops import ArrayHandlerText, nested
from gradmill_server.engine.backends.native.array_tape.records import AXES, COPY, Kind
from gradmill_server.engine.backends.native.handler_text import BYTES_PER_WORD, HandlerText
from gradmill_server.engine.lanes import Lanes, call_many
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.vector_math.pairs import PAIRS

_CHEAP: Final = 1
"""Cost up to which all vectors of an element are spelled out; of others each is a turn of a loop."""

Computation = Callable[..., Sequence[Lanes]]


def map_handler(text: ArrayHandlerText, kind: Kind) -> HandlerText:
    """Write the handler of a map: for each element the operation on its operands, which may be uniform."""
    computation, cheap = _computation(kind.operation)
    counts = [text.word() for _ in range(AXES)]
    arrays = [text.place(access.space, AXES) for access in kind.accesses]
    results = len(arrays) - len(kind.operands)
    with nested(text, counts, arrays) as pointers:
        if cheap:
            uniform = [
                text.uniform(pointer) if space == "u" else None
                for space, pointer in zip(kind.operands, pointers[results:], strict=True)
            ]
            for group in range(text.groups):
                operands = [
                    text.load(pointer, group) if value is None else value
                    for value, pointer in zip(uniform, pointers[results:], strict=True)
                ]
                _store(text, computation(*operands), pointers, group)
        else:
            _each_vector(text, kind, computation, pointers)
    return text.leave()


def _store(text: ArrayHandlerText, values: Sequence[Lanes], pointers: Sequence[str], group: int) -> None:
    for value, pointer in zip(values, islice(pointers, len(values)), strict=True):
        text.store(value, pointer, group)


def _each_vector(text: ArrayHandlerText, kind: Kind, computation: Computation, pointers: Sequence[str]) -> None:
    """Write a loop over the vectors of an element; a block of one vector needs none."""
    results = len(pointers) - len(kind.operands)
    spaces = "s" * results + kind.operands
    steps = [0 if space == "u" else text.vector_bytes for space in spaces]
    with text.loop(text.groups, list(zip(pointers, steps, strict=True)), more=text.groups > 1) as loop:
        operands = [
            text.uniform(pointer) if space == "u" else text.load(pointer, 0)
            for space, pointer in zip(spaces[results:], loop.pointers[results:], strict=True)
        ]
        _store(text, computation(*operands), loop.pointers, 0)


def _computation(operation: str | tuple[str, str]) -> tuple[Computation, bool]:
    """Return what computes a vector of results, and whether it is cheap."""
    if operation == COPY:
        return lambda value: [value], True
    if isinstance(operation, tuple):
        function = PAIRS[operation]
        return lambda value: call_many(function, value), False
    row = TABLE[operation]
    rule = row.lanes
    if rule is None:
        message = f"operation {operation!r} has no machine code, so no record may use it"
        raise ValueError(message)
    return lambda *operands: [rule(*operands)], row.cost <= _CHEAP


def gather_handler(text: ArrayHandlerText) -> HandlerText:
    """Write the handler that copies the slots of a table, one after the other."""
    with _over_table(text) as (element, entry):
        for group in range(text.groups):
            text.store(text.load(entry, group), element, group)
    return text.leave()


def scatter_handler(text: ArrayHandlerText) -> HandlerText:
    """Write the handler that adds elements to the slots of a table, in order."""
    with _over_table(text) as (element, entry):
        for group in range(text.groups):
            text.store(text.load(entry, group) + text.load(element, group), entry, group)
    return text.leave()


@contextmanager
def _over_table(text: ArrayHandlerText) -> Iterator[tuple[str, str]]:
    """Write a loop over a table; give the address of the element that goes with an entry, and of the entry's slot."""
    count = text.word()
    elements = text.place("s", 1)
    table = text.offset("%record", text.word())
    with text.loop(count, [(elements.base, elements.steps[0]), (table, BYTES_PER_WORD)]) as loop:
        element, entry = loop.pointers
        yield element, text.offset("%scratch", text.write(f"zext i32 {text.write(f'load i32, ptr {entry}')} to i64"))

"""Mutations of serialized requests: of their fields, by the contract's own description of them, and of their bytes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from gradmill.v1.gradient_service_pb2 import (
    EvaluateRequest,
    EvaluateStreamRequest,
    ExplainRequest,
    ListOperationsRequest,
    RegisterFunctionRequest,
)

from tests.hostile.catalogue import all_cases

METHODS: tuple[tuple[str, type[Message]], ...] = (
    ("Evaluate", EvaluateRequest),
    ("RegisterFunction", RegisterFunctionRequest),
    ("Explain", ExplainRequest),
    ("EvaluateStream", EvaluateStreamRequest),
    ("ListOperations", ListOperationsRequest),
)
"""The methods by the number that the first byte of an input says, and what each is sent."""

_LARGEST_SEED_BYTES = 1_500
_LONGEST_LIST = 64
_INTEGERS = (0, 1, 2, 3, 4, 7, 63, 64, 127, 128, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)
_NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan, 1e16, math.pi)
_TEXTS = (
    *("x", "y", "x1", "value", "", "add", "power", "exp", "log", "sum", "reshape", "scan", "call", "matmul", "where"),
    *("axes", "shape", "function", "steps", "carries", "x**2 + y", "sum(x)", "2x", "\n", "\u0661", "a" * 200),
)


class _Place(NamedTuple):
    """A field of some message within a request."""

    message: Any
    field: FieldDescriptor


def corpus() -> list[bytes]:
    """Return inputs to begin with: the small requests of the catalogue, behind the byte that says their method."""
    numbers = {name: number for number, (name, _) in enumerate(METHODS)}
    small = [case for case in all_cases() if len(case.body) <= _LARGEST_SEED_BYTES]
    inputs = [bytes([numbers[case.method]]) + case.body for case in small]
    for case in small[:: len(METHODS)]:
        if case.method == "Evaluate" and case.reason != "REQUEST_MALFORMED":
            message = EvaluateStreamRequest(sequence=1, request=EvaluateRequest.FromString(case.body))
            inputs.append(bytes([numbers["EvaluateStream"]]) + message.SerializeToString())
    return inputs


def mutated(data: bytes, source: random.Random, on_bytes: Callable[[bytes], bytes]) -> bytes:
    """Return an input changed in its fields, or, where it has none or by chance, in its bytes."""
    number = (data[0] if data else 0) % len(METHODS)
    if source.random() < 0.02:
        number = source.randrange(len(METHODS))
    body = data[1:]
    if source.random() < 0.7:
        message = METHODS[number][1]()
        try:
            message.ParseFromString(body)
        except DecodeError:
            return bytes([number]) + on_bytes(body)
        for _ in range(source.choice((1, 1, 1, 2, 3, 5))):
            _change(message, source)
        return bytes([number]) + message.SerializeToString()
    return bytes([number]) + on_bytes(body)


def mutated_bytes(data: bytes, source: random.Random) -> bytes:
    """Return bytes with some of them changed, taken out, repeated or put in."""
    changed = bytearray(data or b"\0")
    for _ in range(source.choice((1, 1, 2, 4, 8))):
        place = source.randrange(len(changed))
        length = source.choice((1, 1, 2, 4, 8, 32))
        match source.randrange(5):
            case 0:
                changed[place] ^= 1 << source.randrange(8)
            case 1:
                changed[place] = source.choice((0x00, 0x01, 0x7F, 0x80, 0xFF))
            case 2:
                del changed[place : place + length]
            case 3:
                changed[place:place] = changed[place : place + length]
            case _:
                changed[place:place] = source.randbytes(length)
        changed = changed or bytearray(b"\0")
    return bytes(changed)


def _change(message: Message, source: random.Random) -> None:
    places = list(_places(message))
    if not places:
        return
    place = source.choice(places)
    change = _change_repeated if place.field.is_repeated else _change_single
    change(place, source)


def _places(root: Any) -> Iterator[_Place]:  # noqa: ANN401  fields of messages are found by name
    """Yield every field of a message and of those in it, set or not."""
    waiting = [root]
    while waiting:
        message = waiting.pop()
        for field in message.DESCRIPTOR.fields:
            yield _Place(message, field)
            if field.type != FieldDescriptor.TYPE_MESSAGE:
                continue
            if field.is_repeated:
                waiting.extend(getattr(message, field.name)[:_LONGEST_LIST])
            elif message.HasField(field.name):
                waiting.append(getattr(message, field.name))


def _change_single(place: _Place, source: random.Random) -> None:
    message, field = place
    if source.random() < 0.2:
        message.ClearField(field.name)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _value(field, source))


def _change_repeated(place: _Place, source: random.Random) -> None:
    message, field = place
    entries = getattr(message, field.name)
    choice = source.randrange(5)
    if choice == 0 or len(entries) > _LONGEST_LIST:
        message.ClearField(field.name)
    elif entries and choice == 1:
        del entries[source.randrange(len(entries))]
    elif entries and choice == 2:
        _repeat(entries, source)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        entries.add()
    elif entries and choice == 3:
        entries[source.randrange(len(entries))] = _value(field, source)
    else:
        entries.append(_value(field, source))


def _repeat(entries: Any, source: random.Random) -> None:  # noqa: ANN401  a repeated field of any kind
    """Append an entry once more, or move all of them round."""
    if source.random() < 0.5:
        entries.append(entries[source.randrange(len(entries))])
        return
    first = entries[0]
    kept = first.__class__.FromString(first.SerializeToString()) if isinstance(first, Message) else first
    del entries[0]
    entries.append(kept)


def _value(field: FieldDescriptor, source: random.Random) -> Any:  # noqa: ANN401  of the field's type
    number = source.choice(_INTEGERS) if source.random() < 0.5 else source.randrange(12)
    match field.type:
        case FieldDescriptor.TYPE_DOUBLE:
            return source.choice(_NUMBERS)
        case FieldDescriptor.TYPE_STRING:
            return source.choice(_TEXTS)
        case FieldDescriptor.TYPE_BYTES:
            return source.randbytes(source.choice((0, 7, 8, 16, 24, 32, 33)))
        case FieldDescriptor.TYPE_BOOL:
            return source.random() < 0.5
        case _:
            return _whole(field, number, source)


def _whole(field: FieldDescriptor, number: int, source: random.Random) -> int:
    """Return a number within the bounds of a field's type."""
    match field.type:
        case FieldDescriptor.TYPE_UINT64:
            return number
        case FieldDescriptor.TYPE_UINT32:
            return number % 2**32
        case FieldDescriptor.TYPE_ENUM | FieldDescriptor.TYPE_INT32:
            return (number + 2**31) % 2**32 - 2**31
        case _:
            return source.choice((1, -1)) * (number % 2**63)

"""Protocol Buffers' own encoding, as far as it is written and read by hand where messages are many or large."""

from __future__ import annotations

from collections.abc import Iterator

Buffer = bytes | memoryview
"""Bytes, or a part of bytes that is not copied."""

VARINT = 0
LENGTH_DELIMITED = 2

_SEPTET = 0x7F
_MORE = 0x80
_WIRE_TYPE_BITS = 3
_WIRE_TYPE = 0x07
_MAXIMUM_VARINT_BITS = 64


class UnusualMessageError(Exception):
    """Bytes that are not of the plain form that is read by hand; the library may still be able to read them."""


def varint(value: int) -> bytes:
    """Return a number that is not negative, seven bits a byte, the least first."""
    if value <= _SEPTET:
        return bytes((value,))
    septets = bytearray()
    while value > _SEPTET:
        septets.append(value & _SEPTET | _MORE)
        value >>= 7
    septets.append(value)
    return bytes(septets)


def number_field(field: int, value: int) -> bytes:
    """Return a field that is a number."""
    return varint(field << _WIRE_TYPE_BITS | VARINT) + varint(value)


def head_of(field: int, length: int) -> bytes:
    """Return what stands before the bytes of a field that has a length."""
    return varint(field << _WIRE_TYPE_BITS | LENGTH_DELIMITED) + varint(length)


def read_varint(buffer: Buffer, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it.

    Raises:
        UnusualMessageError: there is none, or it has more than 64 bits.
    """
    value = shift = 0
    try:
        while (byte := buffer[position]) & _MORE:
            value |= (byte & _SEPTET) << shift
            shift += 7
            position += 1
    except IndexError:
        raise UnusualMessageError from None
    if shift >= _MAXIMUM_VARINT_BITS:
        raise UnusualMessageError
    return value | byte << shift, position + 1


def read_fields(buffer: Buffer, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield the fields between two positions, each as its number and two whole numbers.

    They are where its bytes start and stop; for a field that is a number, that number and -1.

    Raises:
        UnusualMessageError: a field is of another kind, or reaches beyond the end.
    """
    position = start
    while position < stop:
        tag, position = read_varint(buffer, position)
        value, position = read_varint(buffer, position)
        wire_type = tag & _WIRE_TYPE
        if wire_type == VARINT:
            yield tag >> _WIRE_TYPE_BITS, value, -1
        elif wire_type == LENGTH_DELIMITED:
            yield tag >> _WIRE_TYPE_BITS, position, position + value
            position += value
        else:
            raise UnusualMessageError
    if position != stop:
        raise UnusualMessageError

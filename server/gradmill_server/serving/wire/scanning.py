"""Protobuf's wire format, read field by field without building messages.

See "Encoding" in the Protocol Buffers documentation: a field is a tag, its number times eight plus its wire type, and a
value. Only the two wire types that requests use are read here; whoever meets anything else builds the message.
"""

from __future__ import annotations

VARINT, LENGTH_DELIMITED = 0, 2

_CONTINUES = 0x80
_SEPTET = 0x7F
_LONGEST_SHIFT = 63
_LARGEST = (1 << 64) - 1


class Unusual(Exception):
    """Bytes that are no plain sequence of fields; they may still be a valid message."""


def read_varint(body: bytes, place: int, end: int) -> tuple[int, int]:
    """Return the number at a place and the place after it. Raises Unusual where none ends before ``end``."""
    number = shift = 0
    while place < end:
        byte = body[place]
        place += 1
        number |= (byte & _SEPTET) << shift
        if byte < _CONTINUES:
            if number > _LARGEST:
                break
            return number, place
        shift += 7
        if shift > _LONGEST_SHIFT:
            break
    raise Unusual


def read_span(body: bytes, place: int, end: int) -> tuple[int, int]:
    """Return where the value of a length-delimited field at a place begins and ends. Raises Unusual beyond ``end``."""
    length = body[place] if place < end else _CONTINUES
    if length < _CONTINUES:
        begin = place + 1
    else:
        length, begin = read_varint(body, place, end)
    if begin + length > end:
        raise Unusual
    return begin, begin + length


def varint(number: int) -> bytes:
    """Return a number that is not negative, written as a varint."""
    if number < _CONTINUES:
        return _SHORT[number]
    septets = bytearray()
    while number > _SEPTET:
        septets.append(number & _SEPTET | _CONTINUES)
        number >>= 7
    septets.append(number)
    return bytes(septets)


_SHORT = tuple(bytes((number,)) for number in range(_CONTINUES))


def tag(field: int, wire_type: int) -> bytes:
    """Return the tag of a field."""
    return varint(field << 3 | wire_type)

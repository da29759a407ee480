"""Tells requests whose size is numbers from those whose size is structure, before either is parsed.

A number takes as much memory parsed as unparsed. A message inside a message may be two bytes and take sixty times as
much, so sixteen megabytes of them are half a gigabyte. Arrays are found without reading them; all else is structure.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2

from gradmill_server.serving.wire.scanning import LENGTH_DELIMITED, VARINT, Unusual, read_span, read_varint

_NUMBERS = frozenset(
    {
        graph_pb2.Array.VALUES_FIELD_NUMBER << 3 | LENGTH_DELIMITED,
        graph_pb2.Array.DATA_FIELD_NUMBER << 3 | LENGTH_DELIMITED,
    }
)
"""The fields of an array whose bytes are its elements."""

RequestType = type[Message]
"""The type of a request's message."""

_FIELDS: Mapping[RequestType, Mapping[str, RequestType]] = {
    service_pb2.EvaluateStreamRequest: {"request": service_pb2.EvaluateRequest},
    service_pb2.EvaluateRequest: {"wants": service_pb2.Want, "points": service_pb2.Points},
    service_pb2.ExplainRequest: {"points": service_pb2.Points},
    service_pb2.RegisterFunctionRequest: {},
    service_pb2.Want: {"directions": service_pb2.Direction},
    service_pb2.Direction: {"arrays": service_pb2.NamedArray, "matrix": graph_pb2.Array},
    service_pb2.NamedArray: {"array": graph_pb2.Array},
    service_pb2.Points: {"matrix": graph_pb2.Array, "inputs": service_pb2.InputValues},
    service_pb2.InputValues: {"values": graph_pb2.Array},
    graph_pb2.Array: {},
}
"""The messages that have arrays of points or directions in them, and the fields by which they are reached."""

_CARRIERS: Mapping[RequestType, Mapping[int, RequestType]] = {
    message: {
        message.DESCRIPTOR.fields_by_name[name].number << 3 | LENGTH_DELIMITED: inner for name, inner in fields.items()
    }
    for message, fields in _FIELDS.items()
}
"""The same by the tags of the fields."""


def has_more_structure(message: RequestType, body: bytes, maximum_bytes: int) -> bool:
    """Whether a request has more bytes of structure than that. One that cannot be read here has as many as its size."""
    try:
        return _structure_bytes(message, body, maximum_bytes) > maximum_bytes
    except Unusual:
        return len(body) > maximum_bytes


def _structure_bytes(message: RequestType, body: bytes, maximum_bytes: int) -> int:
    """Return the bytes of structure, or some number beyond the maximum as soon as it is passed."""
    counted = 0
    spans = [(message, 0, len(body))]
    while spans and counted <= maximum_bytes:
        kind, place, end = spans.pop()
        inside = _CARRIERS[kind]
        numbers = _NUMBERS if kind is graph_pb2.Array else ()
        while place < end and counted <= maximum_bytes:
            mark = body[place]
            if mark & 7 == VARINT:
                _, after = read_varint(body, place + 1, end)
                counted += after - place
            elif mark & 7 == LENGTH_DELIMITED and mark < 0x80:  # noqa: PLR2004  tags of one byte are all there are
                begin, after = read_span(body, place + 1, end)
                counted += begin - place
                if mark in inside:
                    spans.append((inside[mark], begin, after))
                elif mark not in numbers:
                    counted += after - begin
            else:
                raise Unusual
            place = after
    return counted

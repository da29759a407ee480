"""An evaluation request taken apart without being parsed: the points, and everything else as it was sent.

Two requests whose bytes differ only in the points ask the same of other points. So what was found out about one of them
(its function, its program) holds for the other, and most requests need not be parsed at all. A request that is written
in any other way than generated code writes it is left to the parser, which also says what is wrong with it.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2

from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.ir import FloatArray
from gradmill_server.serving.wire.scanning import LENGTH_DELIMITED, VARINT, Unusual, read_span, read_varint

LONGEST_HEAD_BYTES = 4_096
"""Of a request without its points. A longer one carries its function, and is parsed."""

_LONGEST_DURATION_BYTES = 32
_ONE_BYTE_TAGS = 0x80

_SEQUENCE = service_pb2.EvaluateStreamRequest.SEQUENCE_FIELD_NUMBER << 3 | VARINT
_REQUEST = service_pb2.EvaluateStreamRequest.REQUEST_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_TIMEOUT = service_pb2.EvaluateStreamRequest.TIMEOUT_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_FUNCTION = service_pb2.EvaluateRequest.FUNCTION_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_POINTS = service_pb2.EvaluateRequest.POINTS_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_COUNT = service_pb2.Points.COUNT_FIELD_NUMBER << 3 | VARINT
_MATRIX = service_pb2.Points.MATRIX_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_ELEMENT_TYPE = graph_pb2.Array.ELEMENT_TYPE_FIELD_NUMBER << 3 | VARINT
_SHAPE = graph_pb2.Array.SHAPE_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_VALUES = graph_pb2.Array.VALUES_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_DATA = graph_pb2.Array.DATA_FIELD_NUMBER << 3 | LENGTH_DELIMITED

_FLOAT64 = ElementType.FLOAT64
_TYPE_OF: dict[int, ElementType] = {
    graph_pb2.ELEMENT_TYPE_UNSPECIFIED: ElementType.FLOAT64,
    graph_pb2.ELEMENT_TYPE_FLOAT64: ElementType.FLOAT64,
    graph_pb2.ELEMENT_TYPE_FLOAT32: ElementType.FLOAT32,
}


class Envelope(NamedTuple):
    """A request whose points are one matrix.

    Attributes:
        head: the bytes of the request without its points.
        function: the part of them that names or carries the function; empty where there is none.
        body: what the points lie in.
        rows: the number of points.
        columns: the elements of each.
        element_type: their type.
        begin: where the request begins in the body.
        end: where it ends.
        start: where the first element begins.
        is_own: whether the function is part of the request, rather than that of an earlier one.
    """

    head: bytes
    function: bytes
    body: bytes
    rows: int
    columns: int
    element_type: ElementType
    begin: int
    end: int
    start: int
    is_own: bool = True

    def of(self, function: bytes) -> Envelope:
        """Return the request as it would be with a function, written as in another one."""
        return self._replace(head=function + self.head, function=function, is_own=False)

    def matrix(self) -> FloatArray:
        """Return the points [rows, columns], in the body's own memory where they are aligned in it, else in theirs."""
        dtype = self.element_type.wire_dtype
        count = self.rows * self.columns
        body, start = self.body, self.start
        if start % dtype.itemsize:
            # The bytes of a new object begin at a multiple of eight.
            body, start = body[start : start + count * dtype.itemsize], 0
        raw = np.frombuffer(body, dtype, count, start).reshape(self.rows, self.columns)
        return raw.astype(self.element_type.dtype, copy=False)


class StreamEnvelope(NamedTuple):
    """A message of a stream: its number, where its request lies, and the time its caller gives it, if any."""

    sequence: int
    begin: int
    end: int
    timeout_seconds: float | None


def open_stream_message(body: bytes) -> StreamEnvelope | None:
    """Return a message of a stream taken apart; None for one that has to be parsed."""
    sequence, begin, end = 0, -1, -1
    timeout_seconds: float | None = None
    place, stop = 0, len(body)
    try:
        while place < stop:
            mark = body[place]
            if mark == _SEQUENCE:
                sequence, place = read_varint(body, place + 1, stop)
            elif mark == _REQUEST and begin < 0:
                begin, end = read_span(body, place + 1, stop)
                place = end
            elif mark == _TIMEOUT and timeout_seconds is None:
                value, place = read_span(body, place + 1, stop)
                if place - value > _LONGEST_DURATION_BYTES:
                    return None
                timeout_seconds = _read_duration(body[value:place])
            else:
                return None
    except Unusual:
        return None
    return None if begin < 0 else StreamEnvelope(sequence, begin, end, timeout_seconds)


def sequence_of(body: bytes) -> int:
    """Return the number of a stream's message that is not read; 0 where it is not told before anything else."""
    try:
        return read_varint(body, 1, len(body))[0] if body[:1] == bytes((_SEQUENCE,)) else 0
    except Unusual:
        return 0


@functools.lru_cache(maxsize=1_024)
def _read_duration(body: bytes) -> float:
    duration = duration_pb2.Duration()
    try:
        duration.ParseFromString(body)
    except DecodeError:
        raise Unusual from None
    return duration.seconds + duration.nanos / 1e9


def open_envelope(body: bytes, begin: int, end: int) -> Envelope | None:
    """Return the request between two places of a body taken apart; None for one that has to be parsed."""
    try:
        envelope = _opened(body, begin, end)
    except Unusual:
        return None
    if envelope is None or end - begin == len(body):
        return envelope
    return envelope._replace(begin=begin, end=end)


def _opened(body: bytes, begin: int, end: int) -> Envelope | None:
    place, points_begin, points_end, before = begin, -1, -1, -1
    function = b""
    while place < end:
        mark = body[place]
        if mark >= _ONE_BYTE_TAGS:
            return None
        if mark & 7 == LENGTH_DELIMITED:
            value, after = read_span(body, place + 1, end)
            if mark == _POINTS:
                if before >= 0:
                    return None
                before, points_begin, points_end = place, value, after
            elif mark == _FUNCTION:
                if function:
                    # The parser puts the two together; what is written is then not what is meant.
                    return None
                function = body[place:after]
        elif mark & 7 == VARINT:
            _, after = read_varint(body, place + 1, end)
        else:
            return None
        place = after
    if before < 0 or end - begin - (points_end - before) > LONGEST_HEAD_BYTES:
        return None
    return _with_points(body, points_begin, points_end, body[begin:before] + body[points_end:end], function)


def _with_points(body: bytes, begin: int, end: int, head: bytes, function: bytes) -> Envelope | None:
    count = -1
    matrix_begin = matrix_end = -1
    place = begin
    while place < end:
        mark = body[place]
        if mark == _MATRIX and matrix_begin < 0:
            matrix_begin, matrix_end = read_span(body, place + 1, end)
            place = matrix_end
        elif mark == _COUNT:
            count, place = read_varint(body, place + 1, end)
        else:
            return None
    if matrix_begin < 0:
        return None
    return _with_matrix(body, matrix_begin, matrix_end, count, head, function)


def _read_element_type(body: bytes, place: int, end: int) -> tuple[ElementType, int]:
    number, after = read_varint(body, place, end)
    known = _TYPE_OF.get(number)
    if known is None:
        raise Unusual
    return known, after


def _with_matrix(
    body: bytes,
    begin: int,
    end: int,
    count: int,
    head: bytes,
    function: bytes,
) -> Envelope | None:
    element_type = _FLOAT64
    shape: tuple[int, int] | None = None
    start = stop = -1
    place = begin
    while place < end:
        mark = body[place]
        if mark == _ELEMENT_TYPE and start < 0:  # it decides how the elements after it are read
            element_type, place = _read_element_type(body, place + 1, end)
            continue
        value, place = read_span(body, place + 1, end)
        if mark == _SHAPE and shape is None:
            rows, after = read_varint(body, value, place)
            columns, after = read_varint(body, after, place)
            if after != place:
                return None
            shape = rows, columns
        elif mark == _DATA and start < 0:
            start, stop = value, place
        elif mark == _VALUES and start < 0 and element_type is _FLOAT64:
            # Packed numbers of binary64 have the bytes of raw data.
            start, stop = value, place
        else:
            return None
    if shape is None or start < 0:
        return None
    rows, columns = shape
    if rows * columns * element_type.size != stop - start or count not in {-1, 0, rows}:
        return None
    return Envelope(head, function, body, rows, columns, element_type, 0, len(body), start)

"""The messages of a stream, written around requests and read around responses without touching what they carry."""

from __future__ import annotations

import math

from google.protobuf.message import DecodeError

from gradmill.errors import GradmillError, invalid_response
from gradmill.statuses import error_from_status
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire_format import (
    Buffer,
    UnusualMessageError,
    head_of,
    number_field,
    read_fields,
    read_varint,
)

_SEQUENCE = 1
_REQUEST = 2
_TIMEOUT = 3
_CANCEL = 4
_RESPONSE = 2
_SECONDS = 1
_NANOSECONDS = 2
_LONGEST_TIMEOUT_SECONDS = 315_576_000_000
"""The most that a `google.protobuf.Duration` may say."""


def write_request(sequence: int, body: bytes, timeout_seconds: float | None) -> bytes:
    """Return the `EvaluateStreamRequest` around the bytes of an `EvaluateRequest`.

    Args:
        sequence: the number of the message, greater than zero.
        body: the request.
        timeout_seconds: the time that the server has for it; None for no limit.
    """
    parts = [number_field(_SEQUENCE, sequence), head_of(_REQUEST, len(body)), body]
    if timeout_seconds is not None and timeout_seconds < _LONGEST_TIMEOUT_SECONDS:
        seconds, nanoseconds = divmod(max(0, math.ceil(timeout_seconds * 1e9)), 10**9)
        duration = number_field(_SECONDS, seconds) + number_field(_NANOSECONDS, nanoseconds)
        parts += head_of(_TIMEOUT, len(duration)), duration
    return b"".join(parts)


def write_cancel(sequence: int) -> bytes:
    """Return the `EvaluateStreamRequest` that gives up a message sent before."""
    return number_field(_SEQUENCE, sequence) + number_field(_CANCEL, 1)


def read_answer(frame: bytes) -> tuple[int, Buffer | GradmillError]:
    """Return the number of the message that an `EvaluateStreamResponse` answers, and its response or its error.

    Raises:
        ServerError: the bytes are no such message.
    """
    try:
        return _read_plain(frame)
    except UnusualMessageError:
        return _read_any(frame)


def _read_plain(frame: bytes) -> tuple[int, Buffer]:
    sequence, position = 0, 0
    if frame[:1] == b"\x08":
        sequence, position = read_varint(frame, 1)
    fields = list(read_fields(frame, position, len(frame)))
    if len(fields) != 1 or fields[0][0] != _RESPONSE or fields[0][2] < 0:
        raise UnusualMessageError
    _, start, stop = fields[0]
    return sequence, memoryview(frame)[start:stop]


def _read_any(frame: bytes) -> tuple[int, Buffer | GradmillError]:
    message = service.EvaluateStreamResponse()
    try:
        message.ParseFromString(frame)
    except DecodeError as error:
        problem = "an answer on the stream is not a valid EvaluateStreamResponse"
        raise invalid_response(problem) from error
    if message.HasField("error"):
        return message.sequence, error_from_status(message.error.code, message.error.message, message.error.status)
    return message.sequence, message.response.SerializeToString()

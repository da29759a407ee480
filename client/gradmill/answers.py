"""Answers to evaluations, read without copying their numbers.

A scan finds the arrays in the bytes and NumPy looks at them in place. What it does not expect it leaves to the library,
which copies each array twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from gradmill.errors import invalid_response
from gradmill.graph import FLOAT64, size
from gradmill.plans import ArrayKey
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.v1 import graph_pb2
from gradmill.wire import ELEMENT_FORMAT, FloatArray
from gradmill.wire_format import Buffer, UnusualMessageError, read_fields, read_varint

M = TypeVar("M", bound=Message)

# The numbers of fields in the contract: of EvaluateResponse, of Result, and of Array.
_RESULTS, _POINT_FLAGS, _CACHE, _STABLE_FORMS, _TIMINGS = 2, 3, 4, 5, 6
_DERIVATIVE, _OUTPUT, _WITH_RESPECT_TO, _ARRAY, _SECOND_WITH_RESPECT_TO, _PATTERN, _MODE = range(1, 8)
_ELEMENT_TYPE, _SHAPE, _DATA = 1, 2, 4


@dataclass(slots=True)
class ResultEntry:
    """One array of an answer.

    Attributes:
        array: its numbers, or the message that has them.
        pattern: the places of a sparse matrix.
        mode: how a Jacobian was computed, by its number in the contract.
    """

    array: FloatArray | graph_pb2.Array
    pattern: service.SparsePattern = field(default_factory=service.SparsePattern)
    mode: int = service.MODE_UNSPECIFIED


@dataclass(slots=True)
class Answer:
    """An answer; attributes as in the contract's ``EvaluateResponse``, times in seconds."""

    results: dict[ArrayKey, ResultEntry] = field(default_factory=dict)
    point_flags: Buffer = b""
    cache: int = service.CACHE_OUTCOME_UNSPECIFIED
    stable_forms: tuple[str, ...] = ()
    seconds: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)


def read_evaluation(body: Buffer) -> Answer:
    """Return what an answer says. Its arrays look at ``body``.

    Raises:
        ServerError: it is no answer.
    """
    try:
        return _scanned(body)
    except (UnusualMessageError, UnicodeDecodeError):
        return _parsed(body)


def _scanned(body: Buffer) -> Answer:
    answer = Answer()
    for number, start, stop in read_fields(body, 0, len(body)):
        if number == _RESULTS and stop >= 0:
            key, entry = _scanned_result(body, start, stop)
            answer.results[key] = entry
        elif number == _POINT_FLAGS and stop >= 0:
            answer.point_flags = body[start:stop]
        elif number == _CACHE:
            answer.cache = start
        elif number == _STABLE_FORMS:
            answer.stable_forms += (_text(body, start, stop),)
        elif number == _TIMINGS:
            answer.seconds = _seconds(_message(service.Timings(), body, start, stop))
    return answer


def _scanned_result(body: Buffer, start: int, stop: int) -> tuple[ArrayKey, ResultEntry]:
    kind = 0
    names = {_OUTPUT: "", _WITH_RESPECT_TO: "", _SECOND_WITH_RESPECT_TO: ""}
    entry: ResultEntry | None = None
    pattern, mode = service.SparsePattern(), 0
    for number, first, last in read_fields(body, start, stop):
        if number in names:
            names[number] = _text(body, first, last)
        elif number == _DERIVATIVE:
            kind = first
        elif number == _ARRAY and entry is None:
            entry = ResultEntry(_scanned_array(body, first, last))
        elif number == _PATTERN:
            pattern = _message(pattern, body, first, last)
        elif number == _MODE:
            mode = first
        else:
            raise UnusualMessageError
    if entry is None:
        raise UnusualMessageError
    entry.pattern, entry.mode = pattern, mode
    return ArrayKey(kind, *names.values()), entry


def _scanned_array(body: Buffer, start: int, stop: int) -> FloatArray:
    element_type, shape, data = FLOAT64, tuple[int, ...](), (stop, stop)
    for number, first, last in read_fields(body, start, stop):
        if number == _ELEMENT_TYPE:
            element_type = first or FLOAT64
        elif number == _SHAPE and last >= 0 and not shape:
            shape = _scanned_numbers(body, first, last)
        elif number == _DATA:
            data = (first, last)
        else:
            raise UnusualMessageError
    layout = ELEMENT_FORMAT.get(element_type)
    if layout is None or data[1] - data[0] != size(shape) * layout.itemsize:
        raise UnusualMessageError
    if not size(shape):
        return np.empty(shape, layout.newbyteorder("="))
    array = np.frombuffer(body, layout, size(shape), data[0]).reshape(shape)
    return array.astype(layout.newbyteorder("="), copy=False)


def _scanned_numbers(body: Buffer, start: int, stop: int) -> tuple[int, ...]:
    numbers: list[int] = []
    while start < stop:
        number, start = read_varint(body, start)
        numbers.append(number)
    return tuple(numbers)


def _text(body: Buffer, start: int, stop: int) -> str:
    if stop < 0:
        raise UnusualMessageError
    return bytes(body[start:stop]).decode()


def _message(message: M, body: Buffer, start: int, stop: int) -> M:
    """Read a message that has no large parts."""
    if stop < 0:
        raise UnusualMessageError
    try:
        message.MergeFromString(bytes(body[start:stop]))
    except DecodeError:
        raise UnusualMessageError from None
    return message


def _parsed(body: Buffer) -> Answer:
    response = service.EvaluateResponse()
    try:
        response.ParseFromString(body)  # type: ignore[arg-type]  # takes any buffer, its stub says bytes
    except DecodeError as error:
        message = "the answer is not a valid EvaluateResponse"
        raise invalid_response(message) from error
    results = {
        ArrayKey(entry.derivative, entry.output, entry.with_respect_to, entry.second_with_respect_to): ResultEntry(
            entry.array, entry.pattern, entry.mode
        )
        for entry in response.results
    }
    return Answer(
        results, response.point_flags, response.cache, tuple(response.stable_forms), _seconds(response.timings)
    )


def _seconds(spent: service.Timings) -> tuple[float, ...]:
    stages = (spent.queue, spent.compile, spent.compute, spent.encode)
    return tuple(stage.seconds + stage.nanos / 1e9 for stage in stages)

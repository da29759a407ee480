"""Requests taken apart without being parsed: what is seen, and what is left to the parser."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2
from gradmill_server.engine.element_types import ElementType
from gradmill_server.serving.wire.envelope import Envelope, open_envelope, open_stream_message
from hypothesis import given
from hypothesis import strategies as st

from tests.serving.support import digest, evaluation, matrix

_ROWS = [[2.0, 3.0, 4.0], [5.0, np.nan, -0.0]]


def _request(points: service_pb2.Points | None = None) -> service_pb2.EvaluateRequest:
    request = evaluation(digest(bytes(32)), matrix(_ROWS) if points is None else points)
    request.encoding = service_pb2.ARRAY_ENCODING_DATA
    request.options.parity = True
    return request


def _opened(body: bytes) -> Envelope | None:
    return open_envelope(body, 0, len(body))


def test_points_and_the_rest_are_told_apart() -> None:
    """A request gives its points, bit for bit, and the bytes of a request that is the same without them."""
    envelope = _opened(_request().SerializeToString())
    assert envelope is not None
    assert envelope.matrix().tobytes() == np.array(_ROWS).tobytes()
    rest = _request()
    rest.ClearField("points")
    assert service_pb2.EvaluateRequest.FromString(envelope.head) == rest
    assert service_pb2.EvaluateRequest.FromString(envelope.function).function == rest.function


def test_equal_heads_for_other_points() -> None:
    """Requests that differ only in their points have one head, and those that differ in anything else have not."""
    first, second = _opened(_request().SerializeToString()), _opened(_request(matrix([[1.0]])).SerializeToString())
    other = _request()
    other.options.parity = False
    third = _opened(other.SerializeToString())
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.head == second.head != third.head


def test_plain_numbers_are_read_as_they_lie() -> None:
    """Points as packed numbers have the same bytes as raw data, and float32 has half of them."""
    numbers = service_pb2.Points(matrix=graph_pb2.Array(shape=[1, 3], values=[1.0, 2.0, 3.0]))
    envelope = _opened(_request(numbers).SerializeToString())
    assert envelope is not None
    assert envelope.matrix().tolist() == [[1.0, 2.0, 3.0]]
    small = np.array([[1.5, 2.5]], dtype="<f4")
    array = graph_pb2.Array(shape=small.shape, data=small.tobytes(), element_type=graph_pb2.ELEMENT_TYPE_FLOAT32)
    envelope = _opened(_request(service_pb2.Points(count=1, matrix=array)).SerializeToString())
    assert envelope is not None
    assert envelope.element_type is ElementType.FLOAT32
    assert envelope.matrix().tolist() == [[1.5, 2.5]]


@pytest.mark.parametrize(
    "points",
    [
        service_pb2.Points(),
        service_pb2.Points(inputs=[service_pb2.InputValues(name="x", values=graph_pb2.Array(values=[1.0]))]),
        service_pb2.Points(count=3, matrix=graph_pb2.Array(shape=[1, 1], values=[1.0])),
        service_pb2.Points(matrix=graph_pb2.Array(shape=[1, 2], values=[1.0])),
        service_pb2.Points(matrix=graph_pb2.Array(shape=[1], values=[1.0])),
        service_pb2.Points(matrix=graph_pb2.Array(shape=[1, 1], values=[1.0], data=bytes(8))),
        service_pb2.Points(matrix=graph_pb2.Array(shape=[1, 1], values=[1.0], element_type=77)),  # type: ignore[arg-type]
        service_pb2.Points(matrix=graph_pb2.Array(shape=[2**40, 2**40], data=bytes(8))),
    ],
)
def test_whatever_may_be_wrong_is_left_to_the_parser(points: service_pb2.Points) -> None:
    """Points that have no matrix, or one that does not agree with itself, are not taken apart."""
    assert _opened(_request(points).SerializeToString()) is None


def test_a_field_that_comes_twice_is_left_to_the_parser() -> None:
    """Messages may be split over several fields of the same number, which only the parser puts together."""
    twice = _request().SerializeToString() + service_pb2.EvaluateRequest(points=matrix(_ROWS)).SerializeToString()
    assert _opened(twice) is None


@given(st.data())
def test_mutated_requests_mean_what_the_parser_says(data: st.DataObject) -> None:
    """However a request's bytes are changed, what is taken apart agrees with what the parser reads."""
    body = bytearray(_request().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(len(body) // 2, len(body))) :]
    envelope = _opened(bytes(body))
    if envelope is None:
        return
    try:
        parsed = service_pb2.EvaluateRequest.FromString(bytes(body))
        rest = service_pb2.EvaluateRequest.FromString(envelope.head)
    except DecodeError:
        # Such a head is never known: what is kept was parsed.
        return
    array = parsed.points.matrix
    expected = array.data or np.array(array.values, dtype="<f8").tobytes()
    assert (list(array.shape), expected) == ([envelope.rows, envelope.columns], envelope.matrix().tobytes())
    parsed.ClearField("points")
    assert parsed.SerializeToString(deterministic=True) == rest.SerializeToString(deterministic=True)


def test_a_message_of_a_stream_is_taken_apart() -> None:
    """A stream's message gives its number, its time, and where its request lies."""
    message = service_pb2.EvaluateStreamRequest(sequence=300, request=_request())
    message.timeout.seconds = 2
    message.timeout.nanos = 500_000_000
    body = message.SerializeToString()
    opened = open_stream_message(body)
    assert opened is not None
    assert (opened.sequence, opened.timeout_seconds) == (300, 2.5)
    assert body[opened.begin : opened.end] == _request().SerializeToString()


def test_a_message_that_gives_others_up_is_left_to_the_parser() -> None:
    """Anything but a request in a stream's message is for the parser."""
    assert open_stream_message(service_pb2.EvaluateStreamRequest(sequence=1, cancel=True).SerializeToString()) is None
    assert open_stream_message(b"\xff\xff") is None
    assert open_stream_message(b"") is None


def test_a_request_without_a_function_can_be_given_that_of_another() -> None:
    """A request that leaves its function out has, with that of an earlier one, the head of one that names it."""
    whole, without = _request(), _request()
    without.ClearField("function")
    first, second = _opened(whole.SerializeToString()), _opened(without.SerializeToString())
    assert first is not None
    assert second is not None
    assert second.function == b""
    assert second.of(first.function).head == first.head


def test_what_the_parser_would_put_together_is_left_to_it() -> None:
    """A function that comes twice, a field of an unknown number and an element type after the elements are not read."""
    body = _request().SerializeToString()
    again = service_pb2.EvaluateRequest(function=digest(bytes(32))).SerializeToString()
    assert _opened(again + body) is None
    assert _opened(b"\x82\x01\x01\x00" + body) is None
    late_type = b"\x12\x02\x01\x02" + b"\x1a\x08" + bytes(8) + b"\x08\x02"
    points = b"\x12" + bytes((len(late_type),)) + late_type
    assert _opened(b"\x0a\x02\x0a\x00\x1a" + bytes((len(points),)) + points) is None


def test_numbers_beyond_the_contract_are_left_to_the_parser() -> None:
    """A message's number of more than 64 bits, or a time that is written at length, is not read here."""
    assert open_stream_message(b"\x08" + b"\xff" * 9 + b"\x7f" + b"\x12\x00") is None
    largest = open_stream_message(b"\x08" + b"\xff" * 9 + b"\x01" + b"\x12\x00")
    assert largest is not None
    assert largest.sequence == 2**64 - 1
    long_time = b"\x12\x30" + bytes(48)
    assert open_stream_message(b"\x12\x00" + b"\x1a" + bytes((len(long_time),)) + long_time) is None

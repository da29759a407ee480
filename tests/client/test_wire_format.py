"""Protocol Buffers' encoding by hand, beside the library's own."""

from __future__ import annotations

import pytest
from gradmill.errors import InvalidRequestError, ServerError
from gradmill.stream_messages import read_answer, write_cancel, write_request
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire_format import UnusualMessageError, read_fields, read_varint, varint
from hypothesis import given
from hypothesis import strategies as st

from tests.client.test_statuses import detailed_status


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_read_as_written(number: int) -> None:
    """Every whole number of 64 bits is written in the fewest bytes and read back."""
    written = varint(number)
    assert read_varint(written, 0) == (number, len(written))
    assert len(written) == max(1, -(-number.bit_length() // 7))


@pytest.mark.parametrize("body", [b"\x08", b"\x0a\x05ab", b"\x0d\x01\x02\x03\x04", b"\x08" + b"\xff" * 10 + b"\x01"])
def test_what_is_not_plain_is_left_to_the_library(body: bytes) -> None:
    """Bytes that end too soon, or hold other kinds of fields, are never read wrongly."""
    with pytest.raises(UnusualMessageError):
        list(read_fields(body, 0, len(body)))


@given(st.integers(1, 2**63), st.binary(max_size=300), st.none() | st.floats(0, 1e9))
def test_a_message_of_a_stream_is_what_the_library_would_write(
    sequence: int, points: bytes, timeout: float | None
) -> None:
    """The number, the request and its timeout arrive at a server as they were given."""
    request = service.EvaluateRequest(points=service.Points(count=3))
    request.points.matrix.data = points
    message = service.EvaluateStreamRequest.FromString(write_request(sequence, request.SerializeToString(), timeout))
    assert (message.sequence, message.request) == (sequence, request)
    assert message.HasField("timeout") == (timeout is not None)
    if timeout is not None:
        assert message.timeout.ToNanoseconds() == pytest.approx(timeout * 1e9, abs=2)


def test_a_timeout_longer_than_a_message_can_say_is_none() -> None:
    """A caller may allow more time than the contract has numbers for."""
    assert not service.EvaluateStreamRequest.FromString(write_request(1, b"", 1e300)).HasField("timeout")


def test_giving_up_names_the_message() -> None:
    """A message that is given up is named by its number."""
    expected = service.EvaluateStreamRequest(sequence=300, cancel=True)
    assert service.EvaluateStreamRequest.FromString(write_cancel(300)) == expected


@pytest.mark.parametrize("sequence", [0, 1, 2**40])
def test_an_answer_is_read_without_being_copied(sequence: int) -> None:
    """The response comes out as it went in."""
    response = service.EvaluateResponse(digest=b"abc", point_flags=bytes(1000))
    frame = service.EvaluateStreamResponse(sequence=sequence, response=response).SerializeToString()
    number, body = read_answer(frame)
    assert number == sequence
    assert isinstance(body, memoryview)
    assert bytes(body) == response.SerializeToString()


def test_an_error_in_the_stream_has_its_details() -> None:
    """What is wrong with one message is told as fully as for a call of its own."""
    error = service.StreamError(code=3, message="short", status=detailed_status())
    number, outcome = read_answer(service.EvaluateStreamResponse(sequence=4, error=error).SerializeToString())
    assert number == 4
    assert isinstance(outcome, InvalidRequestError)
    assert outcome.metadata["node"] == "5"


def test_an_unusual_answer_is_read_by_the_library() -> None:
    """Fields in another order, or fields of a newer server, do no harm."""
    response = service.EvaluateResponse(digest=b"abc").SerializeToString()
    frame = b"\x12" + varint(len(response)) + response + b"\x08\x05" + b"\x78\x01"
    assert read_answer(frame) == (5, response)


def test_garbage_on_the_stream_is_told() -> None:
    """Bytes that are no answer are an error of the server."""
    with pytest.raises(ServerError, match="not a valid EvaluateStreamResponse"):
        read_answer(b"\xff\xff")

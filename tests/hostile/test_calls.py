"""Calls that are hostile by how they are made: too late, too large, too many, packed, given up, or never ended."""

from __future__ import annotations

import queue
import struct
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from gradmill.v1.gradient_service_pb2 import EvaluateStreamResponse

from tests.end_to_end.server_process import ServerProcess, running_server
from tests.hostile.building import NO_POINTS, ONE, VALUE, evaluate, formula_request, nested
from tests.hostile.sending import (
    CANARY,
    CANARY_ANSWER,
    SERVICE,
    check_text,
    numbers_in,
    send,
    stream,
    stream_message,
)

_SMALL_CACHE_BYTES = 300_000


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """Run one server with a small cache for all tests of the module."""
    with running_server("--processes=1", f"--cache-bytes={_SMALL_CACHE_BYTES}", "--memory-bytes=2000000000") as process:
        yield process


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """Open a channel that sends bytes as they are, however many."""
    with grpc.insecure_channel(server.address, [("grpc.max_send_message_length", -1)]) as opened:
        yield opened


@pytest.fixture(autouse=True)
def canary(server: ServerProcess, channel: grpc.Channel) -> Iterator[None]:
    """After each test the next call is answered rightly, and the log has no error of the server's."""
    yield
    outcome = send(channel, "Evaluate", CANARY)
    assert outcome.code == "OK", outcome.message
    np.testing.assert_array_equal(numbers_in(outcome.body), CANARY_ANSWER)
    assert "internal_error" not in server.log()
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e-6])
def test_deadlines_that_have_passed(channel: grpc.Channel, seconds: float) -> None:
    """A call whose deadline has passed before it comes is told so."""
    assert send(channel, "Evaluate", CANARY, timeout=seconds).code == "DEADLINE_EXCEEDED"


def test_no_deadline(channel: grpc.Channel) -> None:
    """A call without a deadline is answered, under the server's own ceiling."""
    outcome = send(channel, "Evaluate", CANARY, timeout=None)
    np.testing.assert_array_equal(numbers_in(outcome.body), CANARY_ANSWER)


def test_a_message_beyond_the_limit(channel: grpc.Channel) -> None:
    """A message of more than 16 MiB is refused with its size and the limit, before it is read."""
    outcome = send(channel, "Evaluate", CANARY + nested((1_000,), b"\0" * 17 * 1024 * 1024))
    assert outcome.code == "RESOURCE_EXHAUSTED"
    assert "16777216" in outcome.message


def test_a_message_that_grows_when_unpacked(channel: grpc.Channel) -> None:
    """A message of forty kilobytes that unpacks to forty megabytes is refused before it is unpacked whole."""
    bomb = CANARY + nested((1_000,), b"\0" * 40 * 1024 * 1024)
    assert send(channel, "Evaluate", bomb, compression=grpc.Compression.Gzip).code == "RESOURCE_EXHAUSTED"


def test_headers_beyond_the_limit(channel: grpc.Channel) -> None:
    """Metadata beyond 8 KiB is refused; what is below is ignored, whatever it says."""
    few = [(f"x-hostile-{number}", "v" * 50) for number in range(40)]
    assert send(channel, "Evaluate", CANARY, metadata=few).code == "OK"
    for metadata in ([("x-hostile", "v" * 20_000)], [(f"x-hostile-{number}", "v" * 50) for number in range(500)]):
        assert send(channel, "Evaluate", CANARY, metadata=metadata).code in {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}


def test_unknown_methods_are_no_labels(server: ServerProcess, channel: grpc.Channel) -> None:
    """Methods by the hundred that there are not leave no trace among the metrics."""
    for number in range(100):
        assert send(channel, f"Method{number}", b"").code == "UNIMPLEMENTED"
    assert "Method99" not in server.metrics()


def test_calls_given_up(channel: grpc.Channel) -> None:
    """Calls by the hundred that are given up at once keep nobody waiting."""
    call: Any = channel.unary_unary(SERVICE + "Evaluate", None, None)
    futures = [call.future(CANARY, timeout=60) for _ in range(500)]
    for future in futures:
        future.cancel()
    assert all(future.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.OK} for future in futures)


def test_more_functions_than_are_kept(server: ServerProcess, channel: grpc.Channel) -> None:
    """Hundreds of functions are each answered rightly, and what is kept of them stays within the cache's size."""
    for number in range(300):
        outcome = send(channel, "Evaluate", formula_request(f"x + {number}"))
        np.testing.assert_array_equal(numbers_in(outcome.body), [2.0 + number])
    assert server.metric("gradmill_cache_bytes") <= _SMALL_CACHE_BYTES


def test_a_stream_without_a_function(channel: grpc.Channel) -> None:
    """The first message must bring one; the stream goes on with the next that does."""
    without = evaluate(VALUE, NO_POINTS)
    answers = list(stream(channel, [stream_message(1, without), stream_message(2, CANARY), stream_message(3, without)]))
    assert [sequence for sequence, _ in answers] == [1, 2, 3]
    assert [outcome.reason for _, outcome in answers[:2]] == ["FUNCTION_MISSING", ""]
    check_text(answers[0][1])


@pytest.mark.parametrize("sequence", [0, 2**31, 2**32, 2**63, 2**64 - 1])
def test_sequence_numbers(channel: grpc.Channel, sequence: int) -> None:
    """Any number of 64 bits comes back as it was sent."""
    assert [number for number, _ in stream(channel, [stream_message(sequence, CANARY)])] == [sequence]


def test_messages_without_content(channel: grpc.Channel) -> None:
    """Messages of no bytes, and of bytes that are none, are each refused, and the next one is answered."""
    bodies = [b"", b"\xff", b"\x08", b"\x12\x05", b"\x0b" * 200, stream_message(9, CANARY)]
    answers = list(stream(channel, bodies))
    assert [outcome.code for _, outcome in answers] == ["INVALID_ARGUMENT"] * 5 + ["OK"]


def test_ten_thousand_small_messages(channel: grpc.Channel) -> None:
    """Each of ten thousand small messages on one stream is answered, in order and rightly."""
    body = formula_request("x", VALUE, ONE)
    answers = list(stream(channel, [stream_message(number, body) for number in range(10_000)]))
    assert [number for number, _ in answers] == list(range(10_000))
    assert {outcome.code for _, outcome in answers} == {"OK"}


def test_a_stream_whose_caller_takes_no_answers(channel: grpc.Channel) -> None:
    """A stream on which answers are asked for and never read is given up without harm."""
    call: Any = channel.stream_stream(SERVICE + "EvaluateStream", None, None)
    answers = call(iter([stream_message(number, CANARY) for number in range(2_000)]), timeout=60)
    first = EvaluateStreamResponse.FromString(next(answers))
    assert first.sequence == 0
    answers.cancel()


def test_streams_left_open(channel: grpc.Channel) -> None:
    """Fifty streams on which nothing is sent keep no other caller waiting."""
    ends: list[queue.SimpleQueue[bytes | None]] = [queue.SimpleQueue() for _ in range(50)]
    call: Any = channel.stream_stream(SERVICE + "EvaluateStream", None, None)
    opened = [call(iter(end.get, None), timeout=60) for end in ends]
    assert send(channel, "Evaluate", CANARY).code == "OK"
    for end, each in zip(ends, opened, strict=True):
        end.put(None)
        assert list(each) == []


def test_raw_doubles_of_every_kind_come_back(channel: grpc.Channel) -> None:
    """Numbers of any bits, signalling NaN among them, come back as they were sent."""
    patterns = [0, 1, 2**63, 2**63 + 1, 0x7FF0 << 48, 0xFFF0 << 48, 0x7FF8 << 48, (0x7FF8 << 48) + 77, 2**52 - 1]
    data = struct.pack(f"<{len(patterns)}Q", *patterns)
    points = nested((3, 2), b"\x12\x02" + bytes([len(patterns), 1]) + b"\x22" + bytes([len(data)]) + data)
    outcome = send(channel, "Evaluate", evaluate('function {formula {text: "x"}}', VALUE) + points)
    assert numbers_in(outcome.body).tobytes() == data

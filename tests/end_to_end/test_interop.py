"""The cases of gRPC's own interoperability suite that apply to this service, by their names there.

Its custom_metadata has a server echo what callers send beside their message, which this one never does; what remains
of it is that such metadata does no harm. Its authentication cases belong to the tests of credentials.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from gradmill.v1.gradient_service_pb2 import EvaluateRequest, EvaluateStreamResponse, ListOperationsResponse

from tests.end_to_end.server_process import ServerProcess
from tests.end_to_end.soak import on_channels_of_their_own, on_one_channel
from tests.hostile.building import THREE, VALUE, evaluate, nested
from tests.hostile.sending import CANARY, CANARY_ANSWER, SERVICE, numbers_in, send, stream_message

_SIZES = (31_415, 9, 2_653, 58_979)
"""Those of the suite's ping_pong; a message here is as close to each as one that asks something can be."""

_SLOW = evaluate(
    'function {formula {text: "sum(sin(x*arange(900000)))"}}',
    "wants {derivative: DERIVATIVE_HESSIAN}",
    "points {matrix {shape: [64, 1] values: [" + ", ".join(["1"] * 64) + "]}}",
)
"""Takes seconds."""


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """Open a channel that sends bytes as they are."""
    with grpc.insecure_channel(server.address) as opened:
        yield opened


def _sized(size: int) -> tuple[bytes, int]:
    """Return a request of about so many bytes, with an unknown field that fills it up, and its number of points."""
    points = max(1, (size - 70) // 8)
    request = EvaluateRequest.FromString(evaluate('function {formula {text: "x + 1"}}', VALUE))
    request.points.matrix.shape.extend((points, 1))
    request.points.matrix.data = np.arange(points, dtype="<f8").tobytes()
    body = request.SerializeToString()
    missing = size - len(body)
    return (body + nested((1_000,), b"\0" * (missing - 4)))[: max(size, len(body))] if missing > 8 else body, points


def _open(channel: grpc.Channel, messages: Iterator[bytes], **options: float) -> Any:  # noqa: ANN401  a grpc.Call
    opened: Any = channel.stream_stream(SERVICE + "EvaluateStream", None, None)
    return opened(messages, **{"timeout": 60.0} | options)


def test_empty_unary(channel: grpc.Channel) -> None:
    """A request of no bytes is a request."""
    outcome = send(channel, "ListOperations", b"")
    assert outcome.code == "OK"
    assert len(ListOperationsResponse.FromString(outcome.body).operations) > 50


def test_large_unary(channel: grpc.Channel) -> None:
    """Hundreds of kilobytes go both ways in one message."""
    body, points = _sized(271_828)
    assert len(body) > 271_800
    both = body + evaluate("wants {derivative: DERIVATIVE_GRADIENT}")
    outcome = send(channel, "Evaluate", both)
    assert outcome.code == "OK"
    assert len(outcome.body) > 314_159
    expected = [np.arange(points) + 1.0, np.ones(points)]
    np.testing.assert_array_equal(numbers_in(outcome.body), np.concatenate(expected))


def test_client_compressed_unary(channel: grpc.Channel) -> None:
    """A compressed request is answered like a plain one."""
    body, points = _sized(271_828)
    outcome = send(channel, "Evaluate", body, compression=grpc.Compression.Gzip)
    np.testing.assert_array_equal(numbers_in(outcome.body), np.arange(points) + 1.0)


def test_ping_pong(channel: grpc.Channel) -> None:
    """Each message of a stream is answered before the next one is sent."""
    to_send: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    answers = _open(channel, iter(to_send.get, None))
    for number, size in enumerate(_SIZES):
        body, points = _sized(size)
        to_send.put(stream_message(number, body))
        answer = EvaluateStreamResponse.FromString(next(answers))
        assert answer.sequence == number
        np.testing.assert_array_equal(numbers_in(answer.response.SerializeToString()), np.arange(points) + 1.0)
    to_send.put(None)
    assert list(answers) == []
    assert answers.code() is grpc.StatusCode.OK


def test_empty_stream(channel: grpc.Channel) -> None:
    """A stream without messages ends well, without answers."""
    answers = _open(channel, iter(()))
    assert list(answers) == []
    assert answers.code() is grpc.StatusCode.OK


def test_cancel_after_begin(channel: grpc.Channel) -> None:
    """A stream can be given up before anything was sent."""
    to_send: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    answers = _open(channel, iter(to_send.get, None))
    answers.cancel()
    to_send.put(None)
    assert answers.code() is grpc.StatusCode.CANCELLED


def test_cancel_after_first_response(channel: grpc.Channel) -> None:
    """A stream can be given up between two messages."""
    to_send: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    answers = _open(channel, iter(to_send.get, None))
    to_send.put(stream_message(1, CANARY))
    next(answers)
    answers.cancel()
    to_send.put(None)
    assert answers.code() is grpc.StatusCode.CANCELLED


def test_timeout_on_sleeping_server(channel: grpc.Channel) -> None:
    """A deadline of a millisecond ends a call that takes long, and a stream on which nothing comes."""
    assert send(channel, "Evaluate", _SLOW, timeout=0.001).code == "DEADLINE_EXCEEDED"
    to_send: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    answers = _open(channel, iter(to_send.get, None), timeout=0.001)
    with pytest.raises(grpc.RpcError):
        next(answers)
    to_send.put(None)
    assert answers.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert send(channel, "Evaluate", CANARY).code == "OK"


def test_status_code_and_message(channel: grpc.Channel) -> None:
    """A status comes with its code and its message, character by character, in a call of its own and on a stream."""
    body = evaluate('function {formula {text: "x + \u263a"}}', VALUE, THREE)
    outcome = send(channel, "Evaluate", body)
    assert outcome.code == "INVALID_ARGUMENT"
    assert "'\u263a' (U+263A WHITE SMILING FACE)" in outcome.message
    (answer,) = _open(channel, iter([stream_message(1, body)]))
    error = EvaluateStreamResponse.FromString(answer).error
    assert (error.code, error.message) == (3, outcome.message)


def test_special_status_message(channel: grpc.Channel) -> None:
    """Blanks, line ends and characters beyond the first plane in a caller's name come back escaped."""
    name = "\\t\\ntest with whitespace\\r\\nand Unicode BMP \u263a and non-BMP \U0001f608\\t\\n"
    wants = f'wants {{derivative: DERIVATIVE_VALUE outputs: "{name}"}}'
    outcome = send(channel, "Evaluate", evaluate('function {formula {text: "x"}}', wants, THREE))
    assert outcome.code == "INVALID_ARGUMENT"
    assert r"'\t\ntest with whitespace\r\nand Unicode BMP" in outcome.message


def test_unimplemented_method(channel: grpc.Channel) -> None:
    """A method that the service lacks is said to be unimplemented."""
    assert send(channel, "UnimplementedCall", b"").code == "UNIMPLEMENTED"


@pytest.mark.parametrize(
    "path", ["/grpc.testing.UnimplementedService/UnimplementedCall", "/", "/a/b/c", "/v1/../Evaluate"]
)
def test_unimplemented_service(channel: grpc.Channel, path: str) -> None:
    """So is one of a service that the server lacks, and a path that names none."""
    call: Any = channel.unary_unary(path, None, None)
    with pytest.raises(grpc.RpcError) as refusal:
        call(b"", timeout=10)
    error: Any = refusal.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_custom_metadata(channel: grpc.Channel) -> None:
    """What a caller sends beside his message, text or bytes, changes nothing."""
    metadata: list[tuple[str, str | bytes]] = [
        ("x-grpc-test-echo-initial", "test_initial_metadata_value"),
        ("x-trailing-bin", b"\xab\xab\xab"),
    ]
    outcome = send(channel, "Evaluate", CANARY, metadata=metadata)
    np.testing.assert_array_equal(numbers_in(outcome.body), CANARY_ANSWER)


def test_rpc_soak(server: ServerProcess) -> None:
    """Call after call on one channel, none fails."""
    assert on_one_channel(server.address, 1_000).failures == 0


def test_channel_soak(server: ServerProcess) -> None:
    """Connection after connection, none fails."""
    assert on_channels_of_their_own(server.address, 100).failures == 0

"""Sends the cases of the catalogue as raw bytes and says what came back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import grpc
import numpy as np
import numpy.typing as npt
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from gradmill.v1.gradient_service_pb2 import EvaluateResponse, EvaluateStreamResponse

from tests.hostile.building import SEED, THREE, evaluate, nested, varint
from tests.hostile.cases import Case

SERVICE = "/gradmill.v1.GradientService/"
PATIENCE_SECONDS = 60.0

CANARY = evaluate(SEED, "wants {derivative: DERIVATIVE_VALUE}", "wants {derivative: DERIVATIVE_GRADIENT}", THREE)
CANARY_ANSWER = (48.0, 12.0, 12.0, 9.0)


class Outcome(NamedTuple):
    """What came back.

    Attributes:
        code: the name of the status code.
        body: the answer, when the code is OK.
        message: the status's message.
        reason: that of the ErrorInfo; empty when there is none.
        metadata: that of the ErrorInfo.
        places: the message with the fields and descriptions of all violations.
        seconds: the time it took.
    """

    code: str
    body: bytes = b""
    message: str = ""
    reason: str = ""
    metadata: dict[str, str] | None = None
    places: str = ""
    seconds: float = 0.0


def send(
    channel: grpc.Channel,
    method: str,
    body: bytes,
    *,
    timeout: float | None = PATIENCE_SECONDS,
    metadata: Sequence[tuple[str, str | bytes]] = (),
    compression: grpc.Compression | None = None,
) -> Outcome:
    """Send bytes to a unary method."""
    call: Any = channel.unary_unary(SERVICE + method, None, None)
    began = time.monotonic()
    try:
        answer: bytes = call(body, timeout=timeout, metadata=metadata, compression=compression)
    except grpc.RpcError as error:
        seconds = time.monotonic() - began
        return _refusal(error, seconds)
    return Outcome("OK", answer, seconds=time.monotonic() - began)


def _refusal(call: grpc.RpcError, seconds: float) -> Outcome:
    error: Any = call  # a grpc.Call as well, which its types do not say
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    code, message = error.code().name, error.details() or ""
    if packed is None:
        return Outcome(code, message=message, places=message, seconds=seconds)
    status = Status.FromString(packed)
    assert status.message == message
    assert error.code().value[0] == status.code
    return refusal_of(status)._replace(seconds=seconds)


def refusal_of(status: Status) -> Outcome:
    """Return a refusal from its status."""
    information, request = ErrorInfo(), BadRequest()
    for detail in status.details:
        detail.Unpack(information)
        detail.Unpack(request)
    texts = [entry for violation in request.field_violations for entry in (violation.field, violation.description)]
    return Outcome(
        Code.Name(status.code),
        message=status.message,
        reason=information.reason,
        metadata=dict(information.metadata),
        places=" ".join([status.message, *texts]),
    )


def stream(channel: grpc.Channel, bodies: Sequence[bytes]) -> Iterator[tuple[int, Outcome]]:
    """Send messages on one stream as fast as it takes them; yield the number and the outcome of each answer."""
    call: Any = channel.stream_stream(SERVICE + "EvaluateStream", None, None)
    for answer in call(iter(bodies), timeout=4 * PATIENCE_SECONDS):
        message = EvaluateStreamResponse.FromString(answer)
        if message.HasField("response"):
            yield message.sequence, Outcome("OK", message.response.SerializeToString())
        else:
            status = Status.FromString(message.error.status)
            assert (message.error.code, message.error.message) == (status.code, status.message)
            yield message.sequence, refusal_of(status)


def stream_message(sequence: int, request: bytes) -> bytes:
    """Return a message of a stream that carries these bytes as its request, whatever they are."""
    return b"\x08" + varint(sequence) + nested((2,), request)


def numbers_in(body: bytes) -> npt.NDArray[np.float64]:
    """Return all numbers of an answer to Evaluate, one after the other."""
    results = EvaluateResponse.FromString(body).results
    return np.concatenate([np.frombuffer(result.array.data, dtype="<f8") for result in results])


def check(case: Case, outcome: Outcome) -> None:
    """Assert that a case was met as it says."""
    if not case.reason:
        assert outcome.code == "OK", outcome.message
        if case.answer:
            np.testing.assert_array_equal(numbers_in(outcome.body), np.array(case.answer))
        return
    assert (outcome.code, outcome.reason) == (case.code, case.reason), outcome.places
    assert case.place in outcome.places
    check_text(outcome)
    if case.knob:
        _check_limit(case, outcome)


def check_text(outcome: Outcome) -> None:
    """Assert that a refusal can be shown to anyone: short, of plain characters, without paths and tracebacks."""
    text = outcome.places
    assert outcome.message
    assert len(outcome.message) <= 900
    assert all(character.isprintable() or character == "\n" for character in text)
    assert not any(trace in text for trace in ("Traceback", "site-packages", ".py", "gradmill_server"))


def _check_limit(case: Case, outcome: Outcome) -> None:
    """Assert that a refusal names the value, the limit and the knob."""
    assert f"knob: {case.knob}" in outcome.places
    assert "limit" in outcome.places
    assert outcome.metadata is not None
    limit, value = outcome.metadata["limit"], outcome.metadata["value"]
    assert int(value) > int(limit)
    assert f"limit {limit}" in outcome.places

"""Whatever a caller sends, the server says what is wrong and where, and answers the next caller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from gradmill.v1.gradient_service_pb2 import EvaluateResponse

from tests.end_to_end.malformed import Malformed, good_request, malformed_requests
from tests.end_to_end.server_process import ServerProcess

REQUESTS = list(malformed_requests())
_METHOD = "/gradmill.v1.GradientService/Evaluate"


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """Open a channel that sends bytes as they are."""
    with grpc.insecure_channel(server.address) as opened:
        yield opened


def send(channel: grpc.Channel, body: bytes) -> bytes:
    """Send raw bytes to Evaluate and return the raw answer."""
    call: Any = channel.unary_unary(_METHOD, None, None)
    answer: bytes = call(body, timeout=30)
    return answer


def test_there_are_fifty_kinds() -> None:
    """At least fifty requests, each wrong in a way of its own."""
    assert len({request.name for request in REQUESTS}) == len(REQUESTS) >= 50
    assert len({request.body for request in REQUESTS}) == len(REQUESTS)


@pytest.mark.parametrize("request_", REQUESTS, ids=[request.name for request in REQUESTS])
def test_a_malformed_request_is_refused_with_reason_and_place(channel: grpc.Channel, request_: Malformed) -> None:
    """A wrong request is refused by its reason and its place, and the next good one is answered."""
    with pytest.raises(grpc.RpcError) as refusal:
        send(channel, request_.body)
    error: Any = refusal.value  # a grpc.Call as well, which its types do not say
    assert error.code().name == request_.status, error.details()
    info, violations = _details(error)
    assert info.domain == "gradmill.dev"
    assert info.reason == request_.reason, error.details()
    places = " ".join([error.details(), *(violation.field for violation in violations)])
    assert request_.place in places
    assert "Traceback" not in error.details()
    good = EvaluateResponse.FromString(send(channel, good_request().SerializeToString()))
    assert [len(result.array.data) for result in good.results] == [8, 24]


def _details(error: grpc.Call) -> tuple[ErrorInfo, list[BadRequest.FieldViolation]]:
    """Return the details that a refusal carries in its trailing metadata."""
    packed = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    info, bad_request = ErrorInfo(), BadRequest()
    for detail in Status.FromString(packed).details:
        detail.Unpack(info)
        detail.Unpack(bad_request)
    return info, list(bad_request.field_violations)

"""Numbers and structure of requests, told apart before they are parsed."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2
from gradmill_server.serving.wire.bulk import RequestType, has_more_structure

from tests.serving.support import array, digest, evaluation, matrix

_LIMIT = 10_000
_MANY = 20_000


def _numbers() -> list[service_pb2.EvaluateRequest]:
    large = np.zeros((_MANY, 3))
    by_name = service_pb2.Points(inputs=[service_pb2.InputValues(name="x", values=array(large))])
    plain = service_pb2.Points(matrix=graph_pb2.Array(shape=large.shape, values=large.ravel()))
    with_directions = evaluation(digest(bytes(32)))
    with_directions.wants[0].directions.matrix.CopyFrom(array(large))
    with_directions.wants[0].directions.arrays.add(name="x", array=array(large))
    requests = [evaluation(digest(bytes(32)), points) for points in (matrix(large), by_name, plain)]
    return [*requests, with_directions]


@pytest.mark.parametrize("request_", _numbers(), ids=["matrix", "by name", "plain numbers", "directions"])
def test_numbers_are_no_structure(request_: service_pb2.EvaluateRequest) -> None:
    """However many points and directions come, in whatever form, a request by digest has little structure."""
    assert not has_more_structure(service_pb2.EvaluateRequest, request_.SerializeToString(), _LIMIT)
    message = service_pb2.EvaluateStreamRequest(sequence=1, request=request_)
    assert not has_more_structure(service_pb2.EvaluateStreamRequest, message.SerializeToString(), _LIMIT)


def _structures() -> list[tuple[RequestType, bytes]]:
    nodes = service_pb2.Function(graph=graph_pb2.Graph(nodes=[graph_pb2.Node()] * _MANY))
    inputs = service_pb2.Points(inputs=[service_pb2.InputValues()] * _MANY)
    arrays = service_pb2.EvaluateRequest()
    arrays.wants.add().directions.arrays.extend([service_pb2.NamedArray()] * _MANY)
    messages = (
        service_pb2.EvaluateRequest(function=nodes),
        service_pb2.RegisterFunctionRequest(function=nodes),
        service_pb2.ExplainRequest(function=nodes),
        service_pb2.EvaluateRequest(points=inputs),
        service_pb2.ExplainRequest(points=inputs),
        service_pb2.EvaluateRequest(wants=[service_pb2.Want()] * _MANY),
        arrays,
        service_pb2.EvaluateStreamRequest(request=arrays),
    )
    return [(type(message), message.SerializeToString()) for message in messages]


@pytest.mark.parametrize(("message", "body"), _structures())
def test_messages_inside_are_structure(message: RequestType, body: bytes) -> None:
    """Many small messages are structure wherever they are, empty ones as well."""
    assert has_more_structure(message, body, _LIMIT)


@pytest.mark.parametrize("body", [b"\xff" * 20_000, b"\x0d" * 20_000, b"\x0a\xff\xff\xff\xff\x0f" + bytes(20_000)])
def test_what_is_no_message_counts_in_full(body: bytes) -> None:
    """Bytes that cannot be taken apart are taken for structure, and small ones for little of it."""
    assert has_more_structure(service_pb2.EvaluateRequest, body, _LIMIT)
    assert not has_more_structure(service_pb2.EvaluateRequest, body[:100], _LIMIT)

"""Requests whose answers are known, for warming up and for checking that a server answers at all."""

from __future__ import annotations

from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2


def sample_requests() -> list[tuple[str, bytes]]:
    """Return method names with the bytes of a request to each that must succeed."""
    function = service_pb2.Function(formula=graph_pb2.Formula(text="3*(x1**2 + x2*x3)"))
    # Machine code for arrays is made or loaded by the first function that has some.
    elements = 512
    array = graph_pb2.Formula(text="sum(x*sin(x))", inputs=[graph_pb2.Input(name="x", shape=[elements])])
    zeros = service_pb2.Points(matrix=graph_pb2.Array(shape=[1, elements], values=[0.0] * elements))
    points = service_pb2.Points(matrix=graph_pb2.Array(shape=[1, 3], values=[2.0, 3.0, 4.0]))
    wants = [
        service_pb2.Want(derivative=service_pb2.DERIVATIVE_VALUE),
        service_pb2.Want(derivative=service_pb2.DERIVATIVE_GRADIENT),
    ]
    return [
        ("ListOperations", service_pb2.ListOperationsRequest().SerializeToString()),
        (
            "Evaluate",
            service_pb2.EvaluateRequest(function=function, wants=wants, points=points).SerializeToString(),
        ),
        (
            "Evaluate",
            service_pb2.EvaluateRequest(
                function=service_pb2.Function(formula=array), wants=wants, points=zeros
            ).SerializeToString(),
        ),
        ("Explain", service_pb2.ExplainRequest(function=function, points=points).SerializeToString()),
    ]

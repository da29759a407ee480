"""Requests for our service, written beforehand, and what their answers contain."""

from __future__ import annotations

from dataclasses import dataclass

import gradmill as gm
import numpy as np
from gradmill.v1 import gradient_service_pb2 as service

METHOD, STREAM = "/gradmill.v1.GradientService/Evaluate", "/gradmill.v1.GradientService/EvaluateStream"
FORMULA = "3*(x1**2 + x2*x3)"
POINT = (1.5, 0.5, 2.0)
_VALUE, _GRADIENT = 3 * (1.5**2 + 0.5 * 2.0), (3 * 2 * 1.5, 3 * 2.0, 3 * 0.5)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One point of the function, by digest, value and gradient wanted.

    Attributes:
        unary: the message of a call.
        streamed: the same as the message of a stream, as our client sends it.
        expected: bytes that each answer contains: the gradient.
    """

    unary: bytes
    streamed: bytes
    expected: bytes


def prepare(address: str) -> Prepared:
    """Register the function with a server, see that its answer is right, and write the messages."""
    with gm.connect(address) as client:
        function = gm.formula(FORMULA)
        digest = client.register(function).digest
        result = client.gradient(function, POINT)
    if float(result.values) != _VALUE or not np.array_equal(result.gradient, _GRADIENT):
        message = f"the server's answer is wrong: {result.values}, {result.gradient}"
        raise ValueError(message)
    request = service.EvaluateRequest(
        function=service.Function(digest=digest),
        wants=[service.Want(derivative=kind) for kind in (service.DERIVATIVE_VALUE, service.DERIVATIVE_GRADIENT)],
    )
    request.points.matrix.shape.extend([1, len(POINT)])
    request.points.matrix.data = np.array(POINT).astype("<f8").tobytes()
    return Prepared(
        unary=request.SerializeToString(),
        streamed=service.EvaluateStreamRequest(sequence=1, request=request).SerializeToString(),
        expected=np.array(_GRADIENT).astype("<f8").tobytes(),
    )

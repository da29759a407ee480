"""Answers as numbers and as bits."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError, Message
from gradmill.v1 import gradient_service_pb2 as service

Array = npt.NDArray[np.float64]
MessageType = TypeVar("MessageType", bound=Message)


def results_of(body: bytes) -> list[Array]:
    """Return the arrays of an `EvaluateResponse` of float64.

    Raises:
        ValueError: the bytes are no such message, or a result does not have the bytes that its shape says.
    """
    response = parsed(body, service.EvaluateResponse())
    return [
        np.frombuffer(result.array.data, dtype="<f8").reshape(tuple(result.array.shape)) for result in response.results
    ]


def parsed(body: bytes, message: MessageType) -> MessageType:
    """Return a message read from bytes.

    Raises:
        ValueError: the bytes are no such message.
    """
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        text = f"{len(body)} bytes that are no {message.DESCRIPTOR.name}"
        raise ValueError(text) from error
    return message


def fingerprint(method: str, body: bytes) -> bytes:
    """Return the SHA-256 of all that must be the same in every answer to a request.

    Raises:
        ValueError: the bytes are no answer of the method.
    """
    if method == "Evaluate":
        return evaluation_fingerprint(parsed(body, service.EvaluateResponse()))
    return hashlib.sha256(body).digest()


def evaluation_fingerprint(response: service.EvaluateResponse) -> bytes:
    """Return the fingerprint of an evaluation; forgets its times and what the cache held, which may differ."""
    response.ClearField("cache")
    response.ClearField("timings")
    return hashlib.sha256(response.SerializeToString(deterministic=True)).digest()

"""What users may pass as a function, brought to one form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from gradmill.descriptions import FunctionInfo, OutputInfo
from gradmill.errors import Failure, InvalidRequestError
from gradmill.formulas import Formula, formula
from gradmill.tracing import Expression, TracedFunction
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.v1 import graph_pb2
from gradmill.wire import graph_message, input_messages

DIGEST_BYTES = 32

FunctionLike = Formula | Expression | TracedFunction | graph_pb2.Graph | str | bytes
"""A formula or its text, a traced expression or function, a Graph message, or the 32 bytes of a digest."""


@dataclass(frozen=True, slots=True)
class Source:
    """A function that can be sent.

    Attributes:
        key: 32 bytes that differ between functions written differently.
        message: writes the function out; for a function known by its digest alone, that digest.
        is_digest: whether the digest is all there is.
        info: what is known of it without asking; None when only a server can tell.
    """

    key: bytes
    message: Callable[[], service.Function]
    is_digest: bool = False
    info: FunctionInfo | None = None


def as_source(function: FunctionLike) -> Source:
    """Return a function in the one form that can be sent.

    Raises:
        InvalidRequestError: the bytes of a digest are not 32.
        TypeError: it is nothing that can be a function.
    """
    if isinstance(function, Expression):
        return _from_traced(function.as_function())
    if isinstance(function, TracedFunction):
        return _from_traced(function)
    if isinstance(function, Formula):
        return _from_formula(function)
    if isinstance(function, str):
        return _from_formula(formula(function))
    if isinstance(function, graph_pb2.Graph):
        return _from_message(service.Function(graph=function))
    return _from_digest(function)


def digest_message(digest: bytes) -> service.Function:
    """Return a function named by its digest."""
    return service.Function(digest=digest)


def _from_traced(function: TracedFunction) -> Source:
    outputs = tuple(OutputInfo(*entry) for entry in function.output_shapes.items())
    value_count = len(function.inputs) + len(function.graph.values)
    info = FunctionInfo(function.digest, function.inputs, outputs, value_count)
    return Source(function.digest, lambda: service.Function(graph=graph_message(function.graph)), info=info)


def _from_formula(function: Formula) -> Source:
    message = service.Function(
        formula=graph_pb2.Formula(text=function.text, inputs=input_messages(function.inputs)),
    )
    return _from_message(message)


def _from_message(message: service.Function) -> Source:
    content = message.SerializeToString(deterministic=True)
    return Source(hashlib.sha256(content).digest(), lambda: message)


def _from_digest(digest: object) -> Source:
    if not isinstance(digest, (bytes, bytearray, memoryview)):
        message = (
            f"{type(digest).__name__} is no function: pass a formula, a traced expression, a Graph message, or the "
            "bytes of a digest"
        )
        raise TypeError(message)
    content = bytes(digest)
    if len(content) != DIGEST_BYTES:
        message = f"a digest has {DIGEST_BYTES} bytes, not {len(content)}; use bytes.fromhex for a digest as text"
        raise InvalidRequestError(message, Failure(reason="DIGEST_INVALID"))
    return Source(content, lambda: digest_message(content), is_digest=True)

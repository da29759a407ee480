"""Requests on the wire: what is refused before the function is even looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2
from gradmill_server.engine.errors import EngineError
from gradmill_server.engine.limits import Limits
from gradmill_server.serving.wire.functions import DigestReference, read_function
from gradmill_server.serving.wire.requests import (
    Reduction,
    StreamCall,
    read_evaluate,
    read_explain,
    read_list_operations,
    read_register,
    read_stream_message,
)

from tests.serving.support import GRADIENT, evaluation, formula, graph

_READERS: dict[str, Callable[[bytes], object]] = {
    "gradmill.v1.EvaluateRequest": lambda body: read_evaluate(body, 5),
    "gradmill.v1.EvaluateStreamRequest": lambda body: read_stream_message(body, 5),
    "gradmill.v1.RegisterFunctionRequest": lambda body: read_register(body, 5),
    "gradmill.v1.ExplainRequest": read_explain,
    "gradmill.v1.ListOperationsRequest": read_list_operations,
}


@pytest.mark.parametrize("name", _READERS)
@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05ab", b"\x08" + b"\xff" * 11, b"\x0f"])
def test_bytes_that_are_no_message(name: str, body: bytes) -> None:
    """Bytes that are no such message are refused with the name of the message they should have been."""
    with pytest.raises(EngineError) as refused:
        _READERS[name](body)
    assert (refused.value.status, refused.value.reason) == ("INVALID_ARGUMENT", "REQUEST_MALFORMED")
    assert name in refused.value.message


def _with(**changes: object) -> service_pb2.EvaluateRequest:
    request = evaluation()
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def _with_want(**fields: object) -> service_pb2.EvaluateRequest:
    request = evaluation()
    request.wants[1].CopyFrom(service_pb2.Want(**fields))  # type: ignore[arg-type]
    return request


def _with_options(**fields: object) -> service_pb2.EvaluateRequest:
    request = evaluation()
    request.options.CopyFrom(service_pb2.Options(**fields))  # type: ignore[arg-type]
    return request


@pytest.mark.parametrize(
    ("request_message", "status", "reason", "text"),
    [
        (_with(reduction=9), "INVALID_ARGUMENT", "REDUCTION_UNKNOWN", "reduction: Reduction has no value 9"),
        (_with(encoding=-1), "INVALID_ARGUMENT", "ENCODING_UNKNOWN", "encoding: ArrayEncoding has no value -1"),
        (_with_want(derivative=0), "INVALID_ARGUMENT", "DERIVATIVE_UNKNOWN", "wants[1].derivative"),
        (_with_want(derivative=99), "INVALID_ARGUMENT", "DERIVATIVE_UNKNOWN", "knows 0 to 10"),
        (
            _with_want(derivative=service_pb2.DERIVATIVE_HVP),
            "INVALID_ARGUMENT",
            "DIRECTIONS_MISSING",
            "wants[1].directions: DERIVATIVE_HVP needs directions",
        ),
        (
            _with_want(derivative=GRADIENT, directions=service_pb2.Direction(shared=True)),
            "INVALID_ARGUMENT",
            "DIRECTIONS_UNEXPECTED",
            "wants[1].directions",
        ),
        (_with_options(locate_non_finite=True), "UNIMPLEMENTED", "LOCATE_UNSUPPORTED", "options.locate_non_finite"),
        (
            _with_options(disabled_stable_forms=["log1p", "magic"]),
            "INVALID_ARGUMENT",
            "STABLE_FORM_UNKNOWN",
            "options.disabled_stable_forms[1]: no stable form is called 'magic'",
        ),
        (evaluation(kinds=()), "INVALID_ARGUMENT", "WANT_MISSING", "wants"),
        (evaluation(kinds=[GRADIENT] * 6), "RESOURCE_EXHAUSTED", "TOO_MANY_WANTS", "6, limit 5; knob: maximum_wants"),
        (evaluation(service_pb2.Function()), "INVALID_ARGUMENT", "FUNCTION_MISSING", "function"),
        (evaluation(service_pb2.Function(digest=b"short")), "INVALID_ARGUMENT", "DIGEST_INVALID", "function.digest"),
    ],
)
def test_wrong_fields(request_message: service_pb2.EvaluateRequest, status: str, reason: str, text: str) -> None:
    """A field beyond its set of values, or asking for what is not there yet, is refused with its path and a hint."""
    with pytest.raises(EngineError) as refused:
        read_evaluate(request_message.SerializeToString(), 5)
    assert (refused.value.status, refused.value.reason) == (status, reason)
    assert text in refused.value.message


@pytest.mark.parametrize(
    ("number", "expected"), [(0, Reduction.NONE), (1, Reduction.NONE), (2, Reduction.SUM), (3, Reduction.MEAN)]
)
def test_reductions(number: int, expected: Reduction) -> None:
    """Each reduction of the contract is read as what it says."""
    _, call = read_evaluate(_with(reduction=number).SerializeToString(), 5)
    assert call.reduction is expected


def _read_inline(function: service_pb2.Function) -> None:
    reference = read_function(function)
    assert not isinstance(reference, DigestReference)
    reference.read(Limits())


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        (
            lambda g: g.constants.append(graph_pb2.Array(values=[1.0], data=bytes(8))),
            "ARRAY_AMBIGUOUS",
            "function.graph.constants[0]",
        ),
        (
            lambda g: g.constants.append(graph_pb2.Array(data=bytes(7))),
            "ARRAY_SIZE",
            "function.graph.constants[0].data",
        ),
        (
            lambda g: g.constants.append(graph_pb2.Array(element_type=5, values=[1.0])),  # type: ignore[arg-type]
            "ELEMENT_TYPE_UNKNOWN",
            "function.graph.constants[0].element_type",
        ),
        (
            lambda g: setattr(g.inputs[0], "element_type", 9),
            "ELEMENT_TYPE_UNKNOWN",
            "function.graph.inputs[0].element_type",
        ),
        (
            lambda g: g.nodes[0].parameters.append(graph_pb2.Parameter(name="axis")),
            "PARAMETER_MISSING",
            "function.graph.nodes[0].parameters[0]",
        ),
        (lambda g: setattr(g.nodes[0], "operation", 2**32 - 1), "OPERATION_INDEX", "function.graph.nodes[0].operation"),
    ],
)
def test_graph_that_cannot_be_read(change: Callable[[graph_pb2.Graph], None], reason: str, field: str) -> None:
    """What is wrong in a graph's fields is refused with its path."""
    function = graph()
    change(function.graph)
    with pytest.raises(EngineError) as refused:
        _read_inline(function)
    assert (refused.value.reason, refused.value.metadata["field"]) == (reason, field)


def test_declared_inputs_of_a_formula_are_checked() -> None:
    """An input declared for a formula is checked like that of a graph."""
    function = formula("x")
    function.formula.inputs.add(name="2x")
    with pytest.raises(EngineError) as refused:
        _read_inline(function)
    assert (refused.value.reason, refused.value.metadata["field"]) == (
        "NAME_INVALID",
        "function.formula.inputs[0].name",
    )


def test_different_functions_have_different_source_keys() -> None:
    """A graph and a formula, or two formulas that differ in a byte, are never taken for one another."""
    functions = [graph(), graph(name="y"), formula("x"), formula("x "), service_pb2.Function(graph=graph_pb2.Graph())]
    functions.append(service_pb2.Function(formula=graph_pb2.Formula()))
    keys = set()
    for function in functions:
        reference = read_function(function)
        assert not isinstance(reference, DigestReference)
        keys.add(reference.source_key)
    assert len(keys) == len(functions)


def test_stream_message_keeps_its_number_beside_what_is_wrong() -> None:
    """A stream's message with a wrong field is still known by its number."""
    request = service_pb2.EvaluateStreamRequest(sequence=7, request=evaluation(kinds=()))
    message = read_stream_message(request.SerializeToString(), 5)
    assert isinstance(message, StreamCall)
    assert message.sequence == 7
    assert message.function_given
    with pytest.raises(EngineError, match="nothing is wanted"):
        message.usable()

"""From a failure to the status a caller gets."""

from __future__ import annotations

import logging

import pytest
from google.rpc import code_pb2, status_pb2
from gradmill_server.engine import errors
from gradmill_server.engine.ops.array_operation import InvalidParameter
from gradmill_server.engine.shapes import ShapeMismatch
from gradmill_server.serving import errors as serving_errors
from gradmill_server.serving.security import refusals
from gradmill_server.serving.status import DOMAIN, RpcFailure, status_of

from tests.serving.support import information, refusal, retry_seconds, violations

_EXPECTED = {
    errors.InvalidRequest: ("INVALID_ARGUMENT", "REQUEST_INVALID"),
    errors.InvalidGraph: ("INVALID_ARGUMENT", "GRAPH_INVALID"),
    ShapeMismatch: ("INVALID_ARGUMENT", "SHAPE_MISMATCH"),
    InvalidParameter: ("INVALID_ARGUMENT", "PARAMETER_INVALID"),
    errors.InvalidFormula: ("INVALID_ARGUMENT", "FORMULA_INVALID"),
    errors.InvalidPoints: ("INVALID_ARGUMENT", "POINTS_INVALID"),
    errors.InvalidWant: ("INVALID_ARGUMENT", "WANT_INVALID"),
    errors.InvalidDirections: ("INVALID_ARGUMENT", "DIRECTIONS_INVALID"),
    errors.LimitExceeded: ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED"),
    errors.UnsupportedWish: ("UNIMPLEMENTED", "UNSUPPORTED"),
    errors.DeadlineExceeded: ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
    errors.Cancelled: ("CANCELLED", "CANCELLED"),
    serving_errors.RequestMalformed: ("INVALID_ARGUMENT", "REQUEST_MALFORMED"),
    serving_errors.Overloaded: ("UNAVAILABLE", "OVERLOADED"),
    serving_errors.QueueTooSlow: ("UNAVAILABLE", "QUEUE_TOO_SLOW"),
    serving_errors.MemoryScarce: ("UNAVAILABLE", "MEMORY_SCARCE"),
    serving_errors.CallerLimit: ("RESOURCE_EXHAUSTED", "CALLER_LIMIT"),
    serving_errors.CallerQueueFull: ("RESOURCE_EXHAUSTED", "CALLER_QUEUE_FULL"),
    serving_errors.CallerTooManyCalls: ("RESOURCE_EXHAUSTED", "CALLER_TOO_MANY_CALLS"),
    serving_errors.CallerTooManyStreams: ("RESOURCE_EXHAUSTED", "CALLER_TOO_MANY_STREAMS"),
    serving_errors.DeadlineTooShort: ("DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT"),
    serving_errors.QueueFull: ("UNAVAILABLE", "QUEUE_FULL"),
    serving_errors.TooManyCalls: ("UNAVAILABLE", "TOO_MANY_CALLS"),
    serving_errors.TooManyBytes: ("UNAVAILABLE", "TOO_MANY_BYTES"),
    serving_errors.TooManyStreams: ("UNAVAILABLE", "TOO_MANY_STREAMS"),
    serving_errors.DigestUnknown: ("NOT_FOUND", "DIGEST_UNKNOWN"),
    serving_errors.FunctionQuarantined: ("FAILED_PRECONDITION", "FUNCTION_QUARANTINED"),
    refusals.QuotaExceeded: ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    refusals.RequestQuotaExceeded: ("RESOURCE_EXHAUSTED", refusals.RequestQuotaExceeded.default_reason),
    refusals.PointQuotaExceeded: ("RESOURCE_EXHAUSTED", refusals.PointQuotaExceeded.default_reason),
    serving_errors.StreamIdle: ("DEADLINE_EXCEEDED", "STREAM_IDLE"),
    serving_errors.ShuttingDown: ("UNAVAILABLE", "SHUTTING_DOWN"),
}


def _subclasses(kind: type[errors.EngineError]) -> set[type[errors.EngineError]]:
    found = set()
    waiting = [kind]
    while waiting:
        for child in waiting.pop().__subclasses__():
            found.add(child)
            waiting.append(child)
    return found


def test_every_refusal_has_its_row() -> None:
    """Every kind of refusal the server can give is in the table of this test."""
    own = {kind for kind in _subclasses(errors.EngineError) if kind.__module__.startswith("gradmill_server.")}
    assert own == {*_EXPECTED, refusals.Unauthenticated}


def test_wrong_credentials_have_one_answer() -> None:
    """Whatever is wrong with credentials, the caller is told the same."""
    status = status_of(refusals.Unauthenticated())
    assert refusal(status) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    assert status.message == "no valid credentials"


@pytest.mark.parametrize("kind", _EXPECTED, ids=lambda kind: kind.__name__)
def test_code_and_reason(kind: type[errors.EngineError]) -> None:
    """Each kind of refusal has its canonical code, its reason and the project's domain."""
    status = status_of(kind("what happened", metadata={"limit": "5"}))
    assert refusal(status) == _EXPECTED[kind]
    assert status.message == "what happened"
    assert information(status).domain == DOMAIN
    assert dict(information(status).metadata) == {"limit": "5"}


def test_try_again_is_said_where_it_helps() -> None:
    """A refusal for want of capacity says after how long to try again; a wrong request does not."""
    assert retry_seconds(status_of(serving_errors.QueueFull.beyond(9, 8, retry_seconds=0.25))) == 0.25
    assert retry_seconds(status_of(serving_errors.ShuttingDown("bye"))) == 1.0
    assert retry_seconds(status_of(errors.InvalidPoints("no"))) is None


def test_each_violation_is_told() -> None:
    """Each mistake in a request is told with its field and reason."""
    mistakes = [errors.Violation(f"graph.nodes[{i}]", "is wrong", "ARITY", {}) for i in range(3)]
    status = status_of(errors.InvalidGraph.from_violations(mistakes))
    assert violations(status) == {f"graph.nodes[{i}]": "ARITY" for i in range(3)}
    assert information(status).metadata["field"] == "graph.nodes[0]"


def test_status_fits_into_response_metadata() -> None:
    """However much there is to say, the status stays within what clients accept in metadata by default."""
    mistakes = [errors.Violation("f" * 9_000, "d" * 9_000, "REASON", {}) for _ in range(20)]
    metadata = {f"{number}" * 9_000: "v" * 9_000 for number in range(5)}
    status = status_of(errors.InvalidGraph("m" * 90_000, violations=mistakes, metadata=metadata))
    encoded = len(status.SerializeToString()) * 4 / 3 + len(status.message)
    assert encoded < 8_192
    assert refusal(status) == ("INVALID_ARGUMENT", "GRAPH_INVALID")
    assert violations(status)


def test_text_that_is_no_unicode_is_escaped() -> None:
    """A message that quotes a lone surrogate still becomes a status."""
    assert status_of(errors.InvalidFormula("at \udc80")).message == "at \\udc80"


def test_unexpected_error_tells_nothing_but_an_incident(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake of the server is INTERNAL with an incident number; its text and traceback are in the log only."""
    with caplog.at_level(logging.ERROR, logger="gradmill.serving"):
        status = status_of(ValueError("secret internal path"))
    assert refusal(status) == ("INTERNAL", "INTERNAL_ERROR")
    assert b"secret" not in status.SerializeToString()
    incident = information(status).metadata["incident"]
    assert incident in status.message
    (entry,) = caplog.records
    assert entry.exc_info is not None
    assert str(entry.exc_info[1]) == "secret internal path"
    assert getattr(entry, "gradmill_fields")["incident"] == incident  # noqa: B009  set by the logger, unknown to types


def test_failure_names_its_code() -> None:
    """A failure knows the name of its canonical code."""
    assert RpcFailure(status_pb2.Status(code=code_pb2.NOT_FOUND)).code_name == "NOT_FOUND"

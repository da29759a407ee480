"""What a call came back with, as errors."""

from __future__ import annotations

import pickle

import gradmill as gm
import pytest
from google.protobuf import duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from gradmill.errors import ERROR_OF_STATUS, Failure, Violation
from gradmill.statuses import error_from_status


def detailed_status() -> bytes:
    """Return a status with everything in it that a server may say."""
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="graph.nodes[5]: unknown operation (and 1 more)")
    information = error_details_pb2.ErrorInfo(
        reason="OPERATION_UNKNOWN", domain="gradmill.dev", metadata={"node": "5", "field": "graph.nodes[5]"}
    )
    request = error_details_pb2.BadRequest()
    request.field_violations.add(field="graph.nodes[5]", description="unknown operation", reason="OPERATION_UNKNOWN")
    request.field_violations.add(field="graph.nodes[7]", description="no argument 9", reason="ARGUMENT_MISSING")
    retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1, nanos=500_000_000))
    for detail in (information, request, retry):
        status.details.add().Pack(detail)
    return bytes(status.SerializeToString())


@pytest.mark.parametrize("name", code_pb2.Code.keys())
def test_each_status_has_its_class(name: str) -> None:
    """Every canonical status becomes the error of that name's kind, with the message kept."""
    error = error_from_status(code_pb2.Code.Value(name), "what happened")
    assert type(error) is ERROR_OF_STATUS.get(name, gm.ServerError)
    assert (str(error), error.status) == ("what happened", name)
    assert error.reason


def test_every_detail_is_kept() -> None:
    """Reason, metadata, violations and the pause asked for reach the program."""
    error = error_from_status(3, "", detailed_status())
    assert isinstance(error, gm.InvalidRequestError)
    assert error.reason == "OPERATION_UNKNOWN"
    assert error.metadata == {"node": "5", "field": "graph.nodes[5]"}
    assert error.violations[1] == Violation("graph.nodes[7]", "no argument 9", "ARGUMENT_MISSING")
    assert error.retry_delay_seconds == 1.5
    assert "again unchanged" in error.advice


def test_the_text_of_an_error_shows_each_place_once() -> None:
    """Printing an error shows the message and the mistakes that the message does not name."""
    text = str(error_from_status(3, "", detailed_status()))
    assert text == "graph.nodes[5]: unknown operation (and 1 more)\n  graph.nodes[7]: no argument 9"


def test_a_place_that_the_message_leaves_out_is_added() -> None:
    """Line and column, or the field, are shown even when the message does not have them."""
    assert (
        str(gm.InvalidRequestError("bad", Failure(metadata={"line": "2", "column": "7"}))) == "bad (line 2, column 7)"
    )
    assert str(gm.InvalidRequestError("bad", Failure(metadata={"field": "points"}))) == "bad (at points)"


def test_many_mistakes_are_cut() -> None:
    """A hundred mistakes do not fill the screen."""
    violations = tuple(Violation(f"graph.nodes[{index}]", f"mistake {index}") for index in range(100, 200))
    lines = str(gm.InvalidRequestError("bad graph", Failure(violations=violations))).splitlines()
    assert len(lines) == 7
    assert lines[-1] == "  and 95 more"


@pytest.mark.parametrize("details", [b"\xff\xff\xff", b""])
def test_unreadable_details_do_not_hide_the_error(details: bytes) -> None:
    """A gateway that garbles the details leaves status and message."""
    error = error_from_status(14, "no route", details)
    assert isinstance(error, gm.UnavailableError)
    assert str(error) == "no route"


def test_a_number_that_is_no_status_is_a_server_error() -> None:
    """An unknown status number is the server's failure."""
    assert isinstance(error_from_status(99, ""), gm.ServerError)
    assert "UNKNOWN" in str(error_from_status(99, ""))


def test_errors_survive_other_processes() -> None:
    """An error raised in a worker process keeps its parts on the way to its parent."""
    error = error_from_status(3, "", detailed_status())
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in the line itself
    assert (str(copy), copy.reason, copy.violations) == (str(error), error.reason, error.violations)


def test_all_errors_have_one_root() -> None:
    """One except clause catches everything that gradmill raises by itself."""
    for name in gm.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(gm, name), gm.GradmillError)

"""The table at the edge: what a call came back with, as one of this package's errors."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gradmill.errors import ERROR_OF_STATUS, NO_ANSWER, Failure, GradmillError, ServerError, Violation

OK = code_pb2.OK
_UNKNOWN = "UNKNOWN"


def error_from_status(code: int, message: str, details: bytes = b"") -> GradmillError:
    """Return the error for a canonical status.

    Args:
        code: the canonical status code's number.
        message: the status's message.
        details: a serialized ``google.rpc.Status``; empty or unreadable bytes mean that there is nothing more to know.
    """
    status = status_pb2.Status()
    try:
        status.ParseFromString(details)
    except DecodeError:
        status.Clear()
    status.code = status.code or code
    status.message = status.message or message
    return error_from_message(status)


def error_from_message(status: status_pb2.Status) -> GradmillError:
    """Return the error for a ``google.rpc.Status`` and its ErrorInfo, BadRequest and RetryInfo details."""
    name = _status_name(status.code)
    information = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    may_retry = False
    for detail in status.details:
        try:
            detail.Unpack(information)
            detail.Unpack(bad_request)
            may_retry = detail.Unpack(retry) or may_retry
        except DecodeError:
            continue
    is_from_server = name != "UNAVAILABLE" or len(status.details) > 0
    failure = Failure(
        status=name,
        reason=information.reason if is_from_server else NO_ANSWER,
        metadata=dict(information.metadata),
        violations=tuple(_violation(entry) for entry in bad_request.field_violations),
        retry_delay_seconds=retry.retry_delay.ToNanoseconds() / 1e9 if may_retry else None,
    )
    error_class = ERROR_OF_STATUS.get(name, ServerError)
    return error_class(status.message or f"the call ended with status {name}", failure)


def _status_name(code: int) -> str:
    try:
        return str(code_pb2.Code.Name(code))
    except ValueError:
        return _UNKNOWN


def _violation(entry: error_details_pb2.BadRequest.FieldViolation) -> Violation:
    return Violation(entry.field, entry.description, entry.reason)

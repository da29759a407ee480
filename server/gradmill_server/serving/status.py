"""The one place that turns a failure into a `google.rpc.Status`.

A refusal carries ErrorInfo, BadRequest where the caller's message is at fault, and RetryInfo where trying again helps.
Anything else is a mistake of the server: INTERNAL with an incident number, and the traceback in the log only.
"""

from __future__ import annotations

import functools
import logging
import uuid

from google.protobuf import duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gradmill_server.engine.errors import EngineError
from gradmill_server.serving import logs

DOMAIN = "gradmill.dev"

_MAXIMUM_STATUS_BYTES = 4_400
"""Clients refuse response metadata above 8 KiB by default; the status travels in it in base64, beside its message."""

_MAXIMUM_MESSAGE_CHARACTERS = 900
_MAXIMUM_VALUE_CHARACTERS = 256
_MAXIMUM_METADATA_ENTRIES = 12


class RpcFailure(Exception):
    """A call that failed.

    Attributes:
        status: what the caller is told.
    """

    def __init__(self, status: status_pb2.Status) -> None:
        """Keep the status."""
        super().__init__(status.message)
        self.status = status

    @property
    def code_name(self) -> str:
        """The name of the canonical status code."""
        return str(code_pb2.Code.Name(self.status.code))

    @property
    def passes_limit(self) -> bool:
        """Whether it is a refusal that names a limit."""
        information = error_details_pb2.ErrorInfo()
        return any(detail.Unpack(information) and "limit" in information.metadata for detail in self.status.details)


def status_of(error: BaseException) -> status_pb2.Status:
    """Return what the caller is told about a failure; one that is not a refusal is also written to the log."""
    return _refusal(error) if isinstance(error, EngineError) else _incident(error)


def _refusal(error: EngineError) -> status_pb2.Status:
    if not error.violations:
        retry_seconds = getattr(error, "retry_seconds", None)
        return _short_refusal(error.status, error.message, error.reason, tuple(error.metadata.items()), retry_seconds)
    status = _without_violations(error.status, error.message, error.reason, error.metadata, None)
    request = _bad_request(error, _MAXIMUM_STATUS_BYTES - status.ByteSize())
    if request.field_violations:
        status.details.add().Pack(request)
    return status


@functools.lru_cache(maxsize=256)
def _short_refusal(
    code: str, message: str, reason: str, metadata: tuple[tuple[str, str], ...], retry_seconds: float | None
) -> status_pb2.Status:
    """Return a refusal's status, which nobody may change: when too much is asked the same ones come in thousands."""
    return _without_violations(code, message, reason, dict(metadata), retry_seconds)


def _without_violations(
    code: str, message: str, reason: str, metadata: dict[str, str], retry_seconds: float | None
) -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.Code.Value(code), message=_cut(message, _MAXIMUM_MESSAGE_CHARACTERS))
    status.details.add().Pack(_information(reason, metadata))
    if retry_seconds is not None:
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=_duration(retry_seconds)))
    return status


def _information(reason: str, metadata: dict[str, str]) -> error_details_pb2.ErrorInfo:
    entries = list(metadata.items())[:_MAXIMUM_METADATA_ENTRIES]
    return error_details_pb2.ErrorInfo(
        reason=reason,
        domain=DOMAIN,
        metadata={
            _cut(key, _MAXIMUM_VALUE_CHARACTERS): _cut(value, _MAXIMUM_VALUE_CHARACTERS) for key, value in entries
        },
    )


def _bad_request(error: EngineError, maximum_bytes: int) -> error_details_pb2.BadRequest:
    """Return as many of the violations as fit, first ones first."""
    request = error_details_pb2.BadRequest()
    for violation in error.violations:
        request.field_violations.add(
            field=_cut(violation.field, _MAXIMUM_VALUE_CHARACTERS),
            description=_cut(violation.description, _MAXIMUM_VALUE_CHARACTERS),
            reason=violation.reason,
        )
        # 64 covers the type's name and the lengths around the packed message.
        if request.ByteSize() + 64 > maximum_bytes:
            del request.field_violations[-1]
            break
    return request


def _incident(error: BaseException) -> status_pb2.Status:
    incident = uuid.uuid4().hex[:12]
    logs.record(logging.ERROR, "internal_error", error=error, incident=incident, kind=type(error).__name__)
    status = status_pb2.Status(
        code=code_pb2.INTERNAL, message=f"internal error; the server's log has it as incident {incident}"
    )
    status.details.add().Pack(_information("INTERNAL_ERROR", {"incident": incident}))
    return status


def _duration(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _cut(text: str, characters: int) -> str:
    # A lone surrogate, which a formula's excerpt could hold, has no place in a protobuf string.
    clean = text.encode(errors="backslashreplace").decode()
    return clean if len(clean) <= characters else clean[: characters - 3] + "..."

"""Every way in which a call can fail, as a tree.

    GradmillError
    ├── InvalidRequestError      the function, the points or the wish is wrong; repeating the call cannot help
    ├── NotFoundError            a function named by its digest alone is not known to the server
    ├── LimitError               a named limit of the server, its value, and the knob that moves it
    ├── UnsupportedError         valid, but not to be had from this server
    ├── DeadlineExceededError    the time allowed has passed
    ├── UnavailableError         no server answered, even after trying again
    ├── AccessDeniedError        the server, or a gateway before it, wants other credentials
    ├── CancelledError           the call was given up before it was answered
    ├── ServerError              the server failed, or answered what cannot be read
    ├── TracingError             Python code did something with a traced value that has no meaning
    ├── ClientClosedError        the client was used after ``close()``
    └── MissingExtraError        an optional part of the installation is missing

This module and :mod:`gradmill.statuses` are the only ones that mention status codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

_MAXIMUM_SHOWN_VIOLATIONS = 5

NO_ANSWER = "NO_ANSWER"
"""The reason of an UnavailableError that no server has sent: there is none, or the connection to it broke."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One mistake in a request, and where it is.

    Attributes:
        field: path of the field at fault, such as ``graph.nodes[5].arguments[1]``.
        description: what is wrong, in one sentence.
        reason: UPPER_SNAKE name of the kind of mistake; empty when the server did not say.
    """

    field: str
    description: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of a failure besides its message.

    Attributes:
        status: name of the canonical status code; empty when no call was made.
        reason: UPPER_SNAKE name of the kind of failure.
        metadata: details a program can use, such as ``line``, ``column``, ``node``, ``limit``, ``knob``.
        violations: the mistakes found in the request.
        retry_delay_seconds: how long the server asks to wait before the next attempt; None when it does not ask.
    """

    status: str = ""
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_delay_seconds: float | None = None


class GradmillError(Exception):
    """A failure that a caller can understand and act on. ``str()`` gives the message and the places at fault.

    Attributes:
        message: what is wrong, without the places that follow it in ``str()``.
        status: name of the canonical status code, such as ``"INVALID_ARGUMENT"``.
        reason: UPPER_SNAKE name of the kind of failure, such as ``"DIGEST_UNKNOWN"``.
        metadata: details a program can use.
        violations: the mistakes found in the request.
        retry_delay_seconds: how long the server asks to wait, or None.
        advice: what the caller can do about it.
    """

    default_status: ClassVar[str] = ""
    default_reason: ClassVar[str] = "UNKNOWN"
    default_advice: ClassVar[str] = ""

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        """Keep the message for people and the parts for programs."""
        super().__init__(message)
        parts = failure or Failure()
        self.message = message
        self.status: str = parts.status or self.default_status
        self.reason: str = parts.reason or self.default_reason
        self.metadata: dict[str, str] = dict(parts.metadata)
        self.violations: tuple[Violation, ...] = tuple(parts.violations)
        self.retry_delay_seconds: float | None = parts.retry_delay_seconds
        self.advice: str = self.default_advice

    def __str__(self) -> str:
        """Return the message with its place, then the further mistakes, one a line."""
        return "\n".join([self.message + self._place(), *self._further_violations()])

    def _place(self) -> str:
        path = self.metadata.get("field", "")
        line, column = self.metadata.get("line", ""), self.metadata.get("column", "")
        if line and column and f"line {line}" not in self.message:
            return f" (line {line}, column {column})"
        return f" (at {path})" if path and path not in self.message else ""

    def _further_violations(self) -> Sequence[str]:
        unsaid = [entry for entry in self.violations if entry.description not in self.message]
        lines = [f"  {entry.field}: {entry.description}" for entry in unsaid[:_MAXIMUM_SHOWN_VIOLATIONS]]
        hidden = len(unsaid) - len(lines)
        return [*lines, f"  and {hidden} more"] if hidden else lines


class InvalidRequestError(GradmillError):
    """The function, the points or the wish is wrong."""

    default_status = "INVALID_ARGUMENT"
    default_reason = "REQUEST_INVALID"
    default_advice = "Correct the request; sending it again unchanged cannot help."


class NotFoundError(GradmillError):
    """The server does not know the function that was named by its digest alone."""

    default_status = "NOT_FOUND"
    default_reason = "NOT_FOUND"
    default_advice = "Pass the function itself (a formula, a graph or a traced expression) instead of its digest."


class LimitError(GradmillError):
    """A named limit of the server was passed."""

    default_status = "RESOURCE_EXHAUSTED"
    default_reason = "LIMIT_EXCEEDED"
    default_advice = "Send less, or raise the limit by the knob named, if there is one."


class UnsupportedError(GradmillError):
    """A valid wish that this server cannot grant."""

    default_status = "UNIMPLEMENTED"
    default_reason = "UNSUPPORTED"
    default_advice = "Use what the message says is available, or a newer server."


class DeadlineExceededError(GradmillError):
    """The time allowed for the call has passed."""

    default_status = "DEADLINE_EXCEEDED"
    default_reason = "DEADLINE_EXCEEDED"
    default_advice = "Allow more time with timeout=, or send fewer points."


class UnavailableError(GradmillError):
    """No server answered, even after trying again."""

    default_status = "UNAVAILABLE"
    default_reason = "UNAVAILABLE"
    default_advice = "Check that the server runs and that its address is right; `gradmill serve` starts one."


class AccessDeniedError(GradmillError):
    """The server, or a gateway before it, wants other credentials."""

    default_status = "PERMISSION_DENIED"
    default_reason = "ACCESS_DENIED"
    default_advice = "Check the credentials given to connect()."


class CancelledError(GradmillError):
    """The call was given up before it was answered."""

    default_status = "CANCELLED"
    default_reason = "CANCELLED"


class ServerError(GradmillError):
    """The server failed, or answered what cannot be read."""

    default_status = "INTERNAL"
    default_reason = "SERVER_ERROR"
    default_advice = "Report it to whoever runs the server, with the incident named if there is one."


class TracingError(GradmillError):
    """Python code did something with a traced value that has no meaning before the points are known."""

    default_reason = "TRACING_INVALID"
    default_advice = "Write it with gradmill's own functions, such as gradmill.where for a choice between two values."


class ClientClosedError(GradmillError):
    """The client was used after ``close()``."""

    default_reason = "CLIENT_CLOSED"
    default_advice = "Open another client, or call close() later."


class MissingExtraError(GradmillError):
    """An optional part of the installation is missing."""

    default_reason = "EXTRA_MISSING"
    default_advice = "Run the command named."


ERROR_OF_STATUS: Mapping[str, type[GradmillError]] = {
    "INVALID_ARGUMENT": InvalidRequestError,
    "FAILED_PRECONDITION": InvalidRequestError,
    "OUT_OF_RANGE": InvalidRequestError,
    "NOT_FOUND": NotFoundError,
    "RESOURCE_EXHAUSTED": LimitError,
    "UNIMPLEMENTED": UnsupportedError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    "UNAVAILABLE": UnavailableError,
    "UNAUTHENTICATED": AccessDeniedError,
    "PERMISSION_DENIED": AccessDeniedError,
    "CANCELLED": CancelledError,
}
"""The class of each status; a status that is not listed is a ServerError."""


def renewed(error: GradmillError, message: str | None = None) -> GradmillError:
    """Return an error like another one, for a caller of its own, with another message if one is given."""
    failure = Failure(error.status, error.reason, error.metadata, error.violations, error.retry_delay_seconds)
    return type(error)(error.message if message is None else message, failure)


def client_closed() -> ClientClosedError:
    """Return the error for a call of a client that was closed before."""
    return ClientClosedError("the client is closed")


def client_failed(error: BaseException) -> ServerError:
    """Return the error for those who wait for what failed in this client itself, such as for want of a thread."""
    message = f"the client failed: {type(error).__name__}: {error}"
    return ServerError(message, Failure(reason="CLIENT_FAILED"))


def invalid_points(message: str, **metadata: str) -> InvalidRequestError:
    """Return the error for points that do not fit the function, found before anything is sent."""
    return InvalidRequestError(message, Failure(reason="POINTS_INVALID", metadata=metadata))


def invalid_response(message: str) -> ServerError:
    """Return the error for an answer that breaks the contract."""
    return ServerError(message, Failure(reason="RESPONSE_INVALID"))


def invalid_want(message: str, **metadata: str) -> InvalidRequestError:
    """Return the error for a wish that cannot be granted, or not as it is written."""
    return InvalidRequestError(message, Failure(reason="WANT_INVALID", metadata=metadata))


def invalid_directions(message: str, **metadata: str) -> InvalidRequestError:
    """Return the error for cotangents, tangents or vectors that do not fit, found before anything is sent."""
    return InvalidRequestError(message, Failure(reason="DIRECTIONS_INVALID", metadata=metadata))

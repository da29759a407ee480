"""Refusals that only a server can have, on the same tree as the engine's.

EngineError
├── InvalidRequest
│   └── RequestMalformed      the bytes are no such message, or a field of it is beyond its set of values
├── LimitExceeded
│   └── Overloaded            too much at once for this server; trying again a little later helps
│       ├── QueueFull         too much work waits already
│       ├── TooManyCalls      too many calls are being answered
│       ├── TooManyBytes      too many bytes of requests are being answered
│       └── TooManyStreams    too many streams are open
├── DigestUnknown             the function is not here; send it inline
├── FunctionQuarantined       processes kept dying while they worked on this function
├── StreamIdle                nothing came on a stream for too long
└── ShuttingDown              this server is on its way out; another one will answer
"""

from __future__ import annotations

from typing import ClassVar

from gradmill_server.engine.errors import EngineError, InvalidRequest, LimitExceeded, Violation


class RequestMalformed(InvalidRequest):
    """Bytes that are no message of the contract, or a field whose value the contract does not have."""

    default_reason = "REQUEST_MALFORMED"
    advice = "Build the request with code generated from proto/gradmill/v1."

    @classmethod
    def at(cls, field: str, reason: str, description: str, **metadata: str) -> RequestMalformed:
        """Build the error for one field."""
        violation = Violation(field, description, reason, metadata)
        return cls(
            f"{field}: {description}", reason=reason, metadata={"field": field, **metadata}, violations=[violation]
        )


class Overloaded(LimitExceeded):
    """More work at once than this server takes on.

    Attributes:
        retry_seconds: after how long trying again is worth it; told to the caller as RetryInfo.
    """

    default_reason = "OVERLOADED"
    advice = "Try again after the time named."
    what: ClassVar[str] = "load"
    knob: ClassVar[str] = ""

    retry_seconds = 0.1

    @classmethod
    def beyond(cls, value: int, limit: int, *, retry_seconds: float = 0.1) -> Overloaded:
        """Build the error from what would have been reached and what is allowed."""
        error = cls(
            f"{cls.what} {value}, limit {limit}; knob: {cls.knob}; try again in {retry_seconds:.2g} seconds",
            metadata={"value": str(value), "limit": str(limit), "knob": cls.knob},
        )
        error.retry_seconds = retry_seconds
        return error


class QueueFull(Overloaded):
    """Too many pieces of work wait for a worker already."""

    default_reason = "QUEUE_FULL"
    what = "work waiting for a worker"
    knob = "queue_length"


class TooManyCalls(Overloaded):
    """Too many calls are being answered already."""

    default_reason = "TOO_MANY_CALLS"
    what = "calls in flight"
    knob = "maximum_calls_in_flight"


class TooManyBytes(Overloaded):
    """The requests being answered hold too many bytes already."""

    default_reason = "TOO_MANY_BYTES"
    what = "bytes of requests in flight"
    knob = "maximum_bytes_in_flight"


class TooManyStreams(Overloaded):
    """Too many streams are open already."""

    default_reason = "TOO_MANY_STREAMS"
    what = "open streams"
    knob = "maximum_streams"


class DigestUnknown(EngineError):
    """A digest of a function that this server has not got: never had, or evicted since."""

    status = "NOT_FOUND"
    default_reason = "DIGEST_UNKNOWN"
    advice = "Send the function inline, once."


class FunctionQuarantined(EngineError):
    """A function that is refused because processes kept dying while they worked on it."""

    status = "FAILED_PRECONDITION"
    default_reason = "FUNCTION_QUARANTINED"
    advice = "Call other functions; this one is let in again after the time named."

    @classmethod
    def after(cls, digest: bytes, *, deaths: int, remaining_seconds: float) -> FunctionQuarantined:
        """Build the error from the function's digest, how many processes died, and how long it is refused from now."""
        return cls(
            f"function {digest.hex()} is in quarantine for another {remaining_seconds:.0f} seconds: the evaluation"
            f" process died {deaths} times while working on it; knobs: quarantine_deaths, quarantine_seconds",
            metadata={
                "digest": digest.hex(),
                "value": str(deaths),
                "limit": str(deaths),
                "knob": "quarantine_deaths",
                "remaining_seconds": f"{remaining_seconds:.0f}",
            },
        )


class StreamIdle(EngineError):
    """A stream on which nothing came for too long."""

    status = "DEADLINE_EXCEEDED"
    default_reason = "STREAM_IDLE"
    advice = "Open a stream when there is something to send."


class ShuttingDown(EngineError):
    """This server takes no new work any more.

    Attributes:
        retry_seconds: after how long trying again is worth it; told to the caller as RetryInfo.
    """

    status = "UNAVAILABLE"
    default_reason = "SHUTTING_DOWN"
    advice = "Try again; another replica, or this server once restarted, will answer."

    retry_seconds = 1.0

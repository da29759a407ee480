"""Refusals that only a server can have, on the same tree as the engine's.

EngineError
├── InvalidRequest
│   └── RequestMalformed      the bytes are no such message, or a field of it is beyond its set of values
├── LimitExceeded
│   └── Overloaded            too much at once; trying again a little later helps
│       ├── QueueFull         too much work waits already
│       ├── QueueTooSlow      what waits already would make the answer too late
│       ├── TooManyCalls      too many calls are being answered
│       ├── TooManyBytes      too many bytes of requests are being answered
│       ├── TooManyStreams    too many streams are open
│       ├── MemoryScarce      too much memory is in use
│       └── CallerLimit       too much at once of this one caller
│           ├── CallerQueueFull
│           ├── CallerTooManyCalls
│           └── CallerTooManyStreams
├── DeadlineTooShort          the work is known to take longer than the caller allows
├── DigestUnknown             the function is not here; send it inline
├── FunctionQuarantined       processes kept dying while they worked on this function
├── StreamIdle                nothing came on a stream for too long
└── ShuttingDown              this server is on its way out; another one will answer
"""

from __future__ import annotations

from typing import ClassVar, Self

from gradmill_server.engine.errors import DeadlineExceeded, EngineError, InvalidRequest, LimitExceeded, Violation


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
    """More work at once than this server takes on; another one may take it.

    Attributes:
        retry_seconds: after how long trying again is worth it; told to the caller as RetryInfo.
    """

    status = "UNAVAILABLE"
    default_reason = "OVERLOADED"
    advice = "Try again after the time named."
    what: ClassVar[str] = "load"
    knob: ClassVar[str] = ""

    retry_seconds = 0.1

    @classmethod
    def beyond(cls, value: float, limit: float, *, retry_seconds: float = 0.1) -> Self:
        """Build the error from what would have been reached and what is allowed."""
        error = cls(
            f"{cls.what} {value:.6g}, limit {limit:.6g}; knob: {cls.knob}; try again in {retry_seconds:.2g} seconds",
            metadata={"value": f"{value:.6g}", "limit": f"{limit:.6g}", "knob": cls.knob},
        )
        error.retry_seconds = retry_seconds
        return error


class QueueFull(Overloaded):
    """Too many pieces of work wait for a worker already."""

    default_reason = "QUEUE_FULL"
    what = "work waiting for a worker"
    knob = "queue_length"


class QueueTooSlow(Overloaded):
    """What waits for a worker already would make the answer too late."""

    default_reason = "QUEUE_TOO_SLOW"
    what = "seconds until the answer, as predicted"
    knob = "workers"


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


class MemoryScarce(Overloaded):
    """The process has little memory left."""

    default_reason = "MEMORY_SCARCE"
    what = "bytes of memory in use"
    knob = "memory_bytes"


class CallerLimit(Overloaded):
    """More at once than one caller may have, however idle the server is."""

    status = "RESOURCE_EXHAUSTED"
    default_reason = "CALLER_LIMIT"


class CallerQueueFull(CallerLimit):
    """Too many pieces of this caller's work wait already."""

    default_reason = "CALLER_QUEUE_FULL"
    what = "work of this caller waiting for a worker"
    knob = "caller_queue_length"


class CallerTooManyCalls(CallerLimit):
    """Too many of this caller's calls are being answered already."""

    default_reason = "CALLER_TOO_MANY_CALLS"
    what = "calls of this caller in flight"
    knob = "caller_calls_in_flight"


class CallerTooManyStreams(CallerLimit):
    """Too many of this caller's streams are open already."""

    default_reason = "CALLER_TOO_MANY_STREAMS"
    what = "open streams of this caller"
    knob = "caller_streams"


class DeadlineTooShort(DeadlineExceeded):
    """The work is known to take longer than there is time: nothing was begun."""

    default_reason = "DEADLINE_TOO_SHORT"
    advice = "Allow the time named, or send fewer points."

    @classmethod
    def against(cls, estimate_seconds: float, remaining_seconds: float) -> DeadlineTooShort:
        """Build the error from what the work takes and the time there is."""
        return cls(
            f"the work takes about {estimate_seconds:.3g} seconds, and there are {max(0.0, remaining_seconds):.3g}"
            " until the deadline; nothing was begun",
            metadata={"estimate_seconds": f"{estimate_seconds:.6g}", "remaining_seconds": f"{remaining_seconds:.6g}"},
        )


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

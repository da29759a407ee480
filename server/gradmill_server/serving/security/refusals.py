"""What callers are refused for by credentials and quotas, on the tree of the server's other refusals.

EngineError
├── Unauthenticated              no credentials that hold; never says what is wrong with them
└── LimitExceeded
    └── Overloaded
        └── QuotaExceeded        more than one caller may have; trying again later helps
            ├── RequestQuotaExceeded
            └── PointQuotaExceeded
"""

from __future__ import annotations

from typing import Self

from gradmill_server.engine.errors import EngineError
from gradmill_server.serving.errors import Overloaded


class Unauthenticated(EngineError):
    """A call without credentials that hold. All causes have one message, so that guessing learns nothing from it."""

    status = "UNAUTHENTICATED"
    default_reason = "UNAUTHENTICATED"
    advice = "Send a valid token, as authorization: Bearer ..."

    def __init__(self) -> None:
        """Build the one error there is."""
        super().__init__("no valid credentials")


class QuotaExceeded(Overloaded):
    """More than this caller may have. Whatever other callers do, it would be refused."""

    status = "RESOURCE_EXHAUSTED"
    default_reason = "QUOTA_EXCEEDED"
    advice = "Send less at a time, try again after the time named, or ask for a larger quota."

    @classmethod
    def for_caller(cls, caller: str, value: float, quota: float, *, retry_seconds: float) -> Self:
        """Build the error.

        Args:
            caller: whose quota it is, in a form that may be shown.
            value: what the caller had lately, with what it asks now.
            quota: what it may have each second.
            retry_seconds: after how long trying again is worth it.
        """
        error = cls(
            f"{cls.what} of caller {caller}: {value:.6g} lately, limit {quota:.6g} each second;"
            f" knob: {cls.knob}; try again in {retry_seconds:.2g} seconds",
            metadata={"value": f"{value:.6g}", "limit": f"{quota:.6g}", "knob": cls.knob, "caller": caller},
        )
        error.retry_seconds = retry_seconds
        return error


class RequestQuotaExceeded(QuotaExceeded):
    """Too many requests by one caller."""

    default_reason = "REQUEST_QUOTA_EXCEEDED"
    what = "requests"
    knob = "caller_requests_per_second"


class PointQuotaExceeded(QuotaExceeded):
    """Too many points by one caller."""

    default_reason = "POINT_QUOTA_EXCEEDED"
    what = "points"
    knob = "caller_points_per_second"

"""One hostile request, and how a server must meet it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.hostile.threats import Threat

EXHAUSTED = "RESOURCE_EXHAUSTED"
INVALID = "INVALID_ARGUMENT"
NOT_FOUND = "NOT_FOUND"
UNIMPLEMENTED = "UNIMPLEMENTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request to a unary method.

    Attributes:
        name: what is hostile about it; unlike every other case's.
        threat: the row of the threat list that it belongs to.
        body: the serialized request.
        method: the method it goes to.
        reason: why it must be refused; empty when it must be answered.
        code: the name of the status code of a refusal.
        place: a part of the message, or of a violation's field, that says where or what.
        knob: the setting that a refusal must name; its value and limit must then be there too.
        answer: the numbers that must come back, in one row, when Evaluate must answer it; NaN equals NaN.
        small: whether it goes to the server whose limits are small.
    """

    name: str
    threat: Threat
    body: bytes
    method: str = "Evaluate"
    reason: str = ""
    code: str = INVALID
    place: str = ""
    knob: str = ""
    answer: Sequence[float] = ()
    small: bool = False

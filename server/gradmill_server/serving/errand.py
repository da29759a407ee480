"""Who work is done for, and what it will take: what the queue goes by."""

from __future__ import annotations

import math
from dataclasses import dataclass

UNKNOWN_SECONDS = 0.001
"""What work is taken to cost of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A piece of work as the queue sees it.

    Attributes:
        caller: who it is for; callers take turns.
        function: the digest of the function it is about, or of how that was written; a caller's functions take turns.
        seconds: what it will take.
        is_measured: whether those seconds come from measurements, so that a refusal may rest on them.
        deadline: when it is too late, in seconds of `time.monotonic`; infinite for never.
    """

    caller: str = ""
    function: bytes = b""
    seconds: float = UNKNOWN_SECONDS
    is_measured: bool = False
    deadline: float = math.inf


SOMETHING = Errand()

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
        sure_seconds: what it will take at least, as far as a refusal may rest on it; 0 where nothing was measured.
        deadline: when it is too late, in seconds of `time.monotonic`; infinite for never.
    """

    caller: str = ""
    function: bytes = b""
    seconds: float = UNKNOWN_SECONDS
    sure_seconds: float = 0.0
    deadline: float = math.inf


SOMETHING = Errand()

"""What a call is to the handler, besides its bytes: how long it may take, and whether anyone still waits for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from gradmill_server.engine.errors import Cancelled, DeadlineExceeded

Peer = str | Callable[[], str]
"""The address that a call comes from, or what finds it out."""


class CallContext:
    """One call, seen from both sides: the event loop sets `cancelled`, the worker that computes for it reads it.

    Attributes:
        deadline: when the answer is too late, in seconds of `time.monotonic`; infinite for never.
        ceiling_seconds: the time the server allowed, when that and not the caller's wish set the deadline.
        cancelled: whether nobody waits for the answer any more. Set once, never cleared.
        tenant: who calls, by the name that credentials give; empty without. What is kept between calls is kept for it.
    """

    __slots__ = ("_peer", "cancelled", "ceiling_seconds", "deadline", "tenant")

    def __init__(
        self, *, deadline: float = math.inf, ceiling_seconds: float | None = None, peer: Peer = "", caller: str = ""
    ) -> None:
        """Start a call that is wanted. The peer may be given by what finds it out, for few calls need to know."""
        self.deadline = deadline
        self.ceiling_seconds = ceiling_seconds
        self.cancelled = False
        self._peer = peer
        self.tenant = caller

    @property
    def peer(self) -> str:
        """The address that the call came from."""
        if not isinstance(self._peer, str):
            self._peer = self._peer()
        return self._peer

    @property
    def caller(self) -> str:
        """Who takes turns with others."""
        return self.tenant or self.peer

    @classmethod
    def arriving(
        cls,
        time_remaining: float | None,
        *,
        default_seconds: float,
        maximum_seconds: float,
        peer: Peer = "",
        caller: str = "",
    ) -> CallContext:
        """Start a call that arrives now.

        Args:
            time_remaining: seconds until the caller's deadline; None when the caller set none.
            default_seconds: seconds allowed when the caller set none.
            maximum_seconds: seconds allowed at most.
            peer: the address that it comes from.
            caller: who calls, where credentials say so.
        """
        wished = default_seconds if time_remaining is None else time_remaining
        allowed = min(wished, maximum_seconds)
        ceiling = allowed if time_remaining is None or allowed < time_remaining else None
        return cls(deadline=time.monotonic() + allowed, ceiling_seconds=ceiling, peer=peer, caller=caller)

    def part(self, maximum_seconds: float, wished_seconds: float | None = None) -> CallContext:
        """Start one message's part of a longer call, which ends no later than the whole.

        Args:
            maximum_seconds: the time that the server allows it.
            wished_seconds: the time that its caller gives it; None for none of its own.
        """
        deadline, ceiling_seconds = self.deadline, self.ceiling_seconds
        now = time.monotonic()
        if now + maximum_seconds < deadline:
            deadline, ceiling_seconds = now + maximum_seconds, maximum_seconds
        if wished_seconds is not None and now + wished_seconds < deadline:
            deadline, ceiling_seconds = now + wished_seconds, None
        return CallContext(deadline=deadline, ceiling_seconds=ceiling_seconds, peer=self._peer, caller=self.tenant)

    @property
    def remaining_seconds(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.deadline - time.monotonic()

    def checkpoint(self) -> None:
        """Return while the answer is still wanted.

        Raises:
            Cancelled: when nobody waits for it.
            DeadlineExceeded: when it would be too late.
        """
        if self.cancelled:
            message = "the caller has gone"
            raise Cancelled(message)
        if time.monotonic() >= self.deadline:
            raise self.too_late()

    def too_late(self) -> DeadlineExceeded:
        """Build the error of a call whose deadline passed, saying whose deadline it was."""
        if self.ceiling_seconds is None:
            return DeadlineExceeded("the caller's deadline passed before the answer was ready")
        return DeadlineExceeded(
            f"the server's ceiling of {self.ceiling_seconds:g} seconds passed before the answer was ready;"
            " knobs: default_deadline_seconds, maximum_deadline_seconds",
            metadata={"limit": f"{self.ceiling_seconds:g}", "knob": "maximum_deadline_seconds"},
        )

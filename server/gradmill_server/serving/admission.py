"""How much a server answers at a time. What is beyond is refused at once, before any work is done for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gradmill_server.serving.errors import ShuttingDown, TooManyBytes, TooManyCalls, TooManyStreams


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """The most that is answered at a time: calls and messages, bytes of their requests, open streams."""

    calls: int
    request_bytes: int
    streams: int


class Admission:
    """Counts what is being answered. Used from the event loop only, so it needs no lock."""

    def __init__(self, limits: AdmissionLimits) -> None:
        """Start open, with nothing being answered."""
        self._limits = limits
        self.calls = 0
        self.request_bytes = 0
        self.streams = 0
        self.closed = False

    def close(self) -> None:
        """Refuse all that comes from now on."""
        self.closed = True

    @contextmanager
    def call(self, request_bytes: int) -> Iterator[None]:
        """Count a call while it is being answered. Raises ShuttingDown, TooManyCalls or TooManyBytes."""
        self._refuse_when_closed()
        if self.calls >= self._limits.calls:
            raise TooManyCalls.beyond(self.calls + 1, self._limits.calls)
        total = self.request_bytes + request_bytes
        if total > self._limits.request_bytes:
            raise TooManyBytes.beyond(total, self._limits.request_bytes)
        self.calls += 1
        self.request_bytes = total
        try:
            yield
        finally:
            self.calls -= 1
            self.request_bytes -= request_bytes

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream while it is open. Raises ShuttingDown or TooManyStreams."""
        self._refuse_when_closed()
        if self.streams >= self._limits.streams:
            raise TooManyStreams.beyond(self.streams + 1, self._limits.streams)
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def _refuse_when_closed(self) -> None:
        if self.closed:
            message = "server is shutting down"
            raise ShuttingDown(message)

"""How much a server answers at a time. What is beyond is refused at once, before any work is done for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gradmill_server.serving.errors import (
    CallerTooManyCalls,
    CallerTooManyStreams,
    ShuttingDown,
    TooManyBytes,
    TooManyCalls,
    TooManyStreams,
)
from gradmill_server.serving.memory import MemoryGauge


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """The most that is answered at a time: calls and messages, bytes of their requests, open streams.

    Attributes:
        calls: calls and messages of streams.
        request_bytes: bytes of their requests.
        streams: open streams.
        caller_calls: calls and messages of one caller.
        caller_streams: open streams of one caller.
    """

    calls: int
    request_bytes: int
    streams: int
    caller_calls: int
    caller_streams: int


class Admission:
    """Counts what is being answered. Used from the event loop only, so it needs no lock.

    Attributes:
        calls: calls and messages that are being answered.
        request_bytes: bytes of their requests.
        streams: open streams.
        closed: whether everything is refused.
    """

    def __init__(self, limits: AdmissionLimits, memory: MemoryGauge | None = None) -> None:
        """Start open, with nothing being answered."""
        self._limits = limits
        self._memory = memory or MemoryGauge()
        self.calls = 0
        self.request_bytes = 0
        self.streams = 0
        self.closed = False
        # Only callers of whom something is being answered, so no more than there are calls and streams.
        self._calls_of: Counter[str] = Counter()
        self._streams_of: Counter[str] = Counter()

    def close(self) -> None:
        """Refuse all that comes from now on."""
        self.closed = True

    def check_open(self) -> None:
        """Raise ShuttingDown once closed."""
        if self.closed:
            message = "server is shutting down"
            raise ShuttingDown(message)

    @contextmanager
    def call(self, request_bytes: int, caller: str = "") -> Iterator[None]:
        """Count a call while it is being answered.

        Raises:
            ShuttingDown: once closed.
            TooManyCalls, TooManyBytes: when the server has too much to answer.
            CallerTooManyCalls: when this caller has.
            MemoryScarce: when the process has too little memory left for it.
        """
        self.check_open()
        self._memory.admit(request_bytes)
        if self.calls >= self._limits.calls:
            raise TooManyCalls.beyond(self.calls + 1, self._limits.calls)
        if self._calls_of[caller] >= self._limits.caller_calls:
            raise CallerTooManyCalls.beyond(self._calls_of[caller] + 1, self._limits.caller_calls)
        total = self.request_bytes + request_bytes
        if total > self._limits.request_bytes:
            raise TooManyBytes.beyond(total, self._limits.request_bytes)
        self.calls += 1
        self.request_bytes = total
        self._calls_of[caller] += 1
        try:
            yield
        finally:
            self.calls -= 1
            self.request_bytes -= request_bytes
            _one_less(self._calls_of, caller)

    @contextmanager
    def stream(self, caller: str = "") -> Iterator[None]:
        """Count a stream while it is open. Raises ShuttingDown, TooManyStreams or CallerTooManyStreams."""
        self.check_open()
        if self.streams >= self._limits.streams:
            raise TooManyStreams.beyond(self.streams + 1, self._limits.streams)
        if self._streams_of[caller] >= self._limits.caller_streams:
            raise CallerTooManyStreams.beyond(self._streams_of[caller] + 1, self._limits.caller_streams)
        self.streams += 1
        self._streams_of[caller] += 1
        try:
            yield
        finally:
            self.streams -= 1
            _one_less(self._streams_of, caller)


def _one_less(counts: Counter[str], name: str) -> None:
    if counts[name] > 1:
        counts[name] -= 1
    else:
        del counts[name]

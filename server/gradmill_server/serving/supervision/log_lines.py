"""The log of all processes as one stream of whole lines, written by a thread of its own.

Whoever reads the log may stop reading for a while, and no process must wait for that: what cannot be written in time is
dropped, and how much it was is said afterwards.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

_MAXIMUM_WAITING_CHARACTERS = 4 * 1024 * 1024


class LogLines:
    """A text stream that takes whole lines from any thread and never waits."""

    def __init__(self, descriptor: int, on_dropped: Callable[[int], None]) -> None:
        """Write to a file descriptor; once there is room again, tell how many lines were dropped."""
        self._descriptor = descriptor
        self._on_dropped = on_dropped
        # Guards all that follows.
        self._changed = threading.Condition()
        self._waiting: list[str] = []
        self._waiting_characters = 0
        self._writing = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._serve, name="gradmill-log", daemon=True)
        self._thread.start()

    def write(self, lines: str, /) -> int:
        """Take whole lines, which are written together."""
        with self._changed:
            if self._waiting_characters + len(lines) <= _MAXIMUM_WAITING_CHARACTERS:
                self._waiting.append(lines)
                self._waiting_characters += len(lines)
                self._changed.notify_all()
            else:
                self._dropped += 1
        return len(lines)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                content = "".join(self._waiting).encode("utf-8", "backslashreplace")
                self._waiting.clear()
                self._waiting_characters = 0
                self._writing = True
                dropped, self._dropped = self._dropped, 0
            with suppress(OSError):  # a log that nobody reads any more ends no server
                _write_all(self._descriptor, content)
            if dropped:
                self._on_dropped(dropped)

    def drain(self, timeout_seconds: float) -> None:
        """Wait until all is written, but no longer than this."""
        patience = time.monotonic() + timeout_seconds
        with self._changed:
            self._changed.wait_for(lambda: not (self._waiting or self._writing), max(0.0, patience - time.monotonic()))


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]

"""Records of what concerns security, so few that a flood of events cannot fill a disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum

from gradmill_server.serving import logs
from gradmill_server.serving.security.buckets import Bucket

_RECORDS_AT_ONCE = 10
_SECONDS_PER_RECORD = 10.0


class Event(StrEnum):
    """What is recorded."""

    AUTHENTICATION_FAILED = "authentication_failed"
    QUOTA_EXCEEDED = "quota_exceeded"
    FILES_RELOADED = "files_reloaded"
    FILES_UNUSABLE = "files_unusable"


class Audit:
    """Writes records to the log: of each event and cause ten at once, then one every ten seconds.

    Each record says how many of its kind were left out before it. Causes are of closed sets, so this remembers little.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing recorded."""
        self._clock = clock
        # Guards the two below: files are read in a thread, and callers are refused on the event loop.
        self._lock = threading.Lock()
        self._buckets: dict[tuple[Event, str], Bucket] = {}
        self._left_out: dict[tuple[Event, str], int] = {}

    def record(self, event: Event, cause: str, *, level: int = logging.WARNING, **values: logs.FieldValue) -> None:
        """Write a record, or count it as left out.

        Args:
            event: what happened.
            cause: of what kind; of a closed set.
            level: a level of `logging`.
            values: what a reader may want to know. Never a secret.
        """
        left_out = self._admitted((event, cause))
        if left_out is not None:
            logs.record(level, event.value, error=None, cause=cause, left_out=left_out, **values)

    def _admitted(self, kind: tuple[Event, str]) -> int | None:
        """Return how many of a kind were left out before this one; None when this one is, too."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(kind)
            if bucket is None:
                bucket = Bucket(rate=1.0 / _SECONDS_PER_RECORD, room=_RECORDS_AT_ONCE, now=now)
                self._buckets[kind] = bucket
            if bucket.take(1.0, now):
                self._left_out[kind] = self._left_out.get(kind, 0) + 1
                return None
            return self._left_out.pop(kind, 0)

"""The guard of a worker process: refuses what is in quarantine, and writes down what is worked on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from gradmill_server.serving.errors import FunctionQuarantined
from gradmill_server.serving.guard import Guard, Work
from gradmill_server.serving.supervision.journal import Journal


class WorkerGuard(Guard):
    """Used by all threads of a worker process. No method waits for another thread."""

    def __init__(self, journal: Journal, deaths: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to a journal.

        Args:
            journal: where work is noted.
            deaths: after how many deaths a function is quarantined, for the message.
            clock: tells the time in seconds.
        """
        self._journal = journal
        self._deaths = deaths
        self._clock = clock
        # Taking from and adding to the end of a list are single steps for the interpreter, so they need no lock.
        self._free = list(range(journal.slots))
        self._held: list[tuple[bytes, Work]] = [(b"", Work.COMPILE)] * journal.slots
        self._until: Mapping[bytes, float] = {}
        self._suspects: Mapping[bytes, Work] = {}
        self._ends: dict[bytes, int] = {}

    def check(self, digest: bytes) -> None:
        """Refuse a function that is in quarantine. Raises FunctionQuarantined."""
        until = self._until.get(digest)
        if until is not None and (remaining := until - self._clock()) > 0:
            raise FunctionQuarantined.after(digest, deaths=self._deaths, remaining_seconds=remaining)

    def begin(self, digest: bytes, work: Work, deadline: float = math.inf) -> int:
        """Note that work begins; where no slot is free it goes unnoticed."""
        try:
            slot = self._free.pop()
        except IndexError:
            return -1
        self._held[slot] = (digest, work)
        self._journal.write(slot, digest, work, deadline)
        return slot

    def end(self, note: int) -> None:
        """Note that work has ended."""
        if note < 0:
            return
        self._journal.wipe(note)
        digest, work = self._held[note]
        suspected_at = self._suspects.get(digest)
        if suspected_at is not None and work >= suspected_at:
            self._ends[digest] = self._ends.get(digest, 0) + 1
        self._free.append(note)

    def refuse(self, quarantined: Mapping[bytes, float], suspects: Mapping[bytes, Work]) -> None:
        """Refuse functions from now on, and listen for what speaks for others.

        Args:
            quarantined: the functions to refuse, and for how many seconds.
            suspects: the functions to count the work of, and the first kind of work to count; later kinds count too.
        """
        now = self._clock()
        self._until = {digest: now + seconds for digest, seconds in quarantined.items()}
        self._suspects = suspects

    def ends_of_suspects(self) -> dict[bytes, int]:
        """Return how often work that speaks for each suspect has ended since this was asked last."""
        ends, self._ends = self._ends, {}
        return ends

"""Protects the server from functions that take a process down. This guard does nothing; one of a worker process does.

Before native code of a function runs, its digest is written where it survives the process, and wiped out afterwards.
So whoever finds a dead process knows what it was working on, and a function that kills again and again can be refused.
"""

from __future__ import annotations

import math
from enum import IntEnum

from gradmill_server.engine.errors import EngineError


class Work(IntEnum):
    """What is done for a function, in this order: reading it or making a program of it, running one over points."""

    COMPILE = 1
    PASS = 2


class Guard:
    """Lets everything pass, and notes nothing. Every method may be called from any thread."""

    def check(self, digest: bytes) -> None:
        """Let a function pass, by its digest of 32 bytes.

        Raises:
            FunctionQuarantined: when processes kept dying while they worked on it.
        """

    def refuses(self, digest: bytes) -> bool:
        """Whether `check` would raise."""
        try:
            self.check(digest)
        except EngineError:
            return True
        return False

    def begin(self, digest: bytes, work: Work, deadline: float = math.inf) -> int:
        """Note that work on a function begins; costs less than a microsecond.

        Args:
            digest: the function's.
            work: what is done.
            deadline: when the work will be of no use any more, in seconds of `time.monotonic`. Work that is at it long
                after this hangs, and the process with it.

        Returns:
            What `end` has to be given, also when the work fails.
        """
        del digest, work, deadline
        return -1

    def end(self, note: int) -> None:
        """Note that work has ended, well or not; the process is still there."""


class guarded:  # noqa: N801  used as a function
    """Lets a guard know of work for as long as a `with` block lasts.

    A class, since a context manager made of a generator costs a microsecond more, and small passes take ten.
    """

    __slots__ = ("_deadline", "_digest", "_guard", "_note", "_work")

    def __init__(self, guard: Guard, digest: bytes, work: Work, deadline: float = math.inf) -> None:
        """Remember what to tell."""
        self._guard = guard
        self._digest = digest
        self._work = work
        self._deadline = deadline

    def __enter__(self) -> None:
        """Tell that work begins."""
        self._note = self._guard.begin(self._digest, self._work, self._deadline)

    def __exit__(self, *_: object) -> None:
        """Tell that it has ended."""
        self._guard.end(self._note)


UNGUARDED = Guard()

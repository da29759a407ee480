"""Which functions processes died of.

Whoever is found at a death need not be its cause: another function may have been, or somebody who kills processes. So
deaths count only as long as nothing speaks for the function. Work for it that ends, in any process, clears it of deaths
that may be coincidence. Where it was alone and the process died of a fault of its own code, as by SIGSEGV, it takes a
hundred, so that a function that kills by some points only is found as well.

Work speaks for a function only if it is what processes died at, or comes after it: a program that is made says nothing
of one that kills when it runs, and each process makes it anew; but what is only ever read or made has no passes to be
cleared by. What is never worked on again is cleared by time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gradmill_server.serving.guard import Work

V = TypeVar("V")

_MAXIMUM_SUSPECTS = 1_024
_MAXIMUM_QUARANTINED = 1_024
_ENDS_THAT_CLEAR = 1
_ENDS_THAT_CLEAR_THE_ONLY_ONE = 100


@dataclass(slots=True)
class _Suspicion:
    """What is known of a function.

    Attributes:
        work: the latest kind of work that a process died at.
        deaths: how many there were.
        certain: whether one of them was certainly its own.
        ends: how often such work, or later work, has ended since the last death.
        until: when all this is forgotten, by the clock.
    """

    work: Work
    deaths: int = 0
    certain: bool = False
    ends: int = 0
    until: float = 0.0


class Blame:
    """Counts deaths by function; what reaches the bound is in quarantine for a time, and then starts anew."""

    def __init__(self, deaths: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no suspects.

        Args:
            deaths: after how many deaths a function is quarantined.
            seconds: for how long; a suspicion without another death is forgotten after the same time.
            clock: tells the time in seconds.
        """
        self._deaths = deaths
        self._seconds = seconds
        self._clock = clock
        self._suspicions: OrderedDict[bytes, _Suspicion] = OrderedDict()
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def died(self, worked_on: Mapping[bytes, Work], *, own_fault: bool) -> list[bytes]:
        """Hear of a death.

        Args:
            worked_on: the functions that were worked on, and what was done for them.
            own_fault: whether the process died of what its own code did, rather than of a kill that may come from
                anywhere.

        Returns:
            Those that are in quarantine from now on.
        """
        self._forget()
        certain = own_fault and len(worked_on) == 1
        guilty = [
            digest
            for digest, work in sorted(worked_on.items())
            if self._suspect(digest, work, certain=certain) >= self._deaths
        ]
        for digest in guilty:
            del self._suspicions[digest]
            _put(self._until, digest, self._clock() + self._seconds, _MAXIMUM_QUARANTINED)
        return guilty

    def _suspect(self, digest: bytes, work: Work, *, certain: bool) -> int:
        """Count a death, and return how many there are."""
        suspicion = self._suspicions.get(digest) or _Suspicion(work)
        suspicion.work = max(suspicion.work, work)
        suspicion.deaths += 1
        suspicion.certain = suspicion.certain or certain
        suspicion.ends = 0
        suspicion.until = self._clock() + self._seconds
        _put(self._suspicions, digest, suspicion, _MAXIMUM_SUSPECTS)
        return suspicion.deaths

    def _forget(self) -> None:
        """Drop suspicions whose time is over; they stand in the order of their last deaths."""
        now = self._clock()
        while self._suspicions and next(iter(self._suspicions.values())).until <= now:
            self._suspicions.popitem(last=False)

    def ended(self, digest: bytes, ends: int) -> bool:
        """Hear how often work that speaks for a suspect has ended; return whether this clears the function."""
        self._forget()
        suspicion = self._suspicions.get(digest)
        if suspicion is None:
            return False
        suspicion.ends += ends
        if suspicion.ends < (_ENDS_THAT_CLEAR_THE_ONLY_ONE if suspicion.certain else _ENDS_THAT_CLEAR):
            return False
        del self._suspicions[digest]
        return True

    @property
    def suspects(self) -> dict[bytes, Work]:
        """The functions under suspicion, and the first kind of work that speaks for each; later kinds do as well."""
        self._forget()
        return {digest: suspicion.work for digest, suspicion in self._suspicions.items()}

    @property
    def quarantined(self) -> Mapping[bytes, float]:
        """The functions in quarantine, and for how many seconds yet."""
        now = self._clock()
        for digest in [digest for digest, until in self._until.items() if until <= now]:
            del self._until[digest]
        return {digest: until - now for digest, until in self._until.items()}


def _put(entries: OrderedDict[bytes, V], digest: bytes, value: V, maximum: int) -> None:
    """Put a value last, and drop the first ones beyond a number of entries."""
    entries[digest] = value
    entries.move_to_end(digest)
    while len(entries) > maximum:
        entries.popitem(last=False)

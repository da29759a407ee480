"""Which functions processes died of.

Whoever is found at a death need not be its cause: another function may have been, or somebody who kills processes. So
deaths count only as long as nothing speaks for the function. One pass over points that ends, in any process, clears it
of deaths that may be coincidence. Where it was alone and the process died of a fault of its own code, as by SIGSEGV, it
takes a hundred, so that a function that kills by some points only is found as well.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

V = TypeVar("V")

_MAXIMUM_SUSPECTS = 1_024
_MAXIMUM_QUARANTINED = 1_024
_PASSES_THAT_CLEAR = 1
_PASSES_THAT_CLEAR_THE_ONLY_ONE = 100


@dataclass(slots=True)
class _Suspicion:
    """What is known of a function: deaths, whether one of them was certainly its own, passes since the last."""

    deaths: int = 0
    certain: bool = False
    passes: int = 0


class Blame:
    """Counts deaths by function; what reaches the bound is in quarantine for a time, and then starts anew."""

    def __init__(self, deaths: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no suspects.

        Args:
            deaths: after how many deaths a function is quarantined.
            seconds: for how long.
            clock: tells the time in seconds.
        """
        self._deaths = deaths
        self._seconds = seconds
        self._clock = clock
        self._suspicions: OrderedDict[bytes, _Suspicion] = OrderedDict()
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def died(self, digests: Iterable[bytes], *, own_fault: bool) -> list[bytes]:
        """Hear of a death.

        Args:
            digests: the functions that were worked on.
            own_fault: whether the process died of what its own code did, rather than of a kill that may come from
                anywhere.

        Returns:
            Those that are in quarantine from now on.
        """
        found = set(digests)
        certain = own_fault and len(found) == 1
        guilty = [digest for digest in sorted(found) if self._suspect(digest, certain=certain) >= self._deaths]
        for digest in guilty:
            del self._suspicions[digest]
            _put(self._until, digest, self._clock() + self._seconds, _MAXIMUM_QUARANTINED)
        return guilty

    def _suspect(self, digest: bytes, *, certain: bool) -> int:
        """Count a death, and return how many there are."""
        suspicion = self._suspicions.get(digest) or _Suspicion()
        suspicion.deaths += 1
        suspicion.certain = suspicion.certain or certain
        suspicion.passes = 0
        _put(self._suspicions, digest, suspicion, _MAXIMUM_SUSPECTS)
        return suspicion.deaths

    def passed(self, digest: bytes, passes: int) -> bool:
        """Hear of passes that have ended; return whether this clears the function."""
        suspicion = self._suspicions.get(digest)
        if suspicion is None:
            return False
        suspicion.passes += passes
        if suspicion.passes < (_PASSES_THAT_CLEAR_THE_ONLY_ONE if suspicion.certain else _PASSES_THAT_CLEAR):
            return False
        del self._suspicions[digest]
        return True

    @property
    def suspects(self) -> list[bytes]:
        """The functions found at a death, and neither cleared nor quarantined."""
        return list(self._suspicions)

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

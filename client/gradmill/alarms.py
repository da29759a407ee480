"""Something done at a time that may be brought forward, in a thread of its own."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

_LONGEST_WAIT_SECONDS = 3600.0


class Alarm:
    """Calls a function at the earliest of the times asked for. Its thread starts when there is one.

    Attributes:
        ring: the function.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Ring at no time yet."""
        self.ring: Callable[[], object] = bool
        self._clock = clock
        self._changed = threading.Condition()  # guards all below
        self._when = math.inf
        self._started = False
        self._stopped = False

    def ring_at(self, when: float) -> None:
        """Ring at a time of the clock, or before if that was asked for already."""
        with self._changed:
            if when >= self._when or self._stopped:
                return
            if not self._started:
                # A daemon, so that a program that never closes its client ends all the same.
                threading.Thread(target=self._run, name="gradmill-alarm", daemon=True).start()
                self._started = True
            self._when = when
            self._changed.notify()

    def stop(self) -> None:
        """Never ring again."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while self._wait():
            self.ring()

    def _wait(self) -> bool:
        """Return whether it is time; False once it never will be."""
        with self._changed:
            while not self._stopped:
                pause = self._when - self._clock()
                if pause <= 0:
                    self._when = math.inf
                    return True
                self._changed.wait(min(pause, _LONGEST_WAIT_SECONDS))
            return False

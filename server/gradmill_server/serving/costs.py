"""What a program costs, learned from what it took: seconds for each call and for each point."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gradmill_server.serving.errors import DeadlineTooShort

_FIRST_SECONDS_PER_CALL = 20e-6
_FIRST_SECONDS_PER_NODE = 2e-9
"""Until something is known: about what the tape machine takes for a value of a node at a point."""

_WEIGHT_OF_LESS, _WEIGHT_OF_MORE = 0.4, 0.04
"""Of a measurement below and above what was expected. Waiting for the processor or for the interpreter only adds to
a program's own time, so the estimate keeps near the lower end of what is measured."""

_LARGEST_STEP = 4.0
"""One measurement counts as at most so many times what was expected: a thread that lost its processor says little."""

_POINTS_SCALE = 64.0
"""The points at which both numbers are corrected alike."""

_PATIENCE = 0.99
"""What is left of the trust in an estimate after a refusal that relied on it: a wrong one must not refuse for ever."""

_SECONDS_BETWEEN_DOUBTS = 0.01


class LearnedCost:
    """The seconds that one program takes at a number of points.

    A line through what was measured, corrected by each measurement in proportion to how far it is off (the normalized
    least mean squares of Widrow and Hoff, "Adaptive switching circuits", IRE WESCON 1960).

    Threads that race here lose a measurement, which does not matter.
    """

    __slots__ = ("_clock", "_per_call", "_per_point", "_refused_at", "_trust", "measured")

    def __init__(self, node_count: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with a guess from the number of values computed at each point."""
        self._per_call = _FIRST_SECONDS_PER_CALL
        self._per_point = _FIRST_SECONDS_PER_NODE * node_count
        self._trust = 1.0
        self._clock = clock
        self._refused_at = -_SECONDS_BETWEEN_DOUBTS
        self.measured = 0

    @property
    def trust(self) -> float:
        """How much of an estimate a refusal may still rest on: less after each refusal, all after a measurement."""
        return self._trust

    def predict(self, points: int) -> float:
        """Return the seconds that a number of points will take."""
        return self._per_call + self._per_point * points

    def learn(self, points: int, seconds: float) -> None:
        """Take in what a pass over that many points took."""
        expected = self.predict(points)
        if self.measured and seconds > _LARGEST_STEP * expected:
            seconds = _LARGEST_STEP * expected
        weight = _WEIGHT_OF_LESS if seconds < expected else _WEIGHT_OF_MORE
        if not self.measured:
            weight = 1.0
        scaled = points / _POINTS_SCALE
        step = weight * (seconds - expected) / (1.0 + scaled * scaled)
        self._per_call = max(0.0, self._per_call + step)
        self._per_point = max(0.0, self._per_point + step * scaled / _POINTS_SCALE)
        self._trust = 1.0
        self.measured += 1

    @contextmanager
    def doubted(self) -> Iterator[None]:
        """Hear of refusals that rest on this estimate while a block runs."""
        try:
            yield
        except DeadlineTooShort:
            self.refused()
            raise

    def refused(self) -> None:
        """Trust the estimate a little less, since nothing was measured that could correct it; a hundred times a second.

        So callers who ask for the impossible cannot talk it down at once for all others.
        """
        now = self._clock()
        if now - self._refused_at >= _SECONDS_BETWEEN_DOUBTS:
            self._refused_at = now
            self._trust *= _PATIENCE

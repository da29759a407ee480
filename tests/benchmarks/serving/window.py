"""What one measurement of a load found. Plain, as it is also loaded by interpreters that have nothing but a peer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Answers in a stretch of time.

    Attributes:
        calls: answers that came.
        seconds: how long it was measured.
        client_cpu_s: processor seconds of the process that asked; 0 where that was not measured.
        p50_s: the median seconds from asking to the answer; 0 where that was not measured.
        p99_s: the seconds that one call in a hundred took longer than.
        all_calls: answers that came with those before the measurement, while everything got warm.
    """

    calls: int
    seconds: float
    client_cpu_s: float = 0.0
    p50_s: float = 0.0
    p99_s: float = 0.0
    all_calls: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.calls / self.seconds

    def as_record(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return dataclasses.asdict(self)


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that a part of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0

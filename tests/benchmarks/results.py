"""What a run found, as plain values that can be written down."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

WRONG = "wrong"
"""How the reason of a measurement begins whose answer differed from the reference."""


@dataclass(slots=True)
class Measurement:
    """One peer at one model and batch.

    Attributes:
        model: the model's name on the command line.
        peer: the peer's name.
        gradient: whether the gradient was wanted beside the value.
        batch: the number of points.
        setup_s: seconds from the model to its first answer, once; None when there was none.
        rounds_s: seconds of one call, from each round.
        reason: why there are no rounds; empty when there are.
    """

    model: str
    peer: str
    gradient: bool
    batch: int
    setup_s: float | None = None
    rounds_s: list[float] = field(default_factory=list)
    reason: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether the peer's answer differed from the reference."""
        return self.reason.startswith(WRONG)

    @property
    def call_s(self) -> float | None:
        """The median seconds of one call."""
        return statistics.median(self.rounds_s) if self.rounds_s else None


class Results:
    """All measurements, found by what was measured."""

    def __init__(self, measurements: Iterable[Measurement] = ()) -> None:
        """Start with these."""
        self._found = {(entry.model, entry.peer, entry.gradient, entry.batch): entry for entry in measurements}

    def __iter__(self) -> Iterator[Measurement]:
        """Iterate over the measurements in the order they were added."""
        return iter(self._found.values())

    def add(self, entry: Measurement) -> None:
        """Add one, in place of an earlier one of the same."""
        self._found[entry.model, entry.peer, entry.gradient, entry.batch] = entry

    def get(self, model: str, peer: str, *, gradient: bool, batch: int) -> Measurement | None:
        """Return a measurement, or None when the run did not include it."""
        return self._found.get((model, peer, gradient, batch))

    def first(self, model: str, peer: str) -> Measurement | None:
        """Return the first gradient that a peer was asked for: for later batches it may have kept what it compiled."""
        wanted = (model, peer, True)
        return next((entry for entry in self if (entry.model, entry.peer, entry.gradient) == wanted), None)

    def call_s(self, model: str, peer: str, *, gradient: bool, batch: int) -> float | None:
        """Return the median seconds of a call, or None when there is none."""
        found = self.get(model, peer, gradient=gradient, batch=batch)
        return found.call_s if found else None

"""What a sending process remembers and tells the main one: counts and times of what is plain, the rest in full."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace

from tests.load.outcomes import OK, Ledger, Outcome


@dataclass(slots=True)
class Tally:
    """A second's worth of outcomes.

    Attributes:
        counts: how many requests of a scenario ended with a code.
        checked: how many OK answers were compared with the right one.
        plain: when each plain request ended, and the seconds it took.
        notable: the outcomes that must be judged.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    checked: int = 0
    plain: list[tuple[float, float]] = field(default_factory=list)
    notable: list[Outcome] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in another tally."""
        self.counts.update(other.counts)
        self.checked += other.checked
        self.plain.extend(other.plain)
        self.notable.extend(other.notable)


class Recorder:
    """Collects outcomes between two reports. Safe to use from several threads.

    Attributes:
        ledger: the requests under way.
        tally: what ended since the last report.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.ledger = Ledger()
        self.tally = Tally()
        self._lock = threading.Lock()  # guards both

    def begin(self, scenario: str) -> int:
        """Enter a request that is sent now and return its number."""
        with self._lock:
            return self.ledger.begin(scenario)

    def record(self, outcome: Outcome) -> None:
        """Take in how a request ended; strikes it off the ledger."""
        with self._lock:
            self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        struck = self.ledger.end(outcome.index)
        tally = self.tally
        tally.counts[outcome.scenario, outcome.code] += 1
        if outcome.code == OK:
            tally.checked += 1
        if struck:
            tally.notable.append(replace(outcome, problem=struck))
        elif outcome.is_plain:
            tally.plain.append((outcome.ended, outcome.ended - outcome.began))
        else:
            tally.notable.append(outcome)

    def taken(self) -> Tally:
        """Return what ended since the last time, and forget it."""
        with self._lock:
            taken, self.tally = self.tally, Tally()
        return taken

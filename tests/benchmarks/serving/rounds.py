"""Interleaved rounds: in each, everything that is compared is measured once, beginning with another one each time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from tests.benchmarks.serving.processes import cpu_seconds
from tests.benchmarks.serving.window import Window


@dataclass(frozen=True, slots=True)
class Place:
    """What is measured: a row and a column of a table."""

    row: str
    column: str


@dataclass(frozen=True, slots=True)
class Measure:
    """How one place is measured.

    Attributes:
        place: the place.
        run: measures it once.
        servers: the processes that answer; their processor time is counted, with that of their children.
    """

    place: Place
    run: Callable[[], Window]
    servers: Sequence[int] = ()


@dataclass(slots=True)
class Found:
    """What the rounds of one place found.

    Attributes:
        windows: one for each round.
        server_us: processor microseconds of the servers for each answer, warm-up included, by round.
        reason: why there are no more rounds; empty when nothing went wrong.
    """

    windows: list[Window] = field(default_factory=list)
    server_us: list[float] = field(default_factory=list)
    reason: str = ""

    @property
    def rates(self) -> list[float]:
        """Answers a second, by round."""
        return [window.rate for window in self.windows]

    @property
    def rate(self) -> float | None:
        """The median of the rounds."""
        return statistics.median(self.rates) if self.windows else None


Findings = Mapping[Place, Found]


def interleave(measures: Sequence[Measure], rounds: int, title: str) -> Findings:
    """Measure every place in every round. What fails once is not tried again, and the reason is kept."""
    found = {measure.place: Found() for measure in measures}
    with tqdm(total=rounds * len(measures), desc=title) as progress:
        for number in range(rounds):
            for measure in _rotated(measures, number):
                progress.set_postfix_str(f"{measure.place.row}, {measure.place.column}", refresh=False)
                _once(measure, found[measure.place])
                progress.update()
    return found


def _rotated(measures: Sequence[Measure], number: int) -> Iterator[Measure]:
    start = number % len(measures)
    yield from measures[start:]
    yield from measures[:start]


def _once(measure: Measure, found: Found) -> None:
    if found.reason:
        return
    before = sum(map(cpu_seconds, measure.servers))
    try:
        window = measure.run()
    except Exception as problem:  # noqa: BLE001 - one peer's trouble costs its own figure, not the run
        found.reason = f"{problem}"
        return
    used = sum(map(cpu_seconds, measure.servers)) - before
    found.windows.append(window)
    found.server_us.append(1e6 * used / max(1, window.all_calls))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the median of our figure by theirs of the same round; None when there are no rounds."""
    pairs = [own / other for own, other in zip(ours, theirs, strict=False) if other]
    return statistics.median(pairs) if pairs else None

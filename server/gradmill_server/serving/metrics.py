"""Counts what the serving layer reports. Every label has a closed set of values.

A count costs a third of a microsecond, where one of prometheus_client costs three to five; a scrape turns the counts
into that library's families (`exposition`).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from gradmill_server.engine.backends.native.object_cache import objects_not_kept
from gradmill_server.engine.wants import Kind
from gradmill_server.serving import metric_families as families
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.metric_families import FAMILIES
from gradmill_server.serving.snapshots import Series, Snapshot, Totals
from gradmill_server.serving.telemetry import Joined, Outcome, Stage, Telemetry

_REQUESTS = families.REQUESTS.name
_REQUEST_SECONDS = families.REQUEST_SECONDS.name
_REFUSALS = families.REFUSALS.name
_STAGES: Mapping[Stage, Series] = {stage: (families.STAGE_SECONDS.name, stage.value) for stage in Stage}
_LOOKUPS: Mapping[tuple[str, Outcome], Series] = {
    (kind, outcome): (families.CACHE_LOOKUPS.name, kind, outcome.value)
    for kind in ("function", "program")
    for outcome in Outcome
}
_PROGRAMS: Series = (families.PROGRAMS_COMPILED.name,)
_KINDS: Mapping[Kind, Series] = {kind: (families.WISHES_GRANTED.name, kind.value) for kind in Kind}
_POINTS: Series = (families.POINTS_COMPUTED.name,)
_NODE_EVALUATIONS: Series = (families.NODE_EVALUATIONS.name,)
_PASS_CALLS: Series = (families.PASS_CALLS.name,)
_PASS_POINTS: Series = (families.PASS_POINTS.name,)
_PLACED: Mapping[Joined, Series] = {joined: (families.CALLS_PLACED.name, joined.value) for joined in Joined}

_COUNTERS_FROM_ZERO: tuple[Series, ...] = (
    *_LOOKUPS.values(),
    _PROGRAMS,
    *_KINDS.values(),
    _POINTS,
    _NODE_EVALUATIONS,
    *_PLACED.values(),
)
_HERE = (_LOOKUPS["function", Outcome.HIT], _LOOKUPS["program", Outcome.HIT], _PLACED[Joined.INLINE])
_HISTOGRAMS_FROM_ZERO: tuple[Series, ...] = (*_STAGES.values(), _PASS_CALLS, _PASS_POINTS)
"""What a scrape shows before anything happened: all series whose labels are known beforehand."""


_SmallCall = tuple[str, Sequence[Kind], int, int, float, float]
"""What `Telemetry.small_call` is told."""

_COUNTED_TOGETHER = 64
"""Small calls are counted so many at a time, when the counters are at hand, which saves half of the time."""


class _Tally:
    """What one thread has counted. Only that thread writes here, so nothing is lost."""

    __slots__ = ("counters", "histograms", "lock", "small_calls", "sums")

    def __init__(self) -> None:
        # Guards the step in which small calls are counted, for a reader that must not see half of it.
        self.lock = threading.Lock()
        self.small_calls: list[_SmallCall] = []
        self.counters: dict[Series, int] = defaultdict(int)
        self.histograms: dict[Series, list[int]] = {}
        self.sums: dict[Series, float] = {}

    def observe(self, series: Series, value: float, bounds: tuple[float, ...]) -> None:
        """Count an observation."""
        buckets = self.histograms.get(series)
        if buckets is None:
            # The sum is there before the buckets, for a reader that comes in between.
            self.sums[series] = 0.0
            buckets = self.histograms[series] = [0] * (len(bounds) + 1)
        buckets[bisect_left(bounds, value)] += 1
        self.sums[series] += value


class Metrics(Telemetry):
    """Counts what it hears, from any thread.

    Each thread has counts of its own: between the reading of a number and the writing of its successor another
    thread may run, so a count that two threads share would lose some. A snapshot adds them up; taken while others
    count, it may have one observation in a histogram's sum and not yet in its buckets, or the other way round.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self._own = threading.local()
        # Guards additions to _tallies.
        self._lock = threading.Lock()
        self._tallies: list[_Tally] = []
        self._gauges: Mapping[str, Callable[[], float]] = {}

    def watch(self, handler: Handler) -> None:
        """Read the gauges of a handler at each snapshot."""
        cache, pool, admission = handler.cache, handler.pool, handler.admission
        self._gauges = {
            families.CACHE_ENTRIES.name: lambda: len(cache),
            families.CACHE_BYTES.name: lambda: cache.byte_size,
            families.CACHE_MAXIMUM_BYTES.name: lambda: cache.maximum_bytes,
            families.CACHE_EVICTIONS.name: lambda: cache.evictions,
            families.CACHE_REJECTIONS.name: lambda: cache.rejections,
            families.QUEUE_LENGTH.name: lambda: pool.waiting,
            families.WORKERS_BUSY.name: lambda: pool.busy,
            families.WORKERS.name: lambda: pool.workers,
            families.REQUESTS_IN_FLIGHT.name: lambda: admission.calls,
            families.REQUEST_BYTES_IN_FLIGHT.name: lambda: admission.request_bytes,
            families.STREAMS_OPEN.name: lambda: admission.streams,
            families.OBJECTS_NOT_KEPT.name: objects_not_kept,
        }

    def call_finished(self, method: str, code: str, seconds: float) -> None:
        """Count a call."""
        tally = self._tally()
        tally.counters[_REQUESTS, method, code] += 1
        tally.observe((_REQUEST_SECONDS, method), seconds, families.REQUEST_SECONDS.bounds)

    def call_refused(self, reason: str) -> None:
        """Count a refusal."""
        self._tally().counters[_REFUSALS, reason] += 1

    def stage_finished(self, stage: Stage, seconds: float) -> None:
        """Count a stage."""
        self._tally().observe(_STAGES[stage], seconds, families.STAGE_SECONDS.bounds)

    def looked_up(self, kind: str, outcome: Outcome) -> None:
        """Count a lookup."""
        self._tally().counters[_LOOKUPS[kind, outcome]] += 1

    def program_compiled(self) -> None:
        """Count a program."""
        self._tally().counters[_PROGRAMS] += 1

    def wishes_granted(self, kinds: Iterable[Kind]) -> None:
        """Count wishes."""
        counters = self._tally().counters
        for kind in kinds:
            counters[_KINDS[kind]] += 1

    def points_computed(self, points: int, node_evaluations: int) -> None:
        """Count points."""
        counters = self._tally().counters
        counters[_POINTS] += points
        counters[_NODE_EVALUATIONS] += node_evaluations

    def pass_finished(self, calls: int, points: int) -> None:
        """Count a pass."""
        tally = self._tally()
        tally.observe(_PASS_CALLS, calls, families.PASS_CALLS.bounds)
        tally.observe(_PASS_POINTS, points, families.PASS_POINTS.bounds)

    def call_placed(self, joined: Joined) -> None:
        """Count how a call was computed."""
        self._tally().counters[_PLACED[joined]] += 1

    def computed_here(
        self,
        kinds: Sequence[Kind],
        points: int,
        node_evaluations: int,
        compute_seconds: float,
        encode_seconds: float,
    ) -> None:
        """Count all of a small call at once, in a third of the time."""
        tally = self._tally()
        counters, observe = tally.counters, tally.observe
        for series in _HERE:
            counters[series] += 1
        for kind in kinds:
            counters[_KINDS[kind]] += 1
        counters[_POINTS] += points
        counters[_NODE_EVALUATIONS] += node_evaluations
        observe(_STAGES[Stage.QUEUE], 0.0, families.STAGE_SECONDS.bounds)
        observe(_STAGES[Stage.COMPUTE], compute_seconds, families.STAGE_SECONDS.bounds)
        observe(_STAGES[Stage.ENCODE], encode_seconds, families.STAGE_SECONDS.bounds)
        observe(_PASS_CALLS, 1, families.PASS_CALLS.bounds)
        observe(_PASS_POINTS, points, families.PASS_POINTS.bounds)

    def small_call(
        self,
        method: str,
        kinds: Sequence[Kind],
        points: int,
        node_evaluations: int,
        compute_seconds: float,
        seconds: float,
    ) -> None:
        """Note a small call, and count those that were noted from time to time."""
        tally = self._tally()
        tally.small_calls.append((method, kinds, points, node_evaluations, compute_seconds, seconds))
        if len(tally.small_calls) >= _COUNTED_TOGETHER:
            self._count_small_calls(tally)

    def _count_small_calls(self, tally: _Tally) -> None:
        """Count what was noted. Only the tally's own thread does."""
        with tally.lock:
            for call in tally.small_calls:
                super().small_call(*call)
            tally.small_calls.clear()

    def _tally(self) -> _Tally:
        try:
            tally: _Tally = self._own.tally
        except AttributeError:
            tally = self._own.tally = _Tally()
            with self._lock:
                self._tallies.append(tally)
        return tally

    def snapshot(self) -> Snapshot:
        """Return what was counted so far by all threads, and what the gauges show now."""
        totals = Totals([_nothing_yet()])
        with self._lock:
            tallies = list(self._tallies)
        noted = Metrics()
        for tally in tallies:
            with tally.lock:
                counted, small_calls = _of_tally(tally), list(tally.small_calls)
            totals.add(counted)
            for call in small_calls:
                super(Metrics, noted).small_call(*call)
        for tally in noted._tallies:
            totals.add(_of_tally(tally))
        totals.gauges = {name: read() for name, read in self._gauges.items()}
        return totals.snapshot()


def _nothing_yet() -> Snapshot:
    return {
        "counters": [(name, labels, 0) for name, *labels in _COUNTERS_FROM_ZERO],
        "histograms": [
            (name, labels, [0] * (len(FAMILIES[name].bounds) + 1), 0.0) for name, *labels in _HISTOGRAMS_FROM_ZERO
        ],
        "gauges": {},
    }


def _of_tally(tally: _Tally) -> Snapshot:
    # Copies of dictionaries and lists are made in one step, so no writer comes in between.
    return {
        "counters": [(name, labels, count) for (name, *labels), count in tally.counters.copy().items()],
        "histograms": [
            (series[0], list(series[1:]), buckets.copy(), tally.sums[series])
            for series, buckets in tally.histograms.copy().items()
        ],
        "gauges": {},
    }

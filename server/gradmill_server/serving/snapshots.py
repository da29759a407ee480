"""What one process has counted, as plain data that travels as JSON, and the sum of several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from gradmill_server.serving.metric_families import FAMILIES

CounterRow = tuple[str, list[str], float]
"""Name of the metric, values of its labels, count."""

HistogramRow = tuple[str, list[str], list[int], float]
"""Name of the metric, values of its labels, observations in each bucket (the last one for all beyond), their sum."""


class Snapshot(TypedDict):
    """What a process has counted so far, and what its gauges show."""

    counters: list[CounterRow]
    histograms: list[HistogramRow]
    gauges: dict[str, float]


Series = tuple[str, ...]
"""Name of a metric, then the values of its labels."""


class Totals:
    """The sum of snapshots.

    Attributes:
        counters: the count of each series.
        histograms: for each series the observations in each bucket, and their sum.
        gauges: the value of each gauge.
    """

    def __init__(self, snapshots: Iterable[Snapshot] = ()) -> None:
        """Add up snapshots."""
        self.counters: dict[Series, float] = {}
        self.histograms: dict[Series, tuple[list[int], float]] = {}
        self.gauges: dict[str, float] = {}
        for snapshot in snapshots:
            self.add(snapshot)

    def add(self, snapshot: Snapshot) -> None:
        """Add one more."""
        for name, labels, count in snapshot["counters"]:
            series = (name, *labels)
            self.counters[series] = self.counters.get(series, 0) + count
        for name, labels, buckets, total in snapshot["histograms"]:
            series = (name, *labels)
            before, sum_before = self.histograms.get(series, ([0] * len(buckets), 0.0))
            self.histograms[series] = (
                [one + other for one, other in zip(before, buckets, strict=True)],
                sum_before + total,
            )
        for name, value in snapshot["gauges"].items():
            self.gauges[name] = self.gauges.get(name, 0) + value

    def snapshot(self) -> Snapshot:
        """Return the sum as a snapshot."""
        return {
            "counters": [(name, list(labels), count) for (name, *labels), count in self.counters.items()],
            "histograms": [
                (name, list(labels), list(buckets), total)
                for (name, *labels), (buckets, total) in self.histograms.items()
            ],
            "gauges": dict(self.gauges),
        }


def left_behind(snapshot: Snapshot) -> Snapshot:
    """Return what still counts of a process that has ended: all but what its gauges showed of the moment."""
    kept = {name: value for name, value in snapshot["gauges"].items() if FAMILIES[name].outlives_process}
    return {**snapshot, "gauges": kept}

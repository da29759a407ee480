"""Every metric, in one table: name, help text, labels, buckets. Each label has a closed set of values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Type(StrEnum):
    """What a metric's value does: it grows, it moves, or it counts observations by size."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(NamedTuple):
    """One metric.

    Attributes:
        name: its name, for a counter without the ending ``_total`` that scrapes show.
        type: what its value does.
        help: what it is, in one sentence.
        labels: the names of its labels.
        bounds: of a histogram, the largest value of each bucket but the last one, which has none.
        outlives_process: whether what a process counted still counts after its end. Always so of what grows.
    """

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    outlives_process: bool = False


def _counter(name: str, summary: str, *labels: str) -> Family:
    return Family(name, Type.COUNTER, summary, labels, outlives_process=True)


def _gauge(name: str, summary: str, *, outlives_process: bool = False) -> Family:
    return Family(name, Type.GAUGE, summary, outlives_process=outlives_process)


def _histogram(name: str, summary: str, bounds: tuple[float, ...], *labels: str) -> Family:
    return Family(name, Type.HISTOGRAM, summary, labels, bounds, outlives_process=True)


_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CALLS = tuple(float(2**power) for power in range(11))
_POINTS = tuple(float(4**power) for power in range(11))

REQUESTS = _counter(
    "gradmill_requests",
    "Calls and stream messages answered, by method and canonical status code.",
    "method",
    "code",
)
REQUEST_SECONDS = _histogram(
    "gradmill_request_seconds",
    "Time from a call's arrival at the handler to its answer, by method.",
    _SECONDS,
    "method",
)
REFUSALS = _counter("gradmill_refusals", "Calls and stream messages refused, by kind of refusal.", "reason")
STAGE_SECONDS = _histogram(
    "gradmill_stage_seconds",
    "Time of each stage: queue, compile (once a program), compute, encode.",
    _SECONDS,
    "stage",
)
CACHE_LOOKUPS = _counter(
    "gradmill_cache_lookups",
    "Lookups in the cache, by kind of entry and outcome; shared means that another call was making it.",
    "kind",
    "outcome",
)
PROGRAMS_COMPILED = _counter("gradmill_programs_compiled", "Programs compiled.")
WISHES_GRANTED = _counter("gradmill_wishes_granted", "Wishes granted, by kind of derivative.", "kind")
POINTS_COMPUTED = _counter("gradmill_points_computed", "Points evaluated.")
NODE_EVALUATIONS = _counter(
    "gradmill_node_evaluations", "Values of nodes computed: points times values of the program."
)
PASS_CALLS = _histogram("gradmill_pass_calls", "Calls that one pass over a batch of points was for.", _CALLS)
PASS_POINTS = _histogram("gradmill_pass_points", "Points of one pass over a batch.", _POINTS)
CALLS_PLACED = _counter(
    "gradmill_calls_placed",
    "Calls by whether their points were computed together with those of others, and if not, why.",
    "joined",
)

CACHE_ENTRIES = _gauge("gradmill_cache_entries", "Entries in the cache.")
CACHE_BYTES = _gauge("gradmill_cache_bytes", "Bytes in the cache, estimated.")
CACHE_MAXIMUM_BYTES = _gauge("gradmill_cache_maximum_bytes", "Bytes the cache may hold.")
CACHE_EVICTIONS = _gauge("gradmill_cache_evictions", "Entries evicted since the start.", outlives_process=True)
CACHE_REJECTIONS = _gauge(
    "gradmill_cache_rejections", "Entries too large to keep since the start.", outlives_process=True
)
QUEUE_LENGTH = _gauge("gradmill_queue_length", "Jobs that wait for a worker.")
WORKERS_BUSY = _gauge("gradmill_workers_busy", "Workers that work.")
WORKERS = _gauge("gradmill_workers", "Workers.")
REQUESTS_IN_FLIGHT = _gauge("gradmill_requests_in_flight", "Calls and stream messages being answered.")
REQUEST_BYTES_IN_FLIGHT = _gauge("gradmill_request_bytes_in_flight", "Bytes of requests being answered.")
STREAMS_OPEN = _gauge("gradmill_streams_open", "Open streams.")
OBJECTS_NOT_KEPT = _gauge(
    "gradmill_objects_not_kept", "Pieces of machine code that could not be kept on disk for the next start."
)

WORKER_PROCESSES = _gauge("gradmill_worker_processes", "Processes that answer calls.")
SPARE_PROCESSES = _gauge("gradmill_spare_processes", "Processes that stand ready to take the place of one that dies.")
WORKER_RESTARTS = _counter(
    "gradmill_worker_restarts",
    "Processes that ended unasked, by how: crashed (by a signal), exited, hung (and was killed), or unready (before it"
    " could answer).",
    "cause",
)
FUNCTIONS_QUARANTINED = _gauge(
    "gradmill_functions_quarantined", "Functions refused because processes died while working on them."
)

FAMILIES: Mapping[str, Family] = {entry.name: entry for entry in list(globals().values()) if isinstance(entry, Family)}
"""Every metric by name, in the order of a scrape."""

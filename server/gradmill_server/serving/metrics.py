"""Metrics for Prometheus, and the port that serves them. Every label has a closed set of values."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from http.server import ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, MetricsHandler

from gradmill_server.engine.wants import Kind
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.telemetry import Outcome, Stage, Telemetry

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics(Telemetry):
    """Counts what it hears.

    Attributes:
        registry: what a scrape reads.
    """

    def __init__(self) -> None:
        """Start at zero, in a registry of its own."""
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "gradmill_requests",
            "Calls and stream messages answered, by method and canonical status code.",
            ("method", "code"),
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "gradmill_request_seconds",
            "Time from a call's arrival at the handler to its answer, by method.",
            ("method",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._refused = Counter(
            "gradmill_refusals",
            "Calls and stream messages refused, by kind of refusal.",
            ("reason",),
            registry=self.registry,
        )
        self._stage_seconds = Histogram(
            "gradmill_stage_seconds",
            "Time of each stage: queue, compile (once a program), compute, encode.",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._cache_lookups = Counter(
            "gradmill_cache_lookups",
            "Lookups in the cache, by kind of entry and outcome; shared means that another call was making it.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self._programs = self._counter("gradmill_programs_compiled", "Programs compiled.")
        self._wishes = Counter(
            "gradmill_wishes_granted",
            "Wishes granted, by kind of derivative.",
            ("kind",),
            registry=self.registry,
        )
        self._kinds = {kind: self._wishes.labels(kind=kind) for kind in Kind}
        self._points = self._counter("gradmill_points_computed", "Points evaluated.")
        self._node_evaluations = self._counter(
            "gradmill_node_evaluations", "Values of nodes computed: points times values of the program."
        )
        self._stages = {stage: self._stage_seconds.labels(stage=stage) for stage in Stage}
        self._lookups = {
            (kind, outcome): self._cache_lookups.labels(kind=kind, outcome=outcome)
            for kind in ("function", "program")
            for outcome in Outcome
        }

    def _counter(self, name: str, summary: str) -> Counter:
        return Counter(name, summary, registry=self.registry)

    def watch(self, handler: Handler) -> None:
        """Read these of a handler at each scrape."""
        cache, pool, admission = handler.cache, handler.pool, handler.admission
        gauges = (
            ("gradmill_cache_entries", "Entries in the cache.", lambda: len(cache)),
            ("gradmill_cache_bytes", "Bytes in the cache, estimated.", lambda: cache.byte_size),
            ("gradmill_cache_maximum_bytes", "Bytes the cache may hold.", lambda: cache.maximum_bytes),
            ("gradmill_cache_evictions", "Entries evicted since the start.", lambda: cache.evictions),
            ("gradmill_cache_rejections", "Entries too large to keep since the start.", lambda: cache.rejections),
            ("gradmill_queue_length", "Jobs that wait for a worker.", lambda: pool.waiting),
            ("gradmill_workers_busy", "Workers that work.", lambda: pool.busy),
            ("gradmill_workers", "Workers.", lambda: pool.workers),
            ("gradmill_requests_in_flight", "Calls and stream messages being answered.", lambda: admission.calls),
            ("gradmill_request_bytes_in_flight", "Bytes of requests being answered.", lambda: admission.request_bytes),
            ("gradmill_streams_open", "Open streams.", lambda: admission.streams),
        )
        for name, summary, read in gauges:
            Gauge(name, summary, registry=self.registry).set_function(read)

    def call_finished(self, method: str, code: str, seconds: float) -> None:
        """Count a call."""
        self._calls.labels(method=method, code=code).inc()
        self._call_seconds.labels(method=method).observe(seconds)

    def call_refused(self, reason: str) -> None:
        """Count a refusal."""
        self._refused.labels(reason=reason).inc()

    def stage_finished(self, stage: Stage, seconds: float) -> None:
        """Count a stage."""
        self._stages[stage].observe(seconds)

    def looked_up(self, kind: str, outcome: Outcome) -> None:
        """Count a lookup."""
        self._lookups[kind, outcome].inc()

    def program_compiled(self) -> None:
        """Count a program."""
        self._programs.inc()

    def wishes_granted(self, kinds: Iterable[Kind]) -> None:
        """Count wishes."""
        for kind in kinds:
            self._kinds[kind].inc()

    def points_computed(self, points: int, node_evaluations: int) -> None:
        """Count points."""
        self._points.inc(points)
        self._node_evaluations.inc(node_evaluations)


_SCRAPES_AT_A_TIME = 8
_POLL_SECONDS = 0.1


class _ScrapeHandler(MetricsHandler):
    timeout = 5.0
    """Seconds; a peer that does not send or read for so long loses its connection."""


class _BoundedServer(ThreadingHTTPServer):
    """Answers a few scrapes at a time, and hangs up on those beyond."""

    def __init__(self, address: tuple[str, int], handler: type[MetricsHandler]) -> None:
        super().__init__(address, handler)
        self._free = threading.Semaphore(_SCRAPES_AT_A_TIME)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base class's
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base class's
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base class's
        """Say nothing: a peer that went away is no event, and the base class would print a traceback."""


class MetricsServer:
    """Serves /metrics over HTTP from threads of its own.

    Attributes:
        address: the address it listens on, with the port chosen.
    """

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        """Listen and answer. Raises OSError when the address cannot be listened on."""
        self._server = _BoundedServer((host, port), _ScrapeHandler.factory(metrics.registry))
        self.address = f"{host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="gradmill-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

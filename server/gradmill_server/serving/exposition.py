"""Snapshots as metrics for Prometheus, and the port that serves them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, MetricsHandler
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gradmill_server.serving.listening import ListenError
from gradmill_server.serving.metric_families import FAMILIES, Family, Type
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.snapshots import Series, Snapshot, Totals

Source = Callable[[], Iterable[Snapshot]]
"""Returns the snapshots whose sum a scrape shows."""


class SnapshotCollector(Collector):
    """Shows the sum of snapshots."""

    def __init__(self, source: Source) -> None:
        """Ask for the snapshots at each scrape."""
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """Yield each metric that any of the snapshots has."""
        totals = Totals(self._source())
        for family in FAMILIES.values():
            metric = _METRICS[family.type](family, totals)
            if metric.samples:
                yield metric


def _of_family(series: Iterable[Series], family: Family) -> Iterator[Series]:
    return (entry for entry in sorted(series) if entry[0] == family.name)


def _counter(family: Family, totals: Totals) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for series in _of_family(totals.counters, family):
        metric.add_metric(series[1:], totals.counters[series])
    return metric


def _histogram(family: Family, totals: Totals) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*map(floatToGoString, family.bounds), "+Inf"]
    for series in _of_family(totals.histograms, family):
        buckets, total = totals.histograms[series]
        so_far = [sum(buckets[: place + 1]) for place in range(len(buckets))]
        metric.add_metric(series[1:], list(zip(bounds, so_far, strict=True)), total)
    return metric


def _gauge(family: Family, totals: Totals) -> Metric:
    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    if family.name in totals.gauges:
        metric.add_metric((), totals.gauges[family.name])
    return metric


_METRICS: Mapping[Type, Callable[[Family, Totals], Metric]] = {
    Type.COUNTER: _counter,
    Type.GAUGE: _gauge,
    Type.HISTOGRAM: _histogram,
}


def registry_of(source: Source) -> CollectorRegistry:
    """Return a registry whose scrape shows the sum of what the source returns."""
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(source))
    return registry


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

    def __init__(self, source: Source, host: str, port: int) -> None:
        """Listen, and answer with the sum of what the source returns, which other threads ask.

        Raises:
            OSError: when the address cannot be listened on.
        """
        self._server = _BoundedServer((host, port), _ScrapeHandler.factory(registry_of(source)))
        self.address = f"{host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="gradmill-metrics", daemon=True
        )
        self._thread.start()

    @classmethod
    def listening(cls, settings: Settings, source: Source) -> MetricsServer:
        """Return one that listens where the settings say. Raises ListenError."""
        host, port = settings.metrics_host, settings.metrics_port
        try:
            return cls(source, host, port)
        except OSError as error:
            message = f"cannot listen on {host}:{port} for metrics: {error.strerror or error}"
            raise ListenError(message) from error

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

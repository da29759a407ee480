"""Metrics: names with units, closed labels, and the port."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import prometheus_client
import pytest
from gradmill_server.engine.wants import Kind
from gradmill_server.serving.exposition import MetricsServer, registry_of
from gradmill_server.serving.metrics import Metrics
from gradmill_server.serving.snapshots import Snapshot, Totals, left_behind
from gradmill_server.serving.telemetry import Joined, Outcome, Stage
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.support import ask, digest, evaluation, failure_of, formula, handling, matrix


def _families(*metrics: Metrics) -> list[Metric]:
    registry = registry_of(lambda: [entry.snapshot() for entry in metrics])
    return list(text_string_to_metric_families(prometheus_client.generate_latest(registry).decode()))


def _scrape(*metrics: Metrics) -> dict[str, float]:
    return {
        sample.name + "".join(f"[{value}]" for _, value in sorted(sample.labels.items())): sample.value
        for family in _families(*metrics)
        for sample in family.samples
    }


def _worked() -> Metrics:
    metrics = Metrics()

    async def scenario() -> None:
        async with handling(telemetry=metrics) as handler:
            metrics.watch(handler)
            await asyncio.gather(*(ask(handler, evaluation()) for _ in range(64)))
            for number in range(20):
                await failure_of(ask(handler, evaluation(formula(f"nonsense_{number}("), matrix([[1.0]]))))
                await failure_of(ask(handler, evaluation(digest(bytes([number]) * 32))))

    asyncio.run(scenario())
    return metrics


def test_what_happened_is_counted() -> None:
    """Calls by method and code, refusals by kind, points, programs and what the cache holds stand in a scrape."""
    samples = _scrape(_worked())
    assert samples["gradmill_requests_total[OK][Evaluate]"] == 64
    assert samples["gradmill_requests_total[NOT_FOUND][Evaluate]"] == 20
    assert samples["gradmill_refusals_total[FORMULA_INVALID]"] == 20
    assert samples["gradmill_refusals_total[DIGEST_UNKNOWN]"] == 20
    assert samples["gradmill_programs_compiled_total"] == 1
    assert samples["gradmill_points_computed_total"] == 64
    assert samples["gradmill_wishes_granted_total[value]"] == samples["gradmill_wishes_granted_total[gradient]"] == 64
    assert samples["gradmill_node_evaluations_total"] >= 64 * 7
    assert samples["gradmill_cache_lookups_total[program][miss]"] == 1
    assert samples["gradmill_cache_entries"] > 0
    assert 0 < samples["gradmill_cache_bytes"] <= samples["gradmill_cache_maximum_bytes"]
    assert samples["gradmill_request_seconds_count[Evaluate]"] == 104
    assert samples["gradmill_stage_seconds_count[compute]"] == 64
    assert samples["gradmill_requests_in_flight"] == 0
    assert samples["gradmill_workers"] == 2


def test_labels_are_from_closed_sets() -> None:
    """No label's value comes from a caller: after many different mistakes there are as few series as after one."""
    assert len(_scrape(_worked())) < 500
    values = {
        value
        for family in _families(_worked())
        for sample in family.samples
        for name, value in sample.labels.items()
        if name != "le"
    }
    known = {*Stage, *Outcome, *Kind, *Joined, "function", "program", "Evaluate", "OK", "INVALID_ARGUMENT", "NOT_FOUND"}
    assert values <= known | {"FORMULA_INVALID", "DIGEST_UNKNOWN"}


def test_every_metric_has_a_help_text_and_the_projects_name() -> None:
    """Every metric is explained, and named after the project."""
    for family in _families(_worked()):
        assert family.name.startswith("gradmill_")
        assert family.documentation.endswith(".")


def test_no_count_is_lost_among_threads() -> None:
    """What many threads count at the same time is all there, to the last one."""
    metrics = Metrics()

    def count(_: int) -> None:
        for _ in range(5_000):
            metrics.looked_up("program", Outcome.HIT)
            metrics.stage_finished(Stage.COMPUTE, 0.002)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(count, range(8)))
    finally:
        sys.setswitchinterval(before)
    samples = _scrape(metrics)
    assert samples["gradmill_cache_lookups_total[program][hit]"] == 40_000
    assert samples["gradmill_stage_seconds_count[compute]"] == 40_000
    assert samples["gradmill_stage_seconds_sum[compute]"] == pytest.approx(80)


def test_an_observation_is_in_the_bucket_of_the_next_bound() -> None:
    """Buckets hold what is at most their bound, and those of larger bounds hold it too."""
    metrics = Metrics()
    for calls, points in ((1, 1), (3, 300), (64, 10**9)):
        metrics.pass_finished(calls, points)
    samples = _scrape(metrics)
    assert [samples[f"gradmill_pass_calls_bucket[{bound}]"] for bound in ("1.0", "2.0", "4.0", "64.0")] == [1, 1, 2, 3]
    assert samples["gradmill_pass_points_bucket[1.048576e+06]"] == 2
    assert samples["gradmill_pass_points_bucket[+Inf]"] == samples["gradmill_pass_points_count"] == 3
    assert samples["gradmill_pass_points_sum"] == 10**9 + 301


def test_several_processes_are_added_up() -> None:
    """A scrape shows the sum over all processes, of those that have ended as well, but not what they held."""
    one, other = _worked(), _worked()
    one.call_placed(Joined.FULL)
    samples = _scrape(one, other)
    assert samples["gradmill_requests_total[OK][Evaluate]"] == 128
    assert samples["gradmill_request_seconds_count[Evaluate]"] == 208
    assert samples["gradmill_calls_placed_total[full]"] == 1
    assert samples["gradmill_workers"] == 4
    remains = Totals([json.loads(json.dumps(left_behind(one.snapshot())))])
    assert remains.counters["gradmill_requests", "Evaluate", "OK"] == 64
    assert set(remains.gauges) == {"gradmill_cache_evictions", "gradmill_cache_rejections"}


def _nobody() -> list[Snapshot]:
    return [Metrics().snapshot()]


def test_port_serves_metrics_and_survives_a_silent_peer() -> None:
    """The metrics port answers a scrape, even while another peer holds a connection without saying anything."""
    server = MetricsServer(_nobody, "127.0.0.1", 0)
    try:
        host, port = server.address.split(":")
        with (
            socket.create_connection((host, int(port))),
            urllib.request.urlopen(f"http://{server.address}/metrics", timeout=60) as answer,
        ):
            assert b"gradmill_programs_compiled_total" in answer.read()
    finally:
        server.close()


def test_taken_port_is_an_error() -> None:
    """A port that is taken already is an error at the start."""
    server = MetricsServer(_nobody, "127.0.0.1", 0)
    try:
        with pytest.raises(OSError, match="in use"):
            MetricsServer(_nobody, "127.0.0.1", int(server.address.rpartition(":")[2]))
    finally:
        server.close()

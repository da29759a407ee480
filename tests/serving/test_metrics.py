"""Metrics: names with units, closed labels, and the port."""

from __future__ import annotations

import asyncio
import socket
import urllib.request

import prometheus_client
import pytest
from gradmill_server.engine.wants import Kind
from gradmill_server.serving.metrics import Metrics, MetricsServer
from gradmill_server.serving.telemetry import Outcome, Stage
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.support import ask, digest, evaluation, failure_of, formula, handling, matrix


def _scrape(metrics: Metrics) -> dict[str, float]:
    text = prometheus_client.generate_latest(metrics.registry).decode()
    return {
        sample.name + "".join(f"[{value}]" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
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
    families = text_string_to_metric_families(prometheus_client.generate_latest(_worked().registry).decode())
    values = {
        value
        for family in families
        for sample in family.samples
        for name, value in sample.labels.items()
        if name != "le"
    }
    known = {*Stage, *Outcome, *Kind, "function", "program", "Evaluate", "OK", "INVALID_ARGUMENT", "NOT_FOUND"}
    assert values <= known | {"FORMULA_INVALID", "DIGEST_UNKNOWN"}


def test_every_metric_has_a_help_text_and_the_projects_name() -> None:
    """Every metric is explained, and named after the project."""
    for family in text_string_to_metric_families(prometheus_client.generate_latest(_worked().registry).decode()):
        assert family.name.startswith("gradmill_")
        assert family.documentation.endswith(".")


def test_port_serves_metrics_and_survives_a_silent_peer() -> None:
    """The metrics port answers a scrape, even while another peer holds a connection without saying anything."""
    server = MetricsServer(Metrics(), "127.0.0.1", 0)
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
    server = MetricsServer(Metrics(), "127.0.0.1", 0)
    try:
        with pytest.raises(OSError, match="in use"):
            MetricsServer(Metrics(), "127.0.0.1", int(server.address.rpartition(":")[2]))
    finally:
        server.close()

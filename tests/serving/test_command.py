"""The server as a process: start, signals, drain, and what it writes."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill_server.engine.backends.choice import Road, backend_name, road, why_not_native
from gradmill_server.engine.backends.native.levels import host_level
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.passes.expand import expand
from gradmill_server.serving.settings import TABLE
from gradmill_server.serving.wire.functions import DigestReference
from gradmill_server.serving.wire.requests import read_evaluate
from gradmill_server.serving.wire.samples import sample_requests
from grpc_health.v1 import health_pb2

from tests.serving.live_server import live_server, refused_start, slow_request, status_of
from tests.serving.support import evaluation, formula, refusal, results

_WARNED = ["notice"] if why_not_native() else []
"""What a server writes at its start on a machine that runs no machine code of ours."""


def test_start_record_says_everything() -> None:
    """The first record names the address with the port chosen, the backend, the versions and every setting."""
    with live_server("--workers", "1", environment={"GRADMILL_MAXIMUM_POINTS": "77"}) as server:
        assert server.events() == ["start", *_WARNED, "ready"]
        start = server.start
        assert set(start["settings"]) == {row.name for row in TABLE}
        assert (start["settings"]["workers"], start["settings"]["maximum_points"]) == (1, 77)
        assert (start["workers"], start["processes"]) == (1, 1)
        assert server.wait_for("ready")["backend"] == backend_name()
        assert {"gradmill", "python", "numpy", "llvmlite", "grpcio", "protobuf"} == set(start["versions"])
        host, _, port = start["address"].rpartition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0


def test_sigterm_answers_what_is_in_flight() -> None:
    """On SIGTERM a call in flight is answered, a new one is refused, and the process exits with code 0."""
    with live_server() as server, ThreadPoolExecutor() as callers:
        in_flight: Future[bytes] = callers.submit(server.evaluate, slow_request())
        server.wait_for_metric("gradmill_requests_in_flight", 1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining", 2)  # the server's word, then that of its process
        call: Any = server.channel.unary_unary("/gradmill.v1.GradientService/Evaluate", None, None)
        with pytest.raises(grpc.RpcError) as refused:
            call(evaluation().SerializeToString())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert results(in_flight.result())[0].tolist() == 299 * 300_000
        assert server.ended() == (0, "")
        assert server.events() == ["start", *_WARNED, "ready", "draining", "stopped"]


def test_drain_ends_what_takes_too_long() -> None:
    """A call that is not done when the time to drain is over is ended, and the process exits with code 0."""
    with live_server("--drain-seconds", "0") as server, ThreadPoolExecutor() as callers:
        request = slow_request(1_500_000)
        in_flight: Future[bytes] = callers.submit(server.evaluate, request)
        server.wait_for_metric("gradmill_requests_in_flight", 1)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as ended:
            in_flight.result()
        assert refusal(status_of(ended.value)) == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert server.ended() == (0, "")


def test_second_sigterm_ends_at_once() -> None:
    """A second SIGTERM does not wait for what is in flight."""
    with live_server("--drain-seconds", "10000") as server, ThreadPoolExecutor() as callers:
        request = slow_request(1_500_000)
        in_flight: Future[bytes] = callers.submit(server.evaluate, request)
        server.wait_for_metric("gradmill_requests_in_flight", 1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == (1, "")
        assert server.records[-1]["event"] == "stopped_at_once"
        with pytest.raises(grpc.RpcError):
            in_flight.result()


def test_idle_streams_and_watchers_do_not_delay_the_end() -> None:
    """A stream on which nothing happens and a watcher of health are ended when the server drains."""
    with live_server("--drain-seconds", "10000") as server:
        never = threading.Event()

        def requests() -> Iterator[bytes]:
            never.wait()
            yield from ()

        stream: Any = server.channel.stream_stream("/gradmill.v1.GradientService/EvaluateStream", None, None)
        watch: Any = server.channel.unary_stream("/grpc.health.v1.Health/Watch", None, None)
        answers = stream(requests())
        states = watch(b"")
        assert health_pb2.HealthCheckResponse.FromString(next(states)).status == health_pb2.HealthCheckResponse.SERVING
        server.wait_for_metric("gradmill_streams_open", 1)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as ended:
            next(answers)
        assert refusal(status_of(ended.value)) == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert [health_pb2.HealthCheckResponse.FromString(body).status for body in states] == [
            health_pb2.HealthCheckResponse.NOT_SERVING
        ]
        assert server.ended() == (0, "")
        never.set()


def test_interrupt_is_a_stop_too() -> None:
    """SIGINT stops the server like SIGTERM."""
    with live_server() as server:
        server.process.send_signal(signal.SIGINT)
        assert server.ended() == (0, "")


def test_concurrent_first_calls_compile_once() -> None:
    """Sixty-four callers that send the same new function at once have it compiled once, as the metrics tell."""
    with live_server() as server, ThreadPoolExecutor(64) as callers:
        before = server.metric("gradmill_programs_compiled_total")
        request = evaluation(formula("tanh(x1) * x2 + x3"))
        answers = list(callers.map(lambda _: server.evaluate(request), range(64)))
        assert len({tuple(result.array.data for result in _parsed(answer).results) for answer in answers}) == 1
        assert server.metric("gradmill_programs_compiled_total") == before + 1


def _parsed(body: bytes) -> service_pb2.EvaluateResponse:
    return service_pb2.EvaluateResponse.FromString(body)


def test_metrics_can_be_switched_off() -> None:
    """Without metrics no second port is opened."""
    with live_server("--metrics", "off") as server:
        assert server.start["metrics_address"] == ""
        assert results(server.evaluate(evaluation()))[0].tolist() == [48.0]


@pytest.mark.parametrize("flag", ["--port", "--metrics-port"])
def test_taken_port(flag: str) -> None:
    """A port that is taken is one line on standard error and exit code 1, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, written, complaint = refused_start(flag, str(port))
    assert (code, written) == (1, "")
    assert complaint.count("\n") == 1
    assert f"127.0.0.1:{port}" in complaint
    assert "Address already in use" in complaint


def test_wrong_setting() -> None:
    """A wrong setting is one line on standard error and exit code 2."""
    code, written, complaint = refused_start(environment={"GRADMILL_WORKERS": "several"})
    assert (code, written) == (2, "")
    assert complaint.count("\n") == 1
    assert "GRADMILL_WORKERS: 'several' is not a whole number" in complaint


def test_help() -> None:
    """The help text goes to standard output with exit code 0."""
    code, written, complaint = refused_start("--help")
    assert (code, complaint) == (0, "")
    assert "GRADMILL_CACHE_BYTES" in written


def test_warming_up_loads_the_machine_code_for_arrays() -> None:
    """Whoever sends the first function of arrays does not wait for a compiler."""
    if host_level() is None:
        pytest.skip("there is no machine code for this processor")
    roads = set()
    for method, body in sample_requests():
        if method == "Evaluate":
            reference, _ = read_evaluate(body, 8)
            assert not isinstance(reference, DigestReference)
            roads.add(road(expand(reference.read(Limits()))))
    assert roads == {Road.SCALARS, Road.ARRAYS}

"""The server as a process: start, signals, drain, and what it writes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
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

from tests.serving.support import VALUE, evaluation, formula, matrix, refusal, results

_SERVE = "import sys; from gradmill_server.serving.server import serve_main; sys.exit(serve_main(sys.argv[1:]))"
_PATIENCE_SECONDS = 120
_EVALUATE = "/gradmill.v1.GradientService/Evaluate"


def _command(*flags: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", _SERVE, "--port", "0", "--metrics-port", "0", *flags]


class _Process:
    """A server process, its log, and a channel to it."""

    def __init__(self, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            _command(*flags),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.records: list[dict[str, Any]] = []
        self.errors = ""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        started = self.wait_for("ready")
        self.start = next(record for record in self.records if record["event"] == "start")
        self.channel = grpc.insecure_channel(started["address"], (("grpc.enable_retries", 0),))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.records.append(json.loads(line))

    def wait_for(self, event: str) -> dict[str, Any]:
        patience = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < patience:
            for record in list(self.records):
                if record["event"] == event:
                    return record
            if self.process.poll() is not None:
                self._reading.join()
                assert self.process.stderr is not None
                assert any(record["event"] == event for record in self.records), self.process.stderr.read()
            time.sleep(0.005)
        message = f"no record {event!r}"
        raise AssertionError(message)

    def evaluate(self, request: service_pb2.EvaluateRequest) -> bytes:
        call: Any = self.channel.unary_unary(_EVALUATE, None, None)
        answer: bytes = call(request.SerializeToString(), timeout=_PATIENCE_SECONDS)
        return answer

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://{self.start['metrics_address']}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def wait_for_metric(self, name: str, at_least: float) -> None:
        patience = time.monotonic() + _PATIENCE_SECONDS
        while self.metric(name) < at_least:
            assert time.monotonic() < patience, f"{name} stays below {at_least}"

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was written to standard error."""
        code = self.process.wait(_PATIENCE_SECONDS)
        self._reading.join()
        assert self.process.stderr is not None
        return code, self.process.stderr.read()

    def close(self) -> None:
        self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reading.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def _server(*flags: str, environment: dict[str, str] | None = None) -> Iterator[_Process]:
    server = _Process(*flags, environment=environment)
    try:
        yield server
    finally:
        server.close()


def _status(error: Any) -> status_pb2.Status:  # noqa: ANN401  the stubs do not tell what an RpcError is
    """Return the status that came with an error."""
    return status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])


def _slow() -> service_pb2.EvaluateRequest:
    """Return a request that takes a second or so, and as long as it likes on a slow machine."""
    text = " + ".join(f"exp(x * {number})" for number in range(1, 300))
    request = evaluation(formula(text), matrix([[0.0]] * 300_000), [VALUE])
    request.reduction = service_pb2.REDUCTION_SUM
    return request


_WARNED = ["no_native_backend"] if why_not_native() else []
"""What a server writes at its start on a machine that runs no machine code of ours."""


def test_start_record_says_everything() -> None:
    """The first record names the address with the port chosen, the backend, the versions and every setting."""
    with _server("--workers", "1", environment={"GRADMILL_MAXIMUM_POINTS": "77"}) as server:
        assert [record["event"] for record in server.records] == ["start", *_WARNED, "ready"]
        start = server.start
        assert set(start["settings"]) == {row.name for row in TABLE}
        assert (start["settings"]["workers"], start["settings"]["maximum_points"]) == (1, 77)
        assert (start["workers"], start["backend"]) == (1, backend_name())
        assert {"gradmill", "python", "numpy", "llvmlite", "grpcio", "protobuf"} == set(start["versions"])
        host, _, port = start["address"].rpartition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0


def test_sigterm_answers_what_is_in_flight() -> None:
    """On SIGTERM a call in flight is answered, a new one is refused, and the process exits with code 0."""
    with _server() as server, ThreadPoolExecutor() as callers:
        in_flight: Future[bytes] = callers.submit(server.evaluate, _slow())
        server.wait_for_metric("gradmill_requests_in_flight", 1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        with pytest.raises(grpc.RpcError) as refused:
            server.evaluate(evaluation())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert results(in_flight.result())[0].tolist() == 299 * 300_000
        assert server.ended() == (0, "")
        assert [record["event"] for record in server.records] == ["start", *_WARNED, "ready", "draining", "stopped"]


def test_drain_ends_what_takes_too_long() -> None:
    """A call that is not done when the time to drain is over is ended, and the process exits with code 0."""
    with _server("--drain-seconds", "0") as server, ThreadPoolExecutor() as callers:
        request = _slow()
        request.points.CopyFrom(matrix([[0.0]] * 1_500_000))
        in_flight: Future[bytes] = callers.submit(server.evaluate, request)
        server.wait_for_metric("gradmill_requests_in_flight", 1)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as ended:
            in_flight.result()
        assert refusal(_status(ended.value)) == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert server.ended() == (0, "")


def test_second_sigterm_ends_at_once() -> None:
    """A second SIGTERM does not wait for what is in flight."""
    with _server("--drain-seconds", "10000") as server, ThreadPoolExecutor() as callers:
        request = _slow()
        request.points.CopyFrom(matrix([[0.0]] * 1_500_000))
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
    with _server("--drain-seconds", "10000") as server:
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
        assert refusal(_status(ended.value)) == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert [health_pb2.HealthCheckResponse.FromString(body).status for body in states] == [
            health_pb2.HealthCheckResponse.NOT_SERVING
        ]
        assert server.ended() == (0, "")
        never.set()


def test_interrupt_is_a_stop_too() -> None:
    """SIGINT stops the server like SIGTERM."""
    with _server() as server:
        server.process.send_signal(signal.SIGINT)
        assert server.ended() == (0, "")


def test_concurrent_first_calls_compile_once() -> None:
    """Sixty-four callers that send the same new function at once have it compiled once, as the metrics tell."""
    with _server() as server, ThreadPoolExecutor(64) as callers:
        before = server.metric("gradmill_programs_compiled_total")
        request = evaluation(formula("tanh(x1) * x2 + x3"))
        answers = list(callers.map(lambda _: server.evaluate(request), range(64)))
        assert len({tuple(result.array.data for result in _parsed(answer).results) for answer in answers}) == 1
        assert server.metric("gradmill_programs_compiled_total") == before + 1


def _parsed(body: bytes) -> service_pb2.EvaluateResponse:
    return service_pb2.EvaluateResponse.FromString(body)


def test_metrics_can_be_switched_off() -> None:
    """Without metrics no second port is opened."""
    with _server("--metrics", "off") as server:
        assert server.start["metrics_address"] == ""
        assert results(server.evaluate(evaluation()))[0].tolist() == [48.0]


def _refused_start(*flags: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    ended = subprocess.run(
        _command(*flags),
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("flag", ["--port", "--metrics-port"])
def test_taken_port(flag: str) -> None:
    """A port that is taken is one line on standard error and exit code 1, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, written, complaint = _refused_start(flag, str(port))
    assert (code, written) == (1, "")
    assert complaint.count("\n") == 1
    assert f"127.0.0.1:{port}" in complaint
    assert "Address already in use" in complaint


def test_wrong_setting() -> None:
    """A wrong setting is one line on standard error and exit code 2."""
    code, written, complaint = _refused_start(environment={"GRADMILL_WORKERS": "several"})
    assert (code, written) == (2, "")
    assert complaint.count("\n") == 1
    assert "GRADMILL_WORKERS: 'several' is not a whole number" in complaint


def test_help() -> None:
    """The help text goes to standard output with exit code 0."""
    code, written, complaint = _refused_start("--help")
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

"""A server of several processes for tests: its log, its processes, and a channel to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.rpc import status_pb2
from gradmill.v1 import gradient_service_pb2 as service_pb2

from tests.serving.support import VALUE, evaluation, formula, matrix

PATIENCE_SECONDS = 120

_SERVE = "import sys; from gradmill_server.serving.command import serve_main; sys.exit(serve_main(sys.argv[1:]))"
_EVALUATE = "/gradmill.v1.GradientService/Evaluate"


def command(*flags: str) -> list[str]:
    """Return the command that starts a server, of one process without a spare one unless the flags say otherwise."""
    small = ["--processes", "1", "--spare-processes", "0", "--port", "0", "--metrics-port", "0"]
    return [sys.executable, "-W", "error", "-c", _SERVE, *small, *flags]


def refused_start(*flags: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Return the exit code of a server that cannot start, and what it writes to standard output and error."""
    ended = subprocess.run(
        command(*flags),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    return ended.returncode, ended.stdout, ended.stderr


class LiveServer:
    """A server that runs.

    Attributes:
        process: the supervisor.
        records: its log so far.
        start: the first record.
        channel: a connection to it, which does not try again by itself.
    """

    def __init__(self, *flags: str, environment: dict[str, str] | None = None) -> None:
        """Start it, and wait until it is ready."""
        self.process = subprocess.Popen(
            command(*flags),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.records: list[dict[str, Any]] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.ready = self.wait_for("ready")
        self.start = next(record for record in self.records if record["event"] == "start")
        self.channel = self.connect()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.records.append(json.loads(line))

    def connect(self) -> grpc.Channel:
        """Return a channel with a connection of its own."""
        options = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
        return grpc.insecure_channel(self.ready["address"], options)

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait for a record, the first of its kind or a later one."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < patience:
            ended = self.process.poll() is not None
            if ended:
                self._reading.join()
            found = [record for record in list(self.records) if record["event"] == event]
            if len(found) >= count:
                return found[count - 1]
            assert not ended, self.process.stderr.read() if self.process.stderr is not None else ""
            time.sleep(0.005)
        message = f"no record {event!r}"
        raise AssertionError(message)

    def events(self) -> list[str]:
        """Return the events of the server as a whole, without those of single workers."""
        return [record["event"] for record in self.records if "worker" not in record]

    def worker(self, seat: int = 1) -> int:
        """Return the number in the system of the process that has a seat now."""
        replaced = [entry for entry in self.records if entry["event"] == "worker_replaced" and entry["worker"] == seat]
        number: int = replaced[-1]["process"] if replaced else self.ready["worker_processes"][str(seat)]
        return number

    def evaluate(self, request: service_pb2.EvaluateRequest, channel: grpc.Channel | None = None) -> bytes:
        """Return the answer to Evaluate. Raises grpc.RpcError."""
        call: Any = (channel or self.channel).unary_unary(_EVALUATE, None, None)
        answer: bytes = call(request.SerializeToString(), timeout=PATIENCE_SECONDS, wait_for_ready=True)
        return answer

    def metric(self, name: str, *labels: str) -> float:
        """Return the sum of a metric's samples that carry these labels, each as ``name="value"``."""
        with urllib.request.urlopen(f"http://{self.start['metrics_address']}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        samples = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rpartition(" ")[2]) for line in samples if all(label in line for label in labels))

    def wait_for_metric(self, name: str, at_least: float) -> None:
        """Wait until a metric has a value."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while self.metric(name) < at_least:
            assert time.monotonic() < patience, f"{name} stays below {at_least}"

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was written to standard error."""
        code = self.process.wait(PATIENCE_SECONDS)
        self._reading.join()
        assert self.process.stderr is not None
        return code, self.process.stderr.read()

    def close(self) -> None:
        """End it at once, and wait until its workers are gone as well."""
        self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reading.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            # Standard error is the workers' as well, so its end is theirs.
            stream.read()
            stream.close()


@contextmanager
def live_server(*flags: str, environment: dict[str, str] | None = None) -> Iterator[LiveServer]:
    """Run a server for the length of a `with` block."""
    server = LiveServer(*flags, environment=environment)
    try:
        yield server
    finally:
        server.close()


def status_of(error: Any) -> status_pb2.Status:  # noqa: ANN401  the stubs do not tell what an RpcError is
    """Return the status that came with an error."""
    return status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])


def slow_request(points: int = 300_000, terms: int = 300) -> service_pb2.EvaluateRequest:
    """Return a request that takes a second or so, and as long as it likes on a slow machine."""
    text = " + ".join(f"exp(x * {number})" for number in range(1, terms))
    request = evaluation(formula(text), matrix([[0.0]] * points), [VALUE])
    request.reduction = service_pb2.REDUCTION_SUM
    return request

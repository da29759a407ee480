"""A real server process for tests: started, watched through its log, stopped or killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_COMMAND = Path(sys.executable).with_name("gradmill")


class ServerProcess:
    """A running `gradmill serve`.

    Attributes:
        address: where it listens, as host:port.
        metrics_address: where it serves /metrics, as host:port.
    """

    def __init__(self, *flags: str, port: int = 0) -> None:
        """Start a server on the loopback interface and wait until it says that it is ready."""
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
        arguments = ["serve", "--port", str(port), "--metrics-port", "0", *flags]
        self._process = subprocess.Popen([_COMMAND, *arguments], stdout=self._log, stderr=subprocess.STDOUT)
        try:
            start = self._wait_for("start")
            self._wait_for("ready")
        except RuntimeError:
            self.kill()
            raise
        self.address: str = start["address"]
        self.metrics_address: str = start["metrics_address"]

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.address.rpartition(":")[2])

    def log(self) -> str:
        """Return all that it has written so far."""
        self._log.seek(0)
        return self._log.read()

    def records(self) -> list[dict[str, Any]]:
        """Return every record of its log so far."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def metrics(self) -> str:
        """Return what it serves on /metrics."""
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that carry these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        samples = re.findall(rf"^{name}(?:{{(.*?)}})? (\S+)$", self.metrics(), re.MULTILINE)
        return sum(float(value) for found, value in samples if all(label in found for label in wanted))

    def stop(self) -> int:
        """Tell it to stop as Kubernetes does, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
        self._log.close()

    def _wait_for(self, event: str) -> dict[str, Any]:
        limit = time.monotonic() + _START_SECONDS
        while time.monotonic() < limit:
            for record in self.records():
                if record.get("event") == event:
                    return record
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        message = f"the server never wrote {event!r}; its log: {self.log()}"
        raise RuntimeError(message)


@contextmanager
def running_server(*flags: str, port: int = 0) -> Iterator[ServerProcess]:
    """Run a server for the length of a `with` block."""
    server = ServerProcess(*flags, port=port)
    try:
        yield server
    finally:
        server.kill()

"""The server that is put under load: started, stopped, killed, started again on its port, and read through its log."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tests.load.process_tree import Holdings, children, command_of, holdings

START_SECONDS = 180.0
STOP_SECONDS = 40.0
_POLL_SECONDS = 0.02
_COMMAND = Path(sys.executable).with_name("gradmill")
_TRACEBACK = "Traceback (most recent call last)"


class ServerUnderTest:
    """A server on one port through all its lives, each with a log of its own.

    Attributes:
        folder: where its logs and its object cache are.
        address: where it listens, as host:port; the port stays the same.
        metrics_address: where its metrics are, as host:port.
        exit_codes: how its lives ended.
    """

    def __init__(self, folder: Path, flags: Sequence[str] = (), environment: dict[str, str] | None = None) -> None:
        """Get ready; `start` starts it."""
        self.folder = folder
        self.address = ""
        self.metrics_address = ""
        self.exit_codes: list[int] = []
        self._flags = tuple(flags)
        self._environment = dict(os.environ) | (environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._logs: list[Path] = []
        self._log_file: IO[bytes] | None = None
        self._has_workers = False

    @property
    def pid(self) -> int:
        """The id of the process that was started; 0 when none runs."""
        return 0 if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def workers(self) -> list[int]:
        """Return the ids of the processes that answer calls, which may all be dead: its workers, or itself alone."""
        found = [child for child in children(self.pid) if "resource_tracker" not in command_of(child)]
        self._has_workers = self._has_workers or bool(found)
        return found if self._has_workers else [self.pid]

    def holdings(self) -> Holdings:
        """Return what it and its workers hold."""
        return holdings(self.pid) if self.is_running else Holdings()

    async def start(self) -> None:
        """Start it, on the port that it had before, and wait until it says that it is ready.

        Raises:
            RuntimeError: it ended, or did not get ready in time.
        """
        port = self.address.rpartition(":")[2] or "0"
        log = self.folder / f"server-{len(self._logs) + 1}.log"
        self._logs.append(log)
        self._log_file = log.open("wb")
        command = [str(_COMMAND), "serve", "--port", port, "--metrics-port", "0", *self._flags]
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it only forks and executes
            command, stdout=self._log_file, stderr=subprocess.STDOUT, env=self._environment
        )
        start = await self._wait_for(log, "start")
        await self._wait_for(log, "ready")
        self.address = start["address"]
        self.metrics_address = start["metrics_address"]

    async def _wait_for(self, log: Path, event: str) -> dict[str, Any]:
        limit = time.monotonic() + START_SECONDS
        while time.monotonic() < limit:
            for record in _records(log):
                if record.get("event") == event:
                    return record
            if not self.is_running:
                break
            await asyncio.sleep(_POLL_SECONDS)
        message = f"the server never wrote {event!r}; its log: {_text(log)[-4_000:]}"
        raise RuntimeError(message)

    async def stop(self) -> int:
        """Tell it to stop as Kubernetes does, wait, and return its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return await self._ended()

    async def kill(self) -> None:
        """End it and all its workers at once, if they still run."""
        if self._process is None:
            return
        for pid in (self.pid, *(worker for worker in self.workers() if worker != self.pid)):
            send_signal(pid, signal.SIGKILL)
        await self._ended()

    async def restart_if_dead(self) -> bool:
        """Start it again when it does not live; return whether that was so."""
        if self.is_running:
            return False
        await self._ended()
        await self.start()
        return True

    async def _ended(self) -> int:
        if self._process is None:
            return 0
        code = await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        self.exit_codes.append(code)
        self._process = None
        if self._log_file is not None:
            self._log_file.close()
        return code

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records of all its logs."""
        for log in self._logs:
            yield from _records(log)

    def complaints(self) -> list[str]:
        """Return what no log of a server may hold: tracebacks and internal errors, the first hundred of them."""
        found: list[str] = []
        for log in self._logs:
            wrong = (line for line in _text(log).splitlines() if _TRACEBACK in line or '"internal_error"' in line)
            found += [f"{log.name}: {line[:300]}" for line in wrong]
        return found[:100]

    def metrics(self) -> dict[str, float]:
        """Return all samples of its metrics by name, those that differ in labels added up."""
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples: dict[str, float] = {}
        for name, labels, value in re.findall(r"^(\w+)(\{.*?\})? (\S+)$", text, re.MULTILINE):
            samples[name] = samples.get(name, 0.0) + float(value)
            if labels:
                samples[name + labels] = samples.get(name + labels, 0.0) + float(value)
        return samples


def send_signal(pid: int, number: signal.Signals) -> bool:
    """Send a signal; return whether there was still a process to send it to."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


def _records(log: Path) -> Iterator[dict[str, Any]]:
    for line in _text(log).splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except json.JSONDecodeError:  # the last line may not be whole yet
                return

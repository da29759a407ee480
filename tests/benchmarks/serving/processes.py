"""Processes that a benchmark starts, asks, watches and ends. All are started by exec, none by fork."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import REPOSITORY

START_LIMIT_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ProcessFailedError(Exception):
    """A process did not answer, or answered that it could not do what it was asked."""


class Background:
    """A process that was started by exec, in a group of its own so that what it starts ends with it."""

    def __init__(
        self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None, *, speaks: bool = False
    ) -> None:
        """Start it.

        Args:
            command: the program and its arguments.
            environment: variables besides those of this process.
            speaks: whether its standard input and output are kept for talking to it; otherwise it is silent.
        """
        self.name = " ".join(map(str, command[1:]))
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if speaks else subprocess.DEVNULL,
            stderr=None if speaks else subprocess.DEVNULL,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )

    @property
    def process_id(self) -> int:
        """Its number."""
        return self._process.pid

    def wait_for_port(self, port: int) -> None:
        """Wait until something listens on a port of this machine.

        Raises:
            ProcessFailedError: it ended, or nothing listens in time.
        """
        limit = time.monotonic() + START_LIMIT_S
        while time.monotonic() < limit and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            time.sleep(0.05)
        message = f"{self.name}: does not listen on port {port}; status {self._process.poll()}"
        raise ProcessFailedError(message)

    def stop(self) -> None:
        """End it, and what it started."""
        for number, patience_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class Companion(Background):
    """A process that speaks JSON, as `conversation` does.

    Attributes:
        hello: the first object that it wrote.
    """

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Start it and wait for its first word.

        Raises:
            ProcessFailedError: it ended before it said anything, or is silent.
        """
        super().__init__(command, environment, speaks=True)
        self.hello = self._read(START_LIMIT_S)

    def ask(self, limit_s: float, **request: object) -> dict[str, Any]:
        """Return its answer to a request.

        Raises:
            ProcessFailedError: there is none in time, or it is a complaint.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        answer = self._read(limit_s)
        if "problem" in answer:
            raise ProcessFailedError(answer["problem"])
        return answer

    def _read(self, limit_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], limit_s)[0]:
            message = f"{self.name}: no answer in {limit_s:.0f} s"
            raise ProcessFailedError(message)
        for line in self._process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        message = f"{self.name}: ended without an answer, status {self._process.wait()}"
        raise ProcessFailedError(message)


def free_port() -> int:
    """Return a port of this machine on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def family(process_id: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for number, values in _statuses():
        parents.setdefault(int(values[1]), []).append(number)
    found = [process_id]
    for number in found:
        found.extend(parents.get(number, ()))
    return found


def cpu_seconds(process_id: int) -> float:
    """Return the processor seconds that a process and its descendants have used."""
    members = set(family(process_id))
    return sum(int(values[11]) + int(values[12]) for number, values in _statuses() if number in members) / _TICKS


def resident_bytes(process_ids: Iterable[int]) -> int:
    """Return the resident memory of some processes, now; one that has ended has none."""
    total = 0
    for number in process_ids:
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{number}/statm").read_text(encoding="utf-8").split()[1])
    return total * _PAGE_BYTES


def _statuses() -> Iterator[tuple[int, list[str]]]:
    """Yield each process's number and the fields of its status, from the state on."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                text = (path / "stat").read_text(encoding="utf-8", errors="replace")
                yield int(path.name), text.rpartition(")")[2].split()

"""Gradients a second beside other services, each with the same function and asked through its own client library."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests import REPOSITORY
from tests.benchmarks.acceptance import NOT_MEASURED, Line
from tests.benchmarks.serving import two_inputs
from tests.benchmarks.serving.processes import Companion, free_port
from tests.benchmarks.serving.programs import Programs, ask, programs
from tests.benchmarks.serving.rounds import Findings, Found, Measure, Place, interleave, ratio
from tests.benchmarks.serving.sizes import Sizes
from tests.benchmarks.serving.window import Window

OURS = "gradmill"
TIMES_REQUIRED = 3.0
_PEERS = Path(__file__).with_name("peers")
_REQUIREMENTS = _PEERS / "requirements.txt"
_CORES = len(os.sched_getaffinity(0))


class Way(NamedTuple):
    """How callers run: "threads" or "tasks", spread over so many processes."""

    kind: str
    processes: int

    def __str__(self) -> str:
        """Say both."""
        return self.kind if self.processes == 1 else f"{self.kind} in {self.processes} processes"


def _ways(kind: str) -> tuple[Way, ...]:
    return tuple(Way(kind, processes) for processes in dict.fromkeys((1, _CORES)))


class Running(NamedTuple):
    """A service that runs: its processes, and what starts a process of its callers."""

    servers: tuple[int, ...]
    start_caller: Callable[[], Companion]


class Service(NamedTuple):
    """A service by name, how it is started, and the ways in which it is called."""

    name: str
    start: Callable[[Programs, Path], Running]
    ways: tuple[Way, ...]


def default_folder() -> Path:
    """Return where the peers are installed unless another folder is named: one for each set of versions."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "gradmill-benchmark" / f"peers-{hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]}"


def install(folder: Path) -> Path:
    """Return the interpreter that has the peers; install them into the folder if it is not there.

    Raises:
        subprocess.CalledProcessError: they cannot be installed.
    """
    interpreter, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        sys.stderr.write(f"installing the peers into {folder}\n")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", "--requirement", _REQUIREMENTS], check=True)
        done.touch()
    return interpreter


def _umbridge(started: Programs, interpreter: Path) -> Running:
    port = free_port()
    server = started.peer(interpreter, "umbridge_peer", "serve", str(port), port=port)
    return Running((server,), lambda: started.peer_caller(interpreter, "umbridge_peer", "call", str(port)))


def _federated(started: Programs, interpreter: Path) -> Running:
    ports = [free_port() for _ in range(_CORES)]
    servers = [started.peer(interpreter, "federated_peer", "serve", str(port), port=port) for port in ports]
    arguments = ("federated_peer", "call", *map(str, ports))
    return Running(tuple(servers), lambda: started.peer_caller(interpreter, *arguments))


def _tesseract(started: Programs, interpreter: Path) -> Running:
    port = free_port()
    environment = {
        "PYTHONPATH": str(REPOSITORY),
        "TESSERACT_API_PATH": str(_PEERS / "tesseract_peer.py"),
        "TESSERACT_OUTPUT_PATH": started.folder(),  # it keeps a folder with logs for each call
    }
    command: list[str | Path] = [interpreter.with_name("tesseract-runtime"), "serve", "--port", str(port)]
    server = started.background([*command, "--num-workers", str(_CORES)], environment, port)
    return Running((server,), lambda: started.peer_caller(interpreter, "tesseract_peer", str(port)))


def _ours(started: Programs, _: Path) -> Running:
    server = started.ours()
    arguments = (server.address, two_inputs.FORMULA, *map(str, two_inputs.POINT))
    return Running((server.process_id,), lambda: started.program("sdk_caller", *arguments))


SERVICES = (
    Service(OURS, _ours, (Way("threads", 1), Way("tasks", 1))),
    Service("UM-Bridge", _umbridge, _ways("threads")),
    Service("pytensor-federated", _federated, _ways("tasks")),
    Service("Tesseract", _tesseract, _ways("threads")),
)


def measure_peers(sizes: Sizes, folder: Path) -> Findings:
    """Measure every service with every number of callers in every way; install the peers first if need be."""
    interpreter = install(folder)
    with programs() as started:
        measures = []
        for service in SERVICES:
            running = service.start(started, interpreter)
            callers = [running.start_caller() for _ in range(max(way.processes for way in service.ways))]
            measures += [
                Measure(_place(service, way, number), partial(_call, callers, way, number, sizes), running.servers)
                for number in sizes.callers
                for way in service.ways
                if way.processes <= number
            ]
        return interleave(measures, sizes.rounds, "peers")


def _place(service: Service, way: Way, callers: int) -> Place:
    return Place(f"{service.name}, {way}", f"{callers} caller{'s' if callers > 1 else ''}")


def _call(processes: Sequence[Companion], way: Way, callers: int, sizes: Sizes) -> Window:
    """Ask as many processes as the way says at the same time, each with its share of the callers."""
    asked = processes[: way.processes]
    share = callers // len(asked)
    ask_one = partial(ask, way=way.kind, callers=share, seconds=sizes.window_s)
    if len(asked) == 1:
        return ask_one(asked[0])
    with ThreadPoolExecutor(len(asked)) as at_once:
        windows = list(at_once.map(ask_one, asked))
    return Window(
        sum(window.calls for window in windows),
        max(window.seconds for window in windows),
        client_cpu_s=sum(window.client_cpu_s for window in windows),
        all_calls=sum(window.all_calls for window in windows),
    )


def requirements(found: Findings, callers: Sequence[int]) -> list[Line]:
    """Return how far ahead of each peer we have to be, with its verdict; each is taken in its fastest way."""
    ours, *peers = SERVICES
    return [_ahead(found, ours, peer, number) for peer in peers for number in callers]


def _ahead(found: Findings, ours: Service, peer: Service, callers: int) -> Line:
    claim = f"{callers} caller{'s' if callers > 1 else ''}: gradients a second by those of {peer.name}"
    required = f">= {TIMES_REQUIRED:g}"
    own, other = (_fastest(found, service, callers) for service in (ours, peer))
    if own is None or other is None:
        return Line(claim, required, NOT_MEASURED, None)
    times = ratio(own[1].rates, other[1].rates)
    if times is None:
        return Line(claim, required, own[1].reason or other[1].reason or NOT_MEASURED, None)
    return Line(claim, required, f"{times:.2f} ({own[0]} by {other[0]})", times >= TIMES_REQUIRED)


def _fastest(found: Findings, service: Service, callers: int) -> tuple[Way, Found] | None:
    ways = ((way, found.get(_place(service, way, callers))) for way in service.ways)
    measured = [(way, entry) for way, entry in ways if entry is not None]
    return max(measured, key=lambda pair: pair[1].rate or 0.0, default=None)

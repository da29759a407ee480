"""One big batch through the SDK beside an echo's stream of the same bytes, and the memory it takes on the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.acceptance import NOT_MEASURED, Line
from tests.benchmarks.serving.batch_caller import ANSWER_BYTES, ECHO_TASKS, ECHO_THREADS, INPUTS, POINT_BYTES, SDK
from tests.benchmarks.serving.processes import family, resident_bytes
from tests.benchmarks.serving.programs import Server, ask, programs
from tests.benchmarks.serving.rounds import Findings, Measure, Place, interleave, ratio
from tests.benchmarks.serving.sizes import Sizes
from tests.benchmarks.serving.window import Window

TIMES_REQUIRED = 0.7
GROWTH_ALLOWED_BYTES = 64e6
BOTH_WAYS_BYTES = POINT_BYTES + ANSWER_BYTES
_SAMPLING_S = 0.005
_LIMIT_S = 600.0
_SETTLED_S, _SETTLING_LIMIT_S = 1.0, 60.0


@dataclass(slots=True)
class Batch:
    """What was found.

    Attributes:
        points: points of the batch.
        findings: the rounds; their rates are points a second.
        growth_bytes: by how much the server's memory exceeded, at its highest, what it was before the round.
    """

    points: int
    findings: Findings
    growth_bytes: list[int]


def column(points: int) -> str:
    """Return the heading under which a batch is shown."""
    return f"{points:,} x {INPUTS}"


def measure_batch(sizes: Sizes) -> Batch:
    """Measure the batch in each way, and the memory of our server while it answers."""
    points, growth = sizes.batch_points, list[int]()
    with programs() as started:
        caller, ours, echo = started.program("batch_caller"), started.ours(), started.echo()

        _settle(ours.process_id)

        def run(way: str, server: Server) -> Window:
            with _growth_of(server.process_id) as grown:
                window = ask(caller, way=way, address=server.address, points=points, seconds=_LIMIT_S)
            if way == SDK:
                growth.append(max(grown))
            return window

        measures = [
            Measure(Place(way, column(points)), partial(run, way, server), (server.process_id,))
            for way, server in ((SDK, ours), (ECHO_THREADS, echo), (ECHO_TASKS, echo))
        ]
        return Batch(points, interleave(measures, sizes.batch_rounds, "batch"), growth)


def _settle(process_id: int) -> None:
    """Wait until a server's memory stays what it is: the processes it keeps ready may still be loading."""
    limit, before = time.monotonic() + _SETTLING_LIMIT_S, -1
    while time.monotonic() < limit and (now := resident_bytes(family(process_id))) != before:
        before = now
        time.sleep(_SETTLED_S)


@contextmanager
def _growth_of(process_id: int) -> Iterator[list[int]]:
    """Give a list that is filled, while the block runs, with how much more memory a process has than at the start."""
    members = family(process_id)
    before = resident_bytes(members)
    grown, over = [0], threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLING_S):
            grown.append(resident_bytes(members) - before)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield grown
    finally:
        over.set()
        sampler.join()


def requirements(batch: Batch) -> list[Line]:
    """Return what is required of the batch, with its verdict."""
    claim = f"{column(batch.points)} through the SDK: bytes a second by those of the faster echo"
    echoes = [batch.findings[Place(way, column(batch.points))] for way in (ECHO_THREADS, ECHO_TASKS)]
    echo = max(echoes, key=lambda found: found.rate or 0.0)
    ours = batch.findings[Place(SDK, column(batch.points))]
    times = ratio(ours.rates, echo.rates)
    required = f">= {TIMES_REQUIRED:g}"
    if times is None:
        speed = Line(claim, required, ours.reason or echo.reason or NOT_MEASURED, None)
    else:
        speed = Line(claim, required, f"{times:.2f}", times >= TIMES_REQUIRED)
    return [speed, _growth(batch)]


def _growth(batch: Batch) -> Line:
    claim = f"{column(batch.points)}: the server's memory at its highest beyond that before, MB"
    required = f"< {GROWTH_ALLOWED_BYTES / 1e6:g}"
    if not batch.growth_bytes:
        return Line(claim, required, NOT_MEASURED, None)
    most = max(batch.growth_bytes)
    return Line(claim, required, f"{most / 1e6:.1f}", most < GROWTH_ALLOWED_BYTES)

"""Small calls beside a bare echo on the same transport: calls, streams, the SDK, and how long calls wait.

Nobody computes less than an echo, so what it reaches is what grpcio allows.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from tests.benchmarks.acceptance import NOT_MEASURED, Line
from tests.benchmarks.serving import echo_server, requests
from tests.benchmarks.serving.programs import Programs, Server, ask, programs
from tests.benchmarks.serving.rounds import Findings, Measure, Place, interleave, ratio
from tests.benchmarks.serving.sizes import Sizes
from tests.benchmarks.serving.window import Window

ECHO, ECHO_UVLOOP, OURS = "echo", "echo, uvloop", "gradmill"
SDK_THREADS, SDK_TASKS = "SDK, threads", "SDK, asyncio"
CALLS, HALF_LOAD = "1 call", "half load"
UNARY_REQUIRED, STREAM_REQUIRED, SDK_REQUIRED, WAIT_ALLOWED = 0.9, 2.5, 5.0, 3.0
_SDK_CALLERS = 64


class Shape(NamedTuple):
    """So many streams with so many messages under way on each; none for calls of their own."""

    streams: int
    in_flight: int

    @property
    def column(self) -> str:
        """How the table says it."""
        if not self.streams:
            return f"calls, {self.in_flight}"
        return f"{self.streams} stream{'s' if self.streams > 1 else ''}, {self.in_flight * self.streams}"

    @property
    def same_in_calls(self) -> Shape:
        """As many messages under way, each in a call of its own."""
        return Shape(0, self.in_flight * max(1, self.streams))


UNARY = (Shape(0, 1), Shape(0, 8), Shape(0, 64))
STREAMS = (Shape(1, 8), Shape(1, 64), Shape(8, 8))
_SDK_SHAPE = Shape(0, _SDK_CALLERS)


class _Target(NamedTuple):
    """A server that is asked, what it is asked, and what its answers contain."""

    server: Server
    calls: Mapping[str, object]
    streams: Mapping[str, object]


def measure_echo(sizes: Sizes) -> Findings:
    """Measure everything; the waiting at half load last, as the loads depend on what was found before."""
    with programs() as started:
        generator = started.program("generator")
        ours = started.ours(*sizes.one_process)
        targets = _targets(started, ours)
        sdk = started.program("sdk_caller", ours.address, requests.FORMULA, *map(str, requests.POINT))

        def load(target: _Target, shape: Shape) -> Window:
            what = target.streams if shape.streams else target.calls
            return ask(
                generator, **what, in_flight=shape.in_flight, streams=shape.streams, seconds=sizes.window_s
            )  # fmt: skip

        def callers(way: str) -> Window:
            return ask(sdk, way=way, callers=_SDK_CALLERS, seconds=sizes.window_s)

        measures = [
            Measure(Place(row, shape.column), partial(load, target, shape), (target.server.process_id,))
            for shape in (*UNARY, *STREAMS)
            for row, target in targets.items()
        ]
        measures += [
            Measure(Place(row, _SDK_SHAPE.column), partial(callers, way), (ours.process_id,))
            for row, way in ((SDK_THREADS, "threads"), (SDK_TASKS, "tasks"))
        ]
        found = dict(interleave(measures, sizes.rounds, "echo"))

        def half(target: _Target, rate: float) -> Window:
            return ask(generator, **target.calls, rate=rate, seconds=sizes.waiting_s)

        waiting = [
            Measure(Place(row, HALF_LOAD), partial(half, target, rate / 2), (target.server.process_id,))
            for row, target in targets.items()
            if (rate := found[Place(row, _SDK_SHAPE.column)].rate)
        ]
        return found | dict(interleave(waiting, sizes.waiting_rounds, "half load")) if waiting else found


def _targets(started: Programs, ours: Server) -> dict[str, _Target]:
    prepared = requests.prepare(ours.address)
    targets = {}
    for row, arguments in ((ECHO, ()), (ECHO_UVLOOP, ("uvloop",))):
        if arguments and importlib.util.find_spec("uvloop") is None:
            continue
        echo = started.echo(*arguments)
        targets[row] = _Target(
            echo,
            _request(echo, echo_server.UNARY, prepared.unary, prepared.unary),
            _request(echo, echo_server.STREAM, prepared.streamed, prepared.streamed),
        )
    targets[OURS] = _Target(
        ours,
        _request(ours, requests.METHOD, prepared.unary, prepared.expected),
        _request(ours, requests.STREAM, prepared.streamed, prepared.expected),
    )
    return targets


def _request(server: Server, path: str, body: bytes, expected: bytes) -> Mapping[str, object]:
    return {
        "port": server.port,
        "path": path,
        "body": body.hex(),
        "expected": expected.hex(),
    }


def requirements(found: Findings) -> list[Line]:
    """Return what is required beside the echo, with its verdict."""
    lines = [_rate(found, OURS, shape, UNARY_REQUIRED) for shape in UNARY]
    lines += [_rate(found, OURS, shape, STREAM_REQUIRED) for shape in STREAMS]
    lines += [_rate(found, row, _SDK_SHAPE, SDK_REQUIRED) for row in (SDK_THREADS, SDK_TASKS)]
    return [*lines, _waiting(found)]


def _rate(found: Findings, row: str, shape: Shape, required: float) -> Line:
    """Compare a rate with that of the echo's calls, as many of them under way."""
    claim = f"{row}, {shape.column}: requests a second by the echo's {shape.same_in_calls.column}"
    ours, theirs = found.get(Place(row, shape.column)), found.get(Place(ECHO, shape.same_in_calls.column))
    times = ratio(ours.rates, theirs.rates) if ours and theirs else None
    if times is None:
        return Line(claim, f">= {required:g}", (ours.reason if ours else "") or NOT_MEASURED, None)
    return Line(claim, f">= {required:g}", f"{times:.2f}", times >= required)


def _waiting(found: Findings) -> Line:
    claim, required = "p99 of calls at half of each one's capacity, by the echo's", f"<= {WAIT_ALLOWED:g}"
    ours, theirs = (_waits(found, row) for row in (OURS, ECHO))
    times = ratio(ours, theirs)
    if times is None:
        reasons = (entry.reason for row in (OURS, ECHO) if (entry := found.get(Place(row, HALF_LOAD))))
        return Line(claim, required, next(filter(None, reasons), NOT_MEASURED), None)
    shown = f"{times:.2f} ({_milliseconds(ours)} by {_milliseconds(theirs)} ms)"
    return Line(claim, required, shown, times <= WAIT_ALLOWED)


def _waits(found: Findings, row: str) -> list[float]:
    entry = found.get(Place(row, HALF_LOAD))
    return [window.p99_s for window in entry.windows] if entry else []


def _milliseconds(waits: Sequence[float]) -> str:
    return f"{1e3 * statistics.median(waits):.1f}"

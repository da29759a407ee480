"""A process that sends traffic: started anew, never forked, steered and heard over a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import signal
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Protocol

from tests.load.raw_traffic import RawPlan, RawTraffic
from tests.load.recording import Recorder, Tally
from tests.load.sdk_traffic import SdkPlan, SdkTraffic
from tests.load.storms import STORMS

_REPORT_SECONDS = 0.5
Plan = RawPlan | SdkPlan


class Traffic(Protocol):
    """What a process runs."""

    async def run(self) -> None:
        """Send until told to stop, and wait for the answers."""

    def stop(self) -> None:
        """Begin nothing more."""

    async def close(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True)
class StormOrder:
    """Asks a process of raw traffic for a storm; answered by its number once all of it has ended."""

    number: int
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class StormOver:
    """A storm has ended."""

    number: int


@dataclass(frozen=True, slots=True)
class Farewell:
    """All that a process had under way has ended, but for what is listed.

    Attributes:
        begun: the requests it sent.
        lost: the scenarios of those that never ended, by number.
    """

    begun: int
    lost: dict[int, str] = field(default_factory=dict)


def main(plan: Plan, pipe: Connection) -> None:
    """Send what a plan says until the pipe says stop, or closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides when to stop
    asyncio.run(_main(plan, pipe))


async def _main(plan: Plan, pipe: Connection) -> None:
    recorder = Recorder()
    traffic: RawTraffic | SdkTraffic
    traffic = RawTraffic(plan, recorder) if isinstance(plan, RawPlan) else SdkTraffic(plan, recorder)
    storms: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    def hear() -> None:
        try:
            order = pipe.recv()
        except EOFError:
            order = None
        if isinstance(order, StormOrder) and isinstance(traffic, RawTraffic):
            storm = loop.create_task(_storm(traffic, order, pipe))
            storms.add(storm)
            storm.add_done_callback(storms.discard)
        else:
            loop.remove_reader(pipe.fileno())
            traffic.stop()

    loop.add_reader(pipe.fileno(), hear)
    reporting = loop.create_task(_report(recorder, pipe))
    await traffic.run()
    await asyncio.gather(*storms)
    reporting.cancel()
    await asyncio.gather(reporting, return_exceptions=True)
    _send(pipe, recorder.taken())
    _send(pipe, Farewell(recorder.ledger.begun, dict(recorder.ledger.open)))
    await traffic.close()


async def _storm(traffic: RawTraffic, order: StormOrder, pipe: Connection) -> None:
    await STORMS[order.name](traffic, order.size)
    _send(pipe, StormOver(order.number))


async def _report(recorder: Recorder, pipe: Connection) -> None:
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        _send(pipe, recorder.taken())


def _send(pipe: Connection, message: Tally | StormOver | Farewell) -> None:
    with contextlib.suppress(BrokenPipeError):  # the main process has gone; it will not miss this
        pipe.send(message)


class TrafficProcess:
    """A sending process as the main one sees it. Used on an event loop.

    Attributes:
        plan: what it sends.
        tally: all it has reported and nobody has taken yet.
        farewell: what it said when it ended; None before, or when it was killed.
    """

    def __init__(self, plan: Plan) -> None:
        """Start it."""
        context = multiprocessing.get_context("spawn")
        self.plan = plan
        self.tally = Tally()
        self.farewell: Farewell | None = None
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(plan, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._storms: dict[int, asyncio.Event] = {}
        self._numbers = itertools.count()
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._hear)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid or 0

    def _hear(self) -> None:
        try:
            message = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._leave()
            return
        if isinstance(message, Tally):
            self.tally.add(message)
        elif isinstance(message, StormOver):
            self._storms.pop(message.number).set()
        elif isinstance(message, Farewell):
            self.farewell = message
            self._leave()

    def _leave(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self._ended.set()
        for storm in self._storms.values():
            storm.set()

    async def storm(self, name: str, size: int) -> None:
        """Let it send a storm, and wait until all of that has ended."""
        order = StormOrder(next(self._numbers), name, size)
        over = self._storms[order.number] = asyncio.Event()
        self._pipe.send(order)
        await over.wait()

    async def finish(self, patience_seconds: float) -> None:
        """Tell it to stop, and wait for its farewell; kill it when none comes in time."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe.send(None)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), patience_seconds)
        await asyncio.to_thread(self._process.join, 2.0)
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

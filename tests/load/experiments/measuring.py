"""What all experiments share: a server, load by the lightest caller, and figures beside their aims."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from google.rpc import code_pb2

from tests.load.answers import fingerprint
from tests.load.calling import SERVICE
from tests.load.http2_calls import Answer, Http2Connection
from tests.load.server_under_test import ServerUnderTest
from tests.load.surroundings import OBJECT_CACHE, prepared_cache

EVALUATE = f"/{SERVICE}/Evaluate"
_LONGEST_SLEEP_SECONDS = 0.002
_CONNECTIONS = 8
_OK = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """One result of an experiment.

    Attributes:
        what: what was measured.
        got: the result, in words.
        aim: what it should be; empty where nothing is asked.
        met: whether it is; None where nothing is asked.
    """

    what: str
    got: str
    aim: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Where an experiment takes place.

    Attributes:
        folder: an empty folder.
        flags: further flags for the server.
        seed: makes all random choices.
        scale: the length of measurements, 1 for what the figures are asked with.
        compute_milliseconds: what a call of overload and isolation keeps a worker busy for.
        tell: shows a line of progress.
    """

    folder: Path
    flags: Sequence[str]
    seed: int
    scale: float
    compute_milliseconds: float
    tell: Callable[[str], None]

    @asynccontextmanager
    async def server(self, *flags: str) -> AsyncIterator[ServerUnderTest]:
        """Run a server for the length of a block."""
        environment = {OBJECT_CACHE: str(prepared_cache(self.folder))}
        server = ServerUnderTest(self.folder, (*flags, *self.flags), environment)
        try:
            await server.start()
            yield server
        finally:
            await server.kill()


@dataclass(frozen=True, slots=True)
class Question:
    """A call whose right answer is known.

    Attributes:
        body: the serialized request.
        right_answer: the fingerprint of its answer.
    """

    body: bytes
    right_answer: bytes

    def is_answered(self, answer: Answer) -> bool:
        """Return whether an answer is right. Raises ValueError for one that is OK and wrong."""
        if answer.code != _OK:
            return False
        if fingerprint("Evaluate", answer.body) != self.right_answer:
            message = "an OK answer with other bits than before"
            raise ValueError(message)
        return True


@dataclass(slots=True)
class Load:
    """What became of some load.

    Attributes:
        seconds: for how long calls were begun.
        begun: how many.
        codes: how they ended, by the name of the code; LATE for those that had no answer at their deadline.
        latencies: the seconds of each right answer, and when it came, by the monotonic clock.
        wrong: OK answers that were wrong.
    """

    seconds: float = 0.0
    begun: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    wrong: int = 0

    @property
    def good_rate(self) -> float:
        """Right answers within the deadline, in a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float, since: float = 0.0, until: float = float("inf")) -> float:
        """Return a percentile of the seconds of right answers that came in a stretch of time; NaN for none."""
        inside = [seconds for ended, seconds in self.latencies if since <= ended < until]
        return float(np.percentile(inside, percent)) if inside else float("nan")


class Caller:
    """Calls one question over a few connections of its own, which a server sees as so many callers, or one by token."""

    def __init__(
        self, connections: Sequence[Http2Connection], question: Question, milliseconds: int, token: str
    ) -> None:
        """Use `caller` to make one."""
        self._connections = connections
        self._question = question
        self._milliseconds = milliseconds
        self._token = token
        self._next = 0

    def ask(self, load: Load, ended: Callable[[], None] | None = None) -> None:
        """Begin one call and enter its ending into a load."""
        connection = self._connections[self._next % len(self._connections)]
        self._next += 1
        load.begun += 1
        began = time.monotonic()

        def late() -> None:
            connection.give_up(stream)
            load.codes["LATE"] += 1
            if ended is not None:
                ended()

        timer = asyncio.get_running_loop().call_later(self._milliseconds / 1e3, late)

        def done(answer: Answer) -> None:
            timer.cancel()
            self._enter(load, answer, began)
            if ended is not None:
                ended()

        stream = connection.call(EVALUATE, self._question.body, self._milliseconds, done, token=self._token)

    def _enter(self, load: Load, answer: Answer, began: float) -> None:
        now = time.monotonic()
        load.codes[str(code_pb2.Code.Name(answer.code))] += 1
        try:
            if self._question.is_answered(answer):
                load.latencies.append((now, now - began))
        except ValueError:
            load.wrong += 1

    async def at_rate(self, rate: float, seconds: float, seed: int) -> Load:
        """Begin calls at a rate, whether or not they are answered; wait until all have ended."""
        load, chance = Load(seconds), random.Random(seed)
        began = due = time.monotonic()
        while due < began + seconds:
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(max(pause, _LONGEST_SLEEP_SECONDS))
            while due <= time.monotonic():
                self.ask(load)
                due += chance.expovariate(rate)
        await _all_ended(load)
        return load

    async def in_turn(self, callers: int, seconds: float) -> Load:
        """Let some callers ask again as soon as they are answered."""
        load, until = Load(seconds), time.monotonic() + seconds
        loop = asyncio.get_running_loop()

        def again() -> None:
            if time.monotonic() < until:
                loop.call_soon(self.ask, load, again)

        for _ in range(callers):
            self.ask(load, again)
        await asyncio.sleep(seconds)
        await _all_ended(load)
        return load


async def _all_ended(load: Load) -> None:
    """Wait until every call has ended, which it does at its deadline at the latest."""
    while load.begun > sum(load.codes.values()):  # noqa: ASYNC110 - an event would cost every call something
        await asyncio.sleep(0.01)


@asynccontextmanager
async def caller(
    server: ServerUnderTest, question: Question, milliseconds: int, *, connections: int = _CONNECTIONS, token: str = ""
) -> AsyncIterator[Caller]:
    """Give a caller with connections of its own and a deadline for each call."""
    opened = [await Http2Connection.connect(server.address) for _ in range(connections)]
    try:
        yield Caller(opened, question, milliseconds, token)
    finally:
        for connection in opened:
            connection.close()


async def asked(server: ServerUnderTest, body: bytes, *, milliseconds: int = 60_000, token: str = "") -> bytes:
    """Return the answer to one request. Raises ConnectionError when it is not OK."""
    connection = await Http2Connection.connect(server.address)
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    connection.call(EVALUATE, body, milliseconds, answered.set_result, token=token)
    answer = await answered
    connection.close()
    if answer.code != _OK:
        message = f"the server answered with code {answer.code}"
        raise ConnectionError(message)
    return answer.body

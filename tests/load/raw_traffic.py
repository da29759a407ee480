"""Mixed traffic of raw calls and streams at a given rate, whether or not the server keeps up: so overload is real."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from tests.load.answers import results_of
from tests.load.calling import Ending, RawClient
from tests.load.cases import Case, WrongRequest
from tests.load.judging import LATE
from tests.load.outcomes import OK, Outcome
from tests.load.recording import Recorder
from tests.load.stream_traffic import ARRIVAL, send_stream
from tests.load.workloads import fresh_workload

CALL_SECONDS = 20.0
"""The deadline of a call that has time: far beyond what any of them takes."""

MIX = {"case": 55, "stream": 6, "new function": 12, "wrong request": 12, "short deadline": 5, "cancelled": 7}
"""How often each kind of traffic is chosen, relative to the others. A stream carries several messages."""

_MOST_UNDER_WAY = 3_000
_DIGEST_UNKNOWN = "DIGEST_UNKNOWN"


@dataclass(frozen=True, slots=True)
class RawPlan:
    """What a process of raw traffic sends, and where.

    Attributes:
        name: the name of the source, for replays.
        seed: makes all its choices.
        address: the server, or a proxy before it.
        scope: the road, for what may be seen on it.
        rate: requests begun in a second, on average.
        cases: requests with their right answers.
        wrong: requests to be refused.
    """

    name: str
    seed: int
    address: str
    scope: str
    rate: float
    cases: tuple[Case, ...]
    wrong: tuple[WrongRequest, ...]


class RawTraffic:
    """Sends what a plan says until told to stop. The request of a number depends on the plan's seed alone."""

    def __init__(self, plan: RawPlan, recorder: Recorder) -> None:
        """Get ready; needs a running event loop."""
        self.plan = plan
        self.recorder = recorder
        self.client = RawClient(plan.address)
        self.evaluations = tuple(case for case in plan.cases if case.method == "Evaluate")
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._in_storms = itertools.count()
        self._senders: dict[str, Callable[[random.Random], Awaitable[None]]] = {
            "case": self._send_any_case,
            "stream": self._send_stream,
            "new function": self.send_new_function,
            "wrong request": self.send_wrong_request,
            "short deadline": self.send_with_short_deadline,
            "cancelled": self.send_and_cancel,
        }

    async def run(self) -> None:
        """Send at the plan's rate; gaps are exponential, so that arrivals are those of many independent callers."""
        gaps = random.Random(self.plan.seed)
        due = time.monotonic()
        for number in itertools.count():
            if self._stopping.is_set():
                break
            due += gaps.expovariate(self.plan.rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self._under_way) < _MOST_UNDER_WAY:
                self.start(self.send_any, number)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=2 * CALL_SECONDS)

    def stop(self) -> None:
        """Begin nothing more; `run` returns when what is under way has ended."""
        self._stopping.set()

    def start(self, send: Callable[[random.Random], Awaitable[None]], number: int = -1) -> asyncio.Task[None]:
        """Begin one request in a task of its own, with the random numbers of its number, or with those of no number."""
        kind = f"{self.plan.seed} {number}" if number >= 0 else f"storm {self.plan.seed} {next(self._in_storms)}"
        task = asyncio.ensure_future(_numbered(send, random.Random(kind), number))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def send_any(self, chance: random.Random) -> None:
        """Send something of the mix."""
        (kind,) = chance.choices(tuple(MIX), tuple(MIX.values()))
        await self._senders[kind](chance)

    async def _send_any_case(self, chance: random.Random) -> None:
        await self.send_case(chance, chance.choice(self.plan.cases))

    async def send_case(
        self,
        chance: random.Random,
        case: Case,
        *,
        scenario: str = "",
        seconds: float = CALL_SECONDS,
        cancel_after: float | None = None,
        also: frozenset[str] = frozenset(),
    ) -> Outcome:
        """Send a case, by digest three times out of four, and check its answer to the bit."""
        scenario = scenario or case.scenario
        number, began = self.recorder.begin(scenario), time.monotonic()
        body = case.short_body if chance.random() < 0.75 else case.body
        ending = await self.client.call(case.method, body, seconds, cancel_after=cancel_after)
        if ending.reason == _DIGEST_UNKNOWN and cancel_after is None:
            # A server may forget a function at any time; the contract says to send it again in full.
            left = max(0.001, seconds - (time.monotonic() - began))
            ending = await self.client.call(case.method, case.body, left)
        elif ending.reason == _DIGEST_UNKNOWN:
            also |= {ending.code}
        problem = case.disagrees(ending.body) or "" if ending.code == OK else ""
        return self.record(number, scenario, began, ending, problem=problem, also=also, seconds=seconds)

    async def _send_stream(self, chance: random.Random) -> None:
        await send_stream(self.client, self.recorder, self.plan, chance, self.evaluations)

    async def send_new_function(self, chance: random.Random) -> None:
        """Send a function that nobody has sent before, and check its answer against its closed form."""
        workload = fresh_workload(np.random.default_rng(chance.getrandbits(63)))
        number, began = self.recorder.begin(workload.scenario), time.monotonic()
        ending = await self.client.call("Evaluate", workload.request().SerializeToString(), CALL_SECONDS)
        problem = _disagrees(workload.disagrees, ending.body) if ending.code == OK else ""
        self.record(number, workload.scenario, began, ending, problem=problem)

    async def send_wrong_request(self, chance: random.Random) -> None:
        """Send a request that must be refused."""
        wrong = chance.choice(self.plan.wrong)
        number, began = self.recorder.begin("wrong request"), time.monotonic()
        ending = await self.client.call("Evaluate", wrong.body, CALL_SECONDS)
        self.record(number, "wrong request", began, ending, expected=(wrong.code, wrong.reason))

    async def send_with_short_deadline(self, chance: random.Random) -> None:
        """Send a case with a deadline of which nobody knows whether it can be met."""
        case, seconds = chance.choice(self.evaluations), chance.uniform(0.001, 0.006)
        await self.send_case(chance, case, scenario="short deadline", seconds=seconds, also=LATE)

    async def send_and_cancel(self, chance: random.Random) -> None:
        """Send a case and lose interest in it after some milliseconds."""
        case, seconds = chance.choice(self.evaluations), chance.uniform(0.0, 0.006)
        also = frozenset({"CANCELLED"})
        await self.send_case(chance, case, scenario="cancelled", cancel_after=seconds, also=also)

    def record(
        self,
        number: int,
        scenario: str,
        began: float,
        ending: Ending,
        *,
        problem: str = "",
        expected: tuple[str, str] = (OK, ""),
        also: frozenset[str] = frozenset(),
        seconds: float = CALL_SECONDS,
    ) -> Outcome:
        """Record how a request ended."""
        outcome = Outcome(
            self.plan.name,
            number,
            scenario,
            self.plan.scope,
            began,
            time.monotonic(),
            ending.code,
            ending.reason,
            ending.message[:200],
            ending.told_when,
            *expected,
            also,
            seconds,
            problem,
            ARRIVAL.get(),
        )
        self.recorder.record(outcome)
        return outcome

    async def close(self) -> None:
        """Close the connection."""
        await self.client.close()


def _disagrees(check: Callable[..., str | None], body: bytes) -> str:
    try:
        return check(results_of(body)) or ""
    except ValueError as error:
        return f"unreadable answer: {error}"


async def _numbered(send: Callable[[random.Random], Awaitable[None]], chance: random.Random, number: int) -> None:
    ARRIVAL.set(number)
    await send(chance)

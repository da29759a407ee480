"""Traffic through the project's own client, which tries again: whatever happens to the server, it must lose nothing."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from dataclasses import dataclass, field

import gradmill as gm
import numpy as np
import numpy.typing as npt

from tests.load.outcomes import OK, Outcome
from tests.load.recording import Recorder

Array = npt.NDArray[np.float64]
CALL_SECONDS = 60.0
_ASYNC_CALLERS = 4


@dataclass(frozen=True, slots=True)
class SdkCase:
    """A call of the client with its right answer.

    Attributes:
        scenario: what kind of traffic it is, for the report.
        text: the formula.
        shapes: the inputs and their shapes; empty for scalars by name.
        points: the matrix of points.
        expected: the right value and gradient, to the bit.
    """

    scenario: str
    text: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    points: Array
    expected: tuple[Array, ...] = ()

    def formula(self) -> gm.Formula:
        """Return the function."""
        return gm.formula(self.text, inputs=dict(self.shapes)) if self.shapes else gm.formula(self.text)

    def disagrees(self, values: Array, gradient: Array) -> str:
        """Return what is wrong with an answer, empty for nothing."""
        for name, got, right in zip(("values", "gradient"), (values, gradient), self.expected, strict=True):
            if got.shape != right.shape or got.tobytes() != right.tobytes():
                return f"{name}: other bits than those of the undisturbed server"
        return ""


@dataclass(frozen=True, slots=True)
class SdkPlan:
    """What a process of client traffic sends, and where; see `RawPlan`.

    Attributes:
        pause_seconds: between two calls of a caller.
        retries: how patient the clients are.
    """

    name: str
    seed: int
    address: str
    scope: str
    pause_seconds: float
    retries: gm.RetryPolicy
    cases: tuple[SdkCase, ...]


@dataclass(slots=True)
class SdkTraffic:
    """Calls by one thread of the blocking client and several tasks of the asyncio client, each one after the other."""

    plan: SdkPlan
    recorder: Recorder
    _stopping: threading.Event = field(default_factory=threading.Event)

    async def run(self) -> None:
        """Call until told to stop."""
        thread = asyncio.to_thread(self._call_blocking, random.Random(f"{self.plan.seed} blocking"))
        async with gm.connect_async(self.plan.address, timeout=CALL_SECONDS, retries=self.plan.retries) as client:
            callers = [self._call(client, random.Random(f"{self.plan.seed} {each}")) for each in range(_ASYNC_CALLERS)]
            await asyncio.gather(thread, *callers)

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()

    def _call_blocking(self, chance: random.Random) -> None:
        with gm.connect(self.plan.address, timeout=CALL_SECONDS, retries=self.plan.retries) as client:
            while not self._stopping.wait(chance.expovariate(1 / self.plan.pause_seconds)):
                case, number, began = self._begin(chance)
                result: gm.Result | gm.GradmillError
                try:
                    result = client.value_and_gradient(case.formula(), case.points, progress=False)
                except gm.GradmillError as error:
                    result = error
                self._end(case, number, began, result)

    async def _call(self, client: gm.AsyncClient, chance: random.Random) -> None:
        while not self._stopping.is_set():
            await asyncio.sleep(chance.expovariate(1 / self.plan.pause_seconds))
            case, number, began = self._begin(chance)
            result: gm.Result | gm.GradmillError
            try:
                result = await client.value_and_gradient(case.formula(), case.points, progress=False)
            except gm.GradmillError as error:
                result = error
            self._end(case, number, began, result)

    def _begin(self, chance: random.Random) -> tuple[SdkCase, int, float]:
        case = chance.choice(self.plan.cases)
        return case, self.recorder.begin(case.scenario), time.monotonic()

    def _end(self, case: SdkCase, number: int, began: float, result: gm.Result | gm.GradmillError) -> None:
        code, reason, message, problem = OK, "", "", ""
        if isinstance(result, gm.GradmillError):
            code, reason, message = result.status, result.reason, result.message[:200]
        else:
            problem = case.disagrees(np.asarray(result.values), np.asarray(result.gradient))
        outcome = Outcome(
            self.plan.name,
            number,
            case.scenario,
            self.plan.scope,
            began,
            time.monotonic(),
            code,
            reason,
            message,
            allowed_seconds=CALL_SECONDS,
            problem=problem,
        )
        self.recorder.record(outcome)

    async def close(self) -> None:
        """Nothing is left to close: the clients went with `run`."""

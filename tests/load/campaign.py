"""One run: a server at peace is asked for all right answers; then comes load, then fault after fault, then peace."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gradmill import RetryPolicy

from tests.load.canary import Canary
from tests.load.cases import wrong_requests
from tests.load.chaos_proxy import ChaosProxy
from tests.load.faults import Fault, FaultUnnoticedError, Scene, schedule
from tests.load.judging import DIRECT, PROXIED, RETRYING, Disturbance
from tests.load.process_tree import Holdings
from tests.load.raw_traffic import RawPlan
from tests.load.recording import Tally
from tests.load.replay import SOURCES
from tests.load.sdk_traffic import SdkPlan
from tests.load.server_under_test import ServerUnderTest
from tests.load.surroundings import OBJECT_CACHE, learned_cases, learned_sdk_cases, prepared_cache
from tests.load.traffic_process import TrafficProcess

_HEALTH_SECONDS = 120.0
_GRACE_SECONDS = 1.0
"""How long after the server is well again a caller may still hear of a fault: his connection is made anew by then."""

_AFTER_OUTAGE_SECONDS = 1.5
"""Between an outage of the whole server and the next fault: outages in a row are one long one to a client."""

_STOP_SECONDS = 90.0
_PROXIED_SHARE = 0.2
_PATIENT = RetryPolicy(maximum_attempts=40, budget=1_000)
"""Of a client that is told to outlast a server that starts anew, again and again, on a machine that is busy besides."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Profile:
    """How long and how hard a run is.

    Attributes:
        name: its name.
        undisturbed_seconds: load before the first fault.
        afterwards_seconds: load after the last.
        faults: how many faults are inflicted.
        most_seconds: after which no more faults are begun, however many there were to be.
        interval_seconds: from the beginning of one fault to that of the next, unless it takes longer.
        rate: raw requests and streams begun in a second.
        client_pause_seconds: between two calls of each caller that uses the project's own client.
        storm_size: of storms, 1 for what two busy cores take in a second or two.
    """

    name: str
    undisturbed_seconds: float
    afterwards_seconds: float
    faults: int
    most_seconds: float
    interval_seconds: float
    rate: float
    client_pause_seconds: float
    storm_size: float


@dataclass(slots=True)
class FaultRecord:
    """A fault that was inflicted.

    Attributes:
        kind: which.
        began: when, in seconds since the run began.
        took_seconds: how long inflicting it took.
        recovery_seconds: from its end until the server was well; infinite when it was not in time.
        problem: what was wrong besides; empty for nothing.
    """

    kind: str
    began: float
    took_seconds: float = 0.0
    recovery_seconds: float = 0.0
    problem: str = ""


@dataclass(slots=True)
class Findings:
    """All that a run saw.

    Attributes:
        profile: what was run.
        seed: with what seed.
        tally: how requests ended.
        disturbances: what excuses failures, and when.
        faults: what was inflicted.
        samples: what the server held, second by second: seconds since the beginning, holdings.
        begun: requests sent.
        lost: requests that never ended, by source and number.
        incidents: what is wrong besides requests: processes that died, records of a log, an exit code.
        phases: named stretches of time, as beginnings and ends by the monotonic clock.
        started: when the run began, by the monotonic clock.
    """

    profile: Profile
    seed: int
    tally: Tally = field(default_factory=Tally)
    disturbances: list[Disturbance] = field(default_factory=list)
    faults: list[FaultRecord] = field(default_factory=list)
    samples: list[tuple[float, Holdings]] = field(default_factory=list)
    begun: int = 0
    lost: list[str] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    phases: dict[str, tuple[float, float]] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)


class Campaign:
    """Runs a profile."""

    def __init__(self, profile: Profile, seed: int, folder: Path, flags: Sequence[str], tell: Tell) -> None:
        """Get ready to run a profile in an empty folder, with flags for the server."""
        self._cache = prepared_cache(folder)
        self._profile = profile
        self._findings = Findings(profile, seed)
        self._tell = tell
        self._server = ServerUnderTest(folder, flags, {OBJECT_CACHE: str(self._cache)})
        self._sources: list[TrafficProcess] = []

    async def run(self) -> Findings:
        """Run it and return what was seen. Raises WrongAnswerError, and RuntimeError where a server does not start."""
        try:
            await self._server.start()
            await self._run()
        finally:
            for source in self._sources:
                source.kill()
            await self._server.kill()
        return self._findings

    async def _run(self) -> None:
        seed, profile = self._findings.seed, self._profile
        self._tell("asking the undisturbed server for the right answers")
        cases = await asyncio.to_thread(learned_cases, self._server.address, seed)
        sdk_cases = await asyncio.to_thread(learned_sdk_cases, self._server.address, seed)
        wrong = tuple(wrong_requests())
        async with ChaosProxy(self._server.address) as proxy:
            sdk = SdkPlan(
                "sdk",
                seed + 3,
                self._server.address,
                RETRYING,
                profile.client_pause_seconds,
                _PATIENT,
                sdk_cases,
            )
            raw = [RawPlan(*plan, cases, wrong) for plan in self._roads(proxy.address)]
            self._sources += [TrafficProcess(raw[0]), TrafficProcess(raw[1]), TrafficProcess(sdk)]
            scene = Scene(
                server=self._server,
                proxy=proxy,
                storms=self._sources[0],
                victim=lambda: TrafficProcess(raw[2]),
                cache=self._cache,
                chance=random.Random(f"{seed} choices"),
                size=profile.storm_size,
            )
            watching = asyncio.create_task(self._watch())
            await self._phases(scene, Canary(self._server, cases[0]))
            await asyncio.gather(*(source.finish(_STOP_SECONDS) for source in self._sources))
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self._conclude()

    def _roads(self, proxy_address: str) -> list[tuple[str, int, str, str, float]]:
        """Return name, seed, address, road and rate of each source of raw traffic; the last is there to be killed."""
        seed, rate = self._findings.seed, self._profile.rate
        return [
            (SOURCES[0], seed, self._server.address, DIRECT, rate * (1 - _PROXIED_SHARE)),
            (SOURCES[1], seed + 1, proxy_address, PROXIED, rate * _PROXIED_SHARE),
            (SOURCES[2], seed + 2, self._server.address, DIRECT, rate),
        ]

    async def _phases(self, scene: Scene, canary: Canary) -> None:
        profile = self._profile
        await asyncio.sleep(2.0)  # the sources load their libraries
        await self._phase("undisturbed", asyncio.sleep(profile.undisturbed_seconds))
        await self._phase("faults", self._inflict_all(scene, canary))
        await asyncio.sleep(1.0)  # within which all is to be as before
        await self._phase("afterwards", asyncio.sleep(profile.afterwards_seconds))

    async def _phase(self, name: str, work: Awaitable[None]) -> None:
        began = time.monotonic()
        self._tell(name)
        await work
        self._findings.phases[name] = (began, time.monotonic())

    async def _inflict_all(self, scene: Scene, canary: Canary) -> None:
        began = time.monotonic()
        for number, fault in enumerate(schedule(self._findings.seed, self._profile.faults)):
            if time.monotonic() - began > self._profile.most_seconds:
                break
            process = self._server.pid
            await self._inflict(fault, scene, canary)
            if self._server.pid != process:
                await asyncio.sleep(_AFTER_OUTAGE_SECONDS)
            due = began + (number + 1) * self._profile.interval_seconds
            await asyncio.sleep(max(0.1, due - time.monotonic()))

    async def _inflict(self, fault: Fault, scene: Scene, canary: Canary) -> None:
        """Inflict a fault on a server that is well, and see it well again."""
        record = FaultRecord(fault.name, time.monotonic() - self._findings.started)
        self._findings.faults.append(record)
        if await canary.seconds_until_well(_HEALTH_SECONDS) > _HEALTH_SECONDS:
            record.problem = "the server was not well before"
        disturbance = Disturbance(fault.name, fault.scopes, fault.allowed, time.monotonic())
        self._findings.disturbances.append(disturbance)
        try:
            await fault.inflict(scene)
        except FaultUnnoticedError as error:
            record.problem = str(error)
        record.took_seconds = time.monotonic() - disturbance.began
        record.recovery_seconds = await canary.seconds_until_well(_HEALTH_SECONDS)
        disturbance.ended = time.monotonic() + _GRACE_SECONDS

    async def _watch(self) -> None:
        """Take in what sources report and what the server holds, second by second."""
        told = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            self._collect()
            now = time.monotonic()
            held = await asyncio.to_thread(self._server.holdings)
            self._findings.samples.append((now - self._findings.started, held))
            if now - told >= 5.0:
                told = now
                self._tell(self._progress(held))

    def _collect(self) -> None:
        for source in self._sources:
            tally, source.tally = source.tally, Tally()
            self._findings.tally.add(tally)

    def _progress(self, held: Holdings) -> str:
        found = self._findings
        latest = found.faults[-1].kind if found.faults else "no fault yet"
        return (
            f"{time.monotonic() - found.started:6.0f} s  {found.tally.checked:8,} right or wrong answers checked"
            f"  {len(found.faults):4} faults ({latest})  server {held.resident_bytes / 2**20:.0f} MiB"
        )

    async def _conclude(self) -> None:
        """Stop the server, and see whether everything has been answered, given back and left in order."""
        self._collect()
        found = self._findings
        for source in self._sources:
            if source.farewell is None:
                found.incidents.append(f"the process of {source.plan.name} ended without its farewell")
                continue
            found.begun += source.farewell.begun
            found.lost += [f"{source.plan.name} {number}: {what}" for number, what in source.farewell.lost.items()]
        found.incidents += await asyncio.to_thread(self._left_behind)
        code = await self._server.stop()
        if code != 0:
            found.incidents.append(f"told to stop, the server ended with {code}")
        found.incidents += self._server.complaints()

    def _left_behind(self) -> list[str]:
        """Return the gauges that are not back at zero although nobody calls any more."""
        samples = self._server.metrics()
        gauges = ("gradmill_requests_in_flight", "gradmill_queue_length", "gradmill_streams_open")
        return [f"{name} is {samples[name]:g} when nobody calls" for name in gauges if samples.get(name, 0.0) > 0]

"""One arrival of a run's raw traffic once more, many times over, against a server at peace."""

from __future__ import annotations

import asyncio

from tests.load.cases import wrong_requests
from tests.load.experiments.measuring import Figure, Laboratory
from tests.load.judging import DIRECT, violations
from tests.load.raw_traffic import RawPlan, RawTraffic
from tests.load.recording import Recorder
from tests.load.surroundings import learned_cases

SOURCES = ("raw", "raw through the proxy", "raw to be killed")
"""The sources of raw traffic; the seed of each is the run's, plus its place here."""


async def replayed(laboratory: Laboratory, source: str, arrival: int, times: int) -> list[Figure]:
    """Send the request or the stream that a run with this seed sent as this arrival, and judge each ending."""
    recorder = Recorder()
    async with laboratory.server() as server:
        cases = await asyncio.to_thread(learned_cases, server.address, laboratory.seed)
        seed = laboratory.seed + SOURCES.index(source)
        plan = RawPlan(source, seed, server.address, DIRECT, 1.0, cases, tuple(wrong_requests()))
        traffic = RawTraffic(plan, recorder)
        for _ in range(times):
            await traffic.start(traffic.send_any, arrival)
        await traffic.close()
    tally = recorder.taken()
    found = violations(tally.notable, ())
    for violation in found:
        laboratory.tell(str(violation))
    ended = ", ".join(f"{scenario} {code} {count}" for (scenario, code), count in sorted(tally.counts.items()))
    return [Figure(f"arrival {arrival} of {source}, {times} times", ended, "no violation", not found)]

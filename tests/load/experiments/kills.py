"""Worker after worker killed at full load: a client that tries again loses nothing, and each is replaced."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter

from gradmill import RetryPolicy

from tests.load.canary import Canary
from tests.load.experiments.measuring import Figure, Laboratory
from tests.load.judging import RETRYING, violations
from tests.load.recording import Recorder, Tally
from tests.load.sdk_traffic import SdkPlan, SdkTraffic
from tests.load.server_under_test import ServerUnderTest, send_signal
from tests.load.surroundings import learned_cases, learned_sdk_cases

_KILLS = 20
_PAUSE_SECONDS = 0.5
_REPLACEMENT_PATIENCE_SECONDS = 20.0
_MOST_SHOWN = 10


async def run(laboratory: Laboratory) -> list[Figure]:
    """Kill twenty workers in a row while a client calls."""
    kills = max(2, round(_KILLS * laboratory.scale))
    async with laboratory.server() as server:
        canary = Canary(server, (await asyncio.to_thread(learned_cases, server.address, laboratory.seed))[0])
        cases = await asyncio.to_thread(learned_sdk_cases, server.address, laboratory.seed)
        plan = SdkPlan("sdk", laboratory.seed, server.address, RETRYING, 0.02, RetryPolicy(), cases)
        recorder = Recorder()
        traffic = SdkTraffic(plan, recorder)
        calling = asyncio.create_task(traffic.run())
        await asyncio.sleep(1.0)
        chance = random.Random(laboratory.seed)
        replaced = [await _killed(server, canary, chance) for _ in range(kills)]
        await asyncio.sleep(1.0)
        traffic.stop()
        await calling
        restarts = sum(own for _, own in replaced)
        code = await server.stop()
    tally = recorder.taken()
    for violation in violations(tally.notable, ())[:_MOST_SHOWN]:
        laboratory.tell(str(violation))
    return _figures(tally, len(recorder.ledger.open), [seconds for seconds, _ in replaced], restarts, code)


async def _killed(server: ServerUnderTest, canary: Canary, chance: random.Random) -> tuple[float, bool]:
    """Kill a worker; return after how long there were as many again, and whether this tool had to see to that."""
    while not (workers := server.workers()):  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(0.02)
    worker = chance.choice(workers)
    began = time.monotonic()
    send_signal(worker, signal.SIGKILL)
    restarted = False
    while time.monotonic() - began < _REPLACEMENT_PATIENCE_SECONDS:
        restarted = await server.restart_if_dead() or restarted
        now = server.workers()
        if worker not in now and len(now) >= len(workers):
            break
        await asyncio.sleep(0.02)
    await canary.seconds_until_well(_REPLACEMENT_PATIENCE_SECONDS)
    took = time.monotonic() - began
    await asyncio.sleep(_PAUSE_SECONDS)
    return took, restarted


def _figures(tally: Tally, unanswered: int, seconds: list[float], restarts: int, code: int) -> list[Figure]:
    codes: Counter[str] = Counter()
    for (_, ending), count in tally.counts.items():
        codes[ending] += count
    lost = sum(codes.values()) - codes["OK"] + unanswered
    wrong = sum(outcome.code == "OK" for outcome in tally.notable)
    by_hand = f"; the tool had to start the whole server {restarts} times" if restarts else ""
    return [
        Figure("calls of a client that tries again", f"{dict(codes)}", "none lost", lost == 0),
        Figure("wrong OK answers", str(wrong), "0", wrong == 0),
        Figure(
            f"replaced after each of {len(seconds)} kills",
            f"longest {max(seconds):.2f} s{by_hand}",
            "< 2 s",
            max(seconds) < 2,
        ),
        Figure("exit code at the end", str(code), "0", code == 0),
    ]

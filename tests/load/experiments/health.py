"""Health answers while every worker is busy for ten seconds."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np

from tests.load.calling import RawClient
from tests.load.experiments.heavy import heavy_request, heavy_steps
from tests.load.experiments.measuring import Figure, Laboratory, Load, Question, caller

_PASS_SECONDS = 10.0
_STRETCH = 10
_POINTS = 64
_CALLS_PER_WORKER = 3
"""Of passes that are not joined with each other, so that no worker runs out of them while health is asked for."""

_PAUSE_SECONDS = 0.02
_WARM_UP_SECONDS = 0.5


async def run(laboratory: Laboratory) -> list[Figure]:
    """Keep all workers busy with passes of ten seconds, and ask for health all the while."""
    pass_seconds = _PASS_SECONDS * laboratory.scale
    async with laboratory.server() as server:
        samples = await asyncio.to_thread(server.metrics)
        workers = max(1, round(samples.get("gradmill_workers", 1.0)))
        steps = await heavy_steps(server, 1e3 * pass_seconds / _STRETCH, points=_POINTS)
        question = Question(heavy_request(_STRETCH * steps, _POINTS).SerializeToString(), b"")
        async with caller(server, question, 60_000, connections=_CALLS_PER_WORKER * workers) as asking:
            load = Load()
            for _ in range(_CALLS_PER_WORKER * workers):
                asking.ask(load)
            await asyncio.sleep(_WARM_UP_SECONDS)
            seconds = await _health_seconds(server.address, pass_seconds - _WARM_UP_SECONDS)
    worst, high = max(seconds), float(np.percentile(seconds, 99))
    got = f"longest {worst * 1e3:.1f} ms, p99 {high * 1e3:.1f} ms of {len(seconds)} checks, {workers} workers busy"
    return [Figure("health while all workers are busy", got, "<= 50 ms", worst <= 0.05)]


async def _health_seconds(address: str, seconds: float) -> list[float]:
    client = RawClient(address)
    check: Any = client.channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
    await check(b"", timeout=5.0)
    found = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        await check(b"", timeout=5.0)
        found.append(time.monotonic() - began)
        await asyncio.sleep(_PAUSE_SECONDS)
    await client.close()
    return found

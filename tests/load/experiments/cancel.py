"""Two thousand callers who lose interest: workers must be free at once, and every call counted once."""

from __future__ import annotations

import asyncio
import time

from tests.load.experiments.heavy import heavy_question
from tests.load.experiments.measuring import EVALUATE, Figure, Laboratory, asked
from tests.load.http2_calls import Answer, Http2Connection

_CALLS = 2_000
_COMPUTE_MILLISECONDS = 200.0
_AT_A_TIME = 100
_INTEREST_SECONDS = 0.1
"""Long enough for a hundred calls to reach the service: those that never do are counted by nobody."""

_GAUGES = ("gradmill_requests_in_flight", "gradmill_queue_length", "gradmill_workers_busy")


async def run(laboratory: Laboratory) -> list[Figure]:
    """Begin calls a hundred at a time, give them up long before they can be answered, and see what is left of them."""
    async with laboratory.server() as server:
        heavy = await heavy_question(server, _COMPUTE_MILLISECONDS)
        light = await heavy_question(server, 0.5)
        before = await asyncio.to_thread(server.metrics)
        connection = await Http2Connection.connect(server.address)
        codes: list[int] = []

        def ended(answer: Answer) -> None:
            codes.append(answer.code)

        for _ in range(_CALLS // _AT_A_TIME):
            streams = [connection.call(EVALUATE, heavy.body, 30_000, ended) for _ in range(_AT_A_TIME)]
            await asyncio.sleep(_INTEREST_SECONDS)
            for stream in streams:
                connection.give_up(stream)
        given_up = time.monotonic()
        await asked(server, light.body)
        free_after = time.monotonic() - given_up
        await asyncio.sleep(0.5)
        after = await asyncio.to_thread(server.metrics)
        connection.close()
    return _figures(before, after, codes, free_after)


def _figures(before: dict[str, float], after: dict[str, float], codes: list[int], free_after: float) -> list[Figure]:
    def counted(code: str) -> int:
        names = [name for name in after if name.startswith("gradmill_requests_total{") and f'code="{code}"' in name]
        return round(sum(after[name] - before.get(name, 0.0) for name in names if 'method="Evaluate"' in name))

    answered = len(codes)
    cancelled, others = counted("CANCELLED"), counted("OK") - 1 + counted("RESOURCE_EXHAUSTED") + counted("UNAVAILABLE")
    left = {name: after.get(name, 0.0) for name in _GAUGES if after.get(name, 0.0) > 0}
    got = f"{cancelled} cancelled and {others} answered on the server; {_CALLS - answered} and {answered} at the caller"
    return [
        Figure("counts in the metrics", got, "exact", cancelled + others == _CALLS),
        Figure("a call after the last cancel", f"{free_after * 1e3:.0f} ms", "<= 100 ms", free_after <= 0.1),
        Figure("gauges afterwards", str(left or "all zero"), "all zero", not left),
    ]

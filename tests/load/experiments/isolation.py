"""A quiet caller beside a greedy one: the quiet one must not notice."""

from __future__ import annotations

import asyncio

from tests.load.experiments.heavy import heavy_question
from tests.load.experiments.measuring import Figure, Laboratory, Load, caller

_COMPUTE_MILLISECONDS = 2.0
_QUIET_DEADLINE_MILLISECONDS, _GREEDY_DEADLINE_MILLISECONDS = 1_000, 100
_QUIET_SHARE = 0.1
"""Of the capacity; half of it would be his right."""

_GREED = (1.0, 10.0)
_CALLERS = 2


async def run(laboratory: Laboratory) -> list[Figure]:
    """Measure a quiet caller alone, then beside one that sends its share, then beside one that sends ten times that."""
    seconds = 8.0 * laboratory.scale
    figures = []
    async with laboratory.server() as server:
        question = await heavy_question(server, _COMPUTE_MILLISECONDS)
        async with (
            caller(server, question, _QUIET_DEADLINE_MILLISECONDS, connections=1) as quiet,
            caller(server, question, _GREEDY_DEADLINE_MILLISECONDS, connections=1) as greedy,
        ):
            capacity = (await greedy.in_turn(8, 3.0 * laboratory.scale)).good_rate
            rate = _QUIET_SHARE * capacity
            alone = await quiet.at_rate(rate, seconds, laboratory.seed)
            figures.append(Figure(f"quiet caller alone, {rate:.0f}/s", _described(alone)))
            for greed in _GREED:
                flood = greed * capacity / _CALLERS
                beside, flooded = await asyncio.gather(
                    quiet.at_rate(rate, seconds, laboratory.seed), greedy.at_rate(flood, seconds, laboratory.seed + 1)
                )
                laboratory.tell(f"beside {greed:g} times the share: {_described(beside)}")
                figures.append(_figure(greed, beside, alone, flooded))
    return figures


def _figure(greed: float, beside: Load, alone: Load, flooded: Load) -> Figure:
    ratio = beside.percentile(99) / alone.percentile(99)
    got = f"{_described(beside)}: p99 {ratio:.1f} times; the other had {flooded.good_rate:.0f}/s good"
    all_ok = len(beside.latencies) == beside.begun
    last = greed == max(_GREED)
    aim = "100 % OK, p99 <= 2 times" if last else ""
    return Figure(f"beside {greed:g} times the share", got, aim, all_ok and ratio <= 2 if last else None)


def _described(load: Load) -> str:
    ok = len(load.latencies) / load.begun if load.begun else 0.0
    return f"{ok:.2%} of {load.begun} OK, p50 {load.percentile(50) * 1e3:.1f}, p99 {load.percentile(99) * 1e3:.1f} ms"

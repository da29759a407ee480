"""A quiet caller beside a greedy one: the quiet one must not notice."""

from __future__ import annotations

import asyncio
import hashlib

from tests.load.experiments.heavy import heavy_steps, question_of_steps
from tests.load.experiments.measuring import Figure, Laboratory, Load, caller

_QUIET_DEADLINE_MILLISECONDS, _GREEDY_DEADLINE_MILLISECONDS = 1_000, 100
_QUIET_SHARE = 0.1
"""Of the capacity; half of it would be his right."""

_GREED = (1.0, 10.0)
_CALLERS = 2
_QUIET, _GREEDY = "token-of-the-quiet-caller", "token-of-the-greedy-caller"


async def run(laboratory: Laboratory) -> list[Figure]:
    """Measure a quiet caller alone, then beside one that sends its share, then beside one that sends ten times that."""
    seconds = 8.0 * laboratory.scale
    figures = []
    async with laboratory.server("--token-file", _token_file(laboratory)) as server:
        steps = await heavy_steps(server, laboratory.compute_milliseconds, token=_QUIET)
        quiet_question = await question_of_steps(server, steps, token=_QUIET)
        greedy_question = await question_of_steps(server, steps, token=_GREEDY)
        async with (
            caller(server, quiet_question, _QUIET_DEADLINE_MILLISECONDS, connections=2, token=_QUIET) as quiet,
            caller(server, greedy_question, _GREEDY_DEADLINE_MILLISECONDS, token=_GREEDY) as greedy,
        ):
            capacity = (await greedy.in_turn(8, 3.0 * laboratory.scale)).good_rate
            rate = _QUIET_SHARE * capacity
            alone = await quiet.at_rate(rate, seconds, laboratory.seed)
            figures.append(Figure(f"quiet caller alone, {rate:.0f}/s of {capacity:.0f}/s", _described(alone)))
            for greed in _GREED:
                flood = greed * capacity / _CALLERS
                beside, flooded = await asyncio.gather(
                    quiet.at_rate(rate, seconds, laboratory.seed), greedy.at_rate(flood, seconds, laboratory.seed + 1)
                )
                laboratory.tell(f"beside {greed:g} times the share: {_described(beside)}")
                figures.append(_figure(greed, beside, alone, flooded))
    return figures


def _token_file(laboratory: Laboratory) -> str:
    """Write the server's file of tokens, for two callers, and return its path."""
    path = laboratory.folder / "tokens"
    lines = [f"{token} {hashlib.sha256(token.encode()).hexdigest()}\n" for token in (_QUIET, _GREEDY)]
    path.write_text("".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def _figure(greed: float, beside: Load, alone: Load, flooded: Load) -> Figure:
    ratio = beside.percentile(99) / alone.percentile(99)
    offered = f"{flooded.good_rate:.0f}/s good of {flooded.begun / flooded.seconds:.0f}/s"
    got = f"{_described(beside)}: p99 {ratio:.1f} times; the other had {offered}"
    all_ok = len(beside.latencies) == beside.begun
    last = greed == max(_GREED)
    aim = "100 % OK, p99 <= 2 times" if last else ""
    return Figure(f"beside {greed:g} times the share", got, aim, all_ok and ratio <= 2 if last else None)


def _described(load: Load) -> str:
    ok = len(load.latencies) / load.begun if load.begun else 0.0
    return f"{ok:.2%} of {load.begun} OK, p50 {load.percentile(50) * 1e3:.1f}, p99 {load.percentile(99) * 1e3:.1f} ms"

"""Goodput when far more is asked than can be done: the useful answers must not become fewer."""

from __future__ import annotations

import math
import time

from tests.load.experiments.heavy import heavy_question
from tests.load.experiments.measuring import Caller, Figure, Laboratory, Load, caller

_DEADLINE_MILLISECONDS = 100
_OFFERED = (0.5, 1.0, 2.0, 4.0, 8.0)
_CLOSED_LOOP_CALLERS = (2, 4, 8, 16)


async def run(laboratory: Laboratory) -> list[Figure]:
    """Find the capacity with callers who wait, then offer multiples of it by callers who do not."""
    async with laboratory.server() as server:
        question = await heavy_question(server, laboratory.compute_milliseconds)
        async with caller(server, question, _DEADLINE_MILLISECONDS) as asking:
            capacity = 0.0
            for callers in _CLOSED_LOOP_CALLERS:
                found = await asking.in_turn(callers, 3.0 * laboratory.scale)
                laboratory.tell(f"{callers} callers who wait: {found.good_rate:.0f}/s")
                capacity = max(capacity, found.good_rate)
            loads = {offered: await _offered(laboratory, asking, offered, capacity) for offered in _OFFERED}
            ended = time.monotonic()
            after = await asking.at_rate(0.3 * capacity, 4.0 * laboratory.scale, laboratory.seed)
    peak = max(capacity, *(load.good_rate for load in loads.values()))
    figures = [Figure("capacity, by callers who wait", f"{capacity:.0f}/s")]
    figures += [_figure(offered, load, peak, capacity) for offered, load in loads.items()]
    return [*figures, *_recovery(loads[0.5], after, ended), _wrong([*loads.values(), after])]


async def _offered(laboratory: Laboratory, asking: Caller, offered: float, capacity: float) -> Load:
    load = await asking.at_rate(offered * capacity, 6.0 * laboratory.scale, laboratory.seed)
    laboratory.tell(f"{offered:g} times: {load.good_rate:.0f}/s good of {load.begun / load.seconds:.0f}/s")
    return load


def _figure(offered: float, load: Load, peak: float, capacity: float) -> Figure:
    share = load.good_rate / peak
    codes = ", ".join(f"{code} {count}" for code, count in sorted(load.codes.items()))
    got = (
        f"{load.good_rate:.0f}/s good of {load.begun / load.seconds:.0f}/s offered: {share:.0%} of the peak;"
        f" p50 {load.percentile(50) * 1e3:.1f}, p99 {load.percentile(99) * 1e3:.1f} ms ({codes})"
    )
    asked_for = offered == max(_OFFERED)
    aim = f">= 80 % of {peak:.0f}/s" if asked_for else ""
    return Figure(f"{offered:g} times {capacity:.0f}/s", got, aim, share >= 0.8 if asked_for else None)


def _recovery(before: Load, after: Load, ended: float) -> list[Figure]:
    """Return how the second second after the overload compares with half load before it."""
    calm = before.percentile(99)
    second = after.percentile(99, since=ended + 1.0)
    met = not math.isnan(second) and second <= max(2 * calm, 0.05)
    got = f"p99 {second * 1e3:.1f} ms one second after; {calm * 1e3:.1f} ms at half load before"
    return [Figure("recovery from 8 times", got, "normal again within 1 s", met)]


def _wrong(loads: list[Load]) -> Figure:
    wrong = sum(load.wrong for load in loads)
    return Figure("wrong OK answers", str(wrong), "0", wrong == 0)

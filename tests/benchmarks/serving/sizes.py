"""How long a run measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long and how often everything is measured.

    Attributes:
        rounds: rounds of the loads and callers.
        window_s: seconds of one of them.
        waiting_rounds: rounds at half load.
        waiting_s: seconds of one of those: a p99 needs some hundred calls.
        callers: numbers of callers, beside peers.
        batch_points: points of the big batch.
        batch_rounds: rounds of it.
        one_process: flags that keep our server to one process, where it is compared with one.
    """

    rounds: int = 9
    window_s: float = 0.5
    waiting_rounds: int = 5
    waiting_s: float = 2.0
    callers: tuple[int, ...] = (1, 8, 64)
    batch_points: int = 1_000_000
    batch_rounds: int = 7
    one_process: tuple[str, ...] = ("--processes", "1")


FULL = Sizes()
QUICK = Sizes(rounds=3, window_s=0.3, waiting_rounds=3, waiting_s=1.0, batch_points=200_000, batch_rounds=3)

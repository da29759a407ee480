"""Finds worker processes that hang."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from gradmill_server.serving.supervision.process import State, WorkerProcess

_START_SECONDS = 300.0
"""For a process to become ready: a machine's first start compiles for some seconds, a crowded one for longer."""


def check_period(hang_seconds: float) -> float:
    """Return how often to check, in seconds, to find what hangs soon after the time given."""
    return min(1.0, hang_seconds / 4)


def hung(
    processes: Iterable[WorkerProcess], hang_seconds: float, period: float, on_failed: Callable[[Exception], object]
) -> list[WorkerProcess]:
    """Return the processes that hang; to be called once each period.

    Args:
        processes: those to check, however far they have come.
        hang_seconds: for how long a process may be silent, or at work that should have ended.
        period: the seconds between two calls.
        on_failed: told why a process could not be checked, which keeps no other from being so.
    """
    found = []
    for process in processes:
        try:
            _find_overdue(process, hang_seconds)
            if process.overdue or _is_silent(process, hang_seconds, period):
                found.append(process)
        except Exception as error:  # noqa: BLE001  a check that fails must not be the last
            on_failed(error)
    return found


def _is_silent(process: WorkerProcess, hang_seconds: float, period: float) -> bool:
    """Whether a process has given no sign of life for too long.

    Periods are counted, and not the time that passed, so that a supervisor that stood still itself blames nobody.
    """
    process.silent_seconds += period
    return process.silent_seconds > (_START_SECONDS if process.state is State.STARTING else hang_seconds)


def _find_overdue(process: WorkerProcess, hang_seconds: float) -> None:
    """Note the work at which a process still is so long after its deadline."""
    now = time.monotonic()
    late = [note for note in process.notes() if note.deadline + hang_seconds < now]
    process.overdue = late if process.suspected_overdue else []
    process.suspected_overdue = bool(late)

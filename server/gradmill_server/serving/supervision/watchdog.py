"""Finds worker processes that hang."""

from __future__ import annotations

import time

from gradmill_server.serving.supervision.process import State, WorkerProcess

_START_SECONDS = 300.0
"""For a process to become ready: a machine's first start compiles for some seconds, a crowded one for longer."""


def check_period(hang_seconds: float) -> float:
    """Return how often to check, in seconds, to find what hangs soon after the time given."""
    return min(1.0, hang_seconds / 4)


def is_silent(process: WorkerProcess, hang_seconds: float, period: float) -> bool:
    """Whether a process has given no sign of life for too long; to be asked once each period.

    Periods are counted, and not the time that passed, so that a supervisor that stood still itself blames nobody.
    """
    process.silent_seconds += period
    return process.silent_seconds > (_START_SECONDS if process.state is State.STARTING else hang_seconds)


def find_overdue(process: WorkerProcess, hang_seconds: float) -> None:
    """Note the work at which a process still is so long after its deadline; to be called once each period."""
    now = time.monotonic()
    late = [note for note in process.journal.notes() if note.deadline + hang_seconds < now]
    process.overdue = late if process.suspected_overdue else []
    process.suspected_overdue = bool(late)

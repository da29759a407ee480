"""Finds out how a worker process ended, and whether a function is to blame for it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping
from enum import StrEnum

from gradmill_server.serving import logs
from gradmill_server.serving.guard import Work
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.supervision.blame import Blame
from gradmill_server.serving.supervision.process import State, WorkerProcess

_OWN_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS})
"""The signals that a process brings upon itself; others may come from anywhere."""

HUNG = "hung"
STOPPING = "stopping"
"""Why the supervisor ends a process."""


class Cause(StrEnum):
    """How a process ended that nobody asked to."""

    CRASHED = "crashed"
    EXITED = "exited"
    HUNG = "hung"
    UNREADY = "unready"


class Inquest:
    """Examines every process that ends, and keeps the list of functions to refuse."""

    def __init__(self, settings: Settings) -> None:
        """Start with nothing to refuse."""
        self._blame = Blame(settings.quarantine_deaths, settings.quarantine_seconds)

    @property
    def quarantined(self) -> int:
        """The number of functions in quarantine."""
        return len(self._blame.quarantined)

    def refused(self) -> dict[str, object]:
        """Return what workers are to refuse, and of which functions to count the work that ends, as a message."""
        return {
            "quarantined": {digest.hex(): seconds for digest, seconds in self._blame.quarantined.items()},
            "suspects": {digest.hex(): work for digest, work in self._blame.suspects.items()},
        }

    def ended(self, ends: Mapping[str, int]) -> bool:
        """Hear how often work on suspects has ended; return whether this clears one."""
        cleared = [self._blame.ended(bytes.fromhex(digest), count) for digest, count in ends.items()]
        return any(cleared)

    def examine(self, process: WorkerProcess, code: int) -> Cause:
        """Return how a process ended that nobody asked to, and blame the functions that it was working on.

        Args:
            process: the process.
            code: its exit code, or the negative number of the signal that ended it.
        """
        cause = _cause(process, code)
        worked_on = self._worked_on(process) if cause in {Cause.CRASHED, Cause.HUNG} else {}
        logs.record(
            logging.ERROR,
            "worker_died",
            worker=process.seat,
            process=process.number,
            cause=cause.value,
            signal=_signal_name(code),
            exit_code=max(code, 0),
            functions=len(worked_on),
        )
        for digest in self._blame.died(worked_on, own_fault=-code in _OWN_FAULTS):
            logs.record(logging.ERROR, "function_quarantined", digest=digest.hex())
        return cause

    def _worked_on(self, process: WorkerProcess) -> dict[bytes, Work]:
        """Return the functions a process was working on, and at what; of one that hung at some of them, only those."""
        notes = process.overdue or process.notes()
        # In the order of the kinds, so that the latest kind stays where a function was both made and run.
        return {note.digest: note.work for note in sorted(notes)}


def _cause(process: WorkerProcess, code: int) -> Cause:
    if process.ended_by == HUNG:
        return Cause.HUNG
    if process.state in {State.STARTING, State.SEATED}:
        return Cause.UNREADY
    return Cause.CRASHED if code < 0 else Cause.EXITED


def _signal_name(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else ""
    except ValueError:
        return str(-code)

"""What all processes of a server have counted together, those that have ended included."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from gradmill_server.serving.metric_families import (
    FUNCTIONS_QUARANTINED,
    SPARE_PROCESSES,
    WORKER_PROCESSES,
    WORKER_RESTARTS,
)
from gradmill_server.serving.snapshots import Snapshot, Totals, left_behind
from gradmill_server.serving.supervision.control import Kind
from gradmill_server.serving.supervision.crew import Crew
from gradmill_server.serving.supervision.inquest import Cause, Inquest
from gradmill_server.serving.supervision.process import WorkerProcess

_ANSWER_SECONDS = 0.5
"""How long a scrape waits for a process; of one that does not answer, it shows what it told last."""


class Census:
    """Asks the processes, and remembers what those that ended had counted, so that no count ever falls."""

    def __init__(self) -> None:
        """Start at zero."""
        self._remains = Totals()
        self._restarts: Counter[Cause] = Counter()
        self._questions = 0
        self._answered = asyncio.Event()

    def beat_came(self) -> None:
        """Hear that a process has sent what it counted."""
        self._answered.set()
        self._answered = asyncio.Event()

    def ended(self, process: WorkerProcess, cause: Cause | None) -> None:
        """Hear that a process has ended; the cause is None where it was asked to."""
        if process.seat and process.snapshot is not None:
            self._remains.add(left_behind(process.snapshot))
        if cause is not None:
            self._restarts[cause] += 1
        self.beat_came()

    async def snapshots(self, crew: Crew, inquest: Inquest) -> list[Snapshot]:
        """Return what is to be added up for a scrape."""
        self._questions += 1
        number = self._questions
        asked = [process for process in crew.processes if process.seat]
        for process in asked:
            process.send(Kind.ASK, number=number)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                while any(process.answered < number for process in asked if process in crew.processes):
                    await self._answered.wait()
        known = [process.snapshot for process in crew.processes if process.seat and process.snapshot is not None]
        gauges = {
            WORKER_PROCESSES.name: crew.serving,
            SPARE_PROCESSES.name: crew.spares,
            FUNCTIONS_QUARANTINED.name: inquest.quarantined,
        }
        return [self._remains.snapshot(), *known, self._of_supervisor(gauges)]

    def _of_supervisor(self, gauges: Mapping[str, float]) -> Snapshot:
        counters = [(WORKER_RESTARTS.name, [cause.value], float(self._restarts[cause])) for cause in Cause]
        return {"counters": counters, "histograms": [], "gauges": dict(gauges)}

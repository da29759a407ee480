"""The process that keeps a server's worker processes running, and speaks for all of them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Iterable

from gradmill_server.serving import logs
from gradmill_server.serving.exposition import MetricsServer
from gradmill_server.serving.listening import ReservedPort, shown_address
from gradmill_server.serving.memory import allowed_bytes
from gradmill_server.serving.processors import processors
from gradmill_server.serving.security.descriptors import raise_descriptor_limit
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.snapshots import Snapshot
from gradmill_server.serving.supervision.census import Census
from gradmill_server.serving.supervision.control import Kind, Message
from gradmill_server.serving.supervision.crew import Crew
from gradmill_server.serving.supervision.inquest import HUNG, STOPPING, Inquest
from gradmill_server.serving.supervision.log_lines import LogLines
from gradmill_server.serving.supervision.process import Plan, WorkerProcess
from gradmill_server.serving.supervision.signals import told_to_stop
from gradmill_server.serving.supervision.start_record import record_start
from gradmill_server.serving.supervision.watchdog import check_period, hung

_EXIT_FAILED = 1

_PATIENCE_SECONDS = 5.0
"""For processes to end, beyond the time to drain."""

_LOG_SECONDS = 1.0
"""For the log to be written, when the process ends at once."""

_SCRAPE_SECONDS = 5.0
_MAXIMUM_NOTICES = 256


class Supervisor:
    """Starts the workers, replaces those that die or hang, counts for all, and ends them."""

    def __init__(self, settings: Settings, port: ReservedPort, lines: LogLines) -> None:
        """Set up; needs a running event loop.

        Args:
            settings: those of the server.
            port: the port that the workers are to listen on.
            lines: takes the workers' log.
        """
        self._settings = settings
        self._address = shown_address(settings.host, port.number)
        self._lines = lines
        self._census = Census()
        self._inquest = Inquest(settings)
        self._notices: set[str] = set()
        self._seats = settings.processes or processors()
        self._threads = settings.workers or processors()
        # All processes share what there is: of the machine, or of the control group.
        memory_bytes = settings.memory_bytes or allowed_bytes() // (self._seats + settings.spare_processes)
        self._crew = Crew(
            Plan(
                settings.as_record() | {"memory_bytes": memory_bytes},
                port.number,
                journal_slots=2 * self._threads + 16,
            ),
            seats=self._seats,
            spares=settings.spare_processes,
            write_line=lines.write,
            refused=self._inquest.refused,
            on_message=self._hear,
            on_death=self._examine,
        )

    async def run(self) -> None:
        """Serve until told to stop.

        Raises:
            ListenError: when the port for metrics cannot be had.
            WorkersFailed: when workers cannot listen, or end before they are ready again and again.
        """
        metrics = self._serve_metrics()
        watching = asyncio.create_task(self._watch())
        try:
            with told_to_stop(self._stop, self._stop_at_once):
                await self._serve("" if metrics is None else metrics.address)
        finally:
            watching.cancel()
            self._crew.kill_all(STOPPING)
            await self._crew.wait()
            if metrics is not None:
                metrics.close()

    def _serve_metrics(self) -> MetricsServer | None:
        loop = asyncio.get_running_loop()

        def snapshots() -> Iterable[Snapshot]:
            asking = self._census.snapshots(self._crew, self._inquest)
            return asyncio.run_coroutine_threadsafe(asking, loop).result(_SCRAPE_SECONDS)

        return MetricsServer.listening(self._settings, snapshots) if self._settings.metrics else None

    async def _serve(self, metrics_address: str) -> None:
        began = time.monotonic()
        descriptors = raise_descriptor_limit()  # the workers inherit it
        record_start(self._settings, self._address, metrics_address, self._seats, self._threads, descriptors)
        self._crew.fill()
        full = asyncio.ensure_future(self._crew.full.wait())
        await asyncio.wait((full, self._crew.over), return_when=asyncio.FIRST_COMPLETED)
        full.cancel()
        if self._crew.full.is_set():
            logs.record(
                logging.INFO,
                "ready",
                address=self._address,
                worker_processes=self._crew.seated(),
                backend=self._crew.backend,
                start_seconds=round(time.monotonic() - began, 3),
            )
        await self._crew.over
        logs.record(logging.INFO, "stopped")

    def _hear(self, kind: Kind, message: Message) -> None:
        match kind:
            case Kind.BEAT:
                self._census.beat_came()
                if message["ends"] and self._inquest.ended(message["ends"]):
                    self._announce_refused()
            case Kind.NOTICE:
                self._note(message["level"], message["text"])
            case Kind.WARM if message["why_not_native"]:
                self._note(logging.WARNING, message["why_not_native"])
            case _:
                pass

    def _note(self, level: int, text: str) -> None:
        """Write down once what every process may have to say."""
        if text not in self._notices and len(self._notices) < _MAXIMUM_NOTICES:
            self._notices.add(text)
            logs.record(level, "notice", message=text)

    def _announce_refused(self) -> None:
        for process in self._crew.processes:
            process.send(Kind.GUARD, **self._inquest.refused())

    def _examine(self, process: WorkerProcess, code: int) -> None:
        asked = process.ended_by == STOPPING or (self._crew.stopping and code == 0)
        cause = None if asked else self._inquest.examine(process, code)
        self._census.ended(process, cause)
        self._announce_refused()

    async def _watch(self) -> None:
        hang_seconds = self._settings.worker_hang_seconds
        period = check_period(hang_seconds)
        while True:
            await asyncio.sleep(period)
            for process in hung(self._crew.processes, hang_seconds, period, self._note_failed_check):
                process.kill(HUNG)

    def _note_failed_check(self, error: Exception) -> None:
        self._note(logging.ERROR, f"a worker process could not be checked: {type(error).__name__}: {error}")

    def _stop(self) -> None:
        logs.record(logging.INFO, "draining", processes=len(self._crew.processes))
        self._crew.drain()
        patience = self._settings.drain_seconds + _PATIENCE_SECONDS
        asyncio.get_running_loop().call_later(patience, self._crew.kill_all, STOPPING)

    def _stop_at_once(self, number: signal.Signals) -> None:
        logs.record(logging.WARNING, "stopped_at_once", signal=number.name)
        self._crew.kill_all(STOPPING)
        self._lines.drain(_LOG_SECONDS)
        # Not sys.exit: that would wait for what the second signal is there to interrupt.
        os._exit(_EXIT_FAILED)
